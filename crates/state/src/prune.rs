//! What is forgotten, and when (LIM-1): history that only grows is cut by age and by number, with each tick.

use std::time::Duration;

use hindsight_model::Tenant;
use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use crate::cells::nanos;
use crate::error::{Result, failed};

const DAY: Duration = Duration::from_secs(86_400);

/// Evaluations older than this, by the tenant's logical time, are forgotten.
pub const EVALUATIONS_AGE_MAX: Duration = DAY.saturating_mul(30);
/// Most evaluations kept in all; the oldest go first.
pub const EVALUATIONS_MAX: i64 = 500_000;
/// Most transitions kept in all; the oldest go first, read by the incident engine or not.
pub const TRANSITIONS_MAX: i64 = 500_000;
/// SLO minutes older than this are forgotten: a year's window and some.
pub const SLICES_AGE_MAX: Duration = DAY.saturating_mul(400);
/// Notifications that are done with (sent, dead) kept in all; those still to send are never forgotten.
pub const OUTBOX_DONE_MAX: i64 = 100_000;
/// Notification events that are done with (told, muted, held, dead) kept in all.
pub const EVENTS_DONE_MAX: i64 = 100_000;
/// Silences that are over, of all tenants, kept beside those still to come; the oldest go first.
pub const SILENCES_DONE_MAX: i64 = 10_000;

pub(crate) async fn prune(connection: &mut SqliteConnection, tenant: &Tenant, tick: Timestamp) -> Result<()> {
    let aged = [
        ("DELETE FROM evaluations WHERE tenant = ? AND at < ?", EVALUATIONS_AGE_MAX),
        ("DELETE FROM slices WHERE tenant = ? AND minute < ?", SLICES_AGE_MAX),
    ];
    for (sql, age) in aged {
        let Ok(before) = tick.checked_sub(jiff::SignedDuration::try_from(age).unwrap_or_default()) else {
            continue;
        };
        sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(nanos("the oldest row kept", before)?)
            .execute(&mut *connection)
            .await
            .map_err(failed("forget old rows"))?;
    }
    let numbered = [
        ("DELETE FROM evaluations WHERE seq <= (SELECT max(seq) FROM evaluations) - ?", EVALUATIONS_MAX),
        ("DELETE FROM transitions WHERE seq <= (SELECT max(seq) FROM transitions) - ?", TRANSITIONS_MAX),
        (
            "DELETE FROM outbox WHERE id <= (SELECT max(id) FROM outbox) - ? AND status <> 'pending'",
            OUTBOX_DONE_MAX,
        ),
        (
            "DELETE FROM notification_events WHERE id <= (SELECT max(id) FROM notification_events) - ? \
             AND status <> 'waiting'",
            EVENTS_DONE_MAX,
        ),
    ];
    sqlx::query("DELETE FROM silences WHERE id <= (SELECT max(id) FROM silences) - ? AND ends_at < ?")
        .bind(SILENCES_DONE_MAX)
        .bind(nanos("a silence", tick)?)
        .execute(&mut *connection)
        .await
        .map_err(failed("forget old rows"))?;
    for (sql, keep) in numbered {
        sqlx::query(sql).bind(keep).execute(&mut *connection).await.map_err(failed("forget old rows"))?;
    }
    Ok(())
}
