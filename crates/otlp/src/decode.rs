use std::collections::BTreeMap;

use hindsight_model::{Rows, Signal, Table};
use jiff::Timestamp;

use crate::rows::{self, Pass, Stop};
use crate::tally::{Remark, Tally};
use crate::{
    BODY_BYTES_MAX, DecodeContext, DecodeError, Encoding, RejectReason, Rejection, decode_request,
    encode_request, wire,
};

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// The accepted rows in the order they came, at most one batch for a table, none without rows.
    pub batches: Vec<(Table, Rows)>,
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
    if encoding == Encoding::Protobuf && body.len() <= BODY_BYTES_MAX {
        match decode_wire(signal, body, context) {
            Ok(decoded) => return Ok(decoded),
            Err(Stop::Unusable(error)) => return Err(error),
            // The general reader says what is wrong, or else writes the same request plainly.
            Err(Stop::Odd | Stop::Unpacks) => {}
        }
    }
    let request = decode_request(signal, encoding, body)?;
    let plain = encode_request(&request, Encoding::Protobuf);
    drop(request);
    match decode_wire(signal, &plain, context) {
        Ok(decoded) => Ok(decoded),
        Err(Stop::Unusable(error)) => Err(error),
        Err(Stop::Unpacks) => Err(DecodeError::Unpacks { max: wire::unpacked_bytes_max(plain.len()) }),
        Err(Stop::Odd) => Err(DecodeError::Protobuf {
            offset: 0,
            field: "the request".to_owned(),
            what: "it cannot be read in one pass",
        }),
    }
}

fn decode_wire(signal: Signal, body: &[u8], context: &DecodeContext<'_>) -> Result<Decoded, Stop> {
    let mut pass = Pass::new(Tally::new(signal, context), body.len());
    let batches = match signal {
        Signal::Traces => rows::write_traces(body, &mut pass),
        Signal::Metrics => rows::write_metrics(body, &mut pass),
        Signal::Logs => rows::write_logs(body, &mut pass),
    }?;
    let tally = pass.tally;
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
