//! The schema, one SQL text per version; `PRAGMA user_version` says how many have been run. A text that was
//! released is never changed, a new one is added below it. docs/format/state.md describes the tables.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::error::{Error, Result};

/// Version N is `MIGRATIONS[N - 1]`.
pub(crate) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5];

const VERSION_1: &str = "
CREATE TABLE groups (
    tenant TEXT NOT NULL, name TEXT NOT NULL, last_tick INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE instances (
    tenant TEXT NOT NULL, rule TEXT NOT NULL, labels TEXT NOT NULL, alert TEXT NOT NULL,
    annotations TEXT NOT NULL, state TEXT NOT NULL, since INTEGER NOT NULL, active_at INTEGER,
    value REAL, episode TEXT NOT NULL, machine TEXT NOT NULL,
    PRIMARY KEY (tenant, rule, labels)
) STRICT, WITHOUT ROWID;

CREATE TABLE transitions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL, rule TEXT NOT NULL, labels TEXT NOT NULL, at INTEGER NOT NULL,
    from_state TEXT NOT NULL, to_state TEXT NOT NULL, alert TEXT NOT NULL, annotations TEXT NOT NULL,
    reason TEXT NOT NULL, value REAL, active_at INTEGER, episode TEXT NOT NULL, incident TEXT,
    UNIQUE (tenant, rule, labels, at, from_state, to_state)
) STRICT;
CREATE INDEX transitions_at ON transitions (tenant, at);

CREATE TABLE evaluations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL, rule TEXT NOT NULL, labels TEXT NOT NULL, at INTEGER NOT NULL,
    outcome TEXT NOT NULL, value REAL, error TEXT, state TEXT NOT NULL, watermark INTEGER,
    duration INTEGER NOT NULL,
    UNIQUE (tenant, rule, labels, at)
) STRICT;
CREATE INDEX evaluations_at ON evaluations (tenant, at);

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL, receiver TEXT NOT NULL, dedup_key TEXT NOT NULL,
    subject TEXT NOT NULL, payload TEXT NOT NULL, created_at INTEGER NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL, lease_until INTEGER, sent_at INTEGER, last_error TEXT,
    UNIQUE (receiver, dedup_key)
) STRICT;
CREATE INDEX outbox_due ON outbox (status, not_before);
CREATE INDEX outbox_subject ON outbox (receiver, subject, id) WHERE status = 'pending';

CREATE TABLE slices (
    tenant TEXT NOT NULL, slo TEXT NOT NULL, minute INTEGER NOT NULL,
    good REAL NOT NULL, total REAL NOT NULL, revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, slo, minute)
) STRICT, WITHOUT ROWID;

CREATE TABLE slo_status (
    tenant TEXT NOT NULL, slo TEXT NOT NULL, service TEXT NOT NULL, at INTEGER NOT NULL,
    objective REAL NOT NULL, window_s INTEGER NOT NULL, total REAL NOT NULL, bad REAL NOT NULL,
    budget_consumed REAL, burn_1h REAL, state TEXT NOT NULL,
    PRIMARY KEY (tenant, slo)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE counters (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE incidents (
    id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, status TEXT NOT NULL, opened_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX incidents_tenant ON incidents (tenant, opened_at);

CREATE TABLE timeline (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    incident INTEGER NOT NULL REFERENCES incidents (id), at INTEGER NOT NULL, kind TEXT NOT NULL,
    source TEXT NOT NULL, service TEXT, text TEXT NOT NULL, sql TEXT, state TEXT NOT NULL
) STRICT;
CREATE INDEX timeline_incident ON timeline (incident, at);

CREATE TABLE audit_log (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL, tenant TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    subject TEXT NOT NULL, detail TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE TABLE audit_head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;

CREATE TABLE idempotency (
    tenant TEXT NOT NULL, key TEXT NOT NULL, body_hash TEXT NOT NULL, begun_at INTEGER NOT NULL, answer TEXT,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_begun ON idempotency (begun_at);
";

const VERSION_2: &str = "
CREATE TABLE silences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL, matchers TEXT NOT NULL, starts_at INTEGER NOT NULL, ends_at INTEGER NOT NULL,
    author TEXT NOT NULL, comment TEXT NOT NULL, created_at INTEGER NOT NULL,
    expired_at INTEGER, expired_by TEXT
) STRICT;
CREATE INDEX silences_end ON silences (tenant, ends_at);
";

const VERSION_3: &str = "
ALTER TABLE outbox ADD COLUMN group_key TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN alerts TEXT NOT NULL DEFAULT '[]';
ALTER TABLE outbox ADD COLUMN finished_at INTEGER;
UPDATE outbox SET finished_at = sent_at;

CREATE TABLE notification_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL, receiver TEXT NOT NULL, group_key TEXT NOT NULL, subject TEXT NOT NULL,
    dedup_key TEXT NOT NULL, payload TEXT NOT NULL, created_at INTEGER NOT NULL,
    status TEXT NOT NULL, reason TEXT, finished_at INTEGER,
    UNIQUE (subject, dedup_key)
) STRICT;
CREATE INDEX notification_events_waiting ON notification_events (subject, id) WHERE status = 'waiting';

CREATE TABLE notification_groups (
    subject TEXT PRIMARY KEY,
    tenant TEXT NOT NULL, receiver TEXT NOT NULL, group_key TEXT NOT NULL,
    memory TEXT NOT NULL, version INTEGER NOT NULL, due_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX notification_groups_due ON notification_groups (due_at);

CREATE INDEX instances_firing ON instances (tenant, episode) WHERE state IN ('firing', 'recovering');
";

/// What an SLO's standing tells since budget windows may be the calendar's. Rows of before are replaced at the next
/// tick; until then their coverage is not known.
const VERSION_4: &str = "
ALTER TABLE slo_status ADD COLUMN method TEXT NOT NULL DEFAULT 'Occurrences';
ALTER TABLE slo_status ADD COLUMN period_start INTEGER NOT NULL DEFAULT 0;
ALTER TABLE slo_status ADD COLUMN period_end INTEGER NOT NULL DEFAULT 0;
ALTER TABLE slo_status ADD COLUMN coverage REAL NOT NULL DEFAULT 0;
ALTER TABLE slo_status ADD COLUMN projected REAL;
ALTER TABLE slo_status ADD COLUMN time_to_exhaust_s REAL;
ALTER TABLE slo_status ADD COLUMN note TEXT;
UPDATE slo_status SET period_start = at - window_s * 1000000000, period_end = at;
";

/// What people do with timelines, and what became of action items. Rows of before keep their numbers: from now on a
/// row that is gathered again stays the row it was.
const VERSION_5: &str = "
ALTER TABLE timeline ADD COLUMN role TEXT;
ALTER TABLE timeline ADD COLUMN author TEXT;
ALTER TABLE timeline ADD COLUMN original_at INTEGER;
ALTER TABLE timeline ADD COLUMN original_text TEXT;

CREATE TABLE action_statements (
    tenant TEXT NOT NULL, postmortem TEXT NOT NULL, item TEXT NOT NULL, at INTEGER NOT NULL,
    author TEXT NOT NULL, status TEXT NOT NULL, document_status TEXT NOT NULL, reason TEXT, approver TEXT,
    PRIMARY KEY (tenant, postmortem, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE action_checks (
    tenant TEXT NOT NULL, postmortem TEXT NOT NULL, item TEXT NOT NULL, verify TEXT NOT NULL,
    outcome TEXT NOT NULL, evidence TEXT NOT NULL, checked_at INTEGER NOT NULL, since INTEGER NOT NULL,
    verified_at INTEGER, reopened_at INTEGER,
    PRIMARY KEY (tenant, postmortem, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE action_verifications (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL, postmortem TEXT NOT NULL, item TEXT NOT NULL, at INTEGER NOT NULL,
    verify TEXT NOT NULL, outcome TEXT NOT NULL, evidence TEXT NOT NULL
) STRICT;
CREATE INDEX action_verifications_item ON action_verifications (tenant, postmortem, item, seq);
";

/// Runs the migrations the database lacks, each in a transaction with its version number.
pub(crate) async fn migrate(
    connection: &mut SqliteConnection,
    path: &str,
    migrations: &[&'static str],
) -> Result<()> {
    let open = |source: sqlx::Error| Error::Open { path: path.to_owned(), source: source.into() };
    let known = i64::try_from(migrations.len()).expect("a handful of migrations");
    let found: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await.map_err(open)?;
    if found > known {
        return Err(Error::Newer { path: path.to_owned(), found, known });
    }
    for (version, sql) in (1..).zip(migrations).filter(|(version, _)| *version > found) {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(open)?;
        sqlx::raw_sql(*sql).execute(&mut *transaction).await.map_err(open)?;
        let stamp = AssertSqlSafe(format!("PRAGMA user_version = {version}"));
        sqlx::raw_sql(stamp).execute(&mut *transaction).await.map_err(open)?;
        transaction.commit().await.map_err(open)?;
        tracing::info!(path, version, "state database has schema version {version}");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
