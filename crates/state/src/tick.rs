use hindsight_model::{AlertInstance, Evaluation, Outcome, SloSlice, SloStatus, TickCommit, Transition};
use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use crate::cells::{json, nanos, opt_nanos, span_nanos, time};
use crate::database::State;
use crate::error::{Error, Result, failed};
use crate::groups::enqueue;
use crate::prune::prune;

/// What a commit added; a repeated commit adds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Transitions that were not there before.
    pub transitions: u64,
    /// Notification events that were not there before.
    pub notifications: u64,
}

impl State {
    /// Stores everything one tick decided, or nothing (RUL-2). Durable when it returns.
    ///
    /// Committing the same tick again changes nothing: transitions are known by (rule, labels, time, from, to),
    /// notification events by (receiver, group, dedup key), and a slice keeps its revision unless its numbers differ.
    ///
    /// # Errors
    /// [`Error::StaleTick`] when the group has a later tick already, [`Error::NotFinite`] for an SLO figure that
    /// SQLite cannot hold, [`Error::Database`] when the disk refuses. Nothing is stored then.
    pub async fn commit_tick(&self, commit: &TickCommit) -> Result<Committed> {
        self.commit_ticks(std::slice::from_ref(commit)).await
    }

    /// As [`State::commit_tick`] for many ticks in one transaction, in their order.
    ///
    /// # Errors
    /// As [`State::commit_tick`]; then nothing of any of them is stored.
    pub async fn commit_ticks(&self, commits: &[TickCommit]) -> Result<Committed> {
        let mut transaction = self.begin().await?;
        let connection = &mut *transaction;
        let mut committed = Committed::default();
        for commit in commits {
            write(connection, commit, &mut committed).await?;
        }
        if let Some(newest) = commits.iter().filter(|commit| commit.tick.is_some()).max_by_key(|c| c.tick)
            && let Some(tick) = newest.tick
        {
            prune(connection, &newest.tenant, tick).await?;
        }
        transaction.commit().await.map_err(failed("commit a tick"))?;
        Ok(committed)
    }
}

async fn write(
    connection: &mut SqliteConnection,
    commit: &TickCommit,
    committed: &mut Committed,
) -> Result<()> {
    advance_group(connection, commit).await?;
    for (rule, labels) in &commit.forgotten {
        forget(connection, commit.tenant.as_str(), rule, &json(labels)).await?;
    }
    for instance in &commit.instances {
        upsert_instance(connection, instance).await?;
    }
    for transition in &commit.transitions {
        committed.transitions += insert_transition(connection, transition).await?;
    }
    for evaluation in &commit.evaluations {
        upsert_evaluation(connection, evaluation).await?;
    }
    committed.notifications += enqueue(connection, &commit.tenant, &commit.outbox).await?;
    for slice in &commit.slices {
        upsert_slice(connection, slice).await?;
    }
    for status in &commit.slo_status {
        upsert_slo_status(connection, status).await?;
    }
    Ok(())
}

async fn advance_group(connection: &mut SqliteConnection, commit: &TickCommit) -> Result<()> {
    let Some(tick) = commit.tick else { return Ok(()) };
    let last: Option<i64> = sqlx::query_scalar("SELECT last_tick FROM groups WHERE tenant = ? AND name = ?")
        .bind(commit.tenant.as_str())
        .bind(&commit.group)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("read the last tick"))?;
    if let Some(last) = last.map(time).filter(|last| tick < *last) {
        return Err(Error::StaleTick { group: commit.group.clone(), tick, last });
    }
    sqlx::query("INSERT OR REPLACE INTO groups (tenant, name, last_tick) VALUES (?, ?, ?)")
        .bind(commit.tenant.as_str())
        .bind(&commit.group)
        .bind(nanos("a tick", tick)?)
        .execute(connection)
        .await
        .map_err(failed("write the last tick"))?;
    Ok(())
}

async fn forget(connection: &mut SqliteConnection, tenant: &str, rule: &str, labels: &str) -> Result<()> {
    sqlx::query("DELETE FROM instances WHERE tenant = ? AND rule = ? AND labels = ?")
        .bind(tenant)
        .bind(rule)
        .bind(labels)
        .execute(connection)
        .await
        .map_err(failed("forget an alert instance"))?;
    Ok(())
}

pub(crate) async fn upsert_instance(
    connection: &mut SqliteConnection,
    instance: &AlertInstance,
) -> Result<()> {
    sqlx::query(
        "INSERT OR REPLACE INTO instances (tenant, rule, labels, alert, annotations, state, since, active_at, \
         value, episode, machine) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(instance.tenant.as_str())
    .bind(&instance.rule)
    .bind(json(&instance.labels))
    .bind(&instance.alert)
    .bind(json(&instance.annotations))
    .bind(instance.state.as_str())
    .bind(nanos("an alert instance", instance.since)?)
    .bind(opt_nanos("an alert instance", instance.active_at)?)
    .bind(instance.value)
    .bind(&instance.episode)
    .bind(&instance.machine)
    .execute(connection)
    .await
    .map_err(failed("write an alert instance"))?;
    Ok(())
}

pub(crate) async fn insert_transition(
    connection: &mut SqliteConnection,
    transition: &Transition,
) -> Result<u64> {
    let done = sqlx::query(
        "INSERT INTO transitions (tenant, rule, labels, at, from_state, to_state, alert, annotations, reason, \
         value, active_at, episode, incident) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (tenant, rule, labels, at, from_state, to_state) DO NOTHING",
    )
    .bind(transition.tenant.as_str())
    .bind(&transition.rule)
    .bind(json(&transition.labels))
    .bind(nanos("a transition", transition.at)?)
    .bind(transition.from.as_str())
    .bind(transition.to.as_str())
    .bind(&transition.alert)
    .bind(json(&transition.annotations))
    .bind(&transition.reason)
    .bind(transition.value)
    .bind(opt_nanos("a transition", transition.active_at)?)
    .bind(&transition.episode)
    .bind(transition.incident.as_ref().map(json))
    .execute(connection)
    .await
    .map_err(failed("write a transition"))?;
    Ok(done.rows_affected())
}

async fn upsert_evaluation(connection: &mut SqliteConnection, evaluation: &Evaluation) -> Result<()> {
    let (value, error) = match &evaluation.outcome {
        Outcome::Value(value) => (Some(*value), None),
        Outcome::Error(text) => (None, Some(text.as_str())),
        Outcome::Missing | Outcome::NoData | Outcome::Unobserved => (None, None),
    };
    sqlx::query(
        "INSERT INTO evaluations (tenant, rule, labels, at, outcome, value, error, state, watermark, duration) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, rule, labels, at) DO UPDATE SET \
         outcome = excluded.outcome, value = excluded.value, error = excluded.error, state = excluded.state, \
         watermark = excluded.watermark, duration = excluded.duration",
    )
    .bind(evaluation.tenant.as_str())
    .bind(&evaluation.rule)
    .bind(json(&evaluation.labels))
    .bind(nanos("an evaluation", evaluation.at)?)
    .bind(evaluation.outcome.as_str())
    .bind(value)
    .bind(error)
    .bind(evaluation.state.as_str())
    .bind(opt_nanos("a watermark", evaluation.watermark)?)
    .bind(span_nanos(evaluation.duration))
    .execute(connection)
    .await
    .map_err(failed("write an evaluation"))?;
    Ok(())
}

/// Late data replaces a slice and raises its revision; the same numbers again leave it as it is.
async fn upsert_slice(connection: &mut SqliteConnection, slice: &SloSlice) -> Result<()> {
    finite(&slice.slo, slice.minute, &[slice.good, slice.total])?;
    sqlx::query(
        "INSERT INTO slices (tenant, slo, minute, good, total, revision) VALUES (?, ?, ?, ?, ?, 0) \
         ON CONFLICT (tenant, slo, minute) DO UPDATE SET \
         good = excluded.good, total = excluded.total, revision = revision + 1 \
         WHERE good <> excluded.good OR total <> excluded.total",
    )
    .bind(slice.tenant.as_str())
    .bind(&slice.slo)
    .bind(nanos("an SLO slice", slice.minute)?)
    .bind(slice.good)
    .bind(slice.total)
    .execute(connection)
    .await
    .map_err(failed("write an SLO slice"))?;
    Ok(())
}

async fn upsert_slo_status(connection: &mut SqliteConnection, status: &SloStatus) -> Result<()> {
    finite(&status.slo, status.at, &[status.objective, status.total, status.bad, status.coverage])?;
    sqlx::query(
        "INSERT OR REPLACE INTO slo_status (tenant, slo, service, at, objective, window_s, total, bad, \
         budget_consumed, burn_1h, state, method, period_start, period_end, coverage, projected, \
         time_to_exhaust_s, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(status.tenant.as_str())
    .bind(&status.slo)
    .bind(&status.service)
    .bind(nanos("an SLO status", status.at)?)
    .bind(status.objective)
    .bind(i64::try_from(status.window_s).unwrap_or(i64::MAX))
    .bind(status.total)
    .bind(status.bad)
    .bind(status.budget_consumed)
    .bind(status.burn_1h)
    .bind(&status.state)
    .bind(&status.method)
    .bind(nanos("an SLO's period", status.period_start)?)
    .bind(nanos("an SLO's period", status.period_end)?)
    .bind(status.coverage)
    .bind(status.projected)
    .bind(status.time_to_exhaust_s)
    .bind(&status.note)
    .execute(connection)
    .await
    .map_err(failed("write an SLO status"))?;
    Ok(())
}

fn finite(slo: &str, at: Timestamp, numbers: &[f64]) -> Result<()> {
    if numbers.iter().all(|number| number.is_finite()) {
        return Ok(());
    }
    Err(Error::NotFinite { what: format!("a figure of SLO `{slo}` at {at}") })
}

#[cfg(test)]
mod tests;
