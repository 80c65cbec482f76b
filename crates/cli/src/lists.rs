//! Lists that are a query of a system table.

use std::process::ExitCode;

use hindsight_model::{SqlRequest, SqlSource as _};
use hindsight_query::output;

use crate::args::{ListArgs, SloArgs, SloCommand};
use crate::backend::Backend;
use crate::{say, sql};

/// `hindsight slo status`.
pub(crate) async fn slo(args: SloArgs) -> anyhow::Result<ExitCode> {
    let SloCommand::Status(list) = args.command;
    let sql = "SELECT slo, service_name, state, objective, budget_consumed, budget_remaining, burn_1h, projected, \
               time_to_exhaust_s, coverage, method, total, bad, period_start, period_end, timestamp, note \
               FROM slo_status ORDER BY slo";
    show(&list, sql, "no SLO has been evaluated; put OpenSLO files under <workspace>/slos/").await
}

/// Prints the rows of `sql`, or `empty` when there are none (`[]` as JSON).
pub(crate) async fn show(list: &ListArgs, sql: &str, empty: &str) -> anyhow::Result<ExitCode> {
    let backend = Backend::open(&list.source).await?;
    let answer = backend.sql(SqlRequest::new(sql)).await;
    backend.close().await?;
    let answer = answer?;
    if list.json {
        say::line(&serde_json::to_string_pretty(&output::to_objects(&answer)?)?)?;
    } else if answer.row_count() == 0 {
        say::problem(empty);
    } else {
        say::line(&sql::table(&answer)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
