use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

const DAY: Duration = Duration::from_secs(86_400);

/// Over which time the budget is given.
#[derive(Clone, Debug, PartialEq)]
pub enum BudgetWindow {
    /// The last so much time.
    Rolling(Duration),
    /// Months, weeks and the like of a calendar: the budget is whole again when the next begins.
    Calendar(Calendar),
}

/// Periods of a calendar, one after the other without a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// When one of the periods begins, by the clock of the zone.
    pub start: DateTime,
    /// Whose clock it is.
    pub zone: TimeZone,
    /// What the periods' length is counted in.
    pub unit: CalendarUnit,
    /// How many of it, from 1.
    pub count: u16,
}

/// What a calendar period is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalendarUnit {
    /// Midnight to midnight, when the start is at midnight: 23 to 25 hours.
    Day,
    /// Seven of them.
    Week,
    /// Months; a start on the 31st means the last day of shorter ones.
    Month,
    /// Three months.
    Quarter,
    /// Twelve months.
    Year,
}

impl CalendarUnit {
    /// Days and months of one unit; one of the two is nought.
    fn length(self) -> (i64, i64) {
        match self {
            Self::Day => (1, 0),
            Self::Week => (7, 0),
            Self::Month => (0, 1),
            Self::Quarter => (0, 3),
            Self::Year => (0, 12),
        }
    }
}

impl BudgetWindow {
    /// Its length as the factors of burn-rate tiers reckon it: a month of a calendar has 30 days, a year 365.
    pub fn nominal(&self) -> Duration {
        match self {
            Self::Rolling(period) => *period,
            Self::Calendar(calendar) => DAY * nominal_days(calendar.unit) * u32::from(calendar.count.max(1)),
        }
    }

    /// The longest that it may last.
    pub(crate) fn longest(&self) -> Duration {
        match self {
            Self::Rolling(period) => *period,
            // Months have up to 31 days, years up to 366, days up to 25 hours (26 where history was odd).
            Self::Calendar(_) => self.nominal() + self.nominal() / 29 + DAY,
        }
    }

    /// Where the budget window that holds the instant before `end` begins and ends: for a rolling window, `end` is
    /// its end.
    pub fn period(&self, end: Timestamp) -> (Timestamp, Timestamp) {
        match self {
            Self::Rolling(period) => (back(end, *period), end),
            Self::Calendar(calendar) => {
                let last = end.checked_sub(Duration::from_nanos(1)).unwrap_or(end);
                calendar.period(last).unwrap_or_else(|| (back(end, self.nominal()), end))
            }
        }
    }
}

impl Calendar {
    /// The period that holds the instant; `None` beyond the years that jiff knows.
    pub fn period(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let mut index = self.guess(at)?;
        while self.boundary(index)? > at {
            index -= 1;
        }
        while self.boundary(index + 1)? <= at {
            index += 1;
        }
        Some((self.boundary(index)?, self.boundary(index + 1)?))
    }

    /// About which period from the start on it is: at most one off.
    fn guess(&self, at: Timestamp) -> Option<i64> {
        let civil = at.to_zoned(self.zone.clone()).datetime();
        let (days, months) = self.unit.length();
        let count = i64::from(self.count.max(1));
        if months > 0 {
            let month = |date: DateTime| i64::from(date.year()) * 12 + i64::from(date.month());
            return Some((month(civil) - month(self.start)).div_euclid(months * count));
        }
        let apart = civil.date().since(self.start.date()).ok()?.get_days();
        Some(i64::from(apart).div_euclid(days * count))
    }

    /// When the period of this number begins. Each is reckoned from the start, so that a month that begins on the
    /// 31st does not drift; a time that the clock skips begins after the gap, one that comes twice at its first.
    fn boundary(&self, index: i64) -> Option<Timestamp> {
        let (days, months) = self.unit.length();
        let count = i64::from(self.count.max(1));
        let span =
            Span::new().try_months(index * months * count).ok()?.try_days(index * days * count).ok()?;
        Some(self.start.checked_add(span).ok()?.to_zoned(self.zone.clone()).ok()?.timestamp())
    }
}

fn nominal_days(unit: CalendarUnit) -> u32 {
    match unit {
        CalendarUnit::Day => 1,
        CalendarUnit::Week => 7,
        CalendarUnit::Month => 30,
        CalendarUnit::Quarter => 90,
        CalendarUnit::Year => 365,
    }
}

fn back(end: Timestamp, by: Duration) -> Timestamp {
    end.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calendar(start: &str, zone: &str, unit: CalendarUnit, count: u16) -> Calendar {
        Calendar { start: start.parse().unwrap(), zone: TimeZone::get(zone).unwrap(), unit, count }
    }

    fn check(calendar: &Calendar, at: &str, from: &str, to: &str) {
        let (begin, end) = calendar.period(at.parse().unwrap()).unwrap();
        assert_eq!((begin.to_string(), end.to_string()), (from.to_owned(), to.to_owned()), "{at}");
    }

    #[test]
    fn periods_follow_the_clock_of_their_zone() {
        let month = calendar("2026-01-01T00:00:00", "Europe/Berlin", CalendarUnit::Month, 1);
        check(&month, "2026-03-15T12:00:00Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z");
        check(&month, "2026-03-31T22:00:00Z", "2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z");
        let day = calendar("2026-01-01T00:00:00", "Europe/Berlin", CalendarUnit::Day, 1);
        // The clocks go forward on this day: it has 23 hours.
        check(&day, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        let quarter = calendar("2026-01-01T00:00:00", "UTC", CalendarUnit::Quarter, 1);
        check(&quarter, "2025-12-31T23:59:59Z", "2025-10-01T00:00:00Z", "2026-01-01T00:00:00Z");
        let week = calendar("2026-01-05T09:30:00", "America/New_York", CalendarUnit::Week, 2);
        check(&week, "2026-01-19T14:00:00Z", "2026-01-05T14:30:00Z", "2026-01-19T14:30:00Z");
        let last = calendar("2024-01-31T00:00:00", "UTC", CalendarUnit::Month, 1);
        check(&last, "2026-02-28T05:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z");
        let year = calendar("2024-02-29T00:00:00", "UTC", CalendarUnit::Year, 1);
        check(&year, "2026-11-21T00:00:00Z", "2026-02-28T00:00:00Z", "2027-02-28T00:00:00Z");
    }

    #[test]
    fn the_end_of_a_period_still_belongs_to_it() {
        let window = BudgetWindow::Calendar(calendar("2026-01-01T00:00:00", "UTC", CalendarUnit::Month, 1));
        let (from, to) = window.period("2026-02-01T00:00:00Z".parse().unwrap());
        assert_eq!(
            (from.to_string(), to.to_string()),
            ("2026-01-01T00:00:00Z".into(), "2026-02-01T00:00:00Z".into())
        );
        assert_eq!(window.nominal(), DAY * 30);
    }

    fn a_calendar() -> impl Strategy<Value = Calendar> {
        let zone = prop_oneof![
            Just("UTC"),
            Just("Europe/Berlin"),
            Just("America/New_York"),
            Just("Australia/Lord_Howe"),
            Just("Pacific/Apia"),
            Just("Asia/Kolkata"),
        ];
        let unit = prop_oneof![
            Just(CalendarUnit::Day),
            Just(CalendarUnit::Week),
            Just(CalendarUnit::Month),
            Just(CalendarUnit::Quarter),
            Just(CalendarUnit::Year),
        ];
        (zone, unit, 1..4_u16, 1..13_i8, 1..29_i8, 0..24_i8, 0..60_i8).prop_map(
            |(zone, unit, count, month, day, hour, minute)| Calendar {
                start: jiff::civil::date(2020, month, day).at(hour, minute, 0, 0),
                zone: TimeZone::get(zone).unwrap(),
                unit,
                count,
            },
        )
    }

    proptest! {
        #[test]
        fn periods_tile_time_without_gap_or_overlap(
            calendar in a_calendar(),
            seconds in 1_300_000_000..2_000_000_000_i64,
        ) {
            let at = Timestamp::from_second(seconds).unwrap();
            let (from, to) = calendar.period(at).unwrap();
            prop_assert!(from <= at && at < to);
            let before = calendar.period(from.checked_sub(Duration::from_nanos(1)).unwrap()).unwrap();
            let after = calendar.period(to).unwrap();
            prop_assert_eq!(before.1, from);
            prop_assert_eq!(after.0, to);
            let length = to.duration_since(from).unsigned_abs();
            prop_assert!(length <= BudgetWindow::Calendar(calendar.clone()).longest(), "{length:?}");
        }
    }
}
