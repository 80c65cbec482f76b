//! Tables in object storage as a person has them: `serve`, `verify`, `backup` and `restore` with the same
//! `hindsight.toml`, against a real S3 service.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use prost::Message as _;
use serde_json::Value;

use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, text};
use crate::{answer, binary};

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

/// The service with one bucket, `telemetry`; ends when dropped.
struct Storage {
    endpoint: String,
    child: Child,
}

impl Storage {
    async fn start() -> anyhow::Result<Self> {
        let python =
            std::env::var_os("HINDSIGHT_PYTHON").context("HINDSIGHT_PYTHON; ./tests/run makes one")?;
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/s3_server.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
        let port: u16 = line.trim().parse().with_context(|| format!("s3_server.py said {line:?}"))?;
        let storage = Self { endpoint: format!("http://127.0.0.1:{port}"), child };
        let made = reqwest::Client::new().put(format!("{}/telemetry", storage.endpoint)).send().await?;
        ensure!(made.status().is_success(), "make the bucket: {}", made.status());
        Ok(storage)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // It has nothing to lose, and the test is over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command with `--json` on the workspace; its exit code and what it said.
fn run(workspace: &Path, arguments: &[&str]) -> anyhow::Result<(Option<i32>, Value, String)> {
    let mut command = binary::command()?;
    command.args(arguments).args(["--json", "--workspace", text(workspace)]).envs(KEYS);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Ok((output.status.code(), answer, said))
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_in_a_bucket_are_served_verified_backed_up_and_restored() -> anyhow::Result<()> {
    let storage = Storage::start().await?;
    let place = |prefix: &str| format!("s3://telemetry/{prefix}");
    let config = format!(
        "[ingest]\nseal_age = \"100ms\"\n[storage]\ntables = \"{}\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\n",
        place("first"),
        storage.endpoint
    );
    let (home, folder) = (Home::new(&config)?, tempfile::tempdir()?);
    let (data_dir, workspace) = (home.data_dir(), home.workspace());
    let server = home.serve_in(&KEYS, &[])?;
    for number in 0..5 {
        let body = otlp::logs(&format!("svc-{number}"), otlp::now(), &[("hello", vec![])]).encode_to_vec();
        let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", PROTOBUF);
        ensure!(post.body(body).send().await?.status() == 200, "request {number}");
    }
    let backup = folder.path().join("backup");
    let (code, _, said) = run(&workspace, &["backup", text(&backup), "--data-dir", text(&data_dir)])?;
    ensure!(code == Some(0), "beside the server: {said}");
    ensure!(server.terminate()?.success(), "the server ends well");
    ensure!(!data_dir.join("tables").try_exists()?, "no table is on this disk");
    let (code, report, said) = run(&workspace, &["verify", "--data-dir", text(&data_dir)])?;
    ensure!(code == Some(0) && report["checked"]["rows_read"] == 5, "{report}{said}");
    let (code, _, said) = run(&workspace, &["backup", text(&backup), "--data-dir", text(&data_dir)])?;
    ensure!(code == Some(0), "{said}");

    // The place of the original is taken; another one, and this disk, are not.
    let again = folder.path().join("again");
    let restore = ["restore", text(&backup), "--data-dir", text(&again)];
    let (code, _, said) = run(&workspace, &restore)?;
    ensure!(code == Some(1) && said.contains("s3://telemetry/first is not empty"), "{code:?}: {said}");
    ensure!(!again.try_exists()?, "nothing was written");
    for (number, place) in [place("second"), "local".to_owned()].iter().enumerate() {
        let copy = folder.path().join(format!("copy-{number}"));
        let restored = ["restore", text(&backup), "--data-dir", text(&copy), "--tables", place];
        let (code, _, said) = run(&workspace, &restored)?;
        ensure!(code == Some(0), "{place}: {said}");
        ensure!(copy.join("tables").try_exists()? == (place == "local"), "{place}");
        let (code, report, said) =
            run(&workspace, &["verify", "--data-dir", text(&copy), "--tables", place])?;
        ensure!(code == Some(0) && report["checked"]["rows_read"] == 5, "{place}: {report}{said}");
    }
    let copied = folder.path().join("copy-1");
    let counted =
        binary::run_well(&["sql", "--data-dir", text(&copied), "--json", "SELECT count(*) AS n FROM logs"])?;
    ensure!(answer::whole(answer::Answer::from_json(&counted)?.single()?)? == 5, "{counted}");

    drop(storage);
    let (code, report, said) = run(&workspace, &["verify", "--data-dir", text(&data_dir)])?;
    ensure!(code == Some(2) && report.is_null(), "storage that is away proves nothing: {code:?} {report}");
    ensure!(said.contains("could not list s3://telemetry/first"), "{said}");
    Ok(())
}
