//! The program's own tables as scripts ask them: what is in each after the recorded outage, and that each is asked.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use prost::Message as _;
use serde_json::Value;

use crate::otlp::{self, PROTOBUF};
use crate::server::Server;
use crate::{action_items, binary, demo};

/// Just after the recording ends; alerts of the longer windows still fire.
const NOW: &str = "2026-05-04T22:36:00Z";
const RECEIVER: &str = "\n[[receivers]]\nname = \"ops\"\ntype = \"file\"\npath = \"told.jsonl\"\n\
                        [notify]\nreceiver = \"ops\"\ngroup_wait = \"0s\"\n";

/// A question, and the lines of its answer.
struct Record {
    line: usize,
    sql: String,
    expected: String,
}

/// The records of a script: `query`, the SQL, `----`, the answer with ` | ` between cells; empty lines part them.
fn records(text: &str) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut line = 1;
    for chunk in text.split("\n\n") {
        let begins = line;
        line += chunk.matches('\n').count() + 2;
        let lines: Vec<&str> =
            chunk.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let Some((kind, rest)) = lines.split_first() else { continue };
        ensure!(*kind == "query", "line {begins}: a record is `query`, not `{kind}`");
        let split = rest.iter().position(|line| *line == "----").context("a record has a line `----`")?;
        let (sql, expected) = (rest[..split].join("\n"), rest[split + 1..].join("\n"));
        records.push(Record { line: begins, sql, expected });
    }
    Ok(records)
}

fn scripts(folder: &str) -> anyhow::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let all = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let all = all.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(all.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "slt")).collect())
}

fn lines(rows: &[Vec<Value>]) -> String {
    let cell = |cell: &Value| match cell {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" | ")).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_of_the_program_is_asked_by_a_script() -> anyhow::Result<()> {
    let home = demo::home()?;
    action_items::put_actions(&home.workspace())?;
    let config = home.workspace().join("hindsight.toml");
    let text = std::fs::read_to_string(&config).unwrap_or_default();
    std::fs::write(&config, text + RECEIVER)?;
    let server = home.serve_with(&["--logical-clock", NOW])?;
    fill(&server).await?;

    let mut failures = String::new();
    for script in scripts("sql")? {
        let name = script.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        for Record { line, sql, expected } in records(&std::fs::read_to_string(&script)?)? {
            let got = match server.sql(&sql).await {
                Ok(answer) => lines(&answer.rows),
                Err(error) => format!("{error:#}"),
            };
            if got != expected {
                writeln!(failures, "{name}:{line}\n{sql}\nexpected:\n{expected}\ngot:\n{got}\n")?;
            }
        }
    }
    ensure!(failures.is_empty(), "{failures}");
    check_all_are_asked(&server).await
}

/// What the outage alone does not leave: a silence, a refused item, a verified action. Alerts that fire wait to be told to
/// the new receiver, since the clock stands still.
async fn fill(server: &Server) -> anyhow::Result<()> {
    let url = format!("http://{}", server.web);
    let quiet = ["silence", "add", "service_name=\"cart\"", "--for", "2h", "--comment", "a drill"];
    binary::run_well(&[&quiet[..], &["--author", "dana.k", "--url", &url]].concat())?;
    binary::run_well(&["actions", "verify", "--id", "PM-2026-001/A2", "--url", &url])?;
    let long_ago = 1_704_067_200_000_000_000;
    let body = otlp::logs("cart", long_ago, &[("too late", Vec::new())]).encode_to_vec();
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", PROTOBUF);
    ensure!(post.body(body).send().await?.status() == 200, "a refused item is a partial success");
    Ok(())
}

/// What the server knows of, less what some script asks.
async fn check_all_are_asked(server: &Server) -> anyhow::Result<()> {
    let mut asked = BTreeSet::new();
    for script in scripts("sql")?.into_iter().chain(scripts("../crates/query/slt")?) {
        let text = std::fs::read_to_string(script)?;
        let names = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        asked.extend(names.map(str::to_owned));
    }
    let tables = server
        .sql("SELECT DISTINCT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")
        .await?;
    ensure!(tables.rows.len() > 25, "{tables:?}");
    let missing: Vec<&str> =
        tables.rows.iter().filter_map(|row| row[0].as_str()).filter(|name| !asked.contains(*name)).collect();
    ensure!(missing.is_empty(), "no script in tests/sql or crates/query/slt asks {missing:?}");
    Ok(())
}
