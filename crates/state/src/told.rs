use hindsight_model::Tenant;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use crate::cells::{Cells, json, nanos};
use crate::database::State;
use crate::error::{Result, failed};

/// Most notifications that one look-up returns.
pub const TOLD_MAX: u32 = 500;

/// What became of a notification, without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who is told.
    pub receiver: String,
    /// `firing` or `resolved`: what it says of the first alert that it tells.
    pub kind: Option<String>,
    /// `waiting`, `pending`, `sent`, `dead`, `muted` or `unsent`.
    pub status: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was planned.
    pub created_at: Timestamp,
    /// When the receiver took it.
    pub sent_at: Option<Timestamp>,
    /// Why it failed or was not sent.
    pub reason: Option<String>,
}

impl State {
    /// The newest notifications planned in a half-open span of time that speak of one of these episodes, and the
    /// alerts of them that wait for a notification, were muted or are not told; newest first, at most `limit` and
    /// [`TOLD_MAX`].
    ///
    /// # Errors
    /// [`crate::Error::Database`] when they cannot be read, [`crate::Error::Damaged`] for a row that makes no sense.
    pub async fn notifications_of(
        &self,
        tenant: &Tenant,
        episodes: &[&str],
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Told>> {
        let rows = sqlx::query(
            "SELECT receiver, status, attempts, created_at, sent_at, last_error AS reason, \
             json_extract(alerts, '$[0].status') AS kind FROM outbox \
             WHERE tenant = ?1 AND created_at >= ?2 AND created_at < ?3 \
             AND EXISTS (SELECT 1 FROM json_each(?4) WHERE instr(alerts, value) > 0) \
             UNION ALL \
             SELECT receiver, status, 0, created_at, NULL, reason, json_extract(payload, '$.kind') AS kind \
             FROM notification_events WHERE tenant = ?1 AND created_at >= ?2 AND created_at < ?3 AND status <> 'told' \
             AND EXISTS (SELECT 1 FROM json_each(?4) WHERE instr(payload, value) > 0) \
             ORDER BY created_at DESC LIMIT ?5",
        )
        .bind(tenant.as_str())
        .bind(nanos("a filter", from)?)
        .bind(nanos("a filter", to)?)
        .bind(json(&episodes))
        .bind(limit.min(TOLD_MAX))
        .fetch_all(self.reader())
        .await
        .map_err(failed("read notifications"))?;
        rows.iter().map(told).collect()
    }
}

fn told(row: &SqliteRow) -> Result<Told> {
    let cells = Cells::of("outbox", row);
    Ok(Told {
        receiver: cells.text("receiver")?,
        kind: cells.get("kind")?,
        status: cells.text("status")?,
        attempts: cells.unsigned("attempts")?,
        created_at: cells.time("created_at")?,
        sent_at: cells.opt_time("sent_at")?,
        reason: cells.get("reason")?,
    })
}

#[cfg(test)]
mod tests {
    use hindsight_model::TickCommit;

    use super::*;
    use crate::outbox::insert;
    use crate::testing::{at, delivery, entry, tenant};

    #[tokio::test]
    async fn notifications_are_found_by_their_episodes_and_their_time() {
        let state = State::in_memory().await.unwrap();
        let event = |key: &str, seconds: i64, episode: &str| {
            let mut entry = entry(key, seconds);
            entry.payload = format!(r#"{{"kind":"resolved","episode":"{episode}"}}"#);
            entry
        };
        let outbox = vec![event("t/a/resolved", 20, "ep-a"), event("t/b/resolved", 20, "ep-b")];
        state.commit_tick(&TickCommit { outbox, ..TickCommit::default() }).await.unwrap();
        let mut sent = delivery("group-1", 10);
        sent.alerts =
            r#"[{"status":"firing","episode":"ep-a"},{"status":"firing","episode":"ep-c"}]"#.to_owned();
        let mut transaction = state.begin().await.unwrap();
        insert(&mut transaction, &sent).await.unwrap();
        transaction.commit().await.unwrap();

        let find = async |tenant: &Tenant, episodes: &[&str], from: i64| {
            let found = state.notifications_of(tenant, episodes, at(from), at(90), 9).await.unwrap();
            found
                .into_iter()
                .map(|told| (told.created_at, told.status, told.kind.unwrap()))
                .collect::<Vec<_>>()
        };
        let me = Tenant::default();
        let row = |seconds: i64, status: &str, kind: &str| (at(seconds), status.to_owned(), kind.to_owned());
        let both = [row(20, "waiting", "resolved"), row(10, "pending", "firing")];
        assert_eq!(find(&me, &["ep-a"], 0).await, both);
        assert_eq!(find(&me, &["ep-c", "ep-x"], 0).await, both[1..]);
        assert_eq!(find(&me, &["ep-a"], 11).await, both[..1]);
        assert_eq!(find(&me, &[], 0).await, []);
        assert_eq!(find(&tenant("other"), &["ep-a"], 0).await, []);
    }
}
