//! Counting while a request is decoded: what was accepted, refused, or accepted with a remark.

use std::collections::BTreeMap;

use hindsight_model::Signal;
use jiff::Timestamp;

use crate::limits::SHARED_BYTES_MAX;
use crate::reject::{EXCERPT_BYTES_MAX, cut};
use crate::{DecodeContext, RejectReason, Rejection};

/// Something that was accepted, but not quite as sent (OTLP.md rule 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Remark {
    DuplicateKeys,
    CutValues,
    ForeignValues,
    BadParentIds,
    BadLinks,
    BadLogIds,
    BadExemplarIds,
    PromotedType(&'static str),
}

impl Remark {
    fn sentence(self, count: u64) -> String {
        match self {
            Self::DuplicateKeys => {
                format!("{count} attribute keys came twice in one list; the last value was kept")
            }
            Self::CutValues => format!("{count} values were over the size limit and were cut"),
            Self::ForeignValues => {
                format!(
                    "{count} values or keys were references into a profile's string table and were stored empty"
                )
            }
            Self::BadParentIds => {
                format!(
                    "{count} spans had a parent id that is not 8 bytes or all zero; they were stored without it"
                )
            }
            Self::BadLinks => {
                format!("{count} span links without valid ids were dropped and counted as dropped")
            }
            Self::BadLogIds => {
                format!(
                    "{count} log records had a trace or span id of a wrong length; they were stored without it"
                )
            }
            Self::BadExemplarIds => {
                format!(
                    "{count} exemplars had a trace or span id of a wrong length; they were stored without it"
                )
            }
            Self::PromotedType(attribute) => {
                format!(
                    "{count} values of {attribute} do not have its type; they are found in the attributes only"
                )
            }
        }
    }
}

pub(crate) struct Tally<'a> {
    pub(crate) context: DecodeContext<'a>,
    signal: Signal,
    window: (i128, i128),
    pub(crate) accepted: u64,
    pub(crate) reasons: BTreeMap<RejectReason, u64>,
    pub(crate) rejections: Vec<Rejection>,
    remarks: BTreeMap<Remark, u64>,
    times: Option<(u64, u64)>,
    shared_bytes: usize,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(signal: Signal, context: &DecodeContext<'a>) -> Self {
        let now = context.now.as_nanosecond();
        // A Duration's nanoseconds are below 2^94: far from i128's end on either side.
        let past = i128::try_from(context.limits.past.as_nanos()).unwrap_or(i128::MAX / 4);
        let future = i128::try_from(context.limits.future.as_nanos()).unwrap_or(i128::MAX / 4);
        Self {
            context: *context,
            signal,
            window: (now - past, now + future),
            accepted: 0,
            reasons: BTreeMap::new(),
            rejections: Vec::new(),
            remarks: BTreeMap::new(),
            times: None,
            shared_bytes: 0,
        }
    }

    /// Whether an event may lie at this time.
    pub(crate) fn check_time(&self, unix_nano: u64) -> Result<(), RejectReason> {
        let at = i128::from(unix_nano);
        if at < self.window.0 {
            Err(RejectReason::TooOld)
        } else if at > self.window.1 {
            Err(RejectReason::TooFarAhead)
        } else {
            Ok(())
        }
    }

    /// Whether there is room for the texts that this row shares with others.
    pub(crate) fn take_shared(&mut self, bytes: usize) -> Result<(), RejectReason> {
        let after = self.shared_bytes.saturating_add(bytes);
        if after > self.context.limits.shared_bytes_max.min(SHARED_BYTES_MAX) {
            return Err(RejectReason::SharedTextTooLarge);
        }
        self.shared_bytes = after;
        Ok(())
    }

    pub(crate) fn accept(&mut self, unix_nano: u64) {
        self.accepted += 1;
        let (from, to) = self.times.unwrap_or((unix_nano, unix_nano));
        self.times = Some((from.min(unix_nano), to.max(unix_nano)));
    }

    pub(crate) fn reject(
        &mut self,
        reason: RejectReason,
        service: Option<&str>,
        excerpt: impl FnOnce() -> String,
    ) {
        *self.reasons.entry(reason).or_default() += 1;
        if self.rejections.len() < self.context.limits.rejections_kept_max {
            let mut excerpt = excerpt();
            excerpt.truncate(excerpt.floor_char_boundary(EXCERPT_BYTES_MAX));
            self.rejections.push(Rejection {
                signal: self.signal,
                reason,
                service: service.map(|name| cut(name, EXCERPT_BYTES_MAX).to_owned()),
                excerpt,
            });
        }
    }

    pub(crate) fn remark(&mut self, remark: Remark) {
        *self.remarks.entry(remark).or_default() += 1;
    }

    /// The remarks so far, for [`Self::take_remarks_since`].
    pub(crate) fn remarks(&self) -> BTreeMap<Remark, u64> {
        self.remarks.clone()
    }

    /// What was remarked since `before`, taken back out.
    pub(crate) fn take_remarks_since(&mut self, before: BTreeMap<Remark, u64>) -> Vec<(Remark, u64)> {
        let now = std::mem::replace(&mut self.remarks, before);
        let new = |(remark, count): (Remark, u64)| (remark, count - self.count(remark));
        now.into_iter().map(new).filter(|(_, count)| *count > 0).collect()
    }

    /// Counts again what reading the same thing gave rise to before.
    pub(crate) fn repeat_remarks(&mut self, remarks: &[(Remark, u64)]) {
        for (remark, count) in remarks {
            *self.remarks.entry(*remark).or_default() += count;
        }
    }

    pub(crate) fn count(&self, remark: Remark) -> u64 {
        self.remarks.get(&remark).copied().unwrap_or(0)
    }

    pub(crate) fn remark_sentences(&self) -> Vec<String> {
        self.remarks.iter().map(|(remark, count)| remark.sentence(*count)).collect()
    }

    /// Arrival in nanoseconds; an arrival before 1970 counts as 1970.
    pub(crate) fn arrival_nanos(&self) -> u64 {
        u64::try_from(self.context.arrival.as_nanosecond().max(0)).unwrap_or(u64::MAX)
    }

    /// The earliest and the latest accepted event time.
    pub(crate) fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let instant = |nanos: u64| Timestamp::from_nanosecond(i128::from(nanos)).ok();
        let (from, to) = (self.times.map(|t| t.0), self.times.map(|t| t.1));
        (from.and_then(instant), to.and_then(instant))
    }
}
