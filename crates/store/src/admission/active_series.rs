//! How many different series a tenant may send: the bound that a label with random values runs into.

use std::collections::HashMap;

use jiff::Timestamp;

/// Active series of one tenant at most, unless the configuration says otherwise (DESIGN §9).
pub const SERIES_MAX: usize = 200_000;
/// A series that was not seen for so many minutes gives its place back.
const IDLE_MINUTES: u32 = 60;

/// The series that one tenant sent lately. At the limit, series that are known go on and new ones are refused,
/// until some known one has been silent for an hour. Memory: 16 bytes a series and the table's spare room, so at
/// most about 8 MB at the default limit.
#[derive(Clone, Debug)]
pub struct ActiveSeries {
    limit: usize,
    /// By series id: the minute in which it came last.
    seen: HashMap<i64, u32>,
    /// The latest minute that was ever asked about; a clock that goes back is held here, so that no series ages or
    /// grows young by it.
    minute: u32,
    /// The minute in which silent series were last looked for; once a minute is enough.
    swept: Option<u32>,
}

impl ActiveSeries {
    /// None yet, and at most `limit` at once.
    pub fn new(limit: usize) -> Self {
        Self { limit, seen: HashMap::new(), minute: 0, swept: None }
    }

    /// Whether a point of this series may be stored at `now`; if so the series counts as active for another hour.
    pub fn admit(&mut self, series_id: i64, now: Timestamp) -> bool {
        self.minute = self.minute.max(minute_of(now));
        if let Some(seen) = self.seen.get_mut(&series_id) {
            *seen = self.minute;
            return true;
        }
        if self.seen.len() >= self.limit {
            self.sweep();
        }
        if self.seen.len() >= self.limit {
            return false;
        }
        self.seen.insert(series_id, self.minute);
        true
    }

    /// Series that hold a place, some of which may be silent for more than an hour.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether no series holds a place.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Gives back the places of silent series. A scan of the whole table, so at most once a minute.
    fn sweep(&mut self) {
        if self.swept == Some(self.minute) {
            return;
        }
        self.swept = Some(self.minute);
        let minute = self.minute;
        self.seen.retain(|_, seen| minute - *seen < IDLE_MINUTES);
    }
}

/// Minutes since 1970; earlier times count as 1970.
fn minute_of(at: Timestamp) -> u32 {
    u32::try_from(at.as_second().max(0) / 60).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(minute: u64) -> Timestamp {
        let start: Timestamp = "2026-05-04T14:00:00Z".parse().unwrap();
        start + Duration::from_secs(60 * minute)
    }

    #[test]
    fn at_the_limit_known_series_go_on_and_new_ones_wait_for_a_silent_one() {
        let mut active = ActiveSeries::new(2);
        assert!(active.admit(1, at(0)) && active.admit(2, at(0)));
        assert!(!active.admit(3, at(0)));
        assert!(active.admit(1, at(30)), "a known series is never refused");
        assert!(!active.admit(3, at(59)), "the second was heard less than an hour ago");
        assert!(active.admit(3, at(60)), "the second was silent for an hour");
        assert!(!active.admit(2, at(60)), "the first, heard at 30, still holds its place");
        assert_eq!(active.len(), 2);
    }

    #[test]
    fn a_limit_of_nothing_admits_nothing() {
        assert!(!ActiveSeries::new(0).admit(1, at(0)));
    }

    #[test]
    fn a_clock_that_jumps_refuses_no_known_series_and_frees_none_early() {
        let mut active = ActiveSeries::new(1);
        assert!(active.admit(1, at(2_000)));
        assert!(active.admit(1, at(500)), "a day back");
        assert!(!active.admit(2, at(510)));
        assert!(active.admit(1, at(4_000)), "more than a day ahead");
        assert!(!active.admit(2, at(4_000)));
    }

    proptest! {
        /// The plain model keeps the minute in which each series came last and never forgets one: a series is
        /// active if that is less than an hour ago.
        #[test]
        fn as_the_plain_model_decides(
            limit in 1..6_usize,
            asked in proptest::collection::vec((0..12_i64, 0..40_u64), 1..200),
        ) {
            let mut active = ActiveSeries::new(limit);
            let mut model: HashMap<i64, u64> = HashMap::new();
            let mut minute = 0;
            for (series, wait) in asked {
                minute += wait;
                let admitted = active.admit(series, at(minute));
                let busy = model.iter().filter(|(id, seen)| **id != series && minute - **seen < 60).count();
                let known = model.get(&series).is_some_and(|seen| minute - seen < 60);
                prop_assert!(active.len() <= limit);
                if known || busy < limit {
                    prop_assert!(admitted, "series {series} at minute {minute}");
                } else if admitted {
                    // A place that was silent for an hour is its owner's until somebody else wants it.
                    prop_assert!(model.contains_key(&series));
                }
                if admitted {
                    model.insert(series, minute);
                }
            }
        }
    }
}
