use std::borrow::Cow;
use std::collections::BTreeMap;

use hindsight_model::{Signal, Tenant};
use jiff::Timestamp;

use super::{Refusal, RejectedItem, cut, minute_of};

/// Different rows of one minute at most; refusals that would need one more go uncounted here, and are in the
/// metrics still.
const ROWS_PER_MINUTE_MAX: usize = 1_000;

type Key = (Tenant, &'static str, &'static str);

/// The refused requests of the running minute, added up.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    minute: i64,
    rows: BTreeMap<Key, Row>,
}

#[derive(Debug)]
struct Row {
    signal: Signal,
    first: Timestamp,
    count: u64,
    sender: Option<String>,
    told: String,
}

impl Refusals {
    /// Counts one, and returns the rows of the minute that has ended, if one has.
    pub(super) fn note(&mut self, refusal: &Refusal<'_>, now: Timestamp) -> Vec<RejectedItem> {
        let ended = self.end_before(now);
        self.minute = minute_of(now);
        let key = (refusal.tenant.clone(), refusal.signal.as_str(), refusal.reason);
        if let Some(row) = self.rows.get_mut(&key) {
            row.count += 1;
        } else if self.rows.len() < ROWS_PER_MINUTE_MAX {
            let row = Row {
                signal: refusal.signal,
                first: now,
                count: 1,
                sender: refusal.sender.map(cut),
                told: cut(refusal.told),
            };
            self.rows.insert(key, row);
        }
        ended
    }

    /// The rows so far.
    pub(super) fn running(&self) -> impl Iterator<Item = RejectedItem> {
        self.rows.iter().map(|(key, row)| item(key, row))
    }

    /// Takes the rows out, unless their minute is running.
    pub(super) fn end_before(&mut self, now: Timestamp) -> Vec<RejectedItem> {
        if minute_of(now) == self.minute { Vec::new() } else { self.end() }
    }

    /// Takes the rows out.
    pub(super) fn end(&mut self) -> Vec<RejectedItem> {
        std::mem::take(&mut self.rows).iter().map(|(key, row)| item(key, row)).collect()
    }
}

fn item((tenant, _, reason): &Key, row: &Row) -> RejectedItem {
    RejectedItem {
        time: row.first,
        tenant: tenant.clone(),
        signal: row.signal,
        reason: Cow::Borrowed(reason),
        occurrences: row.count,
        service: None,
        sender: row.sender.clone(),
        excerpt: row.told.clone(),
    }
}
