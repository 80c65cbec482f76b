use std::process::ExitCode;

use hindsight_model::{Incident, IncidentId, TimelineRow};
use serde_json::json;

use crate::args::{IncidentArgs, IncidentCommand, ListArgs};
use crate::backend::Backend;
use crate::{lists, say};

/// `hindsight incident …`.
pub(crate) async fn run(args: IncidentArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        IncidentCommand::List(list) => {
            let sql = "SELECT id, status, severity, title, opened_at FROM incidents ORDER BY opened_at DESC";
            lists::show(
                &list,
                sql,
                "no incidents: nothing has fired with an `incident:` block, nobody declared one",
            )
            .await
        }
        IncidentCommand::Show { id, list } => show(id.parse()?, &list).await,
        IncidentCommand::Declare { title, severity, services, author, list } => {
            let body = json!({"title": title, "severity": severity, "services": services, "author": author});
            let answer = post(&list, "/api/v1/incidents", &body).await?;
            say::line(answer["incident"]["id"].as_str().unwrap_or_default())?;
            Ok(ExitCode::SUCCESS)
        }
        IncidentCommand::Note { id, text, author, list } => {
            let id: IncidentId = id.parse()?;
            let body = json!({"text": text, "author": author});
            post(&list, &format!("/api/v1/incidents/{id}/notes"), &body).await?;
            say::line(&format!("noted in {id}"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn post(list: &ListArgs, path: &str, body: &serde_json::Value) -> anyhow::Result<serde_json::Value> {
    let backend = Backend::open(&list.source).await?;
    let answer = match backend.server() {
        Ok(server) => server.post(path, body).await,
        Err(error) => Err(error),
    };
    backend.close().await?;
    answer
}

async fn show(id: IncidentId, list: &ListArgs) -> anyhow::Result<ExitCode> {
    let backend = Backend::open(&list.source).await?;
    let found = backend.incident(id).await;
    backend.close().await?;
    let (incident, timeline) = found?;
    if list.json {
        let both = json!({"incident": incident, "timeline": timeline});
        say::line(&serde_json::to_string_pretty(&both)?)?;
    } else {
        say::line(&describe(&incident, &timeline))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(incident: &Incident, timeline: &[TimelineRow]) -> String {
    let mut text = format!("{} {} {}\n{}\n", incident.id, incident.severity, incident.status, incident.title);
    text.push_str("\ntimeline\n");
    for row in timeline {
        text.push_str(&format!("  {}  {:12}  {}\n", row.at, row.kind.as_str(), row.text));
    }
    text.push_str("\nsuspects (hypotheses, best first)\n");
    for (rank, suspect) in incident.suspects.iter().enumerate() {
        text.push_str(&format!("  {}. {} ({:.1})\n", rank + 1, suspect.service, suspect.score));
        for reason in &suspect.reasons {
            text.push_str(&format!("     {reason}\n"));
        }
    }
    text
}
