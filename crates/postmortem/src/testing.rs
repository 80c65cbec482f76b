//! For tests: an incident of a small shop and a `SqlSource` that answers the draft's questions about it.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use hindsight_model::{
    Incident, IncidentId, IncidentResponse, IncidentSeverity, IncidentStatus, IncidentTimes, Reason,
    SqlAnswer, SqlError, SqlParam, SqlRequest, SqlSource, Suspect, Tenant, TimelineKind, TimelineRow,
    TimelineSource, to_micros,
};
use jiff::Timestamp;

use crate::DraftInput;

pub(crate) fn at(text: &str) -> Timestamp {
    format!("2026-05-04T{text}Z").parse().unwrap()
}

/// checkout 4.2.0 rolls out at 21:32:10, errors climb from 21:36, it is rolled back and calm from 22:18.
#[derive(Debug, Default)]
pub(crate) struct Shop {
    /// Put where a name from telemetry would stand.
    pub(crate) hostile: Option<String>,
    /// Added to each count of failed requests: other data than before.
    pub(crate) more_failed: i64,
    /// Fragments of questions that fail.
    pub(crate) failing: Vec<&'static str>,
}

#[async_trait::async_trait]
impl SqlSource for Shop {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        for name in request.sql.split('$').skip(1) {
            let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            assert!(request.params.contains_key(&name), "${name} is not bound in {}", request.sql);
        }
        if self.failing.iter().any(|part| request.sql.contains(part)) {
            return Err(SqlError::Failed { message: "the engine is away".into() });
        }
        let batch = self.answer(&request);
        Ok(SqlAnswer::new(batch.schema(), vec![batch]))
    }
}

const SERVICES: [(&str, f64, f64); 4] =
    [("checkout", 24.0, 0.31), ("frontend", 61.0, 0.12), ("cart", 40.0, 0.004), ("catalogue", 83.0, 0.002)];

impl Shop {
    fn answer(&self, request: &SqlRequest) -> RecordBatch {
        let sql = &request.sql;
        let has = |part: &str| sql.contains(part);
        match () {
            () if has("failed_before") => self.blast(),
            () if has("AS error_rate") && has("AS version") && has("'minute'") => self.by_version(request),
            () if has("calls_per_request") => work(),
            () if has("AS error_rate") => self.rates(request),
            () if has("requests_per_second") => traffic(request),
            () if has("approx_percentile_cont") => latency(request),
            () if has("mean_before") => gauges(),
            () if has("metric_name = $metric") => pool(request),
            () if has("error_type") => self.errors(),
            () if has("SELECT timestamp, alert, to_state") => transitions(),
            () if has("alert_transitions") => alerts(),
            () if has("lag(last_seen)") => versions(),
            () if has("FROM services") => {
                batch(vec![("service_name", texts(vec!["checkout".into(), "orders-db".into()]))])
            }
            () if has("slo_slices") => slo(),
            () if has("AS caller") => self.map(),
            () => batch(vec![("n", ints(&[1]))]),
        }
    }

    fn blast(&self) -> RecordBatch {
        let names: Vec<String> = SERVICES.iter().map(|s| s.0.to_owned()).collect();
        let requests: Vec<i64> = SERVICES.iter().map(|s| (s.1 * 44.0 * 60.0) as i64).collect();
        let failed =
            SERVICES.iter().map(|s| (s.1 * 44.0 * 60.0 * s.2 * 0.8) as i64 + self.more_failed).collect();
        let before: Vec<i64> = SERVICES.iter().map(|s| (s.1 * 20.0 * 60.0) as i64).collect();
        let failed_before: Vec<i64> = before.iter().map(|n| n / 500).collect();
        batch(vec![
            ("service_name", texts(names)),
            ("requests_before", longs(before)),
            ("failed_before", longs(failed_before)),
            ("requests", longs(requests)),
            ("failed", longs(failed)),
        ])
    }

    fn rates(&self, request: &SqlRequest) -> RecordBatch {
        let (mut minutes, mut names, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for minute in range(request) {
            for (name, value) in &request.params {
                let (true, SqlParam::Text(service)) = (name.starts_with("service_"), value) else { continue };
                let worst = SERVICES.iter().find(|s| s.0 == service).map_or(0.002, |s| s.2);
                // A minute without telemetry is a gap.
                if minute == at("21:24:00") {
                    continue;
                }
                minutes.push(minute);
                names.push(service.clone());
                rates.push(0.002 + worst * climb(minute) + 0.001 * wobble(minute));
            }
        }
        batch(vec![
            ("minute", times(minutes)),
            ("service_name", texts(names)),
            ("error_rate", doubles(rates)),
        ])
    }

    fn by_version(&self, request: &SqlRequest) -> RecordBatch {
        let (mut minutes, mut versions, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for minute in range(request) {
            for version in ["4.1.9", "4.2.0"] {
                let new = version == "4.2.0";
                let running = if new {
                    (at("21:32:00")..at("22:16:00")).contains(&minute)
                } else {
                    minute < at("21:38:00") || minute >= at("22:12:00")
                };
                if running {
                    minutes.push(minute);
                    versions.push(version.to_owned());
                    rates.push(
                        0.002
                            + if new { 0.33 * climb(minute) } else { 0.02 * climb(minute) }
                            + 0.001 * wobble(minute),
                    );
                }
            }
        }
        batch(vec![("minute", times(minutes)), ("version", texts(versions)), ("error_rate", doubles(rates))])
    }

    fn errors(&self) -> RecordBatch {
        let hostile = self.hostile.clone().unwrap_or_else(|| "no connection within 2 s".to_owned());
        batch(vec![
            ("service_name", texts(vec!["frontend".into(), "checkout".into(), "checkout".into()])),
            ("error_type", texts(vec!["500".into(), "PoolTimeout".into(), "500".into()])),
            ("message", texts(vec![String::new(), hostile, String::new()])),
            ("failed", ints(&[15_400, 15_210, 15_210])),
            ("first_seen", times(vec![at("21:36:12"); 3])),
        ])
    }

    fn map(&self) -> RecordBatch {
        let hostile = self.hostile.clone().unwrap_or_else(|| "payments".to_owned());
        let edges = [
            ("checkout", "orders-db", 980_000, 14_900),
            ("checkout", hostile.as_str(), 41_000, 60),
            ("checkout", "cart", 44_000, 70),
            ("frontend", "catalogue", 210_000, 300),
            ("frontend", "cart", 99_000, 150),
            ("frontend", "checkout", 63_000, 15_400),
            ("mobile-api", "frontend", 60_000, 6_100),
        ];
        batch(vec![
            ("caller", texts(edges.iter().map(|e| e.0.to_owned()).collect())),
            ("callee", texts(edges.iter().map(|e| e.1.to_owned()).collect())),
            ("calls", longs(edges.iter().map(|e| e.2).collect())),
            ("failed", longs(edges.iter().map(|e| e.3).collect())),
        ])
    }
}

fn traffic(request: &SqlRequest) -> RecordBatch {
    let (mut minutes, mut names, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for minute in range(request) {
        for (name, rate, _) in &SERVICES[..2] {
            minutes.push(minute);
            names.push((*name).to_owned());
            rates.push(rate * (1.0 - 0.15 * climb(minute)) + 1.5 * wobble(minute));
        }
    }
    batch(vec![
        ("minute", times(minutes)),
        ("service_name", texts(names)),
        ("requests_per_second", doubles(rates)),
    ])
}

fn latency(request: &SqlRequest) -> RecordBatch {
    let minutes = range(request);
    let line = |calm: f64, bad: f64| {
        longs(minutes.iter().map(|m| ((calm + bad * climb(*m)) * (1.0 + 0.05 * wobble(*m))) as i64).collect())
    };
    batch(vec![
        ("minute", times(minutes.clone())),
        ("p50", line(62e6, 280e6)),
        ("p95", line(180e6, 1_850e6)),
        ("p99", line(260e6, 2_100e6)),
    ])
}

fn gauges() -> RecordBatch {
    batch(vec![
        ("metric_name", texts(vec!["db.client.connections.usage".into(), "process.memory".into()])),
        ("service_name", texts(vec!["checkout".into(), "checkout".into()])),
        ("attributes", texts(vec![r#"{"pool.name":"orders"}"#.into(), "{}".into()])),
        ("unit", texts(vec!["1".into(), "By".into()])),
        ("mean_before", doubles(vec![0.31, 4e8])),
        ("spread_before", doubles(vec![0.02, 1e7])),
        ("mean_during", doubles(vec![0.97, 4.2e8])),
        ("peak_during", doubles(vec![1.0, 4.4e8])),
    ])
}

fn pool(request: &SqlRequest) -> RecordBatch {
    let minutes = range(request);
    let level = minutes.iter().map(|m| (0.31 + 0.75 * climb(*m) + 0.02 * wobble(*m)).min(1.0)).collect();
    let names = vec!["checkout".to_owned(); minutes.len()];
    batch(vec![("minute", times(minutes)), ("service_name", texts(names)), ("peak", doubles(level))])
}

fn work() -> RecordBatch {
    batch(vec![
        ("version", texts(vec!["4.1.9".into(), "4.2.0".into()])),
        ("first_seen", times(vec![at("21:10:00"), at("21:32:10")])),
        ("error_rate", doubles(vec![0.003, 0.29])),
        ("calls_per_request", doubles(vec![5.1, 23.9])),
        ("database_calls_per_request", doubles(vec![2.1, 21.0])),
    ])
}

fn alerts() -> RecordBatch {
    batch(vec![
        ("timestamp", times(vec![at("21:37:30"), at("21:39:00"), at("22:20:00")])),
        ("alert", texts(vec!["CheckoutErrors".into(); 3])),
        ("from_state", texts(vec!["inactive".into(), "pending".into(), "recovering".into()])),
        ("to_state", texts(vec!["pending".into(), "firing".into(), "inactive".into()])),
    ])
}

fn transitions() -> RecordBatch {
    batch(vec![
        ("timestamp", times(vec![at("21:37:30"), at("21:39:00"), at("22:20:00")])),
        ("alert", texts(vec!["CheckoutErrors".into(); 3])),
        ("to_state", texts(vec!["pending".into(), "firing".into(), "inactive".into()])),
    ])
}

fn versions() -> RecordBatch {
    batch(vec![
        ("first_seen", times(vec![at("21:32:10"), at("22:10:00")])),
        ("service_version", texts(vec!["4.2.0".into(), "4.1.9".into()])),
    ])
}

fn slo() -> RecordBatch {
    batch(vec![
        ("slo", texts(vec!["checkout-availability".into()])),
        ("objective", doubles(vec![0.999])),
        ("bad", doubles(vec![15_712.0])),
        ("budget_spent", doubles(vec![0.61])),
    ])
}

/// 0 when calm, 1 at the worst.
fn climb(minute: Timestamp) -> f64 {
    let since = (minute.as_second() - at("21:35:00").as_second()) as f64 / 60.0;
    let left = (at("22:18:00").as_second() - minute.as_second()) as f64 / 60.0;
    (since / 8.0).clamp(0.0, 1.0).min((left / 6.0).clamp(0.0, 1.0))
}

fn wobble(minute: Timestamp) -> f64 {
    let n = minute.as_second() / 60;
    ((n * 2_654_435_761) % 1_000) as f64 / 1_000.0 - 0.2
}

fn range(request: &SqlRequest) -> Vec<Timestamp> {
    let time = |name: &str| match request.params.get(name) {
        Some(SqlParam::Time(at)) => at.as_second(),
        other => panic!("${name} is {other:?}"),
    };
    let second = |s: i64| Timestamp::from_second(s).unwrap();
    (time("from")..time("until")).step_by(60).map(second).collect()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn texts(values: Vec<String>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

fn ints(values: &[i64]) -> ArrayRef {
    longs(values.to_vec())
}

fn longs(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

fn doubles(values: Vec<f64>) -> ArrayRef {
    Arc::new(Float64Array::from(values))
}

fn times(values: Vec<Timestamp>) -> ArrayRef {
    let micros: Vec<i64> = values.into_iter().map(to_micros).collect();
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
}

pub(crate) fn incident() -> Incident {
    Incident {
        id: IncidentId(231),
        tenant: Tenant::default(),
        title: "checkout fails".into(),
        severity: IncidentSeverity::Sev1,
        status: IncidentStatus::Resolved,
        key: [("service_name".to_owned(), "checkout".to_owned())].into(),
        reopen_within_s: 1_800,
        services: vec!["checkout".into()],
        alerts: [("e1".to_owned(), "opened it".to_owned())].into(),
        firing: Vec::new(),
        opened_at: at("21:39:00"),
        times: IncidentTimes {
            trigger: Some(at("21:32:10")),
            impact_start: Some(at("21:36:00")),
            detected: Some(at("21:39:00")),
            acknowledged: Some(at("21:41:00")),
            cause_identified: None,
            mitigated: Some(at("22:18:00")),
            resolved: Some(at("22:20:00")),
        },
        suspects: vec![Suspect {
            service: "checkout".into(),
            score: 9.1,
            reasons: vec![
                Reason {
                    text: "4.2.0 fails 29 % of 15600 requests, 4.1.9 0.3 % of 28800 (p < 0.001)".into(),
                    sql: Some("SELECT 7 AS compared".into()),
                },
                "its pool of connections to orders-db is full from 21:38 UTC".into(),
            ],
            change: Some("service.version 4.1.9 → 4.2.0".into()),
            changed_at: Some(at("21:32:10")),
            templates: Vec::new(),
        }],
        response: IncidentResponse::default(),
    }
}

pub(crate) fn timeline() -> Vec<TimelineRow> {
    use TimelineKind::{Alert, Change, ChangePoint, Milestone, Note, Onset, Trigger};
    let row = |time: &str, kind, text: &str, sql: Option<&str>| TimelineRow {
        at: at(time),
        kind,
        source: if sql.is_some() { TimelineSource::System } else { TimelineSource::Human },
        service: Some("checkout".into()),
        text: text.into(),
        sql: sql.map(str::to_owned),
        state: "suggested".into(),
    };
    vec![
        row("21:32:10", Trigger, "checkout 4.2.0 first seen (before: 4.1.9)", Some("SELECT 1 AS version")),
        row(
            "21:36:00",
            Onset,
            "checkout error rate 0.2 % → 31 %, begun between 21:35 and 21:37 UTC",
            Some("SELECT 2"),
        ),
        row("21:37:30", Alert, "alert CheckoutErrors is pending at 0.09", Some("SELECT 3")),
        row(
            "21:38:00",
            ChangePoint,
            "checkout db.client.connections.usage (orders) 31 % → 100 %",
            Some("SELECT 4"),
        ),
        row("21:39:00", Alert, "alert CheckoutErrors fires at 0.21", Some("SELECT 3")),
        row("21:41:00", Milestone, "acknowledged", None),
        row("21:52:00", Note, "The incident commander asks what changed in the last hour", None),
        row("21:55:00", ChangePoint, "cart latency 40 ms → 41 ms", Some("SELECT dismissed")),
        row("22:10:00", Change, "checkout 4.1.9 first seen (before: 4.2.0)", Some("SELECT 5")),
        row(
            "22:18:00",
            Milestone,
            "checkout error rate back to its level before: mitigated",
            Some("SELECT 6"),
        ),
        row("22:20:00", Milestone, "every alert is resolved: resolved", Some("SELECT 3")),
    ]
    .into_iter()
    .map(
        |row| {
            if row.text.starts_with("cart") { TimelineRow { state: "dismissed".into(), ..row } } else { row }
        },
    )
    .collect()
}

pub(crate) fn input<'a>(
    incident: &'a Incident,
    timeline: &'a [TimelineRow],
    workspace: &'a std::path::Path,
) -> DraftInput<'a> {
    DraftInput {
        incident,
        timeline,
        workspace,
        now: at("22:50:00"),
        watermark: Some(at("22:48:30")),
        engine: "datafusion 55.2.0",
        similar: &[],
        timezone: "America/Los_Angeles",
    }
}
