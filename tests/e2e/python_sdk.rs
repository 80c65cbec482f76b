//! The stock Python OpenTelemetry SDK sends; SQL returns what it sent, field by field.

mod compare;
mod select;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::server::{Home, Server};

/// What `send.py` says it sent.
#[derive(Debug, Deserialize)]
struct Sent {
    spans: Vec<Value>,
    points: Vec<Value>,
    logs: Vec<Value>,
}

#[tokio::test]
async fn what_python_sends_is_what_sql_returns() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    for (protocol, compression, temporality) in [
        ("grpc", "none", "cumulative"),
        ("http", "none", "delta"),
        ("grpc", "gzip", "delta"),
        ("http", "gzip", "cumulative"),
    ] {
        let run = format!("{protocol}-{compression}-{temporality}");
        let address = if protocol == "grpc" { server.grpc } else { server.http };
        let endpoint = format!("http://{address}");
        let sent = send(&[
            ("--protocol", protocol),
            ("--endpoint", &endpoint),
            ("--compression", compression),
            ("--temporality", temporality),
            ("--run", &run),
        ])?;
        check(&server, &run, &sent).await.with_context(|| format!("in the run {run}"))?;
    }
    // What is sealed into blocks must read the same as what was in memory.
    assert!(server.terminate()?.success());
    let server = home.serve()?;
    assert_eq!(server.count("spans", "service_name = 'python-sdk'").await?, 4 * 6);
    Ok(())
}

async fn check(server: &Server, run: &str, sent: &Sent) -> anyhow::Result<()> {
    ensure!(
        sent.spans.len() >= 6 && sent.points.len() >= 8 && sent.logs.len() >= 8,
        "send.py sent too little"
    );
    compare::same("spans", &sent.spans, &select::spans(server, run).await?)?;
    compare::same("logs", &sent.logs, &select::logs(server, run).await?)?;
    for table in ["metrics", "metric_histograms", "metric_exp_histograms"] {
        let of_table: Vec<Value> =
            sent.points.iter().filter(|point| point["table"] == table).cloned().collect();
        ensure!(!of_table.is_empty(), "send.py sent nothing for {table}");
        compare::same(table, &of_table, &select::points(server, run, table).await?)?;
    }
    Ok(())
}

fn send(flags: &[(&str, &str)]) -> anyhow::Result<Sent> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python/send.py");
    let mut command = Command::new(python()?);
    command.arg(script).args(flags.iter().flat_map(|(name, value)| [name, value]));
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().context("run python/send.py")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "send.py {flags:?} failed:\n{said}");
    serde_json::from_slice(&output.stdout).context("read what send.py printed")
}

/// The interpreter that has the SDK. Its absence fails the test: skipping would hide that nothing was checked.
pub(crate) fn python() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("HINDSIGHT_PYTHON").context(
        "HINDSIGHT_PYTHON is not set; run ./tests/run, or point it at a Python that has tests/python/requirements.txt",
    )?;
    let path = PathBuf::from(path);
    ensure!(
        path.try_exists()?,
        "HINDSIGHT_PYTHON names {}, which is not there; run ./tests/run",
        path.display()
    );
    Ok(path)
}
