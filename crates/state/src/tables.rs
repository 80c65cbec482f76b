//! The state as SQL tables: each is a query over SQLite, bound to one tenant, and a list of typed columns.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt as _;
use hindsight_model::{Incident, SqlError, SystemTable, Tenant};

use crate::database::State;
use crate::error::{Error, failed};

mod columns;
mod list;

use columns::{Cell, Columns, docs, schema};
use list::{INCIDENTS, QUERIED, Queried};

impl State {
    /// The tables `alert_states`, `alert_transitions`, `rule_evaluations`, `slo_slices`, `slo_status`,
    /// `timeline`, `notifications`, `silences`, `action_verifications`, `audit_log` and `incidents`; docs/format/state.md lists their
    /// columns. Each reads the database afresh for every query.
    pub fn system_tables(&self) -> Vec<Arc<dyn SystemTable>> {
        let mut tables: Vec<Arc<dyn SystemTable>> = Vec::with_capacity(QUERIED.len() + 1);
        for table in QUERIED {
            tables.push(Arc::new(QueriedTable { state: self.clone(), table }));
        }
        tables.push(Arc::new(IncidentsTable { state: self.clone() }));
        tables
    }
}

/// A table whose columns are SQLite's.
#[derive(Debug)]
struct QueriedTable {
    state: State,
    table: &'static Queried,
}

#[async_trait::async_trait]
impl SystemTable for QueriedTable {
    fn name(&self) -> &'static str {
        self.table.name
    }

    fn doc(&self) -> &'static str {
        self.table.doc
    }

    fn schema(&self) -> SchemaRef {
        schema(self.table.columns)
    }

    fn column_docs(&self) -> Vec<(&'static str, &'static str)> {
        docs(self.table.columns)
    }

    async fn rows(&self, tenant: &Tenant) -> Result<RecordBatch, SqlError> {
        let mut columns = Columns::new(self.table.name, self.table.columns);
        let mut rows = sqlx::query(self.table.sql).bind(tenant.as_str()).fetch(self.state.reader());
        while let Some(row) =
            rows.try_next().await.map_err(failed("read a system table")).map_err(sql_error)?
        {
            columns.push_row(&row)?;
        }
        columns.finish()
    }
}

/// `incidents`, whose columns come out of the stored JSON.
#[derive(Debug)]
struct IncidentsTable {
    state: State,
}

#[async_trait::async_trait]
impl SystemTable for IncidentsTable {
    fn name(&self) -> &'static str {
        "incidents"
    }

    fn doc(&self) -> &'static str {
        "one row for each incident"
    }

    fn schema(&self) -> SchemaRef {
        schema(INCIDENTS)
    }

    fn column_docs(&self) -> Vec<(&'static str, &'static str)> {
        docs(INCIDENTS)
    }

    async fn rows(&self, tenant: &Tenant) -> Result<RecordBatch, SqlError> {
        let mut columns = Columns::new("incidents", INCIDENTS);
        for incident in self.state.incidents(tenant).await.map_err(sql_error)? {
            columns.push(incident_cells(&incident))?;
        }
        columns.finish()
    }
}

/// In the order of [`INCIDENTS`].
fn incident_cells(incident: &Incident) -> [Cell; 24] {
    use crate::cells::json;
    let (times, response) = (&incident.times, &incident.response);
    let closed = response.closed.as_ref();
    [
        Cell::text(incident.tenant.as_str()),
        Cell::text(incident.id.to_string()),
        Cell::text(&incident.title),
        Cell::text(incident.severity.as_str()),
        Cell::text(incident.status.as_str()),
        Cell::text(json(&incident.key)),
        Cell::text(json(&incident.services)),
        Cell::time(Some(incident.opened_at)),
        Cell::time(times.trigger),
        Cell::time(times.impact_start),
        Cell::time(times.detected),
        Cell::time(times.acknowledged),
        Cell::time(times.cause_identified),
        Cell::time(times.mitigated),
        Cell::time(times.resolved),
        incident.suspects.first().map_or(Cell::Null, |suspect| Cell::text(&suspect.service)),
        Cell::text(json(&incident.suspects)),
        Cell::text(json(&incident.alerts)),
        Cell::text(json(&incident.firing)),
        Cell::text(json(&response.roles)),
        response.cause.as_ref().map_or(Cell::Null, Cell::text),
        response.duplicate_of.map_or(Cell::Null, |id| Cell::text(id.to_string())),
        Cell::time(closed.map(|closed| closed.at)),
        closed.and_then(|c| c.without_postmortem.as_ref()).map_or(Cell::Null, Cell::text),
    ]
}

/// The whole chain of causes in one text: a query's answer has no `source`.
#[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` asks for")]
fn sql_error(error: Error) -> SqlError {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    SqlError::Failed { message }
}

#[cfg(test)]
mod tests;
