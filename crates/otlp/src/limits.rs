use std::time::Duration;

use jiff::Timestamp;

use crate::{Interner, SeriesGate};

/// The most bytes that [`crate::decode`] looks at. Far above the server's own limit; it keeps every offset inside
/// a batch below 2^31 even when each byte becomes eight in the canonical JSON.
pub const BODY_BYTES_MAX: usize = 192 << 20;

/// The most that [`Limits::shared_bytes_max`] can be: no text column may reach 2 GiB.
pub(crate) const SHARED_BYTES_MAX: usize = 1 << 30;

/// What one request may ask for (LIM-1). Beyond a limit the item is refused and counted, except where it says cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attributes in one list: of a resource, a scope, a record, an event or a link. Beyond it the record (for a
    /// resource or scope: every record under it) is refused. Default 256.
    pub attributes_max: usize,
    /// Bytes of text in one attribute value or log body, its nested values together. Longer ones are cut, with a
    /// remark. Default 64 KiB.
    pub value_bytes_max: usize,
    /// Arrays and key-value lists inside each other. Deeper makes the request unusable. Default 24, which
    /// lies within what both encodings' readers allow; they stop at about 27 key-value lists.
    pub depth_max: usize,
    /// How far before now an event may lie. Default 30 days.
    pub past: Duration,
    /// How far after now an event may lie. Default 10 minutes.
    pub future: Duration,
    /// Rejections kept with an excerpt; the rest is only counted. Default 100.
    pub rejections_kept_max: usize,
    /// Bytes that resource, scope and metric texts may come to when repeated on every row of the request. Beyond
    /// it rows are refused. Default and maximum 1 GiB: room for a 64 MiB request of small spans, each with a
    /// resource of several KiB.
    pub shared_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attributes_max: 256,
            value_bytes_max: 64 << 10,
            depth_max: 24,
            past: Duration::from_hours(30 * 24),
            future: Duration::from_mins(10),
            rejections_kept_max: 100,
            shared_bytes_max: SHARED_BYTES_MAX,
        }
    }
}

/// What decoding needs to know beside the bytes.
#[derive(Clone, Copy)]
pub struct DecodeContext<'a> {
    /// When the request came; the time of a log that has none.
    pub arrival: Timestamp,
    /// What the window of allowed event times is relative to.
    pub now: Timestamp,
    /// The limits to keep.
    pub limits: &'a Limits,
    /// What was read before; tenants may share it.
    pub interner: &'a Interner,
    /// Which series may come in.
    pub series: &'a dyn SeriesGate,
}

impl std::fmt::Debug for DecodeContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecodeContext")
            .field("arrival", &self.arrival)
            .field("now", &self.now)
            .field("limits", self.limits)
            .finish_non_exhaustive()
    }
}
