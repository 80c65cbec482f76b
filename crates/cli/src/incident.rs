//! `hindsight incident …`.

mod args;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use hindsight_model::{Incident, IncidentId, SqlRequest, SqlSource as _, SqlValue, TimelineRow};
use hindsight_postmortem::Similar;
use serde_json::{Value, json};

pub(crate) use args::IncidentArgs;
use args::{IncidentCommand as Cmd, On, Row};

use crate::args::ListArgs;
use crate::backend::Backend;
use crate::{lists, say};

/// Runs one of them.
pub(crate) async fn run(args: IncidentArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Cmd::List(list) => {
            let sql = "SELECT id, status, severity, title, opened_at FROM incidents ORDER BY opened_at DESC";
            let empty = "no incidents: nothing has fired with an `incident:` block, nobody declared one";
            lists::show(&list, sql, empty).await
        }
        Cmd::Show { id, list } => show(id.parse()?, &list).await,
        Cmd::Holds(list) => {
            let sql =
                "SELECT id, held_from, held_to, blocks, rows, size_bytes, tables FROM holds ORDER BY id";
            lists::show(&list, sql, "nothing is held: no incident is open").await
        }
        Cmd::Declare { title, severity, services, author, list } => {
            let body = json!({"title": title, "severity": severity, "services": services, "author": author});
            let answer = post(&list, "/api/v1/incidents", &body).await?;
            say::line(answer["incident"]["id"].as_str().unwrap_or_default())?;
            Ok(ExitCode::SUCCESS)
        }
        Cmd::Note { id, text, author, list } => {
            let id: IncidentId = id.parse()?;
            let body = json!({"text": text, "author": author});
            post(&list, &format!("/api/v1/incidents/{id}/notes"), &body).await?;
            say::line(&format!("noted in {id}"))?;
            Ok(ExitCode::SUCCESS)
        }
        Cmd::Timeline { id, list } => timeline(id.parse()?, &list).await,
        Cmd::Gather { id, list } => {
            let id: IncidentId = id.parse()?;
            let answer = post(&list, &format!("/api/v1/incidents/{id}/gather"), &json!({})).await?;
            let rows = answer["timeline"].as_array().map_or(0, Vec::len);
            told(&list, &answer, &format!("{id} has {rows} rows"))
        }
        Cmd::AddRow { text, kind, service, on } => {
            let row = json!({"at": on.at, "text": text, "kind": kind, "service": service});
            let body = json!({"author": on.author, "rows": [row]});
            let id: IncidentId = on.id.parse()?;
            let answer = post(&on.list, &format!("/api/v1/incidents/{id}/timeline"), &body).await?;
            told(&on.list, &answer, &added(&answer, id))
        }
        Cmd::Accept { row } => edit(&row, json!({"state": "accepted"})).await,
        Cmd::Dismiss { row } => edit(&row, json!({"state": "dismissed"})).await,
        Cmd::Edit { text, at, row } => edit(&row, json!({"text": text, "at": at})).await,
        Cmd::ImportTimeline { id, file, format, timezone, role, author, list } => {
            let id: IncidentId = id.parse()?;
            let text = read(&file)?;
            let format = format.map(args::Format::as_str);
            let body = json!({
                "author": author, "text": text, "format": format, "timezone": timezone, "role": role,
            });
            let path = format!("/api/v1/incidents/{id}/timeline/import");
            let answer =
                post(&list, &path, &body).await.with_context(|| format!("import {}", file.display()))?;
            told(&list, &answer, &added(&answer, id))
        }
        step => change(step).await,
    }
}

/// The steps of an incident's life: each is the same call with other words.
async fn change(step: Cmd) -> anyhow::Result<ExitCode> {
    let (on, body) = match step {
        Cmd::Acknowledge { on } => (on, json!({"change": "acknowledge"})),
        Cmd::Cause { text, on } => (on, json!({"change": "cause", "text": text})),
        Cmd::Mitigate { text, on } => (on, json!({"change": "mitigate", "text": text})),
        Cmd::Resolve { on } => (on, json!({"change": "resolve"})),
        Cmd::Reopen { reason, on } => (on, json!({"change": "reopen", "reason": reason})),
        Cmd::Close { without_postmortem, on } => {
            (on, json!({"change": "close", "without_postmortem": without_postmortem}))
        }
        Cmd::Severity { severity, reason, on } => {
            (on, json!({"change": "severity", "severity": severity, "reason": reason}))
        }
        Cmd::Role { role, person, on } => (on, json!({"change": "role", "role": role, "person": person})),
        Cmd::Time { milestone, on } => (on, json!({"change": "time", "milestone": milestone})),
        Cmd::Merge { into, reason, on } => (on, json!({"change": "merge", "into": into, "reason": reason})),
        other => anyhow::bail!("{other:?} is no step of an incident's life"),
    };
    let On { id, at, author, list } = on;
    let id: IncidentId = id.parse()?;
    let mut body = body;
    body["author"] = json!(author);
    body["at"] = json!(at);
    let answer = post(&list, &format!("/api/v1/incidents/{id}/changes"), &body).await?;
    let status = answer["incident"]["status"].as_str().unwrap_or_default();
    let severity = answer["incident"]["severity"].as_str().unwrap_or_default();
    told(&list, &answer, &format!("{id} {severity} {status}"))
}

async fn edit(row: &Row, mut body: Value) -> anyhow::Result<ExitCode> {
    let id: IncidentId = row.id.parse()?;
    body["author"] = json!(row.author);
    for number in &row.rows {
        let answer = post(&row.list, &format!("/api/v1/incidents/{id}/timeline/{number}"), &body).await?;
        let state = answer["row"]["state"].as_str().unwrap_or_default();
        let text = answer["row"]["text"].as_str().unwrap_or_default();
        told(&row.list, &answer, &format!("{number} {state}: {text}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn timeline(id: IncidentId, list: &ListArgs) -> anyhow::Result<ExitCode> {
    let sql = format!(
        "SELECT id, timestamp, state, kind, source, role, text FROM timeline WHERE incident = '{id}' \
         ORDER BY timestamp, id"
    );
    lists::show(list, &sql, "the timeline is empty").await
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}

fn added(answer: &Value, id: IncidentId) -> String {
    let (added, known) = (answer["added"].as_u64().unwrap_or(0), answer["known"].as_u64().unwrap_or(0));
    let rows = if added == 1 { "row" } else { "rows" };
    match known {
        0 => format!("{added} {rows} added to {id}"),
        known => format!("{added} {rows} added to {id}, {known} were there already"),
    }
}

fn told(list: &ListArgs, answer: &Value, line: &str) -> anyhow::Result<ExitCode> {
    if list.json {
        say::line(&serde_json::to_string_pretty(answer)?)?;
    } else {
        say::line(line)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn post(list: &ListArgs, path: &str, body: &Value) -> anyhow::Result<Value> {
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
    let hold = hold(&backend, id).await;
    let similar = match &found {
        Ok((incident, _)) => backend.similar(incident).await,
        Err(_) => Ok(Vec::new()),
    };
    backend.close().await?;
    let ((incident, timeline), hold, similar) = (found?, hold?, similar?);
    if list.json {
        let all = json!({"incident": incident, "timeline": timeline, "hold": hold, "similar": similar});
        say::line(&serde_json::to_string_pretty(&all)?)?;
    } else {
        say::line(&(describe(&incident, &timeline, hold.as_ref()) + &alike(&similar)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the incident keeps from being deleted.
async fn hold(backend: &Backend, id: IncidentId) -> anyhow::Result<Option<Value>> {
    let sql = "SELECT held_from, held_to, blocks, rows, size_bytes FROM holds WHERE id = $id";
    let rows = backend.sql(SqlRequest::new(sql).param("id", id.to_string())).await?.rows()?;
    let shown = |value: &SqlValue| match value {
        SqlValue::Time(at) => json!(at.to_string()),
        SqlValue::Int(number) => json!(number),
        _ => Value::Null,
    };
    Ok(rows.first().map(|row| {
        json!({
            "held_from": shown(&row[0]), "held_to": shown(&row[1]), "blocks": shown(&row[2]),
            "rows": shown(&row[3]), "size_bytes": shown(&row[4]),
        })
    }))
}

/// Past incidents that looked alike, with what was done then.
fn alike(similar: &[Similar]) -> String {
    let mut text = "\nlooked alike before\n".to_owned();
    if similar.is_empty() {
        text.push_str("  no earlier incident looks like this one\n");
    }
    for past in similar {
        let (percent, shared) = (past.similarity * 100.0, past.shared.join(", "));
        text.push_str(&format!("  {} {percent:.0} %  {}\n     both: {shared}\n", past.incident, past.title));
        for done in &past.mitigation {
            text.push_str(&format!("     ended with: {done}\n"));
        }
        for action in &past.actions {
            let (document, id) = (&action.postmortem, &action.id);
            text.push_str(&format!("     {document} {id} {}: {}\n", action.status, action.action));
        }
    }
    text
}

fn describe(incident: &Incident, timeline: &[TimelineRow], hold: Option<&Value>) -> String {
    let mut text = format!("{} {} {}\n{}\n", incident.id, incident.severity, incident.status, incident.title);
    let response = &incident.response;
    if let Some(into) = response.duplicate_of {
        text.push_str(&format!("part of {into}\n"));
    }
    for (role, person) in &response.roles {
        text.push_str(&format!("{}: {person}\n", role.words()));
    }
    if let Some(cause) = &response.cause {
        text.push_str(&format!("cause: {cause}\n"));
    }
    if let Some(why) = response.closed.as_ref().and_then(|closed| closed.without_postmortem.as_ref()) {
        text.push_str(&format!("closed without a post-mortem: {why}\n"));
    }
    match hold {
        Some(hold) => {
            let from = hold["held_from"].as_str().unwrap_or_default();
            let to = hold["held_to"].as_str().unwrap_or("its end and two hours more");
            text.push_str(&format!(
                "holds its telemetry from {from} to {to}: {} sealed files, {} rows\n",
                hold["blocks"], hold["rows"]
            ));
        }
        None => text.push_str("holds no telemetry\n"),
    }
    text.push_str("\ntimeline\n");
    for row in timeline.iter().filter(|row| row.state != "dismissed") {
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
