//! The tables' columns. Names and types are a promise to everyone who wrote a query: add, never rename.

use super::columns::{Column, Kind};
use Kind::{Double, Int, Text, Time};

/// A table that is one SQLite query. `?1` is the tenant (QRY-3); the result's columns are `columns`, in order.
#[derive(Debug)]
pub(super) struct Queried {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) sql: &'static str,
    pub(super) columns: &'static [Column],
}

pub(super) const QUERIED: &[Queried] = &[
    Queried {
        name: "alert_states",
        doc: "one row for each alert instance that the rules know, as it stands now",
        sql: "SELECT tenant, rule, alert, labels, annotations, state, since, active_at, value, episode \
              FROM instances WHERE tenant = ?1",
        columns: &[
            ("tenant", Text, "whose row it is"),
            ("rule", Text, "the rule's name"),
            ("alert", Text, "the alert's name"),
            ("labels", Text, "identity of the instance, JSON text"),
            ("annotations", Text, "what people are told, JSON text"),
            ("state", Text, "inactive, pending, firing or recovering"),
            ("since", Time, "when it came into this state"),
            ("active_at", Time, "when its condition began to hold"),
            ("value", Double, "the last value that was read"),
            ("episode", Text, "id of the stretch from the first alarm to its end; the same in notifications"),
        ],
    },
    Queried {
        name: "alert_transitions",
        doc: "one row for each change of an alert instance's state",
        sql: "SELECT tenant, at, seq, rule, alert, labels, annotations, from_state, to_state, reason, value, \
              active_at, episode FROM transitions WHERE tenant = ?1",
        columns: &[
            ("tenant", Text, "whose row it is"),
            ("timestamp", Time, "logical time of the change"),
            ("seq", Int, "number of the change, in order of commit"),
            ("rule", Text, "the rule's name"),
            ("alert", Text, "the alert's name"),
            ("labels", Text, "identity of the instance, JSON text"),
            ("annotations", Text, "what people are told, JSON text"),
            ("from_state", Text, "state before"),
            ("to_state", Text, "state after"),
            ("reason", Text, "why it changed"),
            ("value", Double, "the value that was read"),
            ("active_at", Time, "when its condition began to hold"),
            ("episode", Text, "id of the stretch from the first alarm to its end"),
        ],
    },
    Queried {
        name: "rule_evaluations",
        doc: "one row for each evaluation of a rule and instance, skipped ones too",
        sql: "SELECT tenant, at, rule, labels, outcome, value, error, state, watermark, duration \
              FROM evaluations WHERE tenant = ?1",
        columns: &[
            ("tenant", Text, "whose row it is"),
            ("timestamp", Time, "logical time of the evaluation"),
            ("rule", Text, "the rule's name"),
            ("labels", Text, "identity of the instance, JSON text"),
            ("outcome", Text, "value, missing, no_data, error or unobserved"),
            ("value", Double, "the value that was read; null without one"),
            ("error", Text, "how the query failed; null when it did not"),
            ("state", Text, "state of the instance afterwards"),
            ("watermark", Time, "up to when the data was complete"),
            ("duration_nano", Int, "how long the rule's query took, in nanoseconds"),
        ],
    },
    Queried {
        name: "slo_slices",
        doc: "one row for each minute of each SLO",
        sql: "SELECT tenant, slo, minute, good, total, revision FROM slices WHERE tenant = ?1",
        columns: &[
            ("tenant", Text, "whose row it is"),
            ("slo", Text, "the SLO's name"),
            ("minute", Time, "beginning of the minute"),
            ("good", Double, "good events"),
            ("total", Double, "all events"),
            ("revision", Int, "rises when late data changes the minute"),
        ],
    },
    Queried {
        name: "slo_status",
        doc: "one row for each SLO, as it stands now",
        sql: "SELECT tenant, slo, service, at, objective, window_s, total, bad, budget_consumed, burn_1h, state, \
              method, period_start, period_end, 1 - budget_consumed, projected, time_to_exhaust_s, coverage, note \
              FROM slo_status WHERE tenant = ?1",
        columns: &[
            ("tenant", Text, "whose row it is"),
            ("slo", Text, "the SLO's name"),
            ("service_name", Text, "the service it is about"),
            ("timestamp", Time, "as of when"),
            ("objective", Double, "share of events that has to be good, 0 to 1"),
            ("window_s", Int, "length of the window in seconds"),
            ("total", Double, "events in the window, or time slices; see method"),
            ("bad", Double, "bad ones among them"),
            ("budget_consumed", Double, "share of the error budget that is used up; above 1 it is overdrawn"),
            ("burn_1h", Double, "how many times too fast the budget burnt in the last hour"),
            ("state", Text, "how it stands, in a word"),
            ("method", Text, "what the budget counts: Occurrences, Timeslices or RatioTimeslices"),
            ("period_start", Time, "when the window began"),
            ("period_end", Time, "when it ends; a rolling window ends with its last minute"),
            (
                "budget_remaining",
                Double,
                "share of the error budget that is left, below nought when overdrawn",
            ),
            (
                "projected",
                Double,
                "share spent at the end of a calendar period, if it goes on as in the last day",
            ),
            (
                "time_to_exhaust_s",
                Double,
                "seconds until it is spent at the last hour's rate; null when it is not",
            ),
            ("coverage", Double, "share of the window's minutes that were observed"),
            ("note", Text, "what the figures leave open; null when nothing"),
        ],
    },
    Queried {
        name: "timeline",
        doc: "one row for each entry in the timeline of an incident",
        sql: "SELECT i.tenant, 'INC-' || i.id, t.at, t.kind, t.source, t.service, t.text, t.sql, t.state, \
              t.seq, t.role, t.author, t.original_at, t.original_text FROM timeline t JOIN incidents i ON i.id = t.incident WHERE i.tenant = ?1",
        columns: &[
            ("tenant", Text, "whose row it is"),
            ("incident", Text, "its id, as INC-7"),
            ("timestamp", Time, "when it happened"),
            ("kind", Text, "what kind of entry it is"),
            ("source", Text, "who says so: the system or a person"),
            ("service_name", Text, "the service it is about; null when none"),
            ("text", Text, "what happened"),
            ("sql", Text, "the query that shows it; null when none"),
            (
                "state",
                Text,
                "how far it is believed: suggested is the system's guess, or accepted, or dismissed",
            ),
            ("id", Int, "its number in the timeline, by which it is accepted, dismissed and edited"),
            ("role", Text, "role of the person who says so; null for the system's rows"),
            ("author", Text, "who wrote it down or edited it last; null when nobody did"),
            ("original_at", Time, "when it happened as first said; null when nobody changed it"),
            ("original_text", Text, "what it said first; null when nobody changed it"),
        ],
    },
    Queried {
        name: "notifications",
        doc: "one row for each notification, and for each alert that waits for one, was muted or is not told",
        sql: "SELECT tenant, id, receiver, dedup_key, status, attempts, created_at, \
              CASE status WHEN 'pending' THEN max(not_before, coalesce(lease_until, not_before)) END, \
              sent_at, last_error, payload, group_key, alerts, finished_at FROM outbox WHERE tenant = ?1 \
              UNION ALL \
              SELECT tenant, NULL, receiver, dedup_key, status, 0, created_at, CASE status WHEN 'waiting' THEN \
              (SELECT due_at FROM notification_groups g WHERE g.subject = e.subject) END, \
              NULL, reason, payload, group_key, json_array(json_object('status', payload->>'kind', \
              'episode', payload->>'episode', 'fingerprint', payload->>'$.alert.fingerprint', \
              'labels', json(payload->'$.alert.labels'))), finished_at \
              FROM notification_events e WHERE tenant = ?1 AND status <> 'told'",
        columns: &[
            ("tenant", Text, "whose row it is"),
            ("id", Int, "its number; null for an alert that no notification tells"),
            ("receiver", Text, "who is told"),
            ("dedup_key", Text, "the same when it is sent again"),
            ("status", Text, "waiting for its group's turn, pending, sent, dead, muted or unsent"),
            ("attempts", Int, "how often it was tried"),
            ("created_at", Time, "when it was planned"),
            ("next_attempt_at", Time, "when it is due; null unless waiting or pending"),
            ("sent_at", Time, "when the receiver took it"),
            ("reason", Text, "why it failed, was muted or was not sent"),
            ("payload", Text, "what is sent, JSON text"),
            ("group_key", Text, "the route and the labels that its alerts have in common"),
            ("alerts", Text, "the alerts that it tells, JSON text"),
            ("finished_at", Time, "when it was sent or given up; null before"),
        ],
    },
    Queried {
        name: "silences",
        doc: "one row for each silence: while it lasts, alerts that it matches are told to nobody",
        sql: "SELECT tenant, 'SIL-' || id, matchers, starts_at, ends_at, author, comment, created_at, \
              expired_at, expired_by FROM silences WHERE tenant = ?1",
        columns: &[
            ("tenant", Text, "whose row it is"),
            ("id", Text, "its id, as SIL-7"),
            ("matchers", Text, "conditions on labels, all of which an alert meets to be silent, JSON text"),
            ("starts_at", Time, "from when alerts are silent"),
            ("ends_at", Time, "until when; moved forward when it was ended early"),
            ("author", Text, "who asked for it"),
            ("comment", Text, "why alerts are silent"),
            ("created_at", Time, "when it was made"),
            ("expired_at", Time, "when it was ended early; null when it was not"),
            ("expired_by", Text, "who ended it early"),
        ],
    },
    Queried {
        name: "action_verifications",
        doc: "one row for each time that the verification of an action item found something else than before",
        sql: "SELECT tenant, at, postmortem, item, verify, outcome, evidence FROM action_verifications \
              WHERE tenant = ?1",
        columns: &[
            ("tenant", Text, "whose row it is"),
            ("timestamp", Time, "when it was found"),
            ("postmortem", Text, "id of the document that the item stands in"),
            ("item", Text, "its id there"),
            ("verify", Text, "the condition that was checked"),
            ("outcome", Text, "passed, failed, or unknown when nobody can tell"),
            ("evidence", Text, "what was seen"),
        ],
    },
    Queried {
        name: "audit_log",
        doc: "one row for each change that a person or a token made",
        sql: "SELECT tenant, at, seq, actor, action, subject, detail, hash FROM audit_log WHERE tenant = ?1",
        columns: &[
            ("tenant", Text, "whose row it is"),
            ("timestamp", Time, "when"),
            ("seq", Int, "number of the row, without gaps"),
            ("actor", Text, "who did it"),
            ("action", Text, "what was done"),
            ("subject", Text, "to what"),
            ("detail", Text, "the particulars, JSON text"),
            ("hash", Text, "SHA-256 over this row and the hash before it, in hex"),
        ],
    },
];

pub(super) const INCIDENTS: &[Column] = &[
    ("tenant", Text, "whose row it is"),
    ("id", Text, "INC- and a number"),
    ("title", Text, "what it is about"),
    ("severity", Text, "SEV1, the worst, to SEV4"),
    ("status", Text, "where it stands"),
    ("key", Text, "what makes alerts join it, JSON text"),
    ("services", Text, "affected services, JSON text"),
    ("opened_at", Time, "when it was opened"),
    ("trigger_at", Time, "when the change that set it off was made"),
    ("impact_start_at", Time, "when it began to hurt"),
    ("detected_at", Time, "when the first alert fired"),
    ("acknowledged_at", Time, "when somebody took it"),
    ("cause_identified_at", Time, "when the cause was known"),
    ("mitigated_at", Time, "when it stopped hurting"),
    ("resolved_at", Time, "when it was over"),
    ("top_suspect", Text, "service that most likely caused it"),
    ("suspects", Text, "likely causes with their scores, JSON text"),
    ("alerts", Text, "alerts that belong to it, JSON text"),
    ("firing", Text, "those of them that fire now, JSON text"),
    ("roles", Text, "who has which role in the response, JSON text"),
    ("cause", Text, "what the cause was, in a person's words; null when nobody said"),
    ("duplicate_of", Text, "the incident that it is part of; null when none"),
    ("closed_at", Time, "when it was closed; null when it is not"),
    ("closed_without", Text, "why it was closed without a post-mortem; null when it was not"),
];
