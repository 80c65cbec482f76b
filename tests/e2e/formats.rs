//! Formats of the past: data directories made by earlier programs, kept for ever, open and answer as they did.
//!
//! A new one is made by today's program when its formats change, never in place of an old one:
//! `HINDSIGHT_MAKE_FIXTURE=v2 cargo test -p hindsight-tests --test e2e formats::` after a build.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value, json};

use crate::binary;
use crate::every_table::{self, TABLES, summary};
use crate::server::{Home, Server, text};

/// When the server of a fixture begins, and in nanoseconds when its telemetry does.
const START: &str = "2026-05-04T14:30:00Z";
const FIRST_NANOS: u64 = 1_777_904_980_000_000_000;
/// The clock that fixtures are opened with: what is kept or forgotten by age must not depend on today.
const LATER: &str = "2026-05-04T15:00:00Z";
const LATER_STILL: &str = "2026-05-04T15:10:00Z";
/// A fixture is kept for ever, so it is small.
const BYTES_MAX: u64 = 300_000;
/// Larger files of it are kept compressed.
const PLAIN_BYTES_MAX: usize = 2_000;
const ZSTD_LEVEL: i32 = 19;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/formats")
}

#[tokio::test]
async fn every_kept_data_directory_verifies_opens_and_answers_as_when_it_was_made() -> anyhow::Result<()> {
    let mut versions: Vec<_> = fs::read_dir(fixtures())?.collect::<Result<_, _>>()?;
    versions.sort_by_key(fs::DirEntry::file_name);
    ensure!(!versions.is_empty(), "no fixture is kept");
    for version in versions {
        check(&version.path()).await.with_context(|| format!("the fixture {}", version.path().display()))?;
    }
    Ok(())
}

async fn check(fixture: &Path) -> anyhow::Result<()> {
    let expected: Value = serde_json::from_slice(&fs::read(fixture.join("expected.json"))?)?;
    let home = Home::new("")?;
    unpack(&fixture.join("data"), &home.data_dir())?;
    unpack(&fixture.join("workspace"), &home.workspace())?;
    for _ in 0..2 {
        // The second time the program has read, replayed and sealed what was there, and written anew.
        let verdict = binary::run_well(&["verify", "--data-dir", text(&home.data_dir()), "--json"])?;
        let verdict: Value = serde_json::from_str(&verdict)?;
        ensure!(verdict["clean"] == true && verdict["warnings"] == 0, "{verdict}");
        let server = home.serve_with(&["--logical-clock", LATER])?;
        let answers = expected["answers"].as_object().context("answers is an object")?;
        ensure!(answers.len() >= TABLES.len());
        for (sql, rows) in answers {
            let answer = server.sql(sql).await?;
            ensure!(json!(answer.rows) == *rows, "{sql}\ngave {:?}\nexpected {rows}", answer.rows);
        }
        ensure!(server.terminate()?.success());
    }
    let documents = home.workspace().join("postmortems");
    for document in fs::read_dir(documents)? {
        let out = home.workspace().join("report.html");
        binary::run_well(&["postmortem", "render", text(&document?.path()), "--out", text(&out)])?;
        ensure!(fs::metadata(&out)?.len() > 10_000, "the report is empty");
    }
    Ok(())
}

/// Attributes are promoted one day; rows from before are found by them as those after are, also side by side in a file.
#[tokio::test]
async fn tables_of_an_older_program_get_todays_columns() -> anyhow::Result<()> {
    let home = Home::new("[compaction]\ninterval = \"1h\"\n")?;
    let fixture = fixtures().join("v2");
    unpack(&fixture.join("data"), &home.data_dir())?;
    let expected: Value = serde_json::from_slice(&fs::read(fixture.join("expected.json"))?)?;
    // What is in the fixture's log becomes a block of its own.
    ensure!(home.serve_with(&["--logical-clock", LATER])?.terminate()?.success());
    let server = home.serve_with(&["--logical-clock", LATER])?;
    let minute_later = FIRST_NANOS + 60_000_000_000;
    for (start, rounds) in PARTS {
        every_table::send(&server, &every_table::bodies(minute_later + start, rounds)).await?;
    }
    ensure!(server.terminate()?.success());
    let configs = ["[compaction]\ninterval = \"1h\"\n", MERGE_AT_ONCE];
    for (config, blocks) in configs.into_iter().zip([json!(3), json!(1)]) {
        fs::write(home.workspace().join("hindsight.toml"), config)?;
        let server = home.serve_with(&["--logical-clock", LATER])?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while server.sql(BLOCKS).await?.rows[0][0] != blocks {
            ensure!(
                Instant::now() < deadline,
                "{blocks} blocks of a table, not {:?}",
                server.sql(BLOCKS).await?.rows
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
            advance(&server, LATER_STILL).await?;
        }
        for sql in [SESSIONS, USERS] {
            let mut twice = expected["answers"][sql].clone();
            for row in twice.as_array_mut().context("the fixture has an answer")? {
                row[1] = json!(row[1].as_u64().unwrap_or(0) * 2);
            }
            let found = json!(server.sql(sql).await?.rows);
            ensure!(found == twice, "{blocks} blocks: {sql}\ngave {found}\nexpected {twice}");
        }
        let columns =
            server.sql("SELECT count(user_id), count(attributes->>'user.id') FROM logs").await?.rows;
        ensure!(json!(columns) == json!([[20, 30]]), "{blocks} blocks: {columns:?}");
        ensure!(server.terminate()?.success());
        let verdict = binary::run_well(&["verify", "--data-dir", text(&home.data_dir()), "--json"])?;
        let verdict: Value = serde_json::from_str(&verdict)?;
        ensure!(verdict["clean"] == true && verdict["warnings"] == 0, "{blocks} blocks: {verdict}");
    }
    let log = files(&home.data_dir().join("tables/logs/_delta_log"))?;
    let commits = log.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?.concat();
    ensure!(commits.matches("ADD COLUMN").count() == 1, "{commits}");
    Ok(())
}

/// Not a check: makes a fixture when asked to, and says so when not.
#[tokio::test]
async fn a_fixture_is_made_when_asked_for() -> anyhow::Result<()> {
    let Ok(name) = std::env::var("HINDSIGHT_MAKE_FIXTURE") else {
        use std::io::Write as _;
        let _ = writeln!(
            std::io::stderr(),
            "skipped: set HINDSIGHT_MAKE_FIXTURE=v<N> to make tests/fixtures/formats/v<N>"
        );
        return Ok(());
    };
    let is_version = name.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    ensure!(is_version, "HINDSIGHT_MAKE_FIXTURE={name} is not v and a number");
    let target = fixtures().join(&name);
    ensure!(!target.try_exists()?, "{} is there; fixtures are never replaced", target.display());
    make(&target).await?;
    check(&target).await
}

const RULES: &str = r#"groups:
- name: doors
  interval: 30s
  query_offset: 0s
  rules:
  - alert: DoorsOpen
    sql: |
      SELECT service_name, CAST(count(*) AS DOUBLE) AS value FROM spans
      WHERE status_code = 'error' AND timestamp < $now GROUP BY service_name
    condition: {op: gt, fire: 0, recover: 0}
    for: 0s
    on_no_data: keep
    labels: {severity: page}
    incident: {severity: SEV2, key: [service_name], reopen_within: 30m}
    annotations: {summary: "{{ labels.service_name }} has {{ value }}"}
"#;

async fn make(target: &Path) -> anyhow::Result<()> {
    let home = Home::new("[ingest]\nseal_age = \"1h\"\n")?;
    fs::create_dir(home.workspace().join("rules"))?;
    fs::write(home.workspace().join("rules/doors.yaml"), RULES)?;
    let server = home.serve_with(&["--logical-clock", START])?;
    every_table::send(&server, &every_table::bodies(FIRST_NANOS + PARTS[0].0, PARTS[0].1)).await?;
    // The first beat makes the schedule, later ones keep it.
    advance(&server, "2026-05-04T14:30:01Z").await?;
    advance(&server, "2026-05-04T14:31:00Z").await?;
    ensure!(server.terminate()?.success());

    let server = home.serve_with(&["--logical-clock", "2026-05-04T14:31:00Z"])?;
    every_table::send(&server, &every_table::bodies(FIRST_NANOS + PARTS[1].0, PARTS[1].1)).await?;
    advance(&server, "2026-05-04T14:31:01Z").await?;
    advance(&server, "2026-05-04T14:33:00Z").await?;
    let url = format!("http://{}", server.web);
    let more = ["--url", &url];
    binary::run_well(&[&["incident", "note", "INC-1", "the door was open"], &more[..]].concat())?;
    binary::run_well(
        &[&["postmortem", "draft", "INC-1", "--workspace", text(&home.workspace())], &more[..]].concat(),
    )?;
    let mut answers = Map::new();
    for sql in questions() {
        answers.insert(sql.clone(), json!(server.sql(&sql).await?.rows));
    }
    // The rows of the second part stay in the log; backup and restore leave one state.db without its own log.
    server.kill_9()?;
    let folder = tempfile::tempdir()?;
    let backup = folder.path().join("backup");
    binary::run_well(&["backup", text(&backup), "--data-dir", text(&home.data_dir())])?;
    let restored = folder.path().join("data");
    binary::run_well(&["restore", text(&backup), "--data-dir", text(&restored)])?;
    fs::remove_file(restored.join("LOCK"))?;
    pack(&restored, &target.join("data"))?;
    pack(&home.workspace(), &target.join("workspace"))?;
    let expected = json!({"made_by": env!("CARGO_PKG_VERSION"), "answers": answers});
    fs::write(target.join("expected.json"), serde_json::to_string_pretty(&expected)? + "\n")?;
    let size =
        files(target)?.iter().map(|path| Ok(fs::metadata(path)?.len())).sum::<anyhow::Result<u64>>()?;
    ensure!(size <= BYTES_MAX, "{} has {size} bytes, more than {BYTES_MAX}", target.display());
    Ok(())
}

/// Of the table that has most: a merge that a server's end cuts short leaves a file that `verify` warns of.
const BLOCKS: &str = "SELECT max(n) FROM (SELECT count(*) AS n FROM blocks GROUP BY table_name)";
const MERGE_AT_ONCE: &str =
    "[compaction]\ninterval = \"20ms\"\nfan_in = 2\nquiet_after = \"0s\"\nremoval_grace = \"0s\"\n";
/// What a fixture has: nanoseconds after its beginning, and rounds.
const PARTS: [(u64, u64); 2] = [(0, 10), (50_000_000_000, 5)];

/// By attributes that got columns after the second fixture.
const SESSIONS: &str =
    "SELECT attributes->>'session.id' AS session, count(*) FROM spans GROUP BY 1 ORDER BY 1";
const USERS: &str = "SELECT attributes->>'user.id' AS who, count(*), bool_and(attributes ? 'user.id') FROM logs GROUP BY 1 ORDER BY 1";

fn questions() -> Vec<String> {
    let mut all: Vec<String> = TABLES.iter().map(|(table, summed)| summary(table, summed)).collect();
    all.extend(
        [
            "SELECT service_name, body, body_type, attributes, timestamp_nanos FROM logs ORDER BY timestamp, timestamp_nanos, body LIMIT 8",
            "SELECT trace_id, name, attributes->>'n', status_code FROM spans ORDER BY timestamp, name LIMIT 8",
            SESSIONS,
            USERS,
            "SELECT DISTINCT key FROM (SELECT unnest(json_object_keys(attributes)) AS key FROM logs) ORDER BY 1",
            "SELECT rule, labels, state FROM alert_states ORDER BY labels",
            "SELECT count(*) FROM alert_transitions",
            "SELECT id, title, severity, services FROM incidents ORDER BY id",
            "SELECT kind, source, text FROM timeline WHERE source = 'human' ORDER BY text",
            "SELECT seq, action, subject, hash FROM audit_log ORDER BY seq",
            "SELECT count(*) FROM postmortems",
        ]
        .map(str::to_owned),
    );
    all
}

async fn advance(server: &Server, to: &str) -> anyhow::Result<()> {
    let post = reqwest::Client::new().post(format!("http://{}/api/v1/clock", server.web));
    let response =
        post.header("content-type", "application/json").body(json!({"now": to}).to_string()).send().await?;
    ensure!(response.status().is_success(), "{}", response.text().await?);
    Ok(())
}

/// Copies a folder, larger files compressed: `name.zst`.
fn pack(from: &Path, to: &Path) -> anyhow::Result<()> {
    for path in files(from)? {
        let bytes = fs::read(&path)?;
        let name = path.strip_prefix(from)?.to_str().context("our names are UTF-8")?.to_owned();
        if bytes.len() <= PLAIN_BYTES_MAX {
            write(&to.join(name), &bytes)?;
        } else {
            write(&to.join(format!("{name}.zst")), &zstd::encode_all(&bytes[..], ZSTD_LEVEL)?)?;
        }
    }
    Ok(())
}

/// The inverse of [`pack`], byte for byte.
fn unpack(from: &Path, to: &Path) -> anyhow::Result<()> {
    for path in files(from)? {
        let bytes = fs::read(&path)?;
        let name = path.strip_prefix(from)?.to_str().context("our names are UTF-8")?;
        match name.strip_suffix(".zst") {
            Some(name) => write(&to.join(name), &zstd::decode_all(&bytes[..])?)?,
            None => write(&to.join(name), &bytes)?,
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    Ok(found)
}
