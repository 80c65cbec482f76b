//! `hindsight actions …`.

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use hindsight_model::{ActionKey, SqlRequest, SqlSource as _, SqlValue};
use hindsight_postmortem::actions::{ExportItem, github_json, jira_csv, jira_json};
use hindsight_postmortem::document::Priority;
use serde_json::{Value, json};

use crate::args::ListArgs;
use crate::backend::Backend;
use crate::{lists, say};

#[derive(Debug, ClapArgs)]
pub(crate) struct ActionsArgs {
    #[command(subcommand)]
    command: ActionsCommand,
}

#[derive(Debug, Subcommand)]
enum ActionsCommand {
    /// Every action item of every post-mortem
    List {
        #[command(flatten)]
        only: Only,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Look now whether the evidence is there; exit code 1 when some is not (needs a server)
    Verify {
        /// This one alone, for example PM-2026-014/A1
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Say beside the document where an item stands (needs a server)
    Set {
        /// For example PM-2026-014/A1
        id: String,
        /// proposed, accepted, in_progress, done or wont_do
        status: String,
        /// Why it will not be done
        #[arg(long)]
        reason: Option<String>,
        /// Who agreed that it will not be done
        #[arg(long)]
        approver: Option<String>,
        /// Who says so
        #[arg(long)]
        author: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// The items in the shape of another tracker, those that are open unless --all
    Export {
        #[arg(long, value_enum)]
        format: Format,
        /// Key of the project in Jira
        #[arg(long, default_value = "OPS")]
        project: String,
        /// Those that are done, verified or will not be done as well
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        list: ListArgs,
    },
}

#[derive(Debug, ClapArgs)]
struct Only {
    /// Those that are proposed, accepted or in progress
    #[arg(long)]
    open: bool,
    /// Those of them whose last day is over
    #[arg(long)]
    overdue: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Bodies for GitHub's "create an issue", as a JSON list
    Github,
    /// A file for Jira's CSV import
    JiraCsv,
    /// A body for Jira's bulk creation of issues
    JiraJson,
}

const OPEN: &str = "status IN ('proposed', 'accepted', 'in_progress')";
const NONE: &str = "no action item of a post-mortem in the workspace is so";

/// Runs one of them.
pub(crate) async fn run(args: ActionsArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ActionsCommand::List { only, list } => {
            let condition = match (only.overdue, only.open) {
                (true, _) => format!("{OPEN} AND due < CAST(now() AS DATE)"),
                (false, true) => OPEN.to_owned(),
                (false, false) => "true".to_owned(),
            };
            // As JSON everything, for people what fits on a line.
            let columns =
                if list.json { "*" } else { "postmortem, id, status, due, owner, action, evidence" };
            let sql =
                format!("SELECT {columns} FROM action_items WHERE {condition} ORDER BY due, postmortem, id");
            lists::show(&list, &sql, NONE).await
        }
        ActionsCommand::Verify { id, list } => verify(id.as_deref(), &list).await,
        ActionsCommand::Set { id, status, reason, approver, author, list } => {
            let key: ActionKey = id.parse().map_err(anyhow::Error::msg)?;
            let body = json!({"author": author, "status": status, "reason": reason, "approver": approver});
            let path = format!("/api/v1/action-items/{}/{}", key.postmortem, key.item);
            let answer = post(&list, &path, &body).await?;
            if list.json {
                say::line(&serde_json::to_string_pretty(&answer)?)?;
            } else {
                say::line(&format!("{key} {}", answer["status"].as_str().unwrap_or_default()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        ActionsCommand::Export { format, project, all, list } => {
            let items = items(all, &list).await?;
            let text = match format {
                Format::Github => serde_json::to_string_pretty(&github_json(&items))?,
                Format::JiraJson => serde_json::to_string_pretty(&jira_json(&items, &project))?,
                Format::JiraCsv => jira_csv(&items, &project).trim_end().to_owned(),
            };
            say::line(&text)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn verify(id: Option<&str>, list: &ListArgs) -> anyhow::Result<ExitCode> {
    let answer = post(list, "/api/v1/action-items/verify", &json!({"id": id})).await?;
    let verified = answer["verified"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if list.json {
        say::line(&serde_json::to_string_pretty(verified)?)?;
    } else if verified.is_empty() {
        say::problem("no action item has a condition to verify; fill in the column `verify`");
    } else {
        for item in verified {
            let (id, status, outcome) = (text(&item["id"]), text(&item["status"]), text(&item["outcome"]));
            say::line(&format!("{id} {status} ({outcome}): {}", text(&item["evidence"])))?;
        }
    }
    let all = verified.iter().all(|item| item["outcome"] == "passed");
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn items(all: bool, list: &ListArgs) -> anyhow::Result<Vec<ExportItem>> {
    let condition = if all { "true" } else { OPEN };
    let sql = format!(
        "SELECT postmortem, id, action, owner, CAST(due AS VARCHAR), priority, status, lessons, whys, verify \
         FROM action_items WHERE {condition} ORDER BY postmortem, id"
    );
    let backend = Backend::open(&list.source).await?;
    let answer = backend.sql(SqlRequest::new(sql)).await;
    backend.close().await?;
    let given = |value: &SqlValue| value.as_str().map(str::to_owned).filter(|text| !text.is_empty());
    let item = |row: Vec<SqlValue>| ExportItem {
        postmortem: row[0].to_string(),
        id: row[1].to_string(),
        action: row[2].to_string(),
        owner: given(&row[3]),
        due: row[4].as_str().and_then(|date| date.parse().ok()),
        priority: row[5].as_str().and_then(Priority::from_word),
        status: row[6].to_string(),
        lessons: given(&row[7]),
        whys: given(&row[8]),
        verify: given(&row[9]),
    };
    Ok(answer?.rows()?.into_iter().map(item).collect())
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
