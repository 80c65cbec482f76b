use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use jiff::Timestamp;

/// Where "now" comes from. Everything below the binaries takes a clock or a `now`, so that live, replay, test and
/// backtest are one thing.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// The present by a clock that nobody sets: it begins at [`Clock::now`] and then only runs, so that the time
    /// between two readings is the time that passed, whatever happened to the machine's clock between them. For
    /// measuring how long ago something was, never for dating it.
    fn steady(&self) -> Timestamp {
        self.now()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn steady(&self) -> Timestamp {
        static BEGAN: LazyLock<(Timestamp, Instant)> = LazyLock::new(|| (SystemClock.now(), Instant::now()));
        let (at, instant) = *BEGAN;
        at + instant.elapsed()
    }
}

/// A clock that stands still until it is told the time; it never goes back.
#[derive(Debug)]
pub struct LogicalClock {
    nanos: AtomicI64,
}

impl LogicalClock {
    /// A clock that shows `start`.
    pub fn starting_at(start: Timestamp) -> Self {
        Self { nanos: AtomicI64::new(nanos(start)) }
    }

    /// Moves the clock to `to`, unless it already shows a later time.
    pub fn advance_to(&self, to: Timestamp) {
        self.nanos.fetch_max(nanos(to), Ordering::AcqRel);
    }
}

impl Clock for LogicalClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.nanos.load(Ordering::Acquire)))
            .expect("any i64 of nanoseconds lies within jiff's range")
    }
}

fn nanos(at: Timestamp) -> i64 {
    let nanos = at.as_nanosecond();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logical_clock_never_goes_back() {
        let clock = LogicalClock::starting_at(Timestamp::UNIX_EPOCH);
        let later: Timestamp = "2026-05-04T14:32:00Z".parse().unwrap();
        clock.advance_to(later);
        clock.advance_to(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), later);
        assert_eq!(clock.steady(), later, "logical time is the time that passes");
    }

    #[test]
    fn the_machines_steady_time_runs_and_starts_with_its_clock() {
        let (before, now) = (SystemClock.steady(), SystemClock.now());
        assert!(now.duration_since(before).unsigned_abs() < std::time::Duration::from_secs(60));
        assert!(SystemClock.steady() >= before);
    }
}
