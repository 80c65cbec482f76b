//! Simulated outages, through the whole tick, against the closed formulas of ALERTING §2.
//!
//! A tier of factor f and windows L and S fires during an outage with the constant error rate e, when before it all
//! was well, as soon as both windows hold more than f·B of errors: after f·B·L/e minutes for the long one; the short
//! one, which needs f·B·S/e, is always sooner. If e ≤ f·B neither ever does. After the outage the short window has fallen
//! to the factor when f·B·S/e minutes of it are left, S·(1 − f·B/e) after the end.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Float64Array, TimestampMicrosecondArray};
use hindsight_model::{
    AlertState, SloSlice, SqlAnswer, SqlError, SqlParam, SqlRequest, SqlSource, Tenant, TickCommit,
};
use jiff::Timestamp;

use super::support::{Disk, Workspace, answer, run, t};
use crate::{Alignment, Engine, Options, google_30d};

const SLO: &str = r#"
apiVersion: openslo/v1
kind: SLO
metadata:
  name: outage
  annotations: {hindsight.dev/burn-policy: google-30d, hindsight.dev/keep-firing-for: 0s}
spec:
  service: checkout
  budgetingMethod: Occurrences
  timeWindow: [{duration: 30d, isRolling: true}]
  objectives: [{target: 0.999}]
  indicator:
    spec:
      ratioMetric:
        bad: {metricSource: {spec: {from: spans, where: "status_code = 'error'"}}}
        total: {metricSource: {spec: {from: spans, where: "true"}}}
"#;
const BUDGET: f64 = 0.001;
const MONTH: Duration = Duration::from_secs(30 * 86_400);
/// Events a minute: so many that chance plays no part, even where a rate barely exceeds its factor.
const RATE: f64 = 1e7;

/// Spans at a constant rate; from minute 0 to `ends` this share of them is bad.
struct Outage {
    error: f64,
    ends: i64,
}

impl Outage {
    fn bad(&self, minute: i64) -> f64 {
        if (0..self.ends).contains(&minute) { RATE * self.error } else { 0.0 }
    }
}

#[async_trait::async_trait]
impl SqlSource for Outage {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        let minute = |name: &str| match request.params.get(name) {
            Some(SqlParam::Time(at)) => at.duration_since(t(0)).as_secs() / 60,
            other => panic!("parameter {name} is {other:?}"),
        };
        let minutes: Vec<i64> = (minute("from")..minute("to")).collect();
        let starts: Vec<i64> = minutes.iter().map(|m| t(m * 60).as_microsecond()).collect();
        let parts: Vec<f64> = minutes.iter().map(|m| self.bad(*m)).collect();
        let totals = vec![RATE; minutes.len()];
        Ok(answer(vec![
            ("minute", Arc::new(TimestampMicrosecondArray::from(starts).with_timezone("UTC"))),
            ("part", Arc::new(Float64Array::from(parts))),
            ("total", Arc::new(Float64Array::from(totals))),
        ]))
    }
}

/// A month of good minutes is in the journal already.
async fn a_good_month(disk: &Disk) {
    let slice = |minute: i64| SloSlice {
        tenant: Tenant::default(),
        slo: "outage".to_owned(),
        minute: t(minute * 60),
        good: RATE,
        total: RATE,
        revision: 0,
    };
    let slices = (-30 * 1_440 - 10..0).map(slice).collect();
    disk.state.commit_tick(&TickCommit { slices, ..TickCommit::default() }).await.unwrap();
}

#[expect(clippy::cast_precision_loss, reason = "minutes of a month")]
fn minutes(seconds: i64) -> f64 {
    seconds as f64 / 60.0
}

/// Minutes after `from` at which a tick read what made the change, its query offset excluded: it reads the slices
/// that ended half a minute before it, at a whole minute.
fn read_at(at: Timestamp, from: i64) -> f64 {
    minutes(at.duration_since(t(from * 60)).as_secs()) - 1.0
}

/// Never before the formula says, and within one interval after.
fn assert_within(what: &str, got: Option<f64>, formula: Option<f64>) {
    match (got, formula) {
        (None, None) => {}
        // Where the formula gives a whole minute the factor is met and not yet exceeded: the next minute does it.
        (Some(got), Some(formula)) if (-1e-6..=1.0 + 1e-6).contains(&(got - formula)) => {}
        _ => panic!("{what}: after {got:?} min, by formula {formula:?}"),
    }
}

/// Runs an outage of this error rate and length, and holds every tier to its formulas.
async fn check(error: f64, lasts: i64, fires: [bool; 4]) {
    let workspace = Workspace::new(&[("slos/outage.yaml", SLO)]);
    let disk = Disk::new().await;
    a_good_month(&disk).await;
    let options = Options { alignment: Alignment::At(t(0)), start: Some(t(0)), ..Options::default() };
    let source = Arc::new(Outage { error, ends: lasts });
    let journal = Arc::<Disk>::clone(&disk);
    let mut engine = Engine::new(source, journal, workspace.path(), Tenant::default(), options).unwrap();
    // Long enough for the longest short window, six hours, to let go.
    run(&mut engine, t((lasts + 365) * 60)).await;
    let transitions = disk.transitions().await;
    for (tier, fires) in google_30d(MONTH).iter().zip(fires) {
        let what = format!("{} at {} %", tier.name, error * 100.0);
        let rule = format!("slo/outage/{}", tier.name);
        let mine: Vec<_> = transitions.iter().filter(|transition| transition.rule == rule).collect();
        let at = |state: AlertState| mine.iter().find(|tr| tr.to == state).map(|tr| tr.at);
        let spent = tier.factor * BUDGET;
        let formula =
            |window: Duration| (error > spent + 1e-12).then(|| spent * window.as_secs_f64() / 60.0 / error);
        let (fired, reset) = (at(AlertState::Firing), at(AlertState::Inactive));
        assert_eq!((fired.is_some(), mine.len()), (fires, if fires { 2 } else { 0 }), "{what}");
        assert_within(&format!("{what} fires"), fired.map(|at| read_at(at, 0)), formula(tier.long));
        let left = formula(tier.short).map(|left| tier.short.as_secs_f64() / 60.0 - left);
        assert_within(&format!("{what} resets"), reset.map(|at| read_at(at, lasts)), left);
    }
}

#[tokio::test]
async fn a_total_outage_is_found_and_over_when_the_closed_formulas_say() {
    check(1.0, 60, [true; 4]).await;
}

#[tokio::test]
async fn ten_per_cent_of_errors_are_found_and_over_when_the_closed_formulas_say() {
    check(0.1, 90, [true; 4]).await;
}

#[tokio::test]
async fn two_per_cent_of_errors_are_found_and_over_when_the_closed_formulas_say() {
    check(0.02, 240, [true; 4]).await;
}

#[tokio::test]
async fn one_per_cent_of_errors_is_below_the_fast_page_and_found_by_the_others() {
    check(0.01, 500, [false, true, true, true]).await;
}

#[tokio::test]
async fn a_fifth_of_a_per_cent_is_found_by_the_slowest_tier_alone() {
    check(0.002, 2_300, [false, false, false, true]).await;
}
