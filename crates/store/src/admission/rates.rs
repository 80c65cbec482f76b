//! The rates that each tenant may send at.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hindsight_model::Tenant;

use super::token_bucket::TokenBucket;
use crate::IngestError;

/// Tenants whose rates are counted apart (LIM-1); those who come beyond share one pair of buckets.
const TENANTS_MAX: usize = 10_000;
/// The longest wait that a sender is told, and the shortest: `Retry-After` counts seconds.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// How much each tenant may send. 0 means no limit, which is the default of both rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Bytes of requests a second, after decompression.
    pub bytes_per_second: u64,
    /// Spans, data points and log records a second, accepted or refused.
    pub items_per_second: u64,
    /// How long a tenant that was silent may send faster: a bucket holds this much of its rate. Default 10 s.
    pub burst: Duration,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { bytes_per_second: 0, items_per_second: 0, burst: Duration::from_secs(10) }
    }
}

/// Which of the two rates was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateUnit {
    /// Bytes of requests.
    Bytes,
    /// Spans, data points and log records.
    Items,
}

impl RateUnit {
    /// `bytes` or `items`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Items => "items",
        }
    }
}

/// The buckets of all tenants.
#[derive(Debug)]
pub(crate) struct Rates {
    limit: RateLimit,
    origin: Instant,
    tenants: Mutex<HashMap<Tenant, Buckets>>,
    /// For the tenants beyond [`TENANTS_MAX`].
    shared: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    bytes: Option<TokenBucket>,
    items: Option<TokenBucket>,
}

impl Rates {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let shared = Mutex::new(Buckets::full(&limit, Duration::ZERO));
        Self { limit, origin: Instant::now(), tenants: Mutex::default(), shared }
    }

    /// Lets a request of so many bytes in, or says when to come back. Items are counted once they are known.
    pub(crate) fn admit(&self, tenant: &Tenant, bytes: usize) -> Result<(), IngestError> {
        if self.limit.bytes_per_second == 0 && self.limit.items_per_second == 0 {
            return Ok(());
        }
        let now = self.origin.elapsed();
        self.with_buckets(tenant, now, |buckets| buckets.admit(now, bytes as u64)).map_err(|(unit, wait)| {
            IngestError::RateLimited { unit, retry_after: wait.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX) }
        })
    }

    /// Counts the items of a request that was let in.
    pub(crate) fn charge_items(&self, tenant: &Tenant, items: u64) {
        if self.limit.items_per_second == 0 {
            return;
        }
        self.with_buckets(tenant, self.origin.elapsed(), |buckets| {
            if let Some(bucket) = &mut buckets.items {
                bucket.take(items);
            }
        });
    }

    fn with_buckets<T>(&self, tenant: &Tenant, now: Duration, act: impl FnOnce(&mut Buckets) -> T) -> T {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buckets) = tenants.get_mut(tenant) {
            return act(buckets);
        }
        if tenants.len() >= TENANTS_MAX {
            tenants.retain(|_, buckets| !buckets.are_full(now));
        }
        if tenants.len() >= TENANTS_MAX {
            drop(tenants);
            return act(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner));
        }
        act(tenants.entry(tenant.clone()).or_insert_with(|| Buckets::full(&self.limit, now)))
    }
}

impl Buckets {
    fn full(limit: &RateLimit, now: Duration) -> Self {
        let bucket = |rate: u64| {
            let burst = u128::from(rate) * limit.burst.as_millis() / 1000;
            let burst = u64::try_from(burst).unwrap_or(u64::MAX);
            (rate > 0).then(|| TokenBucket::full(rate, burst, now))
        };
        Self { bytes: bucket(limit.bytes_per_second), items: bucket(limit.items_per_second) }
    }

    /// Both rates are asked before either is charged, so that a refused request costs nothing.
    fn admit(&mut self, now: Duration, bytes: u64) -> Result<(), (RateUnit, Duration)> {
        if let Some(bucket) = &mut self.bytes {
            bucket.check(now).map_err(|wait| (RateUnit::Bytes, wait))?;
        }
        if let Some(bucket) = &mut self.items {
            bucket.check(now).map_err(|wait| (RateUnit::Items, wait))?;
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.take(bytes);
        }
        Ok(())
    }

    fn are_full(&mut self, now: Duration) -> bool {
        let full =
            |bucket: &mut Option<TokenBucket>| bucket.as_mut().is_none_or(|bucket| bucket.is_full(now));
        full(&mut self.bytes) && full(&mut self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        name.parse().unwrap()
    }

    #[test]
    fn one_tenants_flood_is_not_anothers() {
        let limit = RateLimit { bytes_per_second: 10, ..RateLimit::default() };
        let rates = Rates::new(limit);
        assert!(rates.admit(&tenant("a"), 1_000).is_ok());
        let refused = rates.admit(&tenant("a"), 1).unwrap_err();
        let IngestError::RateLimited { unit: RateUnit::Bytes, retry_after } = refused else {
            panic!("{refused}")
        };
        assert_eq!(retry_after, RETRY_AFTER_MAX, "90 s of debt, told as the longest wait");
        assert!(rates.admit(&tenant("b"), 1).is_ok());
    }

    #[test]
    fn items_are_charged_afterwards_and_refused_requests_cost_no_bytes() {
        let rates =
            Rates::new(RateLimit { bytes_per_second: 1_000, items_per_second: 10, ..RateLimit::default() });
        rates.admit(&tenant("a"), 100).unwrap();
        rates.charge_items(&tenant("a"), 1_000);
        for _ in 0..1_000 {
            let refused = rates.admit(&tenant("a"), 1_000).unwrap_err();
            assert!(matches!(refused, IngestError::RateLimited { unit: RateUnit::Items, .. }), "{refused}");
        }
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let rates = Rates::new(RateLimit::default());
        assert!(rates.admit(&tenant("a"), usize::MAX).is_ok());
        rates.charge_items(&tenant("a"), u64::MAX);
        assert!(rates.tenants.lock().unwrap().is_empty());
    }

    #[test]
    fn a_crowd_of_tenants_takes_bounded_room() {
        let rates = Rates::new(RateLimit { bytes_per_second: 10, ..RateLimit::default() });
        for number in 0..TENANTS_MAX + 100 {
            let _ = rates.admit(&tenant(&format!("t{number}")), 500);
        }
        assert_eq!(rates.tenants.lock().unwrap().len(), TENANTS_MAX);
        assert!(rates.admit(&tenant("late"), 1).is_err(), "those beyond share one bucket, which is empty");
    }
}
