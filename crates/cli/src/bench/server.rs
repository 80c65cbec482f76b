//! The server under load: one of our own on a fresh directory, or one that runs already.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::args::BenchIngestArgs;
use crate::remote::Remote;

/// Longest a start may take.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Longest an orderly end may take.
const END_LIMIT: Duration = Duration::from_secs(120);

/// What is measured.
#[derive(Debug)]
pub(super) struct Target {
    /// `ADDR:PORT` of OTLP/HTTP.
    pub(super) address: String,
    /// Its web port, when known: for status and counts.
    pub(super) web: Option<Remote>,
    /// Its process, when known.
    pub(super) pid: Option<u32>,
    /// Its data directory, when known.
    pub(super) data_dir: Option<PathBuf>,
    /// Ends with this.
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Target {
    /// `--url` and what came with it, else a new server.
    pub(super) fn open(args: &BenchIngestArgs) -> anyhow::Result<Self> {
        let Some(url) = &args.url else { return Self::start(args) };
        let address =
            url.strip_prefix("http://").with_context(|| format!("{url} does not begin with http://"))?;
        let address = address.trim_end_matches('/').to_owned();
        let web = args.web.as_deref().map(|web| Remote::new(web, args.token.clone())).transpose()?;
        Ok(Self { address, web, pid: args.pid, data_dir: args.data_dir.clone(), own: None })
    }

    fn start(args: &BenchIngestArgs) -> anyhow::Result<Self> {
        let folder = match &args.scratch {
            Some(parent) => tempfile::tempdir_in(parent),
            None => tempfile::tempdir(),
        };
        let folder = folder.context("make a folder for the server")?;
        let data_dir = folder.path().join("data");
        let workspace = args.workspace.clone().unwrap_or_else(|| folder.path().join("workspace"));
        std::fs::create_dir_all(&workspace).with_context(|| format!("make {}", workspace.display()))?;
        let mut command = Command::new(std::env::current_exe().context("find this program")?);
        for (name, _) in std::env::vars_os() {
            // What the person has set for their own server must not reach this one.
            if name.to_string_lossy().starts_with("HINDSIGHT_") {
                command.env_remove(name);
            }
        }
        command.arg("serve").arg("--data-dir").arg(&data_dir).arg("--workspace").arg(&workspace);
        for listen in ["--listen-grpc", "--listen-http", "--listen-web"] {
            command.args([listen, "127.0.0.1:0"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut own = Own { child: command.spawn().context("start a server")?, _folder: folder };
        let (http, web) = addresses(&mut own.child)?;
        let pid = Some(own.child.id());
        let web = Some(Remote::new(&format!("http://{web}"), None)?);
        Ok(Self { address: http, web, pid, data_dir: Some(data_dir), own: Some(own) })
    }

    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Ends a server of our own in good order; leaves any other running.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        let Some(own) = &mut self.own else { return Ok(()) };
        let pid = own.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().context("end the server")?;
        let asked = Instant::now();
        while asked.elapsed() < END_LIMIT {
            if let Some(status) = own.child.try_wait()? {
                if !status.success() {
                    bail!("the server ended with {status}");
                }
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the server had not ended after {} s", END_LIMIT.as_secs())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the line that says where the server listens; its later words are read and forgotten.
fn addresses(child: &mut Child) -> anyhow::Result<(String, String)> {
    let stderr = child.stderr.take().context("the server's standard error is ours")?;
    let (tell, said) = channel();
    std::thread::Builder::new().name("server-words".to_owned()).spawn(move || {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { return };
            // Nobody listens any more once the server is ready.
            let _ = tell.send(line);
        }
    })?;
    let started = Instant::now();
    let mut last = String::new();
    loop {
        match said.recv_timeout(START_LIMIT.saturating_sub(started.elapsed())) {
            Ok(line) => {
                if let Some(found) = line.strip_prefix("listening ") {
                    return of_line(found).with_context(|| format!("read `{line}`"));
                }
                last = line;
            }
            Err(RecvTimeoutError::Timeout) => {
                bail!("the server was not ready after {} s", START_LIMIT.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the server did not start: {last}"),
        }
    }
}

fn of_line(line: &str) -> anyhow::Result<(String, String)> {
    let word = |name: &str| {
        let found = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned).with_context(|| format!("it lacks {name}="))
    };
    Ok((word("http")?, word("web")?))
}

/// The directory whose file system the server writes to, for the report.
pub(super) fn shown(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.display().to_string())
}
