//! Debian's Alertmanager as a child process.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::server::text;
use crate::wait::wait_until;

const START_LIMIT: Duration = Duration::from_secs(60);

/// Tells a webhook; ends when dropped.
#[derive(Debug)]
pub(super) struct Alertmanager {
    pub(super) url: String,
    child: Child,
    _folder: TempDir,
}

impl Alertmanager {
    pub(super) async fn start(webhook: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = format!(
            "route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
             receivers: [{{name: hook, webhook_configs: [{{url: \"{webhook}\"}}]}}]\n"
        );
        let config_file = folder.path().join("alertmanager.yml");
        std::fs::write(&config_file, config)?;
        // Free a moment ago: it cannot be asked for a port of its own choice.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", text(&config_file)))
            .arg(format!("--storage.path={}", text(&folder.path().join("data"))))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start prometheus-alertmanager; ./tests/run installs it")?;
        let alertmanager = Self { url: format!("http://127.0.0.1:{port}"), child, _folder: folder };
        wait_until("Alertmanager was ready", START_LIMIT, async || {
            let answer = reqwest::get(format!("{}/-/ready", alertmanager.url)).await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        })
        .await?;
        Ok(alertmanager)
    }

    /// The alerts that it believes to fire.
    pub(super) async fn alerts(&self) -> anyhow::Result<Vec<Value>> {
        let text = reqwest::get(format!("{}/api/v2/alerts?active=true", self.url)).await?.text().await?;
        serde_json::from_str(&text).with_context(|| format!("read {text}"))
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It has nothing to lose, and the test is over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
