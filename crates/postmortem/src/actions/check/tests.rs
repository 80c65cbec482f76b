use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use hindsight_model::{SqlAnswer, SqlError, SqlParam, to_micros};

use super::*;

const RULE: &str = "groups:
- name: db
  interval: 30s
  rules:
  - alert: DbPoolSaturated
    sql: SELECT service_name, value FROM pool WHERE at < $now
    condition: {op: gt, fire: 0.9, recover: 0.7}
    for: 1m
";
const SLO: &str = "apiVersion: openslo/v1
kind: SLO
metadata: {name: checkout}
spec:
  service: checkout
  indicator:
    metadata: {name: checkout-good}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: hindsight, spec: {sql: \"SELECT 1\"}}}
        total: {metricSource: {type: hindsight, spec: {sql: \"SELECT 1\"}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
";

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_777_905_000 + 60 * minute).unwrap()
}

/// A pool that is full from minute 10 to 30, an incident from 12 to 40, an SLO that is as good as told.
struct World {
    is_held: bool,
    pool: fn(i64) -> f64,
    good: f64,
    minutes: i64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            is_held: true,
            pool: |minute| if (10..30).contains(&minute) { 0.97 } else { 0.3 },
            good: 1.0,
            minutes: 600,
        }
    }
}

#[async_trait::async_trait]
impl SqlSource for World {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        let batch = if request.sql.contains("FROM incidents") {
            incident(&request, self.is_held)
        } else if request.sql.contains("FROM pool") {
            let Some(SqlParam::Time(now)) = request.params.get("now") else { panic!("no $now") };
            let minute = now.duration_since(at(0)).as_secs().div_euclid(60);
            vec![
                ("service_name", Arc::new(StringArray::from(vec!["checkout"])) as ArrayRef),
                ("value", Arc::new(Float64Array::from(vec![(self.pool)(minute)]))),
            ]
        } else if request.sql.contains("FROM slo_slices") {
            let times: TimestampMicrosecondArray =
                (0..self.minutes).map(|m| Some(to_micros(at(m)))).collect();
            let count = usize::try_from(self.minutes).unwrap();
            vec![
                ("minute", Arc::new(times.with_timezone("UTC")) as ArrayRef),
                ("good", Arc::new(Float64Array::from(vec![100.0 * self.good; count]))),
                ("total", Arc::new(Float64Array::from(vec![100.0; count]))),
            ]
        } else if request.sql.contains("body") {
            vec![("body", Arc::new(StringArray::from(vec!["x".repeat(100_000)])) as ArrayRef)]
        } else if request.sql.contains("broken") {
            return Err(SqlError::Failed { message: "no such table".to_owned() });
        } else {
            vec![("n", Arc::new(Int64Array::from(vec![7])) as ArrayRef)]
        };
        let batch = RecordBatch::try_from_iter(batch).unwrap();
        Ok(SqlAnswer::new(batch.schema(), vec![batch]))
    }
}

fn incident(request: &SqlRequest, is_held: bool) -> Vec<(&'static str, ArrayRef)> {
    let is_known = matches!(request.params.get("id"), Some(SqlParam::Text(id)) if id == "INC-7");
    let rows = usize::from(is_known);
    let time = |minute| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![to_micros(at(minute)); rows]).with_timezone("UTC"))
    };
    vec![
        ("trigger_at", time(12)),
        ("impact_start_at", time(12)),
        ("opened_at", time(14)),
        ("detected_at", time(14)),
        ("resolved_at", time(40)),
        ("held", Arc::new(Int64Array::from(vec![i64::from(is_held); rows]))),
    ]
}

fn workspace(rule: Option<&str>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("rules/db.yaml", rule), ("slos/checkout.yaml", Some(SLO))] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let Some(text) = text {
            std::fs::write(path, text).unwrap();
        }
    }
    folder
}

async fn found(verify: &str, world: World, rule: Option<&str>) -> Found {
    let workspace = workspace(rule);
    check(verify, Arc::new(world), workspace.path(), at(600)).await
}

#[tokio::test]
async fn a_rule_that_would_have_fired_is_evidence_with_its_time() {
    let verify = "alert: DbPoolSaturated fires on INC-7";
    let seen = found(verify, World::default(), Some(RULE)).await;
    assert_eq!(seen.outcome, CheckOutcome::Passed, "{}", seen.evidence);
    assert!(seen.evidence.contains("service_name=checkout"), "{}", seen.evidence);
    assert!(seen.evidence.contains("before INC-7 was detected"), "{}", seen.evidence);
    let gone = found(verify, World::default(), None).await;
    assert_eq!(
        (gone.outcome, gone.evidence.as_str()),
        (CheckOutcome::Failed, "no rule called DbPoolSaturated is in force")
    );
    let broken = found(verify, World::default(), Some("groups:\n- name: db\n  rules: 7\n")).await;
    assert_eq!(
        broken.outcome,
        CheckOutcome::Unknown,
        "a slip in an edit proves nothing: {}",
        broken.evidence
    );
    let deaf = RULE.replace("fire: 0.9", "fire: 0.99").replace("recover: 0.7", "recover: 0.98");
    let deaf = found(verify, World::default(), Some(&deaf)).await;
    assert_eq!(deaf.outcome, CheckOutcome::Failed, "{}", deaf.evidence);
}

#[tokio::test]
async fn an_alert_that_always_fires_did_not_see_the_incident() {
    let always = World { pool: |_| 0.97, ..World::default() };
    let seen = found("alert: DbPoolSaturated fires on INC-7", always, Some(RULE)).await;
    assert_eq!(seen.outcome, CheckOutcome::Failed, "{}", seen.evidence);
    assert!(seen.evidence.contains("fired before INC-7 began"), "{}", seen.evidence);
}

#[tokio::test]
async fn without_its_telemetry_nothing_can_be_told() {
    let empty = World { pool: |_| 0.0, is_held: false, ..World::default() };
    let seen = found("alert: db/DbPoolSaturated fires on INC-7", empty, Some(RULE)).await;
    assert_eq!(seen.outcome, CheckOutcome::Unknown, "{}", seen.evidence);
    let seen = found("alert: DbPoolSaturated fires on INC-8", World::default(), Some(RULE)).await;
    assert_eq!(seen.evidence, "there is no incident INC-8");
}

#[tokio::test]
async fn an_slo_is_met_when_all_the_time_was_observed_and_good() {
    for (verify, world, outcome) in [
        ("slo: checkout met for 10h", World::default(), CheckOutcome::Passed),
        ("slo: checkout met for 10h", World { good: 0.98, ..World::default() }, CheckOutcome::Failed),
        ("slo: checkout met for 10h", World { minutes: 300, ..World::default() }, CheckOutcome::Failed),
        ("slo: checkout met for 10h", World { minutes: 0, ..World::default() }, CheckOutcome::Failed),
        ("slo: orders met for 10h", World::default(), CheckOutcome::Failed),
    ] {
        let seen = found(verify, world, None).await;
        assert_eq!(seen.outcome, outcome, "{verify}: {}", seen.evidence);
    }
}

#[tokio::test]
async fn a_query_answers_as_expected_or_not_or_not_at_all() {
    for (verify, outcome) in [
        ("sql: SELECT count(*) FROM spans expect > 3", CheckOutcome::Passed),
        ("sql: SELECT count(*) FROM spans expect > 7", CheckOutcome::Failed),
        ("sql: SELECT broken expect > 7", CheckOutcome::Unknown),
        ("look at the dashboard", CheckOutcome::Unknown),
    ] {
        let seen = found(verify, World::default(), None).await;
        assert_eq!(seen.outcome, outcome, "{verify}: {}", seen.evidence);
    }
}

#[tokio::test]
async fn a_long_answer_is_cut_and_what_was_expected_is_still_told() {
    let seen = found("sql: SELECT body FROM logs expect = 'ok'", World::default(), None).await;
    assert_eq!(seen.outcome, CheckOutcome::Failed);
    assert!(seen.evidence.len() < 300 && seen.evidence.ends_with("expected 'ok'"), "{}", seen.evidence);
    let unknown = Found::unknown("é".repeat(5_000));
    assert_eq!(unknown.evidence.chars().count(), EVIDENCE_CHARS_MAX + 1);
}
