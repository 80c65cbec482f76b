//! How many bytes of requests are under way, and when that, or the head, is enough.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::Inner;
use crate::{IngestError, StoreOptions};

/// The unit in which bytes in flight are counted.
const UNIT_BYTES: usize = 1024;
/// A request of at most this share of the head counts as small.
const SMALL_SHARE: usize = 64;
/// What a busy store tells a sender to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Permits for [`StoreOptions::in_flight_bytes_max`]: at least one, so that one request at a time always gets in.
pub(crate) fn in_flight_units(options: &StoreOptions) -> u32 {
    let units = options.in_flight_bytes_max / UNIT_BYTES;
    u32::try_from(units.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX)
}

impl Inner {
    /// Bytes of requests being decoded or waiting for the log, rounded up to whole KiB each.
    pub(crate) fn in_flight_bytes(&self) -> u64 {
        let free = self.in_flight.available_permits() as u64;
        u64::from(in_flight_units(&self.options)).saturating_sub(free) * UNIT_BYTES as u64
    }

    /// Back-pressure: a full head or too many bytes in flight mean "later", not "no".
    pub(crate) fn admit(&self, body_bytes: usize) -> Result<OwnedSemaphorePermit, IngestError> {
        let busy = IngestError::Busy { retry_after: RETRY_AFTER };
        let (_, head_bytes) = self.live.read().head_size();
        // What is in flight will be in the head soon, and a crowd must not overshoot it together. Small requests
        // hardly add to it, and are not to wait for large ones.
        let is_small = body_bytes <= self.options.head_bytes_max / SMALL_SHARE;
        let coming = if is_small { 0 } else { self.in_flight_bytes() };
        if head_bytes + coming >= self.options.head_bytes_max as u64 {
            self.wake_sealer();
            return Err(busy);
        }
        let units = body_bytes.div_ceil(UNIT_BYTES).max(1);
        // One body above the whole bound is let in alone; decoding has its own limit.
        let units = u32::try_from(units).unwrap_or(u32::MAX).min(in_flight_units(&self.options));
        Arc::clone(&self.in_flight).try_acquire_many_owned(units).map_err(|_| busy)
    }
}
