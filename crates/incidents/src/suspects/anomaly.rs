//! How far each service is from its own normal: max|x − median| / IQR, with a floored scale.

use std::collections::BTreeMap;
use std::ops::Range;

use hindsight_model::Incident;
use jiff::Timestamp;

use crate::gather::queries;
use crate::series::{Series, observed, plus_minutes};
use crate::statistics::{iqr, median, quantile};
use crate::timeline::gauge_name;
use crate::{Onset, ServiceSeries, Telemetry, format};

/// A score from which a service counts as anomalous: three interquartile ranges, four standard deviations of a
/// normal series.
pub(crate) const ANOMALOUS: f64 = 3.0;
/// Gauges are many, and the best of many is extreme by chance: they need more.
const GAUGE_ANOMALOUS: f64 = 6.0;
/// Scores are cut here; beyond it "far" is far enough.
pub(crate) const SCORE_MAX: f64 = 100.0;
/// Minutes after the onset that are compared.
const INCIDENT_MINUTES: i64 = 15;
/// Minutes before the onset that may already be tainted, and in which causes show first.
const LEAD_UP_MINUTES: i64 = 5;
/// Fewest minutes of baseline that make a normal.
const BASELINE_MINUTES_MIN: usize = 5;

/// The stretches of time that are compared, as minute indices.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    pub(crate) onset: Timestamp,
    pub(crate) baseline: Range<usize>,
    pub(crate) lead_up: Range<usize>,
    pub(crate) incident: Range<usize>,
}

impl Windows {
    /// Around the onset, or the detection when no onset was found.
    pub(crate) fn around(
        telemetry: &Telemetry,
        incident: &Incident,
        onset: Option<&Onset>,
        mitigated: Option<Timestamp>,
    ) -> Self {
        let (at, low) = match onset {
            Some(onset) => (onset.at, onset.low),
            // An alert comes minutes after what it tells of.
            None => {
                let detected = incident.times.detected.unwrap_or(incident.opened_at);
                (detected, plus_minutes(detected, -LEAD_UP_MINUTES))
            }
        };
        let start = telemetry.index_of(low);
        let end = plus_minutes(at, INCIDENT_MINUTES);
        let end = telemetry.index_of(mitigated.map_or(end, |m| m.min(end))).max(start + 1);
        let lead = usize::try_from(LEAD_UP_MINUTES).unwrap_or(0);
        // With little history, every minute before the onset counts as normal.
        let clean = if start > lead + BASELINE_MINUTES_MIN { start - lead } else { start };
        Self { onset: at, baseline: 0..clean, lead_up: clean..start, incident: start..end }
    }
}

/// What kind of figure left its normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Symptom {
    Errors,
    Latency,
    TrafficLoss,
    Load,
    Logs,
    Gauge,
}

impl Symptom {
    /// How much it says about where the fault lies.
    fn weight(self) -> f64 {
        match self {
            Self::Errors | Self::Latency => 1.0,
            Self::Logs => 0.8,
            Self::Gauge => 0.7,
            // More or fewer requests is what others do to a service.
            Self::TrafficLoss | Self::Load => 0.4,
        }
    }
}

/// One figure of a service that was compared.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) symptom: Symptom,
    pub(crate) score: f64,
    /// Distance from normal in the figure's own unit: failed requests a minute, milliseconds, ….
    pub(crate) change: f64,
    pub(crate) text: String,
    /// The figure minute by minute.
    pub(crate) sql: String,
}

/// All findings of one service, most telling first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Anomaly {
    pub(crate) findings: Vec<Finding>,
}

impl Anomaly {
    /// The score of one symptom; 0 when it is within its normal.
    pub(crate) fn of(&self, symptom: Symptom) -> f64 {
        self.get(symptom).map_or(0.0, |finding| finding.score)
    }

    fn get(&self, symptom: Symptom) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.symptom == symptom)
    }

    /// The weightiest finding on a scale of 0 to 1, logarithmic in the distance.
    pub(crate) fn strength(&self) -> f64 {
        let of = |f: &Finding| f.symptom.weight() * (1.0 + f.score).ln() / (1.0 + SCORE_MAX).ln();
        let best = self.findings.iter().map(of).fold(0.0, f64::max);
        // Several symptoms say more than one.
        let others: f64 = self.findings.iter().map(of).sum::<f64>() - best;
        (best + 0.1 * others).min(1.2)
    }

    /// The share (0 to 1) of this service's errors and latency that `below`, a service it calls, shows itself.
    pub(crate) fn explained_by(&self, below: &Anomaly) -> f64 {
        let mut explained: f64 = 0.0;
        let mut any = false;
        for symptom in [Symptom::Errors, Symptom::Latency] {
            let Some(mine) = self.get(symptom) else { continue };
            any = true;
            if let Some(theirs) = below.get(symptom) {
                explained =
                    explained.max((theirs.change / mine.change.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0));
            }
            // A callee that only becomes slow makes its caller fail by timeout.
            if symptom == Symptom::Errors && below.get(Symptom::Latency).is_some_and(|f| f.score >= ANOMALOUS)
            {
                explained = explained.max(0.5);
            }
        }
        if any { explained } else { 0.0 }
    }
}

/// Compares every service with its own baseline; services within their normal are left out.
pub(crate) fn of_all(telemetry: &Telemetry, windows: &Windows) -> BTreeMap<String, Anomaly> {
    let mut all: BTreeMap<String, Anomaly> = BTreeMap::new();
    for (name, service) in &telemetry.services {
        let findings = of_service(telemetry, name, service, windows);
        all.entry(name.clone()).or_default().findings.extend(findings);
    }
    for gauge in &telemetry.gauges {
        let floor = |middle: f64| 0.05 * middle.abs();
        if let Some((score, before, after)) = deviation(&gauge.values, windows, floor, Side::Both)
            && score >= GAUGE_ANOMALOUS
        {
            let text = format!("{} {}", gauge_name(gauge), format::gauge_change(before, after, &gauge.unit));
            let (from, to) = (telemetry.from, telemetry.to);
            let sql = queries::gauge(from, to, &gauge.service, &gauge.metric, &gauge.attributes);
            let change = (after - before).abs();
            let finding = Finding { symptom: Symptom::Gauge, score, change, text, sql };
            all.entry(gauge.service.clone()).or_default().findings.push(finding);
        }
    }
    for anomaly in all.values_mut() {
        tidy(anomaly);
    }
    all.retain(|_, anomaly| !anomaly.findings.is_empty());
    all
}

/// Sorts by weight and keeps one finding per symptom, two of gauges.
fn tidy(anomaly: &mut Anomaly) {
    let weight = |f: &Finding| f.symptom.weight() * (1.0 + f.score).ln();
    anomaly.findings.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.text.cmp(&b.text)));
    let mut seen: BTreeMap<Symptom, usize> = BTreeMap::new();
    anomaly.findings.retain(|finding| {
        let count = seen.entry(finding.symptom).or_default();
        *count += 1;
        *count <= if finding.symptom == Symptom::Gauge { 2 } else { 1 }
    });
}

fn of_service(telemetry: &Telemetry, name: &str, service: &ServiceSeries, windows: &Windows) -> Vec<Finding> {
    let sql_of = |symptom| match symptom {
        Symptom::Logs => queries::log_errors(telemetry.from, telemetry.to, Some(name)),
        _ => queries::requests(telemetry.from, telemetry.to, Some(name)),
    };
    let calls = median(&observed(&service.calls, windows.baseline.clone())).unwrap_or(0.0).max(1.0);
    // Counts scatter by their square root, shares by the binomial's deviation, even when the sample shows none.
    let share_floor = move |share: f64| ((share + 1.0 / calls) / calls).sqrt().max(0.002);
    let mut found = Vec::new();
    let mut add =
        |symptom, deviation: Option<(f64, f64, f64)>, scale: f64, text: &dyn Fn(f64, f64) -> String| {
            if let Some((score, before, after)) = deviation
                && score >= ANOMALOUS
            {
                let change = (after - before).abs() * scale;
                let (text, sql) = (text(before, after), sql_of(symptom));
                found.push(Finding { symptom, score, change, text, sql });
            }
        };
    let errors = deviation(&service.error_share(), windows, share_floor, Side::Above);
    add(Symptom::Errors, errors, calls, &|b, a| {
        format!("error rate {} → {}", format::percent(b), format::percent(a))
    });
    let latency = deviation(&service.p95_ms, windows, |ms| (0.1 * ms).max(1.0), Side::Above);
    add(Symptom::Latency, latency, 1.0, &|b, a| {
        format!("p95 latency {} → {}", format::millis(b), format::millis(a))
    });
    let rate_floor = |rate: f64| (0.1 * rate).max(rate.sqrt()).max(1.0);
    let traffic = |b: f64, a: f64| format!("traffic {} → {}", format::number(b), format::per_minute(a));
    add(Symptom::Load, deviation(&service.calls, windows, rate_floor, Side::Above), 1.0, &traffic);
    add(Symptom::TrafficLoss, deviation(&service.calls, windows, rate_floor, Side::Below), 1.0, &traffic);
    let logs = deviation(&service.log_errors, windows, rate_floor, Side::Above);
    add(Symptom::Logs, logs, 1.0, &|b, a| {
        format!("error logs {} → {} a minute", format::number(b), format::number(a))
    });
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    Below,
    Both,
}

/// Score, normal level and the level furthest from it; `None` with too little to compare.
fn deviation(
    series: &Series,
    windows: &Windows,
    floor: impl Fn(f64) -> f64,
    side: Side,
) -> Option<(f64, f64, f64)> {
    let baseline = observed(series, windows.baseline.clone());
    if baseline.len() < BASELINE_MINUTES_MIN {
        return None;
    }
    let during = sustained(&observed(series, windows.lead_up.start..windows.incident.end), side);
    let middle = median(&baseline)?;
    let signed = |value: f64| match side {
        Side::Above => value - middle,
        Side::Below => middle - value,
        Side::Both => (value - middle).abs(),
    };
    let furthest = during.into_iter().max_by(|a, b| signed(*a).total_cmp(&signed(*b)))?;
    // A baseline that is restless in its tails is so in the incident too: the scale covers most of its range.
    let tails = (quantile(&baseline, 0.95)? - quantile(&baseline, 0.05)?) / 2.0;
    let scale = iqr(&baseline).max(tails).max(floor(middle)).max(f64::MIN_POSITIVE);
    // A gauge that is always 0 and now is not has no scale of its own: its own height is the only measure.
    let scale = if scale <= f64::MIN_POSITIVE { furthest.abs() / SCORE_MAX * 4.0 } else { scale };
    let score = (signed(furthest) / scale).clamp(0.0, SCORE_MAX);
    (score.is_finite() && score > 0.0).then_some((score, middle, furthest))
}

/// Levels that lasted: of each two neighbours the one nearer to normal, so that one wild minute is not a symptom.
fn sustained(values: &[f64], side: Side) -> Vec<f64> {
    if values.len() < 2 {
        return values.to_vec();
    }
    let pairs = values.windows(2);
    match side {
        Side::Above => pairs.map(|p| p[0].min(p[1])).collect(),
        Side::Below => pairs.map(|p| p[0].max(p[1])).collect(),
        Side::Both => pairs.map(|p| (p[0] + p[1]) / 2.0).collect(),
    }
}
