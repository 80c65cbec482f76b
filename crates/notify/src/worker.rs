use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use hindsight_model::Clock;
use hindsight_state::{Claimed, State};
use jiff::Timestamp;
use reqwest::Client;
use reqwest::redirect::Policy;

use crate::error::{Error, Result};
use crate::flush::later;
use crate::plan::PlanSettings;
use crate::receiver::Receiver;
use crate::retry::{ATTEMPTS_MAX, retry_delay};
use crate::routing::Routing;
use crate::send::{Attempt, send};

/// Most notifications claimed, and sent side by side, at once.
pub const BATCH_MAX: u32 = 16;
/// Most groups that take their turn in one round.
pub const TURNS_MAX: u32 = 64;
/// How much longer than the slowest attempt a claim lasts.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How often [`Worker::run`] looks into the outbox, in real time.
const POLL: Duration = Duration::from_millis(500);

/// Gives groups of alerts their turns and sends what the outbox holds, at least once each (RUL-2).
///
/// A notification is claimed under a lease, sent, and then marked. A worker that dies in between leaves the lease
/// to run out; the next attempt carries the same dedup key. Failures are retried with [`crate::retry_delay`] up to
/// [`ATTEMPTS_MAX`] attempts; an answer that says the request itself is wrong (4xx other than 408 and 429, or a
/// redirect) ends it at once. What ends without success is kept as `dead` with its reason.
#[derive(Clone, Debug)]
pub struct Worker {
    pub(crate) state: State,
    pub(crate) receivers: Arc<BTreeMap<String, Receiver>>,
    pub(crate) routing: Arc<Routing>,
    pub(crate) settings: Arc<PlanSettings>,
    clock: Arc<dyn Clock>,
    /// None when no receiver is posted to.
    client: Option<Client>,
    lease: Duration,
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Groups that took their turn, at most [`TURNS_MAX`].
    pub turns: u32,
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
    /// A worker for these receivers, with the routes and settings that events are planned by. `clock` is what
    /// [`Worker::run`] waits by.
    ///
    /// # Errors
    /// [`Error::Client`] when the HTTP client cannot be made.
    pub fn new(
        state: State,
        receivers: Vec<Receiver>,
        routing: Arc<Routing>,
        settings: PlanSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let slowest = receivers.iter().map(Receiver::timeout).max().unwrap_or_default();
        let client = client(&receivers)?;
        let receivers =
            receivers.into_iter().map(|receiver| (receiver.name().to_owned(), receiver)).collect();
        let (receivers, settings) = (Arc::new(receivers), Arc::new(settings));
        Ok(Self { state, receivers, routing, settings, clock, client, lease: slowest + LEASE_MARGIN })
    }

    /// One round at the instant `now`: groups whose turn it is speak; what is due then is claimed, tried once each, and
    /// marked.
    ///
    /// # Errors
    /// [`Error::State`] when the outbox cannot be read or written; what was sent but not marked is sent again after
    /// its lease.
    pub async fn run_once(&self, now: Timestamp) -> Result<Report> {
        // What was said before is sent even if nothing more can be said.
        let turns = self.take_turns(now).await;
        let batch = self.state.claim_outbox(now, self.lease, BATCH_MAX).await?;
        let mut report = Report { turns: turns.as_ref().copied().unwrap_or_default(), ..Report::default() };
        let sent = self.send_all(&batch, now, &mut report).await;
        turns.and(sent)?;
        Ok(report)
    }

    /// Tries each notification once, side by side, and marks them.
    async fn send_all(&self, batch: &[Claimed], now: Timestamp, report: &mut Report) -> Result<()> {
        report.claimed = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        let outcomes =
            futures::future::join_all(batch.iter().map(|claimed| self.attempt(claimed, now))).await;
        let mut failure = None;
        for (claimed, outcome) in batch.iter().zip(outcomes) {
            // One row that cannot be marked must not leave its neighbours unmarked.
            if let Err(error) = self.mark(claimed, outcome, now, report).await {
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Gives turns and sends until `shutdown` resolves; what is under way is finished first. Each receiver is sent to
    /// by itself, so one that hangs holds up no other, and no group's turn. Errors are logged and tried again.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut busy: BTreeSet<String> = BTreeSet::new();
        let mut rounds = FuturesUnordered::new();
        loop {
            let now = self.clock.now();
            if let Err(error) = self.take_turns(now).await {
                log_failure(&error);
            }
            match self.state.due_receivers(now).await {
                Ok(due) => {
                    for receiver in
                        due.into_iter().filter(|receiver| !busy.contains(receiver)).collect::<Vec<_>>()
                    {
                        busy.insert(receiver.clone());
                        rounds.push(self.round_of(receiver, now));
                    }
                }
                Err(error) => log_failure(&error.into()),
            }
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                // What waited behind a sent notification of its group is due now.
                Some(receiver) = rounds.next() => { busy.remove(&receiver); }
                () = tokio::time::sleep(POLL) => {}
            }
        }
        while rounds.next().await.is_some() {}
    }

    /// One round for one receiver, whose name it returns.
    async fn round_of(&self, receiver: String, now: Timestamp) -> String {
        let round = async {
            let batch = self.state.claim_outbox_of(&receiver, now, self.lease, BATCH_MAX).await?;
            self.send_all(&batch, now, &mut Report::default()).await
        };
        if let Err(error) = round.await {
            log_failure(&error);
            tokio::time::sleep(POLL).await;
        }
        receiver
    }

    async fn attempt(&self, claimed: &Claimed, now: Timestamp) -> Attempt {
        let Some(receiver) = self.receivers.get(&claimed.receiver) else {
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
                    receiver = claimed.receiver,
                    dedup_key = claimed.dedup_key,
                    attempt = claimed.attempts,
                    reason,
                    "notification failed, trying again in {delay:?}"
                );
            }
            Attempt::Again { reason, .. } => {
                self.bury(claimed, now, &format!("{ATTEMPTS_MAX} attempts failed; last: {reason}"), report)
                    .await?;
            }
            Attempt::Refused { reason } => self.bury(claimed, now, &reason, report).await?,
        }
        Ok(())
    }

    async fn bury(&self, claimed: &Claimed, now: Timestamp, reason: &str, report: &mut Report) -> Result<()> {
        self.state.outbox_dead(claimed, now, reason).await?;
        report.dead += 1;
        tracing::error!(
            receiver = claimed.receiver,
            dedup_key = claimed.dedup_key,
            attempt = claimed.attempts,
            reason,
            "notification given up; see the table `notifications`"
        );
        Ok(())
    }
}

fn log_failure(error: &Error) {
    tracing::error!(error = error as &dyn std::error::Error, "outbox round failed, trying again");
}

pub(crate) fn client(receivers: &[Receiver]) -> Result<Option<Client>> {
    if receivers.iter().all(|receiver| receiver.target().url().is_none()) {
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

#[cfg(test)]
mod tests;
