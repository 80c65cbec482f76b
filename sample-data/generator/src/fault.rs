use crate::{SECOND, Story};

/// The story's instants, in nanoseconds since the epoch, and what the fault does in between.
///
/// checkout 4.2.0 asks orders-db ten times as often. The pool of connections fills within minutes; once it is
/// full, requests wait their five seconds and fail. An operator goes back to 4.1.9, and the pool drains.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// First pod of 4.2.0.
    pub(crate) rollout: u64,
    /// The pool is full: requests begin to time out.
    pub(crate) saturated: u64,
    /// First pod of 4.1.9 again.
    pub(crate) rollback: u64,
    /// The pool has room again: no more time-outs.
    pub(crate) recovered: u64,
}

/// The versions of checkout, before and after.
pub(crate) const OLD_VERSION: &str = "4.1.9";
pub(crate) const NEW_VERSION: &str = "4.2.0";
/// Between the pods of a rollout, and of the hurried way back.
pub(crate) const ROLLOUT_STEP: u64 = 55 * SECOND;
pub(crate) const ROLLBACK_STEP: u64 = 40 * SECOND;
/// How long a request waits for a connection before it fails.
pub(crate) const ACQUIRE_TIMEOUT: u64 = 5 * SECOND;

const ROLLOUT_AFTER: u64 = 28 * 60 * SECOND;
const FILLING: u64 = 380 * SECOND;
const ROLLBACK_AFTER: u64 = 32 * 60 * SECOND;
const DRAINING: u64 = 150 * SECOND;
/// Share of checkout requests that time out while the pool is full.
const FAILING_SHARE: f64 = 0.64;
/// From the first time-out to the full share.
const WORSENING: u64 = 40 * SECOND;

impl Plan {
    pub(crate) fn new(story: &Story) -> Self {
        let rollout = story.start_nanos() + ROLLOUT_AFTER;
        let rollback = rollout + ROLLBACK_AFTER;
        Self { rollout, saturated: rollout + FILLING, rollback, recovered: rollback + DRAINING }
    }

    /// How hard orders-db is pressed, from 0 (as ever) to 1 (every connection taken).
    pub(crate) fn pressure(&self, at: u64) -> f64 {
        if at < self.rollback {
            smooth(share(at, self.rollout, self.saturated))
        } else {
            1.0 - smooth(share(at, self.rollback, self.recovered + 60 * SECOND))
        }
    }

    /// The probability that a checkout request beginning at `at` finds no connection in time.
    pub(crate) fn timeout_probability(&self, at: u64) -> f64 {
        if at < self.saturated || at >= self.recovered {
            0.0
        } else if at < self.rollback {
            FAILING_SHARE * share(at, self.saturated, self.saturated + WORSENING).max(0.25)
        } else {
            FAILING_SHARE * (1.0 - share(at, self.rollback, self.recovered))
        }
    }

    /// Share of a pod's connections in use, before noise.
    pub(crate) fn pool_usage(&self, at: u64, version: &str) -> f64 {
        let reach = if version == NEW_VERSION { 0.69 } else { 0.22 };
        0.31 + reach * self.pressure(at)
    }

    /// Queries that one order costs.
    pub(crate) fn queries_per_order(version: &str) -> usize {
        if version == NEW_VERSION { 30 } else { 3 }
    }
}

/// Where `at` lies between two instants, cut to 0–1.
#[expect(clippy::cast_precision_loss, reason = "differences of minutes")]
fn share(at: u64, from: u64, to: u64) -> f64 {
    (at.saturating_sub(from) as f64 / (to - from) as f64).min(1.0)
}

fn smooth(x: f64) -> f64 {
    x * x * (3.0 - 2.0 * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fault_rises_after_the_rollout_and_is_gone_after_recovery() {
        let plan = Plan::new(&Story::default());
        let minute = 60 * SECOND;
        assert!(plan.pressure(plan.rollout).abs() < 1e-9);
        assert!(plan.pool_usage(plan.saturated, NEW_VERSION) >= 0.99);
        assert!(plan.timeout_probability(plan.saturated - 1).abs() < 1e-9);
        assert!(plan.timeout_probability(plan.saturated + minute) > 0.6);
        assert!(plan.timeout_probability(plan.recovered).abs() < 1e-9);
        assert!(plan.pressure(plan.recovered + 2 * minute).abs() < 1e-9);
    }

    #[test]
    fn shares_never_exceed_one() {
        let plan = Plan::new(&Story::default());
        for at in (plan.rollout..plan.recovered + 600 * SECOND).step_by(7_000_000_000) {
            assert!((0.0..=1.0).contains(&plan.pressure(at)), "pressure at {at}");
            assert!((0.0..=0.65).contains(&plan.timeout_probability(at)), "time-outs at {at}");
        }
    }
}
