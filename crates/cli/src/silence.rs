//! `hindsight silence …`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args as ClapArgs, Subcommand};
use hindsight_model::{Clock as _, SilenceId, SystemClock, parse_duration};
use hindsight_notify::parse_matcher;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::args::ListArgs;
use crate::backend::Backend;
use crate::{lists, say};

#[derive(Debug, ClapArgs)]
pub(crate) struct SilenceArgs {
    #[command(subcommand)]
    command: SilenceCommand,
}

#[derive(Debug, Subcommand)]
enum SilenceCommand {
    /// Tell nobody of alerts that match, for a while; prints the silence's id (needs a server)
    Add {
        /// Conditions that all hold, such as service_name="checkout" or severity!~"page|ticket"
        #[arg(required = true, value_name = "MATCHER")]
        matchers: Vec<String>,
        /// How long, such as 2h or 1d12h
        #[arg(long = "for", value_name = "DURATION")]
        length: String,
        /// From when [default: now]
        #[arg(long, value_name = "TIME")]
        from: Option<Timestamp>,
        /// Why
        #[arg(long)]
        comment: String,
        /// Role or name of who silences
        #[arg(long, default_value = "on call")]
        author: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// The silences that are not over, newest first
    List {
        /// Those that are over as well
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        list: ListArgs,
    },
    /// End a silence now (needs a server)
    Expire {
        /// For example SIL-7
        id: String,
        /// Role or name of who ends it
        #[arg(long, default_value = "on call")]
        author: String,
        #[command(flatten)]
        list: ListArgs,
    },
}

/// Runs one of them.
pub(crate) async fn run(args: SilenceArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        SilenceCommand::Add { matchers, length, from, comment, author, list } => {
            let matchers: Vec<_> =
                matchers.iter().map(|text| parse_matcher(text)).collect::<Result<_, _>>()?;
            let length = parse_duration(&length).context("--for")?;
            let starts_at = from.unwrap_or_else(|| SystemClock.now());
            let body = json!({
                "matchers": matchers,
                "startsAt": starts_at,
                "endsAt": after(starts_at, length)?,
                "createdBy": author,
                "comment": comment,
            });
            let path = "/api/v1/silences";
            let answer = with_server(&list, async |server| server.post(path, &body).await).await?;
            shown(&list, &answer, answer["silence"]["id"].as_str().unwrap_or_default())
        }
        SilenceCommand::List { all, list } => {
            let sql = format!(
                "SELECT id, CASE WHEN ends_at <= now() THEN 'expired' WHEN starts_at > now() THEN 'pending' \
                 ELSE 'active' END AS state, matchers, starts_at, ends_at, author, comment FROM silences \
                 WHERE {} ORDER BY created_at DESC, id DESC",
                if all { "true" } else { "ends_at > now()" }
            );
            lists::show(&list, &sql, "no silences: every alert is told").await
        }
        SilenceCommand::Expire { id, author, list } => {
            let id: SilenceId = id.parse()?;
            let path = format!("/api/v1/silences/{id}");
            let answer =
                with_server(&list, async |server| server.end(&path, &[("author", &author)]).await).await?;
            shown(&list, &answer, &format!("{id} is over"))
        }
    }
}

fn after(from: Timestamp, length: Duration) -> anyhow::Result<Timestamp> {
    let length = SignedDuration::try_from(length).context("--for")?;
    from.checked_add(length).context("--for reaches beyond the calendar")
}

async fn with_server(
    list: &ListArgs,
    call: impl AsyncFnOnce(&crate::remote::Remote) -> anyhow::Result<Value>,
) -> anyhow::Result<Value> {
    let backend = Backend::open(&list.source).await?;
    let answer = match backend.server() {
        Ok(server) => call(server).await,
        Err(error) => Err(error),
    };
    backend.close().await?;
    answer
}

fn shown(list: &ListArgs, answer: &Value, line: &str) -> anyhow::Result<ExitCode> {
    if list.json {
        say::line(&serde_json::to_string_pretty(&answer["silence"])?)?;
    } else {
        say::line(line)?;
    }
    Ok(ExitCode::SUCCESS)
}
