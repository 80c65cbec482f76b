//! Exact repeats of requests: a dropped connection makes an exporter send again (OTLP.md rule 13).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hindsight_model::{Signal, Tenant};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Requests remembered at most (LIM-1); beyond it the oldest is forgotten before its window ends, so a very late
/// retry under very high load may be stored twice.
const SEEN_MAX: usize = 262_144;

/// 128 bits of SHA-256 over tenant, signal, encoding and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestHash(pub(crate) [u8; 16]);

impl RequestHash {
    pub(crate) fn of(tenant: &Tenant, signal: Signal, encoding: u8, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        // Neither name contains a zero byte, so the parts cannot run into each other.
        hash.update(tenant.as_str());
        hash.update([0]);
        hash.update(signal.as_str());
        hash.update([0, encoding]);
        hash.update(body);
        let digest = hash.finalize();
        Self(digest[..16].try_into().expect("SHA-256 gives 32 bytes"))
    }
}

/// A request that was stored, and when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) hash: RequestHash,
    pub(crate) arrival: Timestamp,
}

/// The window of remembered requests. The writer thread owns it.
#[derive(Debug)]
pub(crate) struct Dedup {
    window: Duration,
    /// Log position of the record that will bring the hash back after a crash.
    kept_at: HashMap<RequestHash, u64>,
    order: VecDeque<Aged>,
    /// The steady time of the last [`Dedup::expire`]; none before the first, while the log is replayed.
    now: Option<Timestamp>,
}

/// A request and since when it counts as seen: by the steady clock, which a step of the machine's does not move, or
/// by its arrival if it was seen before the program started.
#[derive(Debug)]
struct Aged {
    seen: Seen,
    since: Timestamp,
}

impl Dedup {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, kept_at: HashMap::new(), order: VecDeque::new(), now: None }
    }

    pub(crate) fn contains(&self, hash: RequestHash) -> bool {
        self.kept_at.contains_key(&hash)
    }

    /// Remembers a request whose hash the log holds at `position`.
    pub(crate) fn insert(&mut self, seen: Seen, position: u64) {
        if self.kept_at.insert(seen.hash, position).is_none() {
            self.order.push_back(Aged { seen, since: self.now.unwrap_or(seen.arrival) });
        }
        while self.order.len() > SEEN_MAX {
            self.forget_oldest();
        }
    }

    /// Forgets what came more than the window before `now`, which is a steady time. Requests that are replayed from
    /// a later time, since the clock was set back, count as seen now.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        if self.now.is_none() {
            for aged in &mut self.order {
                aged.since = aged.since.min(now);
            }
        }
        self.now = Some(now);
        while let Some(oldest) = self.order.front()
            && now.duration_since(oldest.since).unsigned_abs() > self.window
            && oldest.since < now
        {
            self.forget_oldest();
        }
    }

    /// The hashes that would be lost with the log records below `position`.
    pub(crate) fn held_below(&self, position: u64) -> Vec<Seen> {
        let below = |seen: &&Seen| self.kept_at.get(&seen.hash).is_some_and(|at| *at < position);
        self.order.iter().map(|aged| &aged.seen).filter(below).copied().collect()
    }

    /// Notes that the hashes are also in the record at `position`.
    pub(crate) fn carried(&mut self, seen: &[Seen], position: u64) {
        for entry in seen {
            self.kept_at.insert(entry.hash, position);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.kept_at.remove(&oldest.seen.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(byte: u8, at: &str) -> Seen {
        Seen { hash: RequestHash([byte; 16]), arrival: at.parse().unwrap() }
    }

    #[test]
    fn a_repeat_is_known_within_the_window_and_forgotten_after() {
        let mut dedup = Dedup::new(Duration::from_secs(600));
        dedup.insert(seen(1, "2026-05-04T14:00:00Z"), 1);
        dedup.insert(seen(2, "2026-05-04T14:05:00Z"), 2);
        dedup.expire("2026-05-04T14:10:00Z".parse().unwrap());
        assert!(dedup.contains(RequestHash([1; 16])));
        dedup.expire("2026-05-04T14:10:01Z".parse().unwrap());
        assert!(!dedup.contains(RequestHash([1; 16])));
        assert!(dedup.contains(RequestHash([2; 16])));
    }

    #[test]
    fn after_a_restart_on_a_clock_set_back_the_window_begins_anew() {
        let mut dedup = Dedup::new(Duration::from_secs(600));
        dedup.insert(seen(1, "2026-05-05T14:00:00Z"), 1);
        dedup.expire("2026-05-04T14:00:00Z".parse().unwrap());
        dedup.insert(seen(2, "2026-05-05T14:01:00Z"), 2);
        dedup.expire("2026-05-04T14:10:00Z".parse().unwrap());
        assert!(dedup.contains(RequestHash([1; 16])) && dedup.contains(RequestHash([2; 16])));
        dedup.expire("2026-05-04T14:10:01Z".parse().unwrap());
        assert!(!dedup.contains(RequestHash([1; 16])) && !dedup.contains(RequestHash([2; 16])));
    }

    #[test]
    fn hashes_in_removed_records_are_carried_once() {
        let mut dedup = Dedup::new(Duration::from_secs(600));
        let (old, new) = (seen(1, "2026-05-04T14:00:00Z"), seen(2, "2026-05-04T14:00:01Z"));
        dedup.insert(old, 3);
        dedup.insert(new, 9);
        assert_eq!(dedup.held_below(5), [old]);
        dedup.carried(&[old], 10);
        assert!(dedup.held_below(10).iter().eq([&new]));
    }

    #[test]
    fn tenant_signal_encoding_and_body_all_count() {
        let (a, b): (Tenant, Tenant) = ("a".parse().unwrap(), "ab".parse().unwrap());
        let hashes = [
            RequestHash::of(&a, Signal::Logs, 1, b"x"),
            RequestHash::of(&b, Signal::Logs, 1, b"x"),
            RequestHash::of(&a, Signal::Traces, 1, b"x"),
            RequestHash::of(&a, Signal::Logs, 2, b"x"),
            RequestHash::of(&a, Signal::Logs, 1, b"y"),
        ];
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..index].contains(hash), "{index}");
        }
    }
}
