//! One rate, as a bucket that fills steadily and may be overdrawn by what was let in.

use std::time::Duration;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A bucket of tokens. Whoever comes while it holds any is let in and takes what he needs, even more than there is:
/// the next ones wait until the debt is paid. So a request larger than the burst passes too, and what an open
/// request costs may be told after it was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenBucket {
    rate_per_second: i128,
    burst: i128,
    /// Billionths of a token, at most `burst`, below zero while in debt.
    level: i128,
    /// When `level` was right, on the caller's monotonic clock.
    at: Duration,
}

impl TokenBucket {
    /// A full bucket. A rate of 0 never fills it again; a burst of 0 counts as 1.
    pub(crate) fn full(rate_per_second: u64, burst: u64, now: Duration) -> Self {
        let burst = i128::from(burst.max(1)) * NANOS_PER_SECOND;
        Self { rate_per_second: i128::from(rate_per_second), burst, level: burst, at: now }
    }

    /// Whether one may come in at `now`; if not, after how long it is worth asking again.
    pub(crate) fn check(&mut self, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        if self.level > 0 {
            return Ok(());
        }
        let missing = 1 - self.level;
        let nanos = if self.rate_per_second == 0 {
            i128::from(u64::MAX)
        } else {
            (missing + self.rate_per_second - 1) / self.rate_per_second
        };
        Err(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Takes what somebody who was let in needs.
    pub(crate) fn take(&mut self, tokens: u64) {
        self.level = self.level.saturating_sub(i128::from(tokens) * NANOS_PER_SECOND);
    }

    /// Whether forgetting the bucket at `now` would change nothing.
    pub(crate) fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.level == self.burst
    }

    fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        let nanos = i128::try_from(elapsed.as_nanos()).unwrap_or(i128::MAX);
        let filled = self.rate_per_second.saturating_mul(nanos);
        self.level = self.level.saturating_add(filled).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_full_bucket_lets_a_burst_in_and_then_one_rate() {
        let mut bucket = TokenBucket::full(10, 30, SECOND);
        for _ in 0..3 {
            assert_eq!(bucket.check(SECOND), Ok(()));
            bucket.take(10);
        }
        let wait = bucket.check(SECOND).unwrap_err();
        assert!(wait <= Duration::from_millis(1), "one token's billionth is enough to come in: {wait:?}");
        bucket.take(20);
        assert_eq!(bucket.check(SECOND * 2).unwrap_err().as_secs(), 1, "twenty in debt, ten a second");
        assert_eq!(bucket.check(SECOND * 3 + Duration::from_nanos(1)), Ok(()));
    }

    #[test]
    fn a_rate_of_nothing_lets_the_burst_in_and_no_more() {
        let mut bucket = TokenBucket::full(0, 1, Duration::ZERO);
        assert_eq!(bucket.check(Duration::ZERO), Ok(()));
        bucket.take(1);
        assert!(bucket.check(SECOND * 1_000_000).is_err());
    }

    /// A sender that asks again and again: after each wait, this much is wanted.
    fn asked() -> impl Strategy<Value = Vec<(u64, u64)>> {
        proptest::collection::vec((0..5_000_000_000_u64, 0..5_000_u64), 1..60)
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_and_one_request(rate in 1..1_000_u64, burst in 1..3_000_u64, asked in asked()) {
            let mut bucket = TokenBucket::full(rate, burst, Duration::ZERO);
            let (mut now, mut taken, mut last) = (Duration::ZERO, 0, 0);
            for (wait, tokens) in asked {
                now += Duration::from_nanos(wait);
                if bucket.check(now).is_ok() {
                    bucket.take(tokens);
                    taken += tokens;
                    last = tokens;
                }
                let allowed = f64::from(u32::try_from(burst).unwrap())
                    + now.as_secs_f64() * f64::from(u32::try_from(rate).unwrap());
                prop_assert!((taken - last) as f64 <= allowed + 1.0, "{taken} of {allowed} after {now:?}");
            }
        }

        #[test]
        fn the_wait_that_it_names_is_enough_and_none_too_long(rate in 1..1_000_u64, burst in 1..3_000_u64, asked in asked()) {
            let mut bucket = TokenBucket::full(rate, burst, Duration::ZERO);
            let mut now = Duration::ZERO;
            for (wait, tokens) in asked {
                now += Duration::from_nanos(wait);
                if let Err(named) = bucket.clone().check(now) {
                    let just_before = named.saturating_sub(Duration::from_nanos(1));
                    prop_assert!(bucket.clone().check(now + just_before).is_err());
                    prop_assert_eq!(bucket.check(now + named), Ok(()));
                    now += named;
                }
                bucket.take(tokens);
            }
        }

        #[test]
        fn a_clock_that_goes_back_gives_nothing_and_takes_nothing(at in 1..1_000_000_u64, back in 0..1_000_000_u64) {
            let now = Duration::from_micros(at);
            let mut bucket = TokenBucket::full(7, 5, Duration::ZERO);
            bucket.take(9);
            let mut straight = bucket.clone();
            bucket.fill(now);
            bucket.fill(now.saturating_sub(Duration::from_micros(back)));
            bucket.fill(now);
            straight.fill(now);
            prop_assert_eq!(bucket, straight);
        }
    }
}
