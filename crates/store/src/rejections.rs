//! The most recent refused items, for people who wonder where their telemetry went.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use hindsight_model::{Signal, Tenant};
use hindsight_otlp::Decoded;
use jiff::Timestamp;

/// Items kept at most, over all tenants; the oldest go first.
const KEPT_MAX: usize = 10_000;
/// Items kept of one tenant in one minute; the rest of the minute is counted only.
const KEPT_PER_MINUTE_MAX: u32 = 500;

/// One refused item: a row of `rejected_telemetry`.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectedItem {
    /// When its request arrived.
    pub time: Timestamp,
    /// Whose it was.
    pub tenant: Tenant,
    /// Which signal.
    pub signal: Signal,
    /// Why, as a stable word such as `invalid_span_id`.
    pub reason: &'static str,
    /// The resource's `service.name`.
    pub service: Option<String>,
    /// Who sent it, as the server knows: an address or a user agent.
    pub sender: Option<String>,
    /// Enough of the item to find it.
    pub excerpt: String,
}

/// The bounded ring.
#[derive(Debug, Default)]
pub(crate) struct Rejections {
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    items: VecDeque<Arc<RejectedItem>>,
    /// Items kept of the current minute, by tenant.
    minutes: HashMap<Tenant, (i64, u32)>,
}

impl Rejections {
    /// Keeps what a request had to refuse, as far as the bounds allow.
    pub(crate) fn record(&self, tenant: &Tenant, sender: Option<&str>, time: Timestamp, decoded: &Decoded) {
        if decoded.rejections.is_empty() {
            return;
        }
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for rejection in &decoded.rejections {
            if !ring.has_room(tenant, time.as_second().div_euclid(60)) {
                return;
            }
            ring.push(RejectedItem {
                time,
                tenant: tenant.clone(),
                signal: rejection.signal,
                reason: rejection.reason.as_str(),
                service: rejection.service.clone(),
                sender: sender.map(str::to_owned),
                excerpt: rejection.excerpt.clone(),
            });
        }
    }

    /// Oldest first.
    pub(crate) fn recent(&self) -> Vec<Arc<RejectedItem>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).items.iter().cloned().collect()
    }
}

impl Ring {
    fn has_room(&mut self, tenant: &Tenant, minute: i64) -> bool {
        let (current, kept) = self.minutes.entry(tenant.clone()).or_insert((minute, 0));
        if *current != minute {
            (*current, *kept) = (minute, 0);
        }
        *kept += 1;
        *kept <= KEPT_PER_MINUTE_MAX
    }

    fn push(&mut self, item: RejectedItem) {
        if self.items.len() == KEPT_MAX {
            self.items.pop_front();
        }
        self.items.push_back(Arc::new(item));
    }
}
