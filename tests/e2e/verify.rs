//! `hindsight verify` as a person runs it: beside a server, after a kill, on damage, and its three exit codes.

use std::path::Path;

use anyhow::Context as _;
use prost::Message as _;
use serde_json::Value;

use crate::binary;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server, text};

/// A server that has taken three requests and sealed some of them.
async fn filled() -> anyhow::Result<(Home, Server)> {
    let home = Home::new("[ingest]\nseal_age = \"100ms\"\n")?;
    let server = home.serve()?;
    for number in 0..3 {
        let body = otlp::logs(&format!("svc-{number}"), otlp::now(), &[("hello", vec![])]).encode_to_vec();
        let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", PROTOBUF);
        assert_eq!(post.body(body).send().await?.status(), 200);
    }
    Ok((home, server))
}

fn verify(data_dir: &Path, more: &[&str]) -> anyhow::Result<(Option<i32>, String, String)> {
    let output = binary::run(&[&["verify", "--data-dir", text(data_dir)], more].concat())?;
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).context("read what verify said");
    Ok((output.status.code(), said(output.stdout)?, said(output.stderr)?))
}

#[tokio::test]
async fn a_killed_and_a_stopped_servers_directory_are_clean_and_a_running_ones_is_not_touched()
-> anyhow::Result<()> {
    let (home, server) = filled().await?;
    let (code, out, err) = verify(&home.data_dir(), &[])?;
    assert_eq!((code, out.as_str()), (Some(2), ""), "a running server's directory cannot be checked: {err}");
    assert!(err.contains("in use by process"), "{err}");
    server.kill_9()?;
    let (code, out, err) = verify(&home.data_dir(), &["--json"])?;
    assert_eq!(code, Some(0), "{out}{err}");
    let report: Value = serde_json::from_str(&out)?;
    assert_eq!((report["clean"].as_bool(), report["problems"].as_u64()), (Some(true), Some(0)), "{report}");
    assert!(home.serve()?.terminate()?.success());
    for more in [&["--json"][..], &["--json", "--quick"]] {
        let (code, out, _) = verify(&home.data_dir(), more)?;
        let report: Value = serde_json::from_str(&out)?;
        assert_eq!(code, Some(0), "{report}");
        assert_eq!(report["checked"]["block_rows"], 3, "{report}");
        // The kill may have come in the middle of a seal, which leaves a file that no commit names.
        let kinds = report["findings"].as_array().context("findings is a list")?;
        assert!(kinds.iter().all(|finding| finding["kind"] == "orphan_file"), "{report}");
    }
    assert!(home.serve()?.terminate()?.success(), "a check leaves nothing that hinders the next start");
    Ok(())
}

#[tokio::test]
async fn damage_is_told_with_place_and_advice_and_exit_code_1() -> anyhow::Result<()> {
    let (home, server) = filled().await?;
    assert!(server.terminate()?.success());
    let state = home.data_dir().join("state.db");
    // SQLite's own log may hold newer pages than the file; without it the file is all there is.
    for beside in ["state.db-wal", "state.db-shm"] {
        drop(std::fs::remove_file(home.data_dir().join(beside)));
    }
    std::fs::write(&state, vec![0x55; 8_192])?;
    let (code, out, _) = verify(&home.data_dir(), &[])?;
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("problem: state.db: ") && out.contains("restore state.db from a backup"), "{out}");

    let wal = home.data_dir().join("wal/00000000000000000001.wal");
    let mut bytes = std::fs::read(&wal)?;
    bytes[40] ^= 1;
    std::fs::write(&wal, bytes)?;
    let (code, out, _) = verify(&home.data_dir(), &["--json"])?;
    let report: Value = serde_json::from_str(&out)?;
    assert_eq!(code, Some(1), "{report}");
    let found = report["findings"].as_array().context("findings is a list")?;
    let found =
        found.iter().find(|finding| finding["kind"] == "wal_damaged").context("the log is damaged")?;
    assert_eq!(found["severity"], "problem");
    assert_eq!(found["place"], "wal/00000000000000000001.wal");
    Ok(())
}

#[test]
fn what_is_no_data_directory_is_refused_and_left_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for path in [folder.path().to_path_buf(), folder.path().join("absent")] {
        let (code, out, err) = verify(&path, &[])?;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains("is not a data directory"), "{err}");
    }
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 0, "nothing was made");
    Ok(())
}
