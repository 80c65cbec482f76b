//! The binary at a terminal: `script` makes one, types what it is given, and passes on what is shown.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::binary;

/// Longest wait for something to be shown.
const PATIENCE: Duration = Duration::from_secs(60);
/// Columns of the terminal.
const COLUMNS: usize = 100;

/// A running program, killed when dropped.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
    /// Of what was shown, how much was looked at.
    seen: usize,
}

impl Terminal {
    /// `hindsight` with these arguments and environment variables.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let path = binary::path()?;
        let words: Vec<String> = [path.to_str().context("a path in UTF-8")?]
            .iter()
            .chain(arguments)
            .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
            .collect();
        let line = format!("stty rows 40 cols {COLUMNS}; exec {}", words.join(" "));
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"])
            .envs(environment.iter().copied())
            .env_remove("HINDSIGHT_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("start `script`, which makes terminals")?;
        let keys = child.stdin.take().context("the child's stdin is piped")?;
        let mut output = child.stdout.take().context("the child's stdout is piped")?;
        let shown = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..length]);
            }
        });
        Ok(Self { child, keys, shown, seen: 0 })
    }

    pub(crate) fn press(&mut self, keys: &str) -> anyhow::Result<()> {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).context("press keys")
    }

    /// Waits until something is shown after what was waited for before, and returns what came in between.
    pub(crate) fn wait_for(&mut self, text: &str) -> anyhow::Result<String> {
        let started = Instant::now();
        loop {
            let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let new = String::from_utf8_lossy(&shown[self.seen..]).into_owned();
            if let Some(at) = find(&shown[self.seen..], text.as_bytes()) {
                self.seen += at + text.len();
                return Ok(new);
            }
            if started.elapsed() > PATIENCE {
                bail!("waited {PATIENCE:?} in vain for `{text}`; shown was\n{new}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the program's end.
    pub(crate) fn end(mut self) -> anyhow::Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() > PATIENCE {
                bail!("the program had not ended after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    whole.windows(part.len()).position(|window| window == part)
}
