//! The active-series limit, tenant by tenant, and how a replay repeats what it decided.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hindsight_model::Tenant;
use hindsight_otlp::SeriesGate;
use jiff::Timestamp;

use super::active_series::{ActiveSeries, minute_of};

/// Tenants whose series are counted apart (LIM-1); those who come beyond share one count.
const TENANTS_MAX: usize = 10_000;

/// A tenant's number, from 1, and its series.
type Counted = (u64, Arc<Mutex<ActiveSeries>>);

/// The active series of all tenants. Counting starts anew with the program.
#[derive(Debug)]
pub(crate) struct SeriesLimits {
    limit: usize,
    tenants: Mutex<HashMap<Tenant, Counted>>,
    others: Counted,
}

impl SeriesLimits {
    pub(crate) fn new(limit: usize) -> Self {
        let others = (0, Arc::new(Mutex::new(ActiveSeries::new(limit))));
        Self { limit, tenants: Mutex::default(), others }
    }

    /// The gate for one request of `tenant`, at a time of the steady clock.
    pub(crate) fn gate(&self, tenant: &Tenant, now: Timestamp) -> TenantGate {
        let (number, active) = self.of(tenant);
        // As exact as the series' own times: a series is asked about once in every minute that it comes in.
        let stamp = if number == 0 { 0 } else { (number << 32) | u64::from(minute_of(now)) };
        TenantGate { active, now, stamp, refused: Mutex::default() }
    }

    fn of(&self, tenant: &Tenant) -> Counted {
        let mut tenants = lock(&self.tenants);
        if let Some(counted) = tenants.get(tenant) {
            return counted.clone();
        }
        if tenants.len() >= TENANTS_MAX {
            return self.others.clone();
        }
        let counted = (tenants.len() as u64 + 1, Arc::new(Mutex::new(ActiveSeries::new(self.limit))));
        tenants.insert(tenant.clone(), counted.clone());
        counted
    }

    /// Series that hold a place, of all tenants.
    pub(crate) fn active(&self) -> u64 {
        let counts: usize = lock(&self.tenants).values().map(|(_, active)| lock(active).len()).sum();
        (counts + lock(&self.others.1).len()) as u64
    }
}

/// One request's way to its tenant's count.
#[derive(Debug)]
pub(crate) struct TenantGate {
    active: Arc<Mutex<ActiveSeries>>,
    now: Timestamp,
    stamp: u64,
    refused: Mutex<HashSet<i64>>,
}

impl TenantGate {
    /// The series that were refused, sorted: they go into the request's record, so that a replay refuses them too.
    pub(crate) fn into_refused(self) -> Vec<i64> {
        let refused = self.refused.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut refused: Vec<i64> = refused.into_iter().collect();
        refused.sort_unstable();
        refused
    }
}

impl SeriesGate for TenantGate {
    fn admit(&self, series_id: i64) -> bool {
        let admitted = lock(&self.active).admit(series_id, self.now);
        if admitted {
            return true;
        }
        lock(&self.refused).insert(series_id);
        false
    }

    fn stamp(&self) -> u64 {
        self.stamp
    }
}

/// What a replay refuses: the series that were refused on arrival.
#[derive(Debug)]
pub(crate) struct RefusedThen<'a>(pub(crate) &'a [i64]);

impl SeriesGate for RefusedThen<'_> {
    fn admit(&self, series_id: i64) -> bool {
        self.0.binary_search(&series_id).is_err()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
