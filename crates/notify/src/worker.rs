use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hindsight_model::Clock;
use hindsight_state::{Claimed, State};
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use reqwest::redirect::Policy;

use crate::error::{Error, Result};
use crate::receiver::{Receiver, Target};
use crate::retry::{ATTEMPTS_MAX, retry_delay};
use crate::send::{Attempt, send};

/// Most notifications claimed, and sent side by side, at once.
pub const BATCH_MAX: u32 = 16;
/// How much longer than the slowest attempt a claim lasts.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How often [`Worker::run`] looks into the outbox, in real time.
const POLL: Duration = Duration::from_millis(500);

/// Sends what the outbox holds, at least once each (RUL-2).
///
/// A notification is claimed under a lease, sent, and then marked. A worker that dies in between leaves the lease
/// to run out; the next attempt carries the same dedup key. Failures are retried with [`crate::retry_delay`] up to
/// [`ATTEMPTS_MAX`] attempts; an answer that says the request itself is wrong (4xx other than 408 and 429, or a
/// redirect) ends it at once. What ends without success is kept as `dead` with its reason.
#[derive(Clone, Debug)]
pub struct Worker {
    state: State,
    receivers: Arc<BTreeMap<String, Receiver>>,
    clock: Arc<dyn Clock>,
    /// None when no receiver is a webhook.
    client: Option<Client>,
    lease: Duration,
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Notifications taken up, at most [`BATCH_MAX`]; 0 means that none was due.
    pub claimed: u32,
    /// Accepted by their receivers.
    pub sent: u32,
    /// To be tried again.
    pub retried: u32,
    /// Given up.
    pub dead: u32,
}

impl Worker {
    /// A worker for these receivers. `clock` is what [`Worker::run`] waits by.
    ///
    /// # Errors
    /// [`Error::Client`] when the HTTP client cannot be made.
    pub fn new(state: State, receivers: Vec<Receiver>, clock: Arc<dyn Clock>) -> Result<Self> {
        let slowest = receivers.iter().map(Receiver::timeout).max().unwrap_or_default();
        let client = client(&receivers)?;
        let receivers =
            receivers.into_iter().map(|receiver| (receiver.name().to_owned(), receiver)).collect();
        Ok(Self { state, receivers: Arc::new(receivers), clock, client, lease: slowest + LEASE_MARGIN })
    }

    /// One round at the instant `now`: claims what is due, tries each once, and returns when all are marked.
    ///
    /// # Errors
    /// [`Error::State`] when the outbox cannot be read or written; what was sent but not marked is sent again after
    /// its lease.
    pub async fn run_once(&self, now: Timestamp) -> Result<Report> {
        let batch = self.state.claim_outbox(now, self.lease, BATCH_MAX).await?;
        let mut report =
            Report { claimed: u32::try_from(batch.len()).unwrap_or(u32::MAX), ..Report::default() };
        let outcomes =
            futures::future::join_all(batch.iter().map(|claimed| self.attempt(claimed, now))).await;
        let mut failure = None;
        for (claimed, outcome) in batch.iter().zip(outcomes) {
            // One row that cannot be marked must not leave its neighbours unmarked.
            if let Err(error) = self.mark(claimed, outcome, now, &mut report).await {
                failure = Some(error);
            }
        }
        failure.map_or(Ok(report), Err)
    }

    /// Rounds until `shutdown` resolves; a round that has begun is finished first. Errors are logged and the next
    /// round tries again.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let more = match self.run_once(self.clock.now()).await {
                // What waited behind a sent notification of its episode is due now.
                Ok(report) => report.sent + report.dead > 0,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "outbox round failed, trying again"
                    );
                    false
                }
            };
            let pause = if more { Duration::ZERO } else { POLL };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn attempt(&self, claimed: &Claimed, now: Timestamp) -> Attempt {
        let Some(receiver) = self.receivers.get(&claimed.entry.receiver) else {
            return Attempt::Refused { reason: "its receiver is not in hindsight.toml any more".to_owned() };
        };
        if claimed.attempts > ATTEMPTS_MAX {
            // Only claims that were never marked lead here: the process died with it, time after time.
            return Attempt::Refused { reason: format!("{ATTEMPTS_MAX} attempts ended with the process") };
        }
        send(self.client.as_ref(), receiver, claimed, now).await
    }

    async fn mark(
        &self,
        claimed: &Claimed,
        attempt: Attempt,
        now: Timestamp,
        report: &mut Report,
    ) -> Result<()> {
        match attempt {
            Attempt::Accepted => {
                self.state.outbox_sent(claimed.id, now).await?;
                report.sent += 1;
            }
            Attempt::Again { reason, after } if claimed.attempts < ATTEMPTS_MAX => {
                let delay = retry_delay(claimed.attempts, claimed.id).max(after.unwrap_or_default());
                self.state.outbox_retry(claimed, later(now, delay), &reason).await?;
                report.retried += 1;
                tracing::warn!(
                    receiver = claimed.entry.receiver,
                    dedup_key = claimed.entry.dedup_key,
                    attempt = claimed.attempts,
                    reason,
                    "notification failed, trying again in {delay:?}"
                );
            }
            Attempt::Again { reason, .. } => {
                self.bury(claimed, &format!("{ATTEMPTS_MAX} attempts failed; last: {reason}"), report)
                    .await?;
            }
            Attempt::Refused { reason } => self.bury(claimed, &reason, report).await?,
        }
        Ok(())
    }

    async fn bury(&self, claimed: &Claimed, reason: &str, report: &mut Report) -> Result<()> {
        self.state.outbox_dead(claimed, reason).await?;
        report.dead += 1;
        tracing::error!(
            receiver = claimed.entry.receiver,
            dedup_key = claimed.entry.dedup_key,
            attempt = claimed.attempts,
            reason,
            "notification given up; see the table `notifications`"
        );
        Ok(())
    }
}

fn client(receivers: &[Receiver]) -> Result<Option<Client>> {
    if !receivers.iter().any(|receiver| matches!(receiver.target(), Target::Webhook { .. })) {
        return Ok(None);
    }
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .user_agent(concat!("hindsight/", env!("CARGO_PKG_VERSION")));
    if !receivers.iter().any(Receiver::is_https) {
        // Without TLS the machine's root certificates are not needed, and a bare machine has none.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map(Some).map_err(|error| Error::Client(error.into()))
}

fn later(now: Timestamp, delay: Duration) -> Timestamp {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    now.saturating_add(delay).expect("a signed duration has no calendar units")
}

#[cfg(test)]
mod tests;
