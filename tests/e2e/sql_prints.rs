//! Long answers from `hindsight sql`: printed as they come, in the memory of a part of them, and left off in peace.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::binary;
use crate::server::{Home, Server, text};
use crate::wait::wait_until;

const CONFIG: &str = "[query]\ntimeout = \"300s\"\n";
const ROWS: u64 = 400_000;
/// What the program may take for an answer of any length: what it is itself, what it reads ahead, a page of a table.
const PEAK_BYTES_MAX: u64 = 120 << 20;
/// The same with an engine in it, of a tested build.
const PEAK_WITH_ENGINE_BYTES_MAX: u64 = 320 << 20;
const ENDLESS: &str = "SELECT value, repeat('x', 200) AS pad FROM generate_series(1, 1000000000000)";
/// Fails after many rows.
const LATE_FAULT: &str = "SELECT 1 / (900000 - value) AS n FROM generate_series(1, 1000000)";
const PATIENCE: Duration = Duration::from_secs(60);

fn long() -> String {
    format!("SELECT value, repeat('x', 500) AS pad FROM generate_series(1, {ROWS})")
}

/// Runs `hindsight sql` with its standard output to be read.
fn start(arguments: &[&str]) -> anyhow::Result<(Child, BufReader<ChildStdout>)> {
    let mut command = binary::command()?;
    command.arg("sql").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("start hindsight sql")?;
    let out = child.stdout.take().context("stdout is piped")?;
    Ok((child, BufReader::new(out)))
}

fn peak_bytes(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

/// The end of it, how many lines and bytes there were, and the most memory that it took.
fn read_all(arguments: &[&str]) -> anyhow::Result<(Vec<u8>, u64, u64, u64)> {
    let (mut child, mut out) = start(arguments)?;
    let (mut lines, mut bytes, mut peak, mut tail) = (0_u64, 0_u64, 0, Vec::new());
    let mut piece = vec![0; 1 << 20];
    loop {
        let length = out.read(&mut piece)?;
        if length == 0 {
            break;
        }
        lines += piece[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
        bytes += length as u64;
        tail.extend_from_slice(&piece[..length]);
        tail.drain(..tail.len().saturating_sub(2_000));
        peak = peak.max(peak_bytes(&child).unwrap_or(0));
    }
    let status = child.wait()?;
    ensure!(status.success(), "{arguments:?} ended with {status}");
    Ok((tail, lines, bytes, peak))
}

fn check_formats(source: &[&str], formats: &[&str], peak_max: u64) -> anyhow::Result<()> {
    for format in formats {
        let sql = long();
        let (tail, lines, bytes, peak) = read_all(&[source, &["--format", format, &sql]].concat())?;
        ensure!(bytes > 500 * ROWS, "{format}: {bytes} bytes are no test");
        ensure!(peak > 0 && peak < peak_max, "{format}: {bytes} bytes took {peak}");
        if *format == "arrow" {
            ensure!(tail.ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]), "the end is missing");
            continue;
        }
        let tail = String::from_utf8_lossy(&tail).into_owned();
        let last = tail.trim_end().rsplit('\n').next().unwrap_or_default();
        match *format {
            "csv" => assert_eq!(lines, ROWS + 1),
            "ndjson" => {
                assert_eq!((lines, &serde_json::from_str::<Value>(last)?["value"]), (ROWS, &ROWS.into()));
            }
            "json" => {
                let stats = tail.rsplit_once("],\"stats\":").context("no stats")?.1;
                let stats: Value = serde_json::from_str(&format!("{{\"stats\":{stats}"))?;
                assert_eq!(stats["stats"]["rows"], ROWS);
            }
            _ => {
                assert_eq!(lines, ROWS + 3);
                ensure!(last.starts_with(&format!("{ROWS} rows in ")), "{last}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_long_answer_takes_the_memory_of_a_part_of_it() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let url = format!("http://{}", server.web);
    check_formats(&["--url", &url], &["csv", "ndjson", "json", "arrow", "table"], PEAK_BYTES_MAX)?;
    assert!(server.terminate()?.success());
    let (data_dir, workspace) = (home.data_dir(), home.workspace());
    let folder = ["--data-dir", text(&data_dir), "--workspace", text(&workspace)];
    check_formats(&folder, &["csv"], PEAK_WITH_ENGINE_BYTES_MAX).context("from the folder alone")
}

async fn until_running(server: &Server, count: usize) -> anyhow::Result<()> {
    let url = format!("http://{}/api/v1/queries", server.web);
    let look = async || {
        let answer: Value = serde_json::from_str(&reqwest::get(&url).await?.text().await?)?;
        Ok((answer["queries"].as_array().context("no list")?.len() == count).then_some(()))
    };
    wait_until(&format!("{count} queries run"), PATIENCE, look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_it_without_a_word() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let url = format!("http://{}", server.web);
    for format in ["csv", "ndjson", "json", "arrow", "table"] {
        let (child, mut out) = start(&["--url", &url, "--format", format, ENDLESS])?;
        let mut some = vec![0; 100_000];
        out.read_exact(&mut some).with_context(|| format!("{format}: the first rows"))?;
        until_running(&server, 1).await?;
        drop(out);
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success() && said.is_empty(), "{format}: {} {said}", output.status);
        until_running(&server, 0).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_stops_an_answer_on_its_way() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let url = format!("http://{}", server.web);
    let (mut child, mut out) = start(&["--url", &url, "--format", "csv", ENDLESS])?;
    let mut line = String::new();
    for _ in 0..1_000 {
        line.clear();
        out.read_line(&mut line)?;
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status()?.success());
    let began = Instant::now();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest)?;
    assert_eq!(child.wait()?.code(), Some(130));
    ensure!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    until_running(&server, 0).await?;
    let outcome =
        server.sql("SELECT outcome FROM query_log WHERE sql LIKE '%1000000000000%' LIMIT 1").await?;
    assert_eq!(outcome.single()?, "cancelled");
    Ok(())
}

#[test]
fn rows_that_are_not_all_are_followed_by_an_error() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let url = format!("http://{}", server.web);
    for format in ["csv", "ndjson", "json", "arrow", "table"] {
        let said = binary::run(&["sql", "--url", &url, "--format", format, LATE_FAULT])?;
        let error = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(1), "{format}: {error}");
        ensure!(error.contains("broke off") && error.contains("invalid"), "{format}: {error}");
        ensure!(said.stdout.len() > 100_000, "{format}: the rows before it");
        let text = String::from_utf8_lossy(&said.stdout);
        match format {
            "json" => {
                let document: Value = serde_json::from_str(&text)?;
                ensure!(document["stats"].is_null() && document["error"]["message"].is_string());
            }
            "ndjson" => {
                let last: Value =
                    serde_json::from_str(text.trim_end().rsplit('\n').next().unwrap_or_default())?;
                ensure!(last["error"]["message"].is_string(), "{last}");
            }
            "arrow" => ensure!(!said.stdout.ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])),
            "table" => ensure!(!text.contains(" rows"), "no count of rows that are not all"),
            _ => {}
        }
    }
    Ok(())
}
