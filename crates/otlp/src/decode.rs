use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use hindsight_model::{Signal, Table};
use jiff::Timestamp;

use crate::tally::{Remark, Tally};
use crate::{DecodeContext, DecodeError, Encoding, RejectReason, Rejection, Request, decode_request, rows};

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// The accepted rows, at most one batch for a table, none without rows; columns as [`Table::schema`] has
    /// them, rows in the order they came.
    pub batches: Vec<(Table, RecordBatch)>,
    /// Items that became a row.
    pub accepted: u64,
    /// Items that did not; a metric without data counts as one.
    pub rejected: u64,
    /// The first of the refused items, at most [`crate::Limits::rejections_kept_max`].
    pub rejections: Vec<Rejection>,
    /// How many items were refused for each reason, kept or not.
    pub reasons: BTreeMap<RejectReason, u64>,
    /// What was accepted not quite as sent, one sentence for each kind of thing.
    pub remarks: Vec<String>,
    /// Attribute keys that came twice in one list.
    pub duplicate_keys: u64,
    /// Values over the size limit, cut.
    pub cut_values: u64,
    /// The earliest event time accepted.
    pub min_time: Option<Timestamp>,
    /// The latest event time accepted.
    pub max_time: Option<Timestamp>,
}

/// Reads, checks and converts one export request.
///
/// # Errors
/// When the request is unusable as a whole; single bad items are counted in [`Decoded`] instead.
pub fn decode(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
    context: &DecodeContext<'_>,
) -> Result<Decoded, DecodeError> {
    decode_parsed(decode_request(signal, encoding, body)?, context)
}

/// As [`decode`], from a request that was read already.
///
/// # Errors
/// When attribute values nest deeper than [`crate::Limits::depth_max`].
pub fn decode_parsed(request: Request, context: &DecodeContext<'_>) -> Result<Decoded, DecodeError> {
    let mut tally = Tally::new(request.signal(), context);
    let batches = match request {
        Request::Traces(request) => rows::write_traces(request, &mut tally),
        Request::Metrics(request) => rows::write_metrics(request, &mut tally),
        Request::Logs(request) => rows::write_logs(request, &mut tally),
    }?;
    let (min_time, max_time) = tally.times();
    Ok(Decoded {
        batches,
        accepted: tally.accepted,
        rejected: tally.reasons.values().sum(),
        remarks: tally.remark_sentences(),
        duplicate_keys: tally.count(Remark::DuplicateKeys),
        cut_values: tally.count(Remark::CutValues),
        min_time,
        max_time,
        rejections: tally.rejections,
        reasons: tally.reasons,
    })
}

impl Decoded {
    /// The `error_message` of the answer: what was refused and why, then the remarks; empty when all is well.
    pub fn message(&self, signal: Signal) -> String {
        let mut sentences = Vec::new();
        if self.rejected > 0 {
            let all = self.accepted + self.rejected;
            sentences.push(format!("{} of {all} {}s were not stored", self.rejected, signal.item()));
        }
        for (reason, count) in &self.reasons {
            sentences.push(format!("{count} {reason}: {}", reason.sentence()));
        }
        sentences.extend(self.remarks.iter().cloned());
        sentences.join("; ")
    }
}
