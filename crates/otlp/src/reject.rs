use std::fmt;

use hindsight_model::Signal;

/// Bytes of [`Rejection::excerpt`] and [`Rejection::service`] at most.
pub(crate) const EXCERPT_BYTES_MAX: usize = 256;

/// One item that was not stored: a row of `rejected_telemetry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which signal.
    pub signal: Signal,
    /// Why.
    pub reason: RejectReason,
    /// The resource's `service.name`, at most 256 bytes of it.
    pub service: Option<String>,
    /// Enough of the item to find it, at most 256 bytes.
    pub excerpt: String,
}

/// Why an item was not stored. Sending it again does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RejectReason {
    /// A span's trace id has not 16 bytes, or only zeros.
    InvalidTraceId,
    /// A span's id has not 8 bytes, or only zeros.
    InvalidSpanId,
    /// A span without start or end, or a point without a time.
    ZeroTime,
    /// A number point with neither value nor the no-recorded-value flag.
    NoValue,
    /// A metric with none of the five kinds of data.
    NoData,
    /// A sum or histogram that is neither delta nor cumulative.
    UnspecifiedTemporality,
    /// Bucket counts that are not one more than the bounds.
    HistogramBuckets,
    /// Bounds that do not increase.
    HistogramBounds,
    /// Older than the table keeps.
    TooOld,
    /// Further ahead of our clock than allowed.
    TooFarAhead,
    /// Start and end further apart than 292 years.
    DurationTooLong,
    /// A list of attributes over the limit.
    TooManyAttributes,
    /// Resource, scope and metric texts, repeated per row, over the limit.
    SharedTextTooLarge,
    /// A new series while the tenant has as many active ones as it may.
    TooManySeries,
}

impl RejectReason {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::InvalidTraceId,
        Self::InvalidSpanId,
        Self::ZeroTime,
        Self::NoValue,
        Self::NoData,
        Self::UnspecifiedTemporality,
        Self::HistogramBuckets,
        Self::HistogramBounds,
        Self::TooOld,
        Self::TooFarAhead,
        Self::DurationTooLong,
        Self::TooManyAttributes,
        Self::SharedTextTooLarge,
        Self::TooManySeries,
    ];

    /// The reason as one snake_case word, for tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidTraceId => "invalid_trace_id",
            Self::InvalidSpanId => "invalid_span_id",
            Self::ZeroTime => "zero_time",
            Self::NoValue => "no_value",
            Self::NoData => "no_data",
            Self::UnspecifiedTemporality => "unspecified_temporality",
            Self::HistogramBuckets => "histogram_buckets",
            Self::HistogramBounds => "histogram_bounds",
            Self::TooOld => "too_old",
            Self::TooFarAhead => "too_far_ahead",
            Self::DurationTooLong => "duration_too_long",
            Self::TooManyAttributes => "too_many_attributes",
            Self::SharedTextTooLarge => "shared_text_too_large",
            Self::TooManySeries => "too_many_series",
        }
    }

    /// The reason as the sender should read it.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::InvalidTraceId => "the trace id must have 16 bytes, not all zero",
            Self::InvalidSpanId => "the span id must have 8 bytes, not all zero",
            Self::ZeroTime => "the time is missing; a span needs start and end, a data point its time",
            Self::NoValue => "a number point needs a value, or flag 1 for no recorded value",
            Self::NoData => "the metric has no gauge, sum, histogram, exponential histogram or summary in it",
            Self::UnspecifiedTemporality => "the temporality must be delta or cumulative",
            Self::HistogramBuckets => "a histogram needs one more bucket count than bounds, or neither",
            Self::HistogramBounds => "a histogram's bounds must increase",
            Self::TooOld => "the time lies before what is kept; check the sender's clock",
            Self::TooFarAhead => "the time lies too far in the future; check the sender's clock",
            Self::DurationTooLong => "start and end lie too far apart",
            Self::TooManyAttributes => "there are too many attributes in one list",
            Self::TooManySeries => {
                "the series is new and the tenant has as many active series as it may; look for a label with ever new values"
            }
            Self::SharedTextTooLarge => {
                "resource, scope and metric texts are too large to repeat on every row; send smaller batches"
            }
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `text` cut to at most `bytes_max` bytes, at a character.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
