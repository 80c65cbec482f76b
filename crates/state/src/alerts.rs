use std::collections::BTreeMap;

use hindsight_model::{AlertInstance, Evaluation, Labels, Outcome, Tenant, Transition};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use crate::cells::{Cells, json, nanos, time};
use crate::database::State;
use crate::error::{Result, failed};

/// Most transitions or evaluations one call returns; ask again from the last one for more.
pub const PAGE_MAX: u32 = 10_000;

/// Which transitions to return; the default is the newest [`PAGE_MAX`].
#[derive(Clone, Debug, Default)]
pub struct TransitionFilter {
    /// At or after this instant.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// Of this rule only.
    pub rule: Option<String>,
    /// At most so many, the newest; never more than [`PAGE_MAX`].
    pub limit: Option<u32>,
}

impl State {
    /// Logical time of the group's last committed tick; the next one starts after it.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when it cannot be read.
    pub async fn last_tick(&self, tenant: &Tenant, group: &str) -> Result<Option<Timestamp>> {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT last_tick FROM groups WHERE tenant = ? AND name = ?")
                .bind(tenant.as_str())
                .bind(group)
                .fetch_optional(self.reader())
                .await
                .map_err(failed("read the last tick"))?;
        Ok(last.map(time))
    }

    /// Logical time of the last committed tick of each group that ever ran, by its name.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when they cannot be read.
    pub async fn last_ticks(&self, tenant: &Tenant) -> Result<BTreeMap<String, Timestamp>> {
        let rows: Vec<(String, i64)> = sqlx::query_as("SELECT name, last_tick FROM groups WHERE tenant = ?")
            .bind(tenant.as_str())
            .fetch_all(self.reader())
            .await
            .map_err(failed("read the last ticks"))?;
        Ok(rows.into_iter().map(|(name, last)| (name, time(last))).collect())
    }

    /// Every alert instance of the tenant, ordered by rule and labels.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when they cannot be read, [`crate::Error::Damaged`] for a row that makes no sense.
    pub async fn instances(&self, tenant: &Tenant) -> Result<Vec<AlertInstance>> {
        let rows = sqlx::query("SELECT * FROM instances WHERE tenant = ? ORDER BY rule, labels")
            .bind(tenant.as_str())
            .fetch_all(self.reader())
            .await
            .map_err(failed("read alert instances"))?;
        rows.iter().map(instance).collect()
    }

    /// The instances whose rule is `name` or begins with `name/`: those of one rule, of a rule group, or of an SLO
    /// (`slo/checkout`).
    ///
    /// # Errors
    /// As [`State::instances`].
    pub async fn instances_of(&self, tenant: &Tenant, name: &str) -> Result<Vec<AlertInstance>> {
        let rows = sqlx::query(
            "SELECT * FROM instances WHERE tenant = ?1 AND (rule = ?2 OR substr(rule, 1, length(?2) + 1) = ?2 || '/') \
             ORDER BY rule, labels",
        )
        .bind(tenant.as_str())
        .bind(name)
        .fetch_all(self.reader())
        .await
        .map_err(failed("read alert instances"))?;
        rows.iter().map(instance).collect()
    }

    /// The newest transitions that pass the filter, oldest first.
    ///
    /// # Errors
    /// As [`State::instances`].
    pub async fn transitions(&self, tenant: &Tenant, filter: &TransitionFilter) -> Result<Vec<Transition>> {
        let since = filter.since.map_or(Ok(i64::MIN), |at| nanos("a filter", at))?;
        let until = filter.until.map_or(Ok(i64::MAX), |at| nanos("a filter", at))?;
        let rows = sqlx::query(
            "SELECT * FROM (SELECT * FROM transitions WHERE tenant = ?1 AND at >= ?2 AND at < ?3 \
             AND (?4 IS NULL OR rule = ?4) ORDER BY at DESC, seq DESC LIMIT ?5) ORDER BY at, seq",
        )
        .bind(tenant.as_str())
        .bind(since)
        .bind(until)
        .bind(filter.rule.as_deref())
        .bind(filter.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX))
        .fetch_all(self.reader())
        .await
        .map_err(failed("read transitions"))?;
        rows.iter().map(transition).collect()
    }

    /// Every tenant's transitions numbered above `seq`, in the order they were committed, at most [`PAGE_MAX`].
    /// With [`State::cursor`] a reader sees each exactly once.
    ///
    /// # Errors
    /// As [`State::instances`].
    pub async fn transitions_after(&self, seq: i64) -> Result<Vec<(i64, Transition)>> {
        let rows = sqlx::query("SELECT * FROM transitions WHERE seq > ? ORDER BY seq LIMIT ?")
            .bind(seq)
            .bind(PAGE_MAX)
            .fetch_all(self.reader())
            .await
            .map_err(failed("read transitions"))?;
        rows.iter().map(|row| Ok((Cells::of("transitions", row).get("seq")?, transition(row)?))).collect()
    }

    /// The newest evaluations of one rule in a half-open span of time, oldest first, at most [`PAGE_MAX`].
    ///
    /// # Errors
    /// As [`State::instances`].
    pub async fn evaluations(
        &self,
        tenant: &Tenant,
        rule: &str,
        labels: Option<&Labels>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Evaluation>> {
        let rows = sqlx::query(
            "SELECT * FROM (SELECT * FROM evaluations WHERE tenant = ?1 AND rule = ?2 AND at >= ?3 AND at < ?4 \
             AND (?5 IS NULL OR labels = ?5) ORDER BY at DESC, seq DESC LIMIT ?6) ORDER BY at, seq",
        )
        .bind(tenant.as_str())
        .bind(rule)
        .bind(nanos("a filter", from)?)
        .bind(nanos("a filter", to)?)
        .bind(labels.map(json))
        .bind(PAGE_MAX)
        .fetch_all(self.reader())
        .await
        .map_err(failed("read evaluations"))?;
        rows.iter().map(evaluation).collect()
    }
}

pub(crate) fn instance(row: &SqliteRow) -> Result<AlertInstance> {
    let cells = Cells::of("instances", row);
    Ok(AlertInstance {
        tenant: cells.tenant()?,
        rule: cells.text("rule")?,
        alert: cells.text("alert")?,
        labels: cells.json("labels")?,
        annotations: cells.json("annotations")?,
        state: cells.word("state")?,
        since: cells.time("since")?,
        active_at: cells.opt_time("active_at")?,
        value: cells.get("value")?,
        episode: cells.text("episode")?,
        machine: cells.text("machine")?,
    })
}

pub(crate) fn transition(row: &SqliteRow) -> Result<Transition> {
    let cells = Cells::of("transitions", row);
    let incident = match cells.get::<Option<String>>("incident")? {
        Some(_) => Some(cells.json("incident")?),
        None => None,
    };
    Ok(Transition {
        at: cells.time("at")?,
        tenant: cells.tenant()?,
        rule: cells.text("rule")?,
        alert: cells.text("alert")?,
        labels: cells.json("labels")?,
        annotations: cells.json("annotations")?,
        from: cells.word("from_state")?,
        to: cells.word("to_state")?,
        reason: cells.text("reason")?,
        value: cells.get("value")?,
        active_at: cells.opt_time("active_at")?,
        episode: cells.text("episode")?,
        incident,
    })
}

fn evaluation(row: &SqliteRow) -> Result<Evaluation> {
    let cells = Cells::of("evaluations", row);
    let outcome = match cells.text("outcome")?.as_str() {
        // SQLite stores NaN as NULL; a value was learned all the same.
        "value" => Outcome::Value(cells.get::<Option<f64>>("value")?.unwrap_or(f64::NAN)),
        "error" => Outcome::Error(cells.get::<Option<String>>("error")?.unwrap_or_default()),
        "missing" => Outcome::Missing,
        "no_data" => Outcome::NoData,
        "unobserved" => Outcome::Unobserved,
        other => return Err(cells.damaged("outcome", other)),
    };
    Ok(Evaluation {
        at: cells.time("at")?,
        tenant: cells.tenant()?,
        rule: cells.text("rule")?,
        labels: cells.json("labels")?,
        outcome,
        state: cells.word("state")?,
        watermark: cells.opt_time("watermark")?,
        duration: std::time::Duration::from_nanos(cells.unsigned("duration")?),
    })
}
