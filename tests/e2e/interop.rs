//! BLK-2 from outside: the Python deltalake package and DuckDB find in the tables what our own SQL finds.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::every_table::{self, TABLES, summary};
use crate::otlp;
use crate::python_sdk::python;
use crate::server::{Home, text};
use crate::wait::wait_until;

/// Seal often, so that each table has several files and commits.
const CONFIG: &str = "[ingest]\nseal_age = \"100ms\"\n";
const PARTS: u64 = 4;
const ROUNDS: u64 = 12;

#[tokio::test]
async fn other_readers_of_the_tables_count_and_sum_the_same() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    // From a minute before midnight on, so that there are two dates.
    let day = 86_400 * 1_000_000_000;
    let start = otlp::now() / day * day - 60_000_000_000;
    for part in 0..PARTS {
        let bodies = every_table::bodies(start + part * 30_000_000_000, ROUNDS);
        every_table::send(&server, &bodies).await?;
        wait_until("everything is sealed", Duration::from_secs(60), async || {
            let unsealed = server.sql("SELECT count(*) AS n FROM logs").await?;
            ensure!(!unsealed.rows.is_empty());
            Ok((head_rows(&server).await? == 0).then_some(()))
        })
        .await?;
    }
    let mut ours = Vec::new();
    for (table, summed) in TABLES {
        let answer = server.sql(&summary(table, summed)).await?.by_name().remove(0);
        ours.push((table, answer));
    }
    let rows = i64::try_from(PARTS * ROUNDS)?;
    ensure!(
        server.count("logs", "true").await? == 4 * rows && server.count("metrics", "true").await? == 3 * rows
    );
    assert!(server.terminate()?.success());

    let theirs = read(&home.data_dir().join("tables"))?;
    for (table, ours) in ours {
        let found = theirs.get(table).with_context(|| format!("{table} is not found"))?;
        ensure!(found["version"].as_u64().is_some_and(|version| version >= PARTS), "{table}: {found}");
        for reader in ["deltalake", "duckdb"] {
            for (column, value) in &ours {
                let (mine, other) = (number(value), number(&found[reader][column]));
                ensure!(
                    mine.is_some() && mine == other,
                    "{table}.{column}: {value} by SQL, {} by {reader}",
                    found[reader][column]
                );
            }
        }
    }
    Ok(())
}

async fn head_rows(server: &crate::server::Server) -> anyhow::Result<u64> {
    let answer = reqwest::get(format!("http://{}/api/v1/status", server.web)).await?.text().await?;
    let status: Value = serde_json::from_str(&answer)?;
    status["store"]["head_rows"].as_u64().context("the status says how many rows are not sealed")
}

/// Exact as a double: counts, microseconds of our time, and sums of quarters all are.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

fn read(tables: &std::path::Path) -> anyhow::Result<Value> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python/interop.py");
    let mut command = Command::new(python()?);
    command.arg(script).arg(text(tables)).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().context("run python/interop.py")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "interop.py failed:\n{said}");
    serde_json::from_slice(&output.stdout).context("read what interop.py printed")
}
