//! The most recent refused items and requests, for people who wonder where their telemetry went.

mod journal;
mod refusals;
mod ring;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hindsight_model::{Signal, Tenant};
use hindsight_otlp::Decoded;
use jiff::Timestamp;

use journal::{FILE_BYTES_MAX, Journal};
use refusals::Refusals;
use ring::Ring;

/// Bytes of a sender and of an excerpt at most.
const TEXT_BYTES_MAX: usize = 256;

/// A row of `rejected_telemetry`: one refused item, or the requests of one minute that were refused for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectedItem {
    /// When its request arrived; of several requests, the first.
    pub time: Timestamp,
    /// Whose it was.
    pub tenant: Tenant,
    /// Which signal.
    pub signal: Signal,
    /// Why, as a stable word such as `invalid_span_id`.
    pub reason: Cow<'static, str>,
    /// How often within the minute: 1 for an item, the number of requests when whole requests were refused.
    pub occurrences: u64,
    /// The resource's `service.name`.
    pub service: Option<String>,
    /// Who sent it, as the server knows: an address or a user agent.
    pub sender: Option<String>,
    /// Enough of the item to find it; for requests, what their first sender was told.
    pub excerpt: String,
}

/// A request that was refused as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// Whose it was.
    pub tenant: &'a Tenant,
    /// Which signal.
    pub signal: Signal,
    /// Why, as a stable word such as `request_too_large`.
    pub reason: &'static str,
    /// Who sent it.
    pub sender: Option<&'a str>,
    /// What the sender was told; at most 256 bytes of it are kept.
    pub told: &'a str,
}

/// The bounded ring, the refusals of the running minute, and the file that brings both back after a restart.
#[derive(Debug)]
pub(crate) struct Rejections {
    kept: Mutex<Kept>,
    journal: Journal,
}

#[derive(Debug, Default)]
struct Kept {
    ring: Ring,
    refusals: Refusals,
}

impl Rejections {
    /// What the file of an earlier run holds, and a file to go on with. Without a disk that works nothing is brought
    /// back and nothing kept; that is told, and stops nobody.
    pub(crate) fn open(data_dir: &Path) -> Self {
        Self::open_with(data_dir, FILE_BYTES_MAX)
    }

    fn open_with(data_dir: &Path, file_bytes_max: u64) -> Self {
        let (journal, earlier) = Journal::open(data_dir, file_bytes_max);
        let mut kept = Kept::default();
        for item in earlier {
            kept.ring.push(Arc::new(item));
        }
        Self { kept: Mutex::new(kept), journal }
    }

    /// Keeps what a request had to refuse, as far as the bounds allow.
    pub(crate) fn record(&self, tenant: &Tenant, sender: Option<&str>, time: Timestamp, decoded: &Decoded) {
        if decoded.rejections.is_empty() {
            return;
        }
        let mut kept = self.lock();
        for rejection in &decoded.rejections {
            if !kept.ring.has_room(tenant, minute_of(time)) {
                return;
            }
            self.keep(
                &mut kept,
                RejectedItem {
                    time,
                    tenant: tenant.clone(),
                    signal: rejection.signal,
                    reason: Cow::Borrowed(rejection.reason.as_str()),
                    occurrences: 1,
                    service: rejection.service.clone(),
                    sender: sender.map(cut),
                    excerpt: rejection.excerpt.clone(),
                },
            );
        }
    }

    /// Counts a refused request; its row is kept once its minute is over.
    pub(crate) fn refused(&self, refusal: &Refusal<'_>, now: Timestamp) {
        let mut kept = self.lock();
        for ended in kept.refusals.note(refusal, now) {
            self.keep(&mut kept, ended);
        }
    }

    /// Keeps the refusals of a minute that is over.
    pub(crate) fn end_minute_before(&self, now: Timestamp) {
        let mut kept = self.lock();
        for ended in kept.refusals.end_before(now) {
            self.keep(&mut kept, ended);
        }
    }

    /// Oldest first; the refusals of the running minute come last.
    pub(crate) fn recent(&self) -> Vec<Arc<RejectedItem>> {
        let kept = self.lock();
        kept.ring.items().cloned().chain(kept.refusals.running().map(Arc::new)).collect()
    }

    /// Rows that the file could not take.
    pub(crate) fn unwritten(&self) -> u64 {
        self.journal.unwritten()
    }

    /// Ends the running minute and waits until the file has everything.
    pub(crate) fn close(&self) {
        let mut kept = self.lock();
        for ended in kept.refusals.end() {
            self.keep(&mut kept, ended);
        }
        drop(kept);
        self.journal.close();
    }

    fn keep(&self, kept: &mut Kept, item: RejectedItem) {
        let item = Arc::new(item);
        self.journal.write(Arc::clone(&item));
        kept.ring.push(item);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn minute_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}
