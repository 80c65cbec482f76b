//! Ctrl-C as something to wait for, instead of the end of the program.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Every interrupt from the start on; each is heard once.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts {
    heard: watch::Receiver<u64>,
}

impl Interrupts {
    /// From now on an interrupt ends nothing by itself.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut interrupted = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
        let (tell, heard) = watch::channel(0);
        tokio::spawn(async move {
            while interrupted.recv().await.is_some() {
                tell.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { heard })
    }

    /// Waits for the next one that was not heard yet.
    pub(crate) async fn next(&mut self) {
        if self.heard.changed().await.is_err() {
            // The runtime is ending, and this with it.
            std::future::pending::<()>().await;
        }
    }

    /// Whether there was one that was not heard yet.
    pub(crate) fn waiting(&self) -> bool {
        self.heard.has_changed().unwrap_or(false)
    }

    /// Those so far count as heard.
    pub(crate) fn forget(&mut self) {
        self.heard.mark_unchanged();
    }
}
