//! `hindsight tail`: each log once, as they come, filtered, through a restart, to a clean end.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use prost::Message as _;
use serde_json::Value;

use crate::binary;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server, text};

const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: u64 = 1_000_000_000;

/// A running `tail`, killed when dropped.
struct Tail {
    child: Child,
    lines: Receiver<String>,
    said: Receiver<String>,
}

impl Tail {
    fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = binary::command()?;
        command.arg("tail").args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let lines = listen(child.stdout.take().context("stdout is piped")?);
        let said = listen(child.stderr.take().context("stderr is piped")?);
        Ok(Self { child, lines, said })
    }

    /// The next line of output.
    fn line(&self) -> anyhow::Result<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("no line within {PATIENCE:?}: {:?}", self.said()),
            Err(RecvTimeoutError::Disconnected) => bail!("tail ended: {:?}", self.said()),
        }
    }

    /// The next lines, each cut down to what follows the service.
    fn bodies(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let body = |line: String| line.rsplit_once("  ").map(|(_, body)| body.to_owned()).context(line);
        (0..count).map(|_| body(self.line()?)).collect()
    }

    fn said(&self) -> Vec<String> {
        self.said.try_iter().collect()
    }

    fn wait_until_said(&self, words: &str) -> anyhow::Result<()> {
        loop {
            let line = self.said.recv_timeout(PATIENCE).with_context(|| format!("`{words}` was not said"))?;
            if line.contains(words) {
                return Ok(());
            }
        }
    }

    fn interrupt(mut self) -> anyhow::Result<ExitStatus> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-INT", &pid]).status()?.success());
        ended(&mut self.child)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ended(child: &mut Child) -> anyhow::Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        ensure!(started.elapsed() < PATIENCE, "tail had not ended after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn listen(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Sends logs of a service with these severities and bodies.
async fn send(server: &Server, service: &str, at: u64, logs: &[(i32, &str)]) -> anyhow::Result<()> {
    let bodies: Vec<(&str, Vec<_>)> = logs.iter().map(|(_, body)| (*body, vec![])).collect();
    let mut request = otlp::logs(service, at, &bodies);
    for scope in request.resource_logs.iter_mut().flat_map(|resource| &mut resource.scope_logs) {
        for (record, (severity, _)) in scope.log_records.iter_mut().zip(logs) {
            record.severity_number = *severity;
        }
    }
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", PROTOBUF);
    let status = post.body(request.encode_to_vec()).send().await?.status();
    ensure!(status.is_success(), "sent logs: {status}");
    Ok(())
}

fn url(server: &Server) -> String {
    format!("http://{}", server.web)
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_printed_once_oldest_first_and_late_ones_too() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let now = otlp::now();
    send(&server, "cart", now - 600 * SECOND, &[(9, "too old")]).await?;
    send(&server, "cart", now - 20 * SECOND, &[(9, "second"), (9, "second")]).await?;
    send(&server, "cart", now - 30 * SECOND, &[(17, "first")]).await?;
    let tail = Tail::start(&["--url", &url(&server)])?;
    assert_eq!(tail.bodies(3)?, ["first", "second", "second"]);
    send(&server, "cart", otlp::now(), &[(9, "fresh")]).await?;
    assert_eq!(tail.bodies(1)?, ["fresh"]);
    send(&server, "cart", now - 20 * SECOND, &[(9, "second"), (9, "late")]).await?;
    let mut late = tail.bodies(2)?;
    late.sort();
    assert_eq!(late, ["late", "second"], "one more that looks the same is one more");
    send(&server, "cart", otlp::now(), &[(9, "two\nlines \u{1b}[2J")]).await?;
    assert_eq!(tail.bodies(1)?, ["two"]);
    assert_eq!(tail.line()?, "    lines ␛[2J");
    assert!(tail.interrupt()?.success(), "Ctrl-C is the usual way to end it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_choose_and_json_has_every_column() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let now = otlp::now();
    send(&server, "cart", now, &[(9, "pool info"), (13, "pool is low"), (17, "disk is full")]).await?;
    send(&server, "shop", now, &[(17, "pool is empty")]).await?;
    let url = url(&server);
    let tail = |more: &[&str]| -> anyhow::Result<Vec<String>> {
        let text = binary::run_well(&[&["tail", "--url", &url, "--no-follow"], more].concat())?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    assert_eq!(tail(&[])?.len(), 4);
    assert_eq!(tail(&["--service", "cart"])?.len(), 3);
    assert_eq!(tail(&["--service", "cart", "--service", "shop", "--severity", "error"])?.len(), 2);
    let lines = tail(&["--severity", "warn", "--match", "pool", "--where", "service_name = 'cart' -- only"])?;
    ensure!(lines.len() == 1 && lines[0].ends_with(" WARN  cart  pool is low"), "{lines:?}");
    let row: BTreeMap<String, Value> = serde_json::from_str(&tail(&["--json", "--service", "shop"])?[0])?;
    assert_eq!(row["body"], "pool is empty");
    assert!(row.contains_key("resource_attributes") && row.contains_key("observed_timestamp"), "{row:?}");

    let wrong = binary::run(&["tail", "--url", &url, "--where", "nonsense = 1"])?;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("nonsense"));
    assert!(server.terminate()?.success());
    let folder = home.data_dir();
    let offline = binary::run_well(&["tail", "--data-dir", text(&folder)])?;
    assert_eq!(offline.lines().count(), 4, "a folder without a server is printed, and that is all");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_loses_nothing_and_repeats_nothing() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let web = server.web;
    send(&server, "cart", otlp::now(), &[(9, "before")]).await?;
    let tail = Tail::start(&["--url", &url(&server)])?;
    assert_eq!(tail.bodies(1)?, ["before"]);
    assert!(server.terminate()?.success());
    tail.wait_until_said("trying again")?;
    let server = home.serve_at(web)?;
    send(&server, "cart", otlp::now(), &[(9, "after")]).await?;
    assert_eq!(tail.bodies(1)?, ["after"]);
    tail.wait_until_said("answers again")?;
    assert!(tail.interrupt()?.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_ends_it_though_nothing_comes() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    send(&server, "cart", otlp::now(), &[(9, "only")]).await?;
    let mut command = binary::command()?;
    command.args(["tail", "--url", &url(&server)]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    let mut output = child.stdout.take().context("stdout is piped")?;
    output.read_exact(&mut [0; 4])?;
    drop(output);
    let status = ended(&mut child);
    // Nobody else ends it when this fails.
    let _ = child.kill();
    assert!(status?.success());
    Ok(())
}
