//! The real server as a child process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::answer::{Answer, whole};
use crate::binary;

/// Longest a start may take, replay of the log included.
const START_LIMIT: Duration = Duration::from_secs(90);
/// Longest an orderly end may take.
const END_LIMIT: Duration = Duration::from_secs(60);
/// Lines of the server's own words shown when a test fails.
const LAST_WORDS: usize = 40;

/// A data directory and a workspace that outlive the servers started on them.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// A fresh one, with this `hindsight.toml`.
    pub(crate) fn new(config: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for the server")?;
        std::fs::create_dir(folder.path().join("workspace"))?;
        std::fs::write(folder.path().join("workspace/hindsight.toml"), config)?;
        Ok(Self { folder })
    }

    /// A folder that has `data` and `workspace` already.
    pub(crate) fn at(folder: TempDir) -> Self {
        Self { folder }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    /// `serve` on free ports.
    pub(crate) fn serve(&self) -> anyhow::Result<Server> {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, more: &[&str]) -> anyhow::Result<Server> {
        self.serve_in(&[], more)
    }

    /// `serve` with these environment variables.
    pub(crate) fn serve_in(&self, environment: &[(&str, &str)], more: &[&str]) -> anyhow::Result<Server> {
        let mut command = self.command("127.0.0.1:0")?;
        command.envs(environment.iter().copied()).args(more);
        Server::start(command)
    }

    /// `serve` with the pages and the API at an address that was free a moment ago.
    pub(crate) fn serve_at(&self, web: SocketAddr) -> anyhow::Result<Server> {
        Server::start(self.command(&web.to_string())?)
    }

    fn command(&self, web: &str) -> anyhow::Result<Command> {
        let mut command = binary::command()?;
        command.arg("serve").arg("--data-dir").arg(self.data_dir()).arg("--workspace").arg(self.workspace());
        command.args(["--listen-grpc", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--listen-web", web]);
        Ok(command)
    }
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    said: Receiver<String>,
    heard: Vec<String>,
    client: reqwest::Client,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) web: SocketAddr,
    /// Only when `--listen-pg` was given.
    pub(crate) pg: Option<SocketAddr>,
}

impl Server {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("start hindsight serve")?;
        let (tell, said) = channel();
        listen_to(child.stderr.take().context("the child's stderr is piped")?, tell);
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        // One idle connection at most, so that tests may count those of the server.
        let client = reqwest::Client::builder().pool_max_idle_per_host(1).build()?;
        let mut server = Self {
            child,
            said,
            heard: Vec::new(),
            client,
            grpc: nowhere,
            http: nowhere,
            web: nowhere,
            pg: None,
        };
        server.wait_for_addresses()?;
        Ok(server)
    }

    fn wait_for_addresses(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let left = START_LIMIT.saturating_sub(started.elapsed());
            let line = match self.said.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => bail!("the server was not ready after {START_LIMIT:?}"),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the server ended before it was ready:\n{}", self.heard.join("\n"))
                }
            };
            let found = line.strip_prefix("listening ").map(addresses).transpose()?;
            self.heard.push(line);
            if let Some(((grpc, http, web), pg)) = found {
                (self.grpc, self.http, self.web, self.pg) = (grpc, http, web, pg);
                return Ok(());
            }
        }
    }

    /// SIGKILL: what the server did not write is gone.
    pub(crate) fn kill_9(mut self) -> anyhow::Result<()> {
        self.child.kill().context("kill the server")?;
        self.child.wait().context("wait for the killed server")?;
        Ok(())
    }

    /// SIGTERM; returns how the server ended, or its last words if that was not well.
    pub(crate) fn terminate(mut self) -> anyhow::Result<ExitStatus> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().context("send SIGTERM")?;
        ensure!(sent.success(), "kill -TERM {pid} failed");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the server ended with {status}:\n{}", self.last_words());
                return Ok(status);
            }
            ensure!(started.elapsed() < END_LIMIT, "the server had not ended {END_LIMIT:?} after SIGTERM");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it said last; for a server that has ended.
    fn last_words(&mut self) -> String {
        // The thread that listens is done at the end of the pipe.
        while let Ok(line) = self.said.recv_timeout(Duration::from_secs(1)) {
            self.heard.push(line);
        }
        self.heard[self.heard.len().saturating_sub(LAST_WORDS)..].join("\n")
    }

    pub(crate) fn otlp_url(&self, signal: &str) -> String {
        format!("http://{}/v1/{signal}", self.http)
    }

    /// The most memory that the server ever held, in bytes.
    pub(crate) fn peak_memory_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// One figure of `/metrics`, with its labels if it has any.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let text = self.client.get(format!("http://{}/metrics", self.web)).send().await?.text().await?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.with_context(|| format!("{name} is not in\n{text}"))?.parse().context("read the figure")
    }

    /// Runs a query; anything but success fails with the server's own words.
    pub(crate) async fn sql(&self, sql: &str) -> anyhow::Result<Answer> {
        self.sql_with(sql, json!({})).await
    }

    pub(crate) async fn sql_with(&self, sql: &str, params: Value) -> anyhow::Result<Answer> {
        let url = format!("http://{}/api/v1/sql", self.web);
        let question = json!({"sql": sql, "params": params}).to_string();
        let request = self.client.post(url).header("content-type", "application/json").body(question);
        let response = request.send().await.context("ask the server")?;
        let status = response.status();
        let text = response.text().await.context("read the server's answer")?;
        ensure!(status.is_success(), "{sql}\ngave {status}: {text}");
        Answer::from_json(&text)
    }

    /// The rows of a table that satisfy a condition, counted.
    pub(crate) async fn count(&self, table: &str, condition: &str) -> anyhow::Result<i64> {
        let answer = self.sql(&format!("SELECT count(*) AS n FROM {table} WHERE {condition}")).await?;
        whole(answer.single()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the server's last words:\n{}", self.last_words());
        }
    }
}

/// Passes on what the child writes, line by line, until it ends.
fn listen_to(stderr: ChildStderr, tell: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { return };
            if tell.send(line).is_err() {
                return;
            }
        }
    });
}

/// The three ports that are always there, and the one that may be.
type Listening = ((SocketAddr, SocketAddr, SocketAddr), Option<SocketAddr>);

/// Reads `grpc=ADDR:PORT http=ADDR:PORT web=ADDR:PORT [pg=ADDR:PORT]`.
fn addresses(line: &str) -> anyhow::Result<Listening> {
    let word =
        |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let read = |word: &str| word.parse().with_context(|| format!("read the address {word}"));
    let address = |name: &str| -> anyhow::Result<SocketAddr> {
        read(word(name).with_context(|| format!("`listening {line}` lacks {name}="))?)
    };
    let pg = word("pg").map(read).transpose()?;
    Ok(((address("grpc")?, address("http")?, address("web")?), pg))
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have names in UTF-8")
}
