//! How much of the machine a merge may take while requests come in.

use std::sync::Weak;
use std::time::{Duration, Instant};

use crate::store::Inner;
use crate::{Error, Result};

/// While requests are in flight a merge rests this many times as long as it worked: a fifth of one core.
const BUSY_REST_FACTOR: u32 = 4;
/// The longest rest for requests in flight after one batch.
const BUSY_REST_MAX: Duration = Duration::from_millis(200);
/// How often a merge that waits for the head looks again.
const HEAD_WAIT: Duration = Duration::from_millis(50);
/// The longest a merge waits for the head at one batch, so that it ends some day.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(2);

/// What the store is doing besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    requests_in_flight: bool,
    /// The head is beyond half of what it may hold: sealing needs the machine more.
    head_high: bool,
}

/// How long to rest after a batch that took `worked` and used up `bytes` of input, having waited `waited` already.
fn rest(
    load: Load,
    worked: Duration,
    waited: Duration,
    bytes: u64,
    bytes_per_second: Option<u64>,
) -> Duration {
    if load.head_high && waited < HEAD_WAIT_MAX {
        return HEAD_WAIT;
    }
    let for_cap = bytes_per_second.map_or(Duration::ZERO, |cap| {
        Duration::from_secs_f64(bytes as f64 / cap.max(1) as f64).saturating_sub(worked)
    });
    let for_requests =
        if load.requests_in_flight { (worked * BUSY_REST_FACTOR).min(BUSY_REST_MAX) } else { Duration::ZERO };
    for_cap.max(for_requests).saturating_sub(waited)
}

/// Slows a merge down in the background, and ends it when the store goes or closes.
pub(crate) struct Throttle {
    store: Weak<Inner>,
    /// Whether to rest at all.
    rests: bool,
    since: Instant,
}

impl Throttle {
    pub(crate) fn new(store: Weak<Inner>, rests: bool) -> Self {
        Self { store, rests, since: Instant::now() }
    }

    /// Called on the merge's own thread after each batch.
    pub(crate) fn pause(&mut self, bytes: u64) -> Result<()> {
        let worked = self.since.elapsed();
        let mut waited = Duration::ZERO;
        loop {
            let inner = self.store.upgrade().filter(|inner| !inner.is_closing());
            let Some(inner) = inner else { return Err(Error::Stopped { worker: "upkeep of blocks" }) };
            let cap = inner.options.maintenance.bytes_per_second_max;
            let load = inner.load();
            drop(inner);
            let rest = if self.rests { rest(load, worked, waited, bytes, cap) } else { Duration::ZERO };
            if rest.is_zero() {
                self.since = Instant::now();
                return Ok(());
            }
            // A long rest is taken in steps, so that the store can close meanwhile.
            let step = rest.min(HEAD_WAIT);
            std::thread::sleep(step);
            waited += step;
        }
    }
}

impl Inner {
    fn load(&self) -> Load {
        let (_, head_bytes) = self.live.read().head_size();
        Load {
            requests_in_flight: self.in_flight_bytes() > 0,
            head_high: head_bytes > self.options.head_bytes_max as u64 / 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Load = Load { requests_in_flight: false, head_high: false };
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_idle_store_lets_a_merge_run() {
        assert_eq!(rest(IDLE, MS * 10, Duration::ZERO, 1 << 20, None), Duration::ZERO);
    }

    #[test]
    fn requests_leave_a_merge_a_fifth_of_a_core_and_a_high_head_stops_it_for_a_while() {
        let busy = Load { requests_in_flight: true, ..IDLE };
        assert_eq!(rest(busy, MS * 10, Duration::ZERO, 1, None), MS * 40);
        assert_eq!(rest(busy, MS * 10, MS * 40, 1, None), Duration::ZERO);
        assert_eq!(rest(busy, MS * 900, Duration::ZERO, 1, None), BUSY_REST_MAX);
        let high = Load { head_high: true, ..busy };
        assert_eq!(rest(high, MS, MS * 100, 1, None), HEAD_WAIT);
        assert_eq!(rest(high, MS, HEAD_WAIT_MAX, 1, None), Duration::ZERO);
    }

    #[test]
    fn a_cap_on_bytes_is_kept() {
        // 1 MB at 10 MB/s takes 100 ms, of which 30 were spent working.
        assert_eq!(rest(IDLE, MS * 30, Duration::ZERO, 1_000_000, Some(10_000_000)), MS * 70);
        assert_eq!(rest(IDLE, MS * 130, Duration::ZERO, 1_000_000, Some(10_000_000)), Duration::ZERO);
    }
}
