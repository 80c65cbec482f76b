//! The one owner of the log and of the head's growing end: a thread that appends what waits, syncs once for all of
//! it, puts the rows into the head in log order, and only then acknowledges.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hindsight_model::{Clock, Rows, Table, Tenant};
use hindsight_wal::{Position, Wal};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::dedup::{Dedup, RequestHash, Seen};
use crate::live::Live;
use crate::record::{KIND_HASHES, KIND_REQUEST, encode_hashes};
use crate::stats::{Counters, chain};
use crate::{Durability, Error, IngestError, Result};

/// Requests waiting for the writer at most; senders beyond it wait in `send`.
pub(crate) const QUEUE_REQUESTS_MAX: usize = 1024;
/// Bytes that one sync covers at most, so that the first of a group does not wait long for the last.
const GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What the writer is asked to do.
pub(crate) enum Command {
    /// Make a request durable and visible.
    Store {
        job: Job,
        reply: oneshot::Sender<Result<Stored, IngestError>>,
        /// Held until the request is done, so that bytes in flight are counted right.
        _permit: OwnedSemaphorePermit,
    },
    /// Set the head aside for sealing, at a log position that is durable.
    Freeze { reply: oneshot::Sender<Result<()>> },
    /// Remove log segments that hold nothing above `covered`.
    Release { covered: u64, reply: oneshot::Sender<Result<()>> },
}

/// A decoded request.
pub(crate) struct Job {
    pub(crate) payload: Vec<u8>,
    pub(crate) hash: RequestHash,
    pub(crate) tenant: Tenant,
    pub(crate) arrival: Timestamp,
    pub(crate) batches: Vec<(Table, Rows)>,
    pub(crate) max_time: Option<Timestamp>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Its rows are in the head.
    New,
    /// Its rows were there already.
    Duplicate,
}

/// The writer thread's possessions.
pub(crate) struct Writer {
    pub(crate) wal: Wal,
    pub(crate) dedup: Dedup,
    pub(crate) live: Arc<Live>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) durability: Durability,
    pub(crate) poisoned: Arc<AtomicBool>,
    /// The last position whose rows are in the head or were before.
    pub(crate) inserted: u64,
    pub(crate) wake: Arc<tokio::sync::Notify>,
    pub(crate) seal_bytes: u64,
}

struct Waiting {
    job: Job,
    reply: oneshot::Sender<Result<Stored, IngestError>>,
    _permit: OwnedSemaphorePermit,
}

impl Writer {
    /// Works until every sender of commands is gone; the log is synced then.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut next = Some(first);
            while let Some(command) = next.take() {
                next = match command {
                    Command::Store { job, reply, _permit } => {
                        let mut group = vec![Waiting { job, reply, _permit }];
                        let after = fill_group(&mut group, &mut commands);
                        self.store(group);
                        after
                    }
                    Command::Freeze { reply } => {
                        // A sealer that no longer listens finds the frozen head at its next attempt.
                        let _ = reply.send(self.freeze());
                        None
                    }
                    Command::Release { covered, reply } => {
                        let _ = reply.send(self.release(covered));
                        None
                    }
                };
            }
            self.counters.wal_bytes.store(self.wal.size_bytes(), Ordering::Relaxed);
        }
        if let Err(error) = self.wal.sync() {
            tracing::error!(error = chain(&error), "could not sync the write-ahead log at the end");
        }
    }

    fn store(&mut self, group: Vec<Waiting>) {
        self.dedup.expire(self.clock.now());
        let mut in_group = HashSet::new();
        let mut written = Vec::with_capacity(group.len());
        for waiting in group {
            if self.dedup.contains(waiting.job.hash) || !in_group.insert(waiting.job.hash) {
                written.push((waiting, None));
                continue;
            }
            match self.wal.append(KIND_REQUEST, &waiting.job.payload) {
                Ok(position) => written.push((waiting, Some(position))),
                Err(error) => {
                    in_group.remove(&waiting.job.hash);
                    let answer = self.refuse("append to", error);
                    let _ = waiting.reply.send(Err(answer));
                }
            }
        }
        if self.durability == Durability::Fsync
            && let Err(error) = self.wal.sync()
        {
            let answer = self.refuse("sync", error);
            for (waiting, _) in written {
                let _ = waiting.reply.send(Err(answer.again()));
            }
            return;
        }
        for (waiting, position) in written {
            self.show(waiting, position);
        }
        if self.live.read().head.bytes() >= self.seal_bytes {
            self.wake.notify_one();
        }
    }

    /// The request is as durable as promised: its rows become visible and its sender hears of it.
    fn show(&mut self, waiting: Waiting, position: Option<Position>) {
        let Waiting { job, reply, _permit } = waiting;
        let answer = match position {
            None => Ok(Stored::Duplicate),
            Some(position) => {
                self.dedup.insert(Seen { hash: job.hash, arrival: job.arrival }, position.0);
                self.inserted = position.0;
                match self.live.insert(&job.tenant, job.batches, job.max_time) {
                    Ok(()) => {}
                    // The rows are there; only joining them into larger batches failed.
                    Err(error) => tracing::warn!(error = chain(&error), "could not join small batches"),
                }
                Ok(Stored::New)
            }
        };
        let _ = reply.send(answer);
    }

    fn freeze(&mut self) -> Result<()> {
        // In `flush` mode rows may be visible before they are durable; their commit must not outlive their records,
        // or positions would be used twice. In `fsync` mode there is nothing left to sync, even in a shut log.
        if self.durability == Durability::Flush {
            self.wal.sync().map_err(|error| self.failed("sync", error))?;
        }
        self.live.freeze(self.inserted);
        Ok(())
    }

    fn release(&mut self, covered: u64) -> Result<()> {
        let Some(end) = self.wal.removable_before(Position(covered + 1)) else { return Ok(()) };
        self.dedup.expire(self.clock.now());
        let carried = self.dedup.held_below(end.0);
        if !carried.is_empty() {
            let payload = encode_hashes(&carried);
            let position =
                self.wal.append(KIND_HASHES, &payload).map_err(|error| self.failed("append to", error))?;
            self.wal.sync().map_err(|error| self.failed("sync", error))?;
            self.dedup.carried(&carried, position.0);
        }
        self.wal.remove_before(end).map_err(|error| self.failed("remove segments of", error))?;
        Ok(())
    }

    /// Notes a failure of the log and words it for the senders who must hear of it.
    fn refuse(&self, operation: &'static str, error: hindsight_wal::Error) -> IngestError {
        let disk_full = error.is_disk_full();
        let error = self.failed(operation, error);
        tracing::error!(error = chain(&error), "a request could not be made durable");
        if self.wal.is_poisoned() {
            poisoned()
        } else if disk_full {
            IngestError::Unavailable { reason: "its disk is full".to_owned() }
        } else {
            IngestError::Unavailable { reason: "its write-ahead log could not be written".to_owned() }
        }
    }

    fn failed(&self, operation: &'static str, source: hindsight_wal::Error) -> Error {
        self.poisoned.store(self.wal.is_poisoned(), Ordering::Release);
        let error = Error::Wal { operation, source };
        self.counters.failed(chain(&error));
        error
    }
}

/// WAL-2 as the sender hears it.
pub(crate) fn poisoned() -> IngestError {
    IngestError::Unavailable { reason: "its write-ahead log failed and waits for a restart".to_owned() }
}

impl IngestError {
    /// The same refusal for another request of the group.
    fn again(&self) -> Self {
        match self {
            Self::Unavailable { reason } => Self::Unavailable { reason: reason.clone() },
            Self::Busy { retry_after } => Self::Busy { retry_after: *retry_after },
            Self::Invalid(_) | Self::RateLimited { .. } => {
                Self::Unavailable { reason: "another request of its group failed".to_owned() }
            }
        }
    }
}

/// Adds what waits already, up to the group's bounds; returns the first command that is not a request.
fn fill_group(group: &mut Vec<Waiting>, commands: &mut mpsc::Receiver<Command>) -> Option<Command> {
    let mut bytes: usize = group.iter().map(|waiting| waiting.job.payload.len()).sum();
    while group.len() < QUEUE_REQUESTS_MAX && bytes < GROUP_BYTES_MAX {
        match commands.try_recv() {
            Ok(Command::Store { job, reply, _permit }) => {
                bytes += job.payload.len();
                group.push(Waiting { job, reply, _permit });
            }
            Ok(other) => return Some(other),
            Err(_) => return None,
        }
    }
    None
}
