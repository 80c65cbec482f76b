use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Where "now" comes from. Everything below the binaries takes a clock or a `now`, so that live, replay, test and
/// backtest are one thing.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
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
    }
}
