//! `hindsight backup` and `restore` around a server under load: whatever was acknowledged before the backup began is
//! in the restored copy exactly once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use prost::Message as _;
use serde_json::Value;

use crate::answer::{Answer, whole};
use crate::binary;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, text};
use crate::wait::wait_until;

/// Seal all the time, in small segments' worth, so that the backup meets commits and removals.
const CONFIG: &str = "[ingest]\nseal_age = \"50ms\"\n";
const CLIENTS: u64 = 3;
const BACKUPS: u64 = 3;
/// Requests acknowledged before each backup begins.
const BEFORE_EACH: u64 = 40;

/// How many requests of each client were acknowledged; a client's requests are numbered from 0.
struct Load {
    acknowledged: Vec<AtomicU64>,
    stop: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_restores_to_every_acknowledged_item_once() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let load = Arc::new(Load {
        acknowledged: (0..CLIENTS).map(|_| AtomicU64::new(0)).collect(),
        stop: AtomicBool::new(false),
    });
    let clients: Vec<_> =
        (0..CLIENTS).map(|client| tokio::spawn(write(server.http, client, Arc::clone(&load)))).collect();
    let folder = tempfile::tempdir()?;
    let mut copied = Vec::new();
    for round in 1..=BACKUPS {
        wait_until("enough requests are acknowledged", Duration::from_secs(60), async || {
            Ok((load.total() >= round * BEFORE_EACH).then_some(()))
        })
        .await?;
        let before = load.now();
        let (data_dir, dest) = (home.data_dir(), folder.path().join("backup"));
        let said = blocking(move || {
            binary::run_well(&["backup", text(&dest), "--data-dir", text(&data_dir), "--json"])
        })
        .await?;
        let after = load.now();
        let report: Value = serde_json::from_str(&said)?;
        ensure!(report["generation"] == round, "{report}");
        copied.push(report["copied_files"].as_u64().context("copied_files")?);
        let (dest, restored) =
            (folder.path().join("backup"), folder.path().join(format!("restored-{round}")));
        let (answer, verdict) = blocking(move || {
            binary::run_well(&["restore", text(&dest), "--data-dir", text(&restored), "--json"])?;
            let verdict = binary::run_well(&["verify", "--data-dir", text(&restored), "--json"])?;
            let sql = "SELECT service_name, count(*) AS rows, count(DISTINCT body) AS items, max(CAST(body AS BIGINT)) \
                       AS last FROM logs GROUP BY service_name ORDER BY service_name";
            let answer = binary::run_well(&["sql", "--data-dir", text(&restored), "--json", sql])?;
            Ok((answer, verdict))
        })
        .await?;
        let verdict: Value = serde_json::from_str(&verdict)?;
        ensure!(verdict["clean"] == true && verdict["checked"]["state_version"].is_i64(), "{verdict}");
        check(&Answer::from_json(&answer)?, &before, &after)?;
    }
    load.stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await??;
    }
    assert!(server.terminate()?.success());
    // With nothing new, a backup copies only what it always does: the state, and what the end of the server sealed.
    let (data_dir, dest) = (home.data_dir(), folder.path().join("backup"));
    for (times, most) in [(1, u64::MAX), (2, 1)] {
        let said = binary::run_well(&["backup", text(&dest), "--data-dir", text(&data_dir), "--json"])?;
        let report: Value = serde_json::from_str(&said)?;
        ensure!(report["copied_files"].as_u64().is_some_and(|files| files <= most), "{times}: {report}");
    }
    Ok(())
}

/// Numbers without a gap from 0, none twice, at least those acknowledged before and at most those sent.
fn check(answer: &Answer, before: &[u64], after: &[u64]) -> anyhow::Result<()> {
    ensure!(answer.rows.len() == before.len(), "a client is missing: {:?}", answer.rows);
    for (client, row) in answer.rows.iter().enumerate() {
        let (rows, items, last) = (whole(&row[1])?, whole(&row[2])?, whole(&row[3])?);
        ensure!(rows == items, "client {client}: {rows} rows of {items} items: something is doubled");
        ensure!(items == last + 1, "client {client}: {items} items up to number {last}: something is lost");
        let (least, most) = (i64::try_from(before[client])?, i64::try_from(after[client])? + 1);
        ensure!(
            rows >= least,
            "client {client}: {least} were acknowledged before the backup, {rows} are there"
        );
        ensure!(rows <= most, "client {client}: {rows} are there, {most} were sent by its end");
    }
    Ok(())
}

impl Load {
    fn now(&self) -> Vec<u64> {
        self.acknowledged.iter().map(|count| count.load(Ordering::SeqCst)).collect()
    }

    fn total(&self) -> u64 {
        self.now().iter().sum()
    }
}

async fn write(http: SocketAddr, client: u64, load: Arc<Load>) -> anyhow::Result<()> {
    let connection = reqwest::Client::new();
    for number in 0_u64.. {
        if load.stop.load(Ordering::SeqCst) {
            return Ok(());
        }
        let body = otlp::logs(&format!("client-{client}"), otlp::now(), &[(&number.to_string(), vec![])]);
        let body = body.encode_to_vec();
        // Pushing back is allowed; the same bytes are sent until they are taken.
        loop {
            let post = connection.post(format!("http://{http}/v1/logs")).header("content-type", PROTOBUF);
            let status = post.body(body.clone()).send().await?.status();
            if status.is_success() {
                break;
            }
            ensure!(matches!(status.as_u16(), 429 | 503), "request {number} was answered {status}");
        }
        load.acknowledged[usize::try_from(client)?].store(number + 1, Ordering::SeqCst);
    }
    unreachable!("a client ends when it is told to")
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

#[test]
fn a_restore_needs_a_backup_and_an_empty_directory() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let fails = |source: &std::path::Path, data_dir: &std::path::Path, said: &str| -> anyhow::Result<()> {
        let output = binary::run(&["restore", text(source), "--data-dir", text(data_dir)])?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(1) && error.contains(said), "{error}");
        Ok(())
    };
    let target = folder.path().join("data");
    fails(folder.path(), &target, "holds no finished backup")?;
    ensure!(!target.try_exists()?, "nothing was made");
    let home = Home::new("")?;
    assert!(home.serve()?.terminate()?.success());
    let backup = folder.path().join("backup");
    binary::run_well(&["backup", text(&backup), "--data-dir", text(&home.data_dir())])?;
    fails(&backup, &home.data_dir(), "is not empty")?;
    let inside = home.data_dir().join("backup");
    let output = binary::run(&["backup", text(&inside), "--data-dir", text(&home.data_dir())])?;
    ensure!(!output.status.success() && !inside.try_exists()?);
    Ok(())
}
