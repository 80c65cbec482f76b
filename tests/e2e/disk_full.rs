//! A real file system without room: intake pauses, questions are answered, and everything goes on when there is room
//! again, without a restart. Needs the right to mount a small file system in memory, and says so where it has not.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use prost::Message as _;

use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server};
use crate::wait::wait_until;

const DISK_BYTES: u64 = 24 << 20;
/// A third of a megabyte a request that compression does not make much smaller.
const BODY_BYTES: usize = 330_000;
const REQUESTS_MAX: usize = 400;
const RESUMES_WITHIN: Duration = Duration::from_secs(60);

/// A file system of [`DISK_BYTES`], gone when dropped.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path) -> anyhow::Result<Option<Self>> {
        std::fs::create_dir_all(at)?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs"]).arg(at);
        let mounted = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        Ok(mounted.is_ok_and(|status| status.success()).then_some(Self(at)))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

fn body(number: usize) -> Vec<u8> {
    let mut state = u64::try_from(number).expect("few requests") + 1;
    let text: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    })
    .take(BODY_BYTES / 16 / 6)
    .collect();
    let bodies: Vec<(&str, Vec<_>)> = (0..6).map(|_| (text.as_str(), vec![])).collect();
    // Six records of 55 KB; the value limit is 64 KiB.
    otlp::logs("full", otlp::now() + number as u64, &bodies).encode_to_vec()
}

async fn post(server: &Server, body: Vec<u8>) -> anyhow::Result<reqwest::Response> {
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", PROTOBUF);
    Ok(post.body(body).send().await?)
}

async fn kept(server: &Server) -> anyhow::Result<usize> {
    Ok(usize::try_from(server.count("logs", "service_name = 'full'").await?)? / 6)
}

/// Sends until the disk is full; returns how many were acknowledged.
async fn fill(server: &Server) -> anyhow::Result<usize> {
    for number in 0..REQUESTS_MAX {
        let response = post(server, body(number)).await?;
        if response.status() == 200 {
            continue;
        }
        assert_eq!(response.status(), 503);
        ensure!(response.headers().contains_key("retry-after"), "no Retry-After");
        let said = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        ensure!(said.contains("disk is full"), "another reason: {said}");
        return Ok(number);
    }
    anyhow::bail!("{REQUESTS_MAX} requests fitted on a disk of {DISK_BYTES} bytes")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_pauses_intake_and_nothing_else() -> anyhow::Result<()> {
    let home = Home::new("[ingest]\nseal_age = \"1h\"\n")?;
    let data_dir = home.data_dir();
    let Some(_disk) = Disk::mount(&data_dir)? else {
        writeln!(std::io::stderr(), "skipped: this user may not mount a file system")?;
        return Ok(());
    };
    // What an operator may delete to make room.
    let ballast = data_dir.join("ballast");
    std::fs::write(&ballast, vec![0; 6 << 20])?;
    let server = home.serve()?;
    let taken = fill(&server).await?;
    ensure!(taken > 3, "only {taken} requests fitted");
    assert_eq!(kept(&server).await?, taken, "what was acknowledged is there, what was refused is not");
    assert_eq!(server.metric("hindsight_wal_poisoned").await?, 0, "a failed append is not a failed sync");
    assert!(server.metric("hindsight_unavailable_total").await? >= 1);

    std::fs::remove_file(&ballast).context("make room")?;
    wait_until("intake resumed", RESUMES_WITHIN, async || {
        Ok((post(&server, body(taken)).await?.status() == 200).then_some(()))
    })
    .await?;
    assert_eq!(kept(&server).await?, taken + 1);
    server.kill_9()?;
    let server = home.serve()?;
    assert_eq!(kept(&server).await?, taken + 1, "after a kill too");
    Ok(())
}

/// The log has room and the blocks have not: their rows stay visible, and are sealed once there is room.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_find_no_room_are_written_when_there_is_some() -> anyhow::Result<()> {
    let home = Home::new("[ingest]\nseal_age = \"2s\"\n")?;
    let tables = home.data_dir().join("tables");
    let Some(_disk) = Disk::mount(&tables)? else {
        writeln!(std::io::stderr(), "skipped: this user may not mount a file system")?;
        return Ok(());
    };
    let ballast = tables.join("ballast");
    let server = home.serve()?;
    std::fs::write(&ballast, vec![0; usize::try_from(DISK_BYTES)? - (128 << 10)])?;
    for number in 0..4 {
        assert_eq!(post(&server, body(number)).await?.status(), 200, "the log is elsewhere");
    }
    wait_until("a seal failed", RESUMES_WITHIN, async || {
        Ok((server.metric("hindsight_seal_failures_total").await? > 0).then_some(()))
    })
    .await?;
    assert_eq!(kept(&server).await?, 4);
    assert_eq!(post(&server, body(4)).await?.status(), 200, "intake goes on while the head has room");
    std::fs::remove_file(&ballast)?;
    wait_until("the rows were sealed", RESUMES_WITHIN, async || {
        Ok((server.metric("hindsight_head_rows").await? == 0).then_some(()))
    })
    .await?;
    assert_eq!(kept(&server).await?, 5);
    assert!(server.count("blocks", "table_name = 'logs'").await? >= 1);
    assert!(server.terminate()?.success());
    let server = home.serve()?;
    assert_eq!(kept(&server).await?, 5);
    Ok(())
}
