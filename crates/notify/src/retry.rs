use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// Attempts before a notification is given up; with the delays below, about five hours.
pub const ATTEMPTS_MAX: u32 = 30;
/// Delay after the first failure, before jitter; it doubles with each.
pub const RETRY_DELAY_FIRST: Duration = Duration::from_secs(5);
/// Longest delay, before jitter.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(900);
/// Longest `Retry-After` that is honoured.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// How long to wait after attempt number `attempt` (from 1) of outbox row `id`: doubling from
/// [`RETRY_DELAY_FIRST`] to [`RETRY_DELAY_MAX`], times 0.8 to 1.2. The jitter is a hash of both numbers, so rows
/// that failed together come back apart, and a replay waits the same.
pub fn retry_delay(attempt: u32, id: i64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let plain = RETRY_DELAY_FIRST.saturating_mul(1 << doublings).min(RETRY_DELAY_MAX);
    let mut hasher = Sha256::new();
    hasher.update(id.to_le_bytes());
    hasher.update(attempt.to_le_bytes());
    let permille = 800 + (u32::from(hasher.finalize()[0]) * 400) / 255;
    plain * permille / 1_000
}

/// What a `Retry-After` header asks for at `now`: seconds, or the time until an HTTP date; at most
/// [`RETRY_AFTER_MAX`]. `None` when it is neither.
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    let until = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
    let wait = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_their_bound_and_jitter_stays_within_a_fifth() {
        for id in 0..200 {
            for attempt in 1..=ATTEMPTS_MAX {
                let plain = RETRY_DELAY_FIRST.as_secs_f64() * 2_f64.powi(attempt.cast_signed() - 1);
                let plain = plain.min(RETRY_DELAY_MAX.as_secs_f64());
                let delay = retry_delay(attempt, id).as_secs_f64();
                assert!((plain * 0.799..=plain * 1.201).contains(&delay), "{attempt} {id}: {delay}");
            }
        }
    }

    #[test]
    fn rows_that_failed_together_come_back_apart() {
        let delays: std::collections::BTreeSet<_> = (0..100).map(|id| retry_delay(3, id)).collect();
        assert!(delays.len() > 50, "only {} different delays", delays.len());
        assert_eq!(retry_delay(3, 7), retry_delay(3, 7));
    }

    #[test]
    fn retry_after_reads_seconds_and_dates_and_nothing_else() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        for (header, wait) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("999999", Some(3_600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(retry_after(header, now), wait.map(Duration::from_secs), "{header:?}");
        }
    }
}
