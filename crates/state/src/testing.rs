//! Records that the tests of this crate share.

use std::time::Duration;

use hindsight_model::{
    AlertInstance, AlertState, Evaluation, Incident, IncidentId, IncidentResponse, IncidentSeverity,
    IncidentSpec, IncidentStatus, IncidentTimes, Labels, Matcher, NewSilence, NewTimelineRow, OutboxEntry,
    Outcome, SloSlice, SloStatus, Suspect, Tenant, TickCommit, TimelineChange, TimelineKind, TimelineRow,
    TimelineSource, Transition,
};
use jiff::{SignedDuration, Timestamp};

use crate::Delivery;

/// `s` seconds after an instant whose nanoseconds are not whole microseconds.
pub(crate) fn at(s: i64) -> Timestamp {
    let start: Timestamp = "2026-05-04T14:30:00.123456789Z".parse().unwrap();
    start + SignedDuration::from_secs(s)
}

pub(crate) fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

pub(crate) fn labels(pool: &str) -> Labels {
    [("service_name", "checkout"), ("pool", pool)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

pub(crate) fn instance(pool: &str) -> AlertInstance {
    AlertInstance {
        tenant: Tenant::default(),
        rule: "checkout-db/DbPoolSaturated".into(),
        alert: "DbPoolSaturated".into(),
        labels: labels(pool),
        annotations: [("summary".to_owned(), "pool \"main\" at 95 %".to_owned())].into(),
        state: AlertState::Firing,
        since: at(60),
        active_at: Some(at(0)),
        value: Some(0.95),
        episode: format!("e-{pool}"),
        machine: r#"{"flaps":3}"#.into(),
    }
}

pub(crate) fn transition(pool: &str, s: i64, from: AlertState, to: AlertState) -> Transition {
    let instance = instance(pool);
    Transition {
        at: at(s),
        tenant: instance.tenant,
        rule: instance.rule,
        alert: instance.alert,
        labels: instance.labels,
        annotations: instance.annotations,
        from,
        to,
        reason: "breach".into(),
        value: Some(0.1 + 0.2),
        active_at: Some(at(0)),
        episode: instance.episode,
        incident: Some(IncidentSpec {
            severity: IncidentSeverity::Sev2,
            key: vec!["service_name".into()],
            reopen_within: Duration::from_secs(1_800),
        }),
    }
}

pub(crate) fn evaluation(pool: &str, s: i64, outcome: Outcome) -> Evaluation {
    Evaluation {
        at: at(s),
        tenant: Tenant::default(),
        rule: instance(pool).rule,
        labels: labels(pool),
        outcome,
        state: AlertState::Firing,
        watermark: Some(at(s - 30)),
        duration: Duration::from_nanos(12_345_678),
    }
}

pub(crate) fn entry(dedup_key: &str, s: i64) -> OutboxEntry {
    OutboxEntry {
        receiver: "ops".into(),
        group_key: "{}:{alertname=\"DbPoolSaturated\"}".into(),
        dedup_key: dedup_key.into(),
        payload: format!(r#"{{"key":"{dedup_key}","kind":"firing","alert":{{"labels":{{"a":"b"}}}}}}"#),
        created_at: at(s),
        flush_at: at(s + 30),
        unsent: None,
    }
}

pub(crate) fn delivery(dedup_key: &str, s: i64) -> Delivery {
    Delivery {
        tenant: Tenant::default(),
        receiver: "ops".into(),
        group_key: "{}:{alertname=\"DbPoolSaturated\"}".into(),
        dedup_key: dedup_key.into(),
        payload: format!(r#"{{"key":"{dedup_key}"}}"#),
        alerts: "[]".into(),
        created_at: at(s),
    }
}

pub(crate) fn slice(s: i64, good: f64, total: f64) -> SloSlice {
    SloSlice { tenant: Tenant::default(), slo: "checkout".into(), minute: at(s), good, total, revision: 0 }
}

pub(crate) fn slo_status(s: i64) -> SloStatus {
    SloStatus {
        tenant: Tenant::default(),
        slo: "checkout".into(),
        service: "checkout".into(),
        at: at(s),
        objective: 0.999,
        window_s: 30 * 86_400,
        total: 1e6,
        bad: 400.0,
        budget_consumed: Some(0.4),
        burn_1h: None,
        state: "burning".into(),
        method: "Occurrences".into(),
        period_start: at(s - 30 * 86_400),
        period_end: at(s),
        coverage: 1.0,
        projected: Some(0.8),
        time_to_exhaust_s: None,
        note: Some("exact".into()),
    }
}

/// A tick with one of everything.
pub(crate) fn full_tick(s: i64) -> TickCommit {
    TickCommit {
        tenant: Tenant::default(),
        group: "checkout-db".into(),
        tick: Some(at(s)),
        instances: vec![instance("main")],
        forgotten: vec![("checkout-db/Old".into(), Labels::new())],
        transitions: vec![transition("main", s, AlertState::Pending, AlertState::Firing)],
        evaluations: vec![evaluation("main", s, Outcome::Value(0.95))],
        outbox: vec![entry("default/e-main/firing", s)],
        slices: vec![slice(s, 99.0, 100.0)],
        slo_status: vec![slo_status(s)],
    }
}

pub(crate) fn incident(id: u64, tenant: &Tenant) -> Incident {
    Incident {
        id: IncidentId(id),
        tenant: tenant.clone(),
        title: "checkout fails for customers".into(),
        severity: IncidentSeverity::Sev2,
        status: IncidentStatus::Open,
        key: [("service_name".to_owned(), "checkout".to_owned())].into(),
        reopen_within_s: 1_800,
        services: vec!["checkout".into()],
        alerts: [("e-main".to_owned(), "opened it".to_owned())].into(),
        firing: vec!["e-main".into()],
        opened_at: at(60),
        times: IncidentTimes { detected: Some(at(60)), ..IncidentTimes::default() },
        suspects: vec![Suspect {
            service: "orders-db".into(),
            score: 0.1 + 0.2,
            reasons: vec!["errors 40 times the baseline".into()],
            change: None,
            changed_at: Some(at(-300)),
            templates: vec!["no connection to <*>".into()],
        }],
        response: IncidentResponse::default(),
    }
}

pub(crate) fn row(s: i64, source: TimelineSource, text: &str) -> TimelineRow {
    TimelineRow {
        at: at(s),
        kind: if source == TimelineSource::Human { TimelineKind::Note } else { TimelineKind::ChangePoint },
        source,
        service: Some("checkout".into()),
        text: text.into(),
        sql: None,
        state: "suggested".into(),
    }
}

/// These rows as additions to a timeline.
pub(crate) fn adding(rows: &[TimelineRow]) -> TimelineChange {
    let new = |row: &TimelineRow| NewTimelineRow { row: row.clone(), role: None, author: None };
    TimelineChange { added: rows.iter().map(new).collect(), ..TimelineChange::default() }
}

pub(crate) fn silence(from: i64, to: i64) -> NewSilence {
    let matcher =
        Matcher { name: "service_name".into(), value: "check.*".into(), is_regex: true, is_equal: true };
    NewSilence {
        tenant: Tenant::default(),
        matchers: vec![matcher],
        starts_at: at(from),
        ends_at: at(to),
        author: "ana".into(),
        comment: "disks are swapped".into(),
    }
}
