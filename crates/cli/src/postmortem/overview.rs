use std::process::ExitCode;

use hindsight_model::{SqlRequest, SqlSource as _, SqlValue};
use hindsight_postmortem::Lacking;
use serde_json::json;

use crate::args::SourceArgs;
use crate::backend::Backend;
use crate::say;

/// Documents told of.
const DOCUMENTS: &str =
    "SELECT id, status, severity, incidents, title FROM postmortems ORDER BY id DESC LIMIT 1000";
const COLUMNS: [&str; 5] = ["id", "status", "severity", "incidents", "title"];

/// `hindsight postmortem status`: every post-mortem, and the incidents that lack one (P3).
pub(super) async fn run(source: &SourceArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let backend = Backend::open(source).await?;
    let asked = async {
        let rows = backend.sql(SqlRequest::new(DOCUMENTS)).await?.rows()?;
        anyhow::Ok((rows, backend.lacking().await?))
    };
    let answered = asked.await;
    backend.close().await?;
    let (rows, lacking) = answered?;
    let text = |value: &SqlValue| value.as_str().unwrap_or_default().to_owned();
    let documents: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(text).collect()).collect();
    if as_json {
        let object = |row: &Vec<String>| COLUMNS.into_iter().zip(row.clone()).collect();
        let documents: Vec<std::collections::BTreeMap<&str, String>> = documents.iter().map(object).collect();
        let all = json!({"postmortems": documents, "lacking": lacking});
        say::line(&serde_json::to_string_pretty(&all)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if documents.is_empty() {
        say::line("no post-mortem yet; `hindsight postmortem draft INC-…` writes the first draft of one")?;
    }
    for row in &documents {
        say::line(&row.join("  "))?;
    }
    for one in &lacking {
        say::line(&sentence(one))?;
    }
    if lacking.is_empty() {
        say::line("every incident that is over has its post-mortem, or a reason for having none")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn sentence(one: &Lacking) -> String {
    let Lacking { incident, severity, title, .. } = one;
    let late = if one.is_late { ", late" } else { "" };
    let since = one.resolved_at.strftime("%Y-%m-%d %H:%M UTC");
    let needs = match (one.because.is_empty(), &one.closed_without) {
        (true, _) => format!(
            "draft one, or close it with a reason: hindsight incident close {incident} --without-postmortem REASON"
        ),
        (false, None) => {
            format!("P3: {}; hindsight postmortem draft {incident}", one.because.join(", "))
        }
        (false, Some(reason)) => format!(
            "P3: {}, which `{reason}` does not excuse; hindsight postmortem draft {incident}",
            one.because.join(", ")
        ),
    };
    format!("{incident}  {severity}  over since {since}{late}, without a post-mortem: {title} ({needs})")
}
