//! Headless Chromium over its DevTools protocol: pages as a reader's browser lays them out, prints and describes them.
//! The protocol runs through two pipes, one JSON message after the other with a zero byte behind each.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest wait for an answer or for a page to be there.
const LIMIT: Duration = Duration::from_secs(120);

/// What a page is shown on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Light,
    Dark,
    Paper,
}

/// A running browser with one page; killed when dropped.
pub(crate) struct Browser {
    child: Child,
    to: File,
    from: Receiver<Value>,
    /// Messages that nobody asked for yet.
    events: Vec<Value>,
    session: String,
    last_id: u64,
    /// Its profile and its pipes.
    _folder: TempDir,
}

impl Browser {
    /// Starts Chromium; nothing is left of it afterwards.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let (requests, answers) = (path("requests"), path("answers"));
        let made = Command::new("mkfifo").args([&requests, &answers]).status()?;
        ensure!(made.success(), "make the pipes to the browser");
        // The protocol is on descriptors 3 and 4, which only a shell hands over without unsafe code.
        let child = Command::new("sh")
            .args(["-c", "exec chromium \"$@\" 3<\"$REQUESTS\" 4>\"$ANSWERS\"", "chromium"])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
            .args([
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "--no-first-run",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", path("profile").display()))
            .env("REQUESTS", &requests)
            .env("ANSWERS", &answers)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start chromium; ./tests/run installs it")?;
        let to = File::options().write(true).open(&requests)?;
        let from = listen(File::open(&answers)?);
        let mut browser =
            Self { child, to, from, events: Vec::new(), session: String::new(), last_id: 0, _folder: folder };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &attach)?;
        browser.session = attached["sessionId"].as_str().context("the session has a name")?.to_owned();
        browser.call("Page.enable", &json!({}))?;
        Ok(browser)
    }

    /// The size of the window, and what it is.
    pub(crate) fn look(&mut self, width: u32, height: u32, look: Look) -> anyhow::Result<()> {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &metrics)?;
        let (media, scheme) = match look {
            Look::Light => ("screen", "light"),
            Look::Dark => ("screen", "dark"),
            Look::Paper => ("print", "light"),
        };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let media = json!({"media": media, "features": features});
        self.call("Emulation.setEmulatedMedia", &media)?;
        Ok(())
    }

    /// Opens a page and returns once it is laid out and all its parts are there.
    pub(crate) fn open(&mut self, url: &str) -> anyhow::Result<()> {
        self.events.clear();
        let began = self.call("Page.navigate", &json!({"url": url}))?;
        ensure!(began.get("errorText").is_none(), "{url}: {began}");
        self.wait_for("Page.loadEventFired").with_context(|| format!("open {url}"))
    }

    /// The value of an expression in the page; a promise is waited for. No content policy keeps it out.
    pub(crate) fn evaluate(&mut self, expression: &str) -> anyhow::Result<Value> {
        let call = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", &call)?;
        ensure!(answer.get("exceptionDetails").is_none(), "{}", answer["exceptionDetails"]);
        Ok(answer["result"]["value"].take())
    }

    /// The page on A4, as its own print styles want it, as a PDF.
    pub(crate) fn pdf(&mut self) -> anyhow::Result<Vec<u8>> {
        let a4 = json!({"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": true});
        let answer = self.call("Page.printToPDF", &a4)?;
        Ok(BASE64_STANDARD.decode(answer["data"].as_str().context("a PDF")?)?)
    }

    fn call(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        self.last_id += 1;
        let mut call = json!({"id": self.last_id, "method": method, "params": params});
        if !self.session.is_empty() {
            call["sessionId"] = Value::from(self.session.as_str());
        }
        let mut bytes = serde_json::to_vec(&call)?;
        bytes.push(0);
        self.to.write_all(&bytes).with_context(|| format!("say {method} to the browser"))?;
        let started = Instant::now();
        loop {
            let mut answer = self.next(started).with_context(|| format!("answer to {method}"))?;
            if answer["id"] != self.last_id {
                self.events.push(answer);
            } else if answer.get("error").is_some() {
                bail!("{method}: {}", answer["error"]);
            } else {
                return Ok(answer["result"].take());
            }
        }
    }

    fn wait_for(&mut self, event: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        while !self.events.iter().any(|seen| seen["method"] == event) {
            let seen = self.next(started).with_context(|| format!("wait for {event}"))?;
            self.events.push(seen);
        }
        Ok(())
    }

    fn next(&self, started: Instant) -> anyhow::Result<Value> {
        Ok(self.from.recv_timeout(LIMIT.saturating_sub(started.elapsed()))?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The helpers of a browser end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The script of axe-core, which checks a page for what keeps people out.
pub(crate) fn axe() -> anyhow::Result<String> {
    let path = std::env::var_os("HINDSIGHT_AXE")
        .context("HINDSIGHT_AXE is not set; run ./tests/run, or point it at axe-core's axe.min.js")?;
    let path = PathBuf::from(path);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Messages of the browser, read on a thread of their own until it ends.
fn listen(answers: File) -> Receiver<Value> {
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        let messages = BufReader::new(answers).split(0);
        for message in messages.map_while(Result::ok) {
            let Ok(message) = serde_json::from_slice(&message) else { return };
            if tell.send(message).is_err() {
                return;
            }
        }
    });
    heard
}
