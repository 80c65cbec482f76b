//! The active-series limit, tenant by tenant, and how a replay repeats what it decided.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hindsight_model::Tenant;
use hindsight_otlp::SeriesGate;
use jiff::Timestamp;

use super::active_series::ActiveSeries;

/// Tenants whose series are counted apart (LIM-1); those who come beyond share one count.
const TENANTS_MAX: usize = 10_000;

/// The active series of all tenants. Counting starts anew with the program.
#[derive(Debug)]
pub(crate) struct SeriesLimits {
    limit: usize,
    tenants: Mutex<HashMap<Tenant, Arc<Mutex<ActiveSeries>>>>,
    others: Arc<Mutex<ActiveSeries>>,
}

impl SeriesLimits {
    pub(crate) fn new(limit: usize) -> Self {
        let others = Arc::new(Mutex::new(ActiveSeries::new(limit)));
        Self { limit, tenants: Mutex::default(), others }
    }

    /// The gate for one request of `tenant`, at a time of the steady clock.
    pub(crate) fn gate(&self, tenant: &Tenant, now: Timestamp) -> TenantGate {
        TenantGate { active: self.of(tenant), now, refused: Mutex::default() }
    }

    fn of(&self, tenant: &Tenant) -> Arc<Mutex<ActiveSeries>> {
        let mut tenants = lock(&self.tenants);
        if let Some(active) = tenants.get(tenant) {
            return Arc::clone(active);
        }
        if tenants.len() >= TENANTS_MAX {
            return Arc::clone(&self.others);
        }
        let active = Arc::new(Mutex::new(ActiveSeries::new(self.limit)));
        tenants.insert(tenant.clone(), Arc::clone(&active));
        active
    }

    /// Series that hold a place, of all tenants.
    pub(crate) fn active(&self) -> u64 {
        let counts: usize = lock(&self.tenants).values().map(|active| lock(active).len()).sum();
        (counts + lock(&self.others).len()) as u64
    }
}

/// One request's way to its tenant's count.
#[derive(Debug)]
pub(crate) struct TenantGate {
    active: Arc<Mutex<ActiveSeries>>,
    now: Timestamp,
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
