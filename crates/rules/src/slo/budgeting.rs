use std::collections::BTreeMap;

use hindsight_model::SloSlice;

use super::burn::minute_of;

/// How good and all events become budget units, in OpenSLO's words a budgeting method.
///
/// The unit of a time slice is shared out over its minutes, so that windows and periods may begin and end within
/// one. A time slice in which nothing happened is neither good nor bad: nothing was observed. One that is still going
/// on is judged by what it holds so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Budgeting {
    /// Every event counts the same.
    #[default]
    Occurrences,
    /// A time slice is good when enough of its events are.
    Timeslices {
        /// Length of a time slice in minutes, from 1.
        minutes: u32,
        /// Share of good events from which on it is good.
        target: f64,
    },
    /// A time slice is as good as the share of its good events: the mean of all slices' ratios counts.
    RatioTimeslices {
        /// Length of a time slice in minutes, from 1.
        minutes: u32,
    },
}

impl Budgeting {
    /// `Occurrences`, `Timeslices` or `RatioTimeslices`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Occurrences => "Occurrences",
            Self::Timeslices { .. } => "Timeslices",
            Self::RatioTimeslices { .. } => "RatioTimeslices",
        }
    }

    /// Minutes of a time slice; 1 for occurrences.
    pub(super) fn minutes(self) -> i64 {
        match self {
            Self::Occurrences => 1,
            Self::Timeslices { minutes, .. } | Self::RatioTimeslices { minutes } => i64::from(minutes.max(1)),
        }
    }

    /// The first minute of the time slice that holds this one. Slices are aligned to the epoch: to the hour when
    /// they divide one.
    pub(super) fn slice_of(self, minute: i64) -> i64 {
        minute - minute.rem_euclid(self.minutes())
    }

    /// How good a time slice with these events was, from 0 to 1; `None` when nothing happened in it.
    pub(super) fn verdict(self, good: f64, total: f64) -> Option<f64> {
        let ratio = (total > 0.0).then(|| (good / total).clamp(0.0, 1.0))?;
        Some(match self {
            Self::Timeslices { target, .. } => f64::from(u8::from(ratio >= target)),
            Self::Occurrences | Self::RatioTimeslices { .. } => ratio,
        })
    }

    /// The same minutes in budget units: what [`ledger`](crate::ledger) charges, in place of events.
    pub fn units(self, slices: &[SloSlice]) -> Vec<SloSlice> {
        if self == Self::Occurrences {
            return slices.to_vec();
        }
        let mut sums: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        for slice in slices {
            let sum = sums.entry(self.slice_of(minute_of(slice.minute))).or_default();
            sum.0 += slice.good;
            sum.1 += slice.total;
        }
        #[expect(clippy::cast_precision_loss, reason = "minutes of a time slice, at most a day's")]
        let share = 1.0 / self.minutes() as f64;
        let unit = |slice: &SloSlice| {
            let (good, total) = sums[&self.slice_of(minute_of(slice.minute))];
            let (good, total) = self.verdict(good, total).map_or((0.0, 0.0), |good| (good * share, share));
            SloSlice { good, total, ..slice.clone() }
        };
        slices.iter().map(unit).collect()
    }
}
