use hindsight_model::{SloSlice, SloStatus, Tenant};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use crate::cells::{Cells, nanos};
use crate::database::State;
use crate::error::{Result, failed};

impl State {
    /// The SLO's minutes that start in `[from, to)`, in order. A minute without a row was never observed.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when they cannot be read.
    pub async fn slices(
        &self,
        tenant: &Tenant,
        slo: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SloSlice>> {
        let rows = sqlx::query(
            "SELECT * FROM slices WHERE tenant = ? AND slo = ? AND minute >= ? AND minute < ? ORDER BY minute",
        )
        .bind(tenant.as_str())
        .bind(slo)
        .bind(nanos("a filter", from)?)
        .bind(nanos("a filter", to)?)
        .fetch_all(self.reader())
        .await
        .map_err(failed("read SLO slices"))?;
        rows.iter().map(slice).collect()
    }

    /// Where each SLO of the tenant stood at its last tick, by name.
    ///
    /// # Errors
    /// [`crate::Error::Database`] when they cannot be read.
    pub async fn slo_status(&self, tenant: &Tenant) -> Result<Vec<SloStatus>> {
        let rows = sqlx::query("SELECT * FROM slo_status WHERE tenant = ? ORDER BY slo")
            .bind(tenant.as_str())
            .fetch_all(self.reader())
            .await
            .map_err(failed("read SLO statuses"))?;
        rows.iter().map(status).collect()
    }
}

fn slice(row: &SqliteRow) -> Result<SloSlice> {
    let cells = Cells::of("slices", row);
    Ok(SloSlice {
        tenant: cells.tenant()?,
        slo: cells.text("slo")?,
        minute: cells.time("minute")?,
        good: cells.get("good")?,
        total: cells.get("total")?,
        revision: cells.unsigned("revision")?,
    })
}

fn status(row: &SqliteRow) -> Result<SloStatus> {
    let cells = Cells::of("slo_status", row);
    Ok(SloStatus {
        tenant: cells.tenant()?,
        slo: cells.text("slo")?,
        service: cells.text("service")?,
        at: cells.time("at")?,
        objective: cells.get("objective")?,
        window_s: cells.unsigned("window_s")?,
        total: cells.get("total")?,
        bad: cells.get("bad")?,
        budget_consumed: cells.get("budget_consumed")?,
        burn_1h: cells.get("burn_1h")?,
        state: cells.text("state")?,
        method: cells.text("method")?,
        period_start: cells.time("period_start")?,
        period_end: cells.time("period_end")?,
        coverage: cells.get("coverage")?,
        projected: cells.get("projected")?,
        time_to_exhaust_s: cells.get("time_to_exhaust_s")?,
        note: cells.get("note")?,
    })
}
