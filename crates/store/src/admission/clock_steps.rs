//! What a step of the machine's clock may not do: lose, double or refuse data.

use std::sync::Arc;
use std::time::Duration;

use hindsight_model::Clock;
use hindsight_otlp::Limits;
use jiff::Timestamp;

/// Differences up to this are drift, which every clock has.
const DRIFT_MAX: Duration = Duration::from_secs(5);

/// A clock whose present is its inner clock's steady time, for what counts minutes and not dates.
#[derive(Debug)]
pub(crate) struct Steady(pub(crate) Arc<dyn Clock>);

impl Clock for Steady {
    fn now(&self) -> Timestamp {
        self.0.steady()
    }

    fn steady(&self) -> Timestamp {
        self.0.steady()
    }
}

/// The window of allowed event times after the clock was stepped: nobody knows whether it was right before or is
/// right now, so what either of the two times would let in is let in.
pub(crate) fn widen(limits: Limits, wall: Timestamp, steady: Timestamp) -> Limits {
    let step = wall.duration_since(steady);
    let amount = step.unsigned_abs();
    if amount <= DRIFT_MAX {
        return limits;
    }
    if step.is_negative() {
        Limits { future: limits.future.saturating_add(amount), ..limits }
    } else {
        Limits { past: limits.past.saturating_add(amount), ..limits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_widens_towards_the_other_time_and_only_after_a_step() {
        let steady: Timestamp = "2026-05-04T14:00:00Z".parse().unwrap();
        let day = Duration::from_hours(24);
        let limits = Limits::default();
        assert_eq!(widen(limits.clone(), steady + DRIFT_MAX, steady), limits);
        let back = widen(limits.clone(), steady - day, steady);
        assert_eq!((back.past, back.future), (limits.past, limits.future + day));
        let ahead = widen(limits.clone(), steady + day, steady);
        assert_eq!((ahead.past, ahead.future), (limits.past + day, limits.future));
    }
}
