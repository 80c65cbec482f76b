//! The tables' columns. Names and types are a promise to everyone who wrote a query: add, never rename.

use super::columns::{Column, Kind};
use Kind::{Double, Int, Text, Time};

/// A table that is one SQLite query. `?1` is the tenant (QRY-3); the result's columns are `columns`, in order.
#[derive(Debug)]
pub(super) struct Queried {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
    pub(super) columns: &'static [Column],
}

pub(super) const QUERIED: &[Queried] = &[
    Queried {
        name: "alert_states",
        sql: "SELECT tenant, rule, alert, labels, annotations, state, since, active_at, value, episode \
              FROM instances WHERE tenant = ?1",
        columns: &[
            ("tenant", Text),
            ("rule", Text),
            ("alert", Text),
            ("labels", Text),
            ("annotations", Text),
            ("state", Text),
            ("since", Time),
            ("active_at", Time),
            ("value", Double),
            ("episode", Text),
        ],
    },
    Queried {
        name: "alert_transitions",
        sql: "SELECT tenant, at, seq, rule, alert, labels, annotations, from_state, to_state, reason, value, \
              active_at, episode FROM transitions WHERE tenant = ?1",
        columns: &[
            ("tenant", Text),
            ("timestamp", Time),
            ("seq", Int),
            ("rule", Text),
            ("alert", Text),
            ("labels", Text),
            ("annotations", Text),
            ("from_state", Text),
            ("to_state", Text),
            ("reason", Text),
            ("value", Double),
            ("active_at", Time),
            ("episode", Text),
        ],
    },
    Queried {
        name: "rule_evaluations",
        sql: "SELECT tenant, at, rule, labels, outcome, value, error, state, watermark, duration \
              FROM evaluations WHERE tenant = ?1",
        columns: &[
            ("tenant", Text),
            ("timestamp", Time),
            ("rule", Text),
            ("labels", Text),
            ("outcome", Text),
            ("value", Double),
            ("error", Text),
            ("state", Text),
            ("watermark", Time),
            ("duration_nano", Int),
        ],
    },
    Queried {
        name: "slo_slices",
        sql: "SELECT tenant, slo, minute, good, total, revision FROM slices WHERE tenant = ?1",
        columns: &[
            ("tenant", Text),
            ("slo", Text),
            ("minute", Time),
            ("good", Double),
            ("total", Double),
            ("revision", Int),
        ],
    },
    Queried {
        name: "slo_status",
        sql: "SELECT tenant, slo, service, at, objective, window_s, total, bad, budget_consumed, burn_1h, state \
              FROM slo_status WHERE tenant = ?1",
        columns: &[
            ("tenant", Text),
            ("slo", Text),
            ("service_name", Text),
            ("timestamp", Time),
            ("objective", Double),
            ("window_s", Int),
            ("total", Double),
            ("bad", Double),
            ("budget_consumed", Double),
            ("burn_1h", Double),
            ("state", Text),
        ],
    },
    Queried {
        name: "timeline",
        sql: "SELECT i.tenant, 'INC-' || i.id, t.at, t.kind, t.source, t.service, t.text, t.sql, t.state \
              FROM timeline t JOIN incidents i ON i.id = t.incident WHERE i.tenant = ?1",
        columns: &[
            ("tenant", Text),
            ("incident", Text),
            ("timestamp", Time),
            ("kind", Text),
            ("source", Text),
            ("service_name", Text),
            ("text", Text),
            ("sql", Text),
            ("state", Text),
        ],
    },
    Queried {
        name: "notifications",
        sql: "SELECT tenant, id, receiver, dedup_key, status, attempts, created_at, \
              CASE status WHEN 'pending' THEN max(not_before, coalesce(lease_until, not_before)) END, \
              sent_at, last_error, payload FROM outbox WHERE tenant = ?1",
        columns: &[
            ("tenant", Text),
            ("id", Int),
            ("receiver", Text),
            ("dedup_key", Text),
            ("status", Text),
            ("attempts", Int),
            ("created_at", Time),
            ("next_attempt_at", Time),
            ("sent_at", Time),
            ("reason", Text),
            ("payload", Text),
        ],
    },
    Queried {
        name: "audit_log",
        sql: "SELECT tenant, at, seq, actor, action, subject, detail, hash FROM audit_log WHERE tenant = ?1",
        columns: &[
            ("tenant", Text),
            ("timestamp", Time),
            ("seq", Int),
            ("actor", Text),
            ("action", Text),
            ("subject", Text),
            ("detail", Text),
            ("hash", Text),
        ],
    },
];

pub(super) const INCIDENTS: &[Column] = &[
    ("tenant", Text),
    ("id", Text),
    ("title", Text),
    ("severity", Text),
    ("status", Text),
    ("key", Text),
    ("services", Text),
    ("opened_at", Time),
    ("trigger_at", Time),
    ("impact_start_at", Time),
    ("detected_at", Time),
    ("acknowledged_at", Time),
    ("cause_identified_at", Time),
    ("mitigated_at", Time),
    ("resolved_at", Time),
    ("top_suspect", Text),
    ("suspects", Text),
    ("alerts", Text),
    ("firing", Text),
];
