use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hindsight_model::Tenant;

use super::RejectedItem;

/// Rows kept at most, over all tenants; the oldest go first.
pub(super) const KEPT_MAX: usize = 10_000;
/// Items kept of one tenant in one minute; the rest of the minute is counted only.
pub(super) const KEPT_PER_MINUTE_MAX: u32 = 500;
/// Tenants whose minute is remembered; beyond it those of other minutes are forgotten.
const TENANTS_MAX: usize = 10_000;

/// The last rows, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring {
    items: VecDeque<Arc<RejectedItem>>,
    /// Items kept of the current minute, by tenant.
    minutes: HashMap<Tenant, (i64, u32)>,
}

impl Ring {
    pub(super) fn has_room(&mut self, tenant: &Tenant, minute: i64) -> bool {
        if self.minutes.len() >= TENANTS_MAX && !self.minutes.contains_key(tenant) {
            self.minutes.retain(|_, (current, _)| *current == minute);
            if self.minutes.len() >= TENANTS_MAX {
                return false;
            }
        }
        let (current, kept) = self.minutes.entry(tenant.clone()).or_insert((minute, 0));
        if *current != minute {
            (*current, *kept) = (minute, 0);
        }
        *kept = kept.saturating_add(1);
        *kept <= KEPT_PER_MINUTE_MAX
    }

    pub(super) fn push(&mut self, item: Arc<RejectedItem>) {
        if self.items.len() == KEPT_MAX {
            self.items.pop_front();
        }
        self.items.push_back(item);
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Arc<RejectedItem>> {
        self.items.iter()
    }
}
