//! Mute times: hours, days and months in which a route tells nothing.
//!
//! Source: Alertmanager's documentation, "Configuration", `<time_interval>`.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

/// Most mute times in a configuration.
pub const MUTE_TIMES_MAX: usize = 64;
/// Most ranges in one list of a mute time.
pub const MUTE_RANGES_MAX: usize = 64;

/// One `[[notify.mute_times]]` table as written. An instant is muted when it lies in one of `times` on a day that
/// passes every other list; an empty list lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MuteTimeConfig {
    /// The name that routes use.
    pub name: String,
    /// Parts of the day; one whose end is not after its start goes on into the next day, and belongs to the day on
    /// which it starts.
    #[serde(default)]
    pub times: Vec<TimeRangeConfig>,
    /// `monday` or `monday:friday`, three letters do.
    #[serde(default)]
    pub weekdays: Vec<String>,
    /// `1`, `1:7` or `-3:-1`, counted back from the month's end.
    #[serde(default)]
    pub days_of_month: Vec<String>,
    /// `december`, `12` or `june:august`.
    #[serde(default)]
    pub months: Vec<String>,
    /// The time zone's IANA name; UTC unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tz: Option<String>,
}

/// A part of the day, its end not included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRangeConfig {
    /// `22:00`.
    pub start: String,
    /// `06:00`, or `24:00` for the end of the day.
    pub end: String,
}

/// A mute time, checked.
#[derive(Clone, Debug)]
pub struct MuteTime {
    times: Vec<(Minute, Minute)>,
    weekdays: Vec<(i8, i8)>,
    days_of_month: Vec<(i8, i8)>,
    months: Vec<(i8, i8)>,
    zone: TimeZone,
}

/// Minutes since midnight, 1440 for the end of the day.
type Minute = u16;

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl MuteTime {
    /// Checks one table.
    ///
    /// # Errors
    /// A sentence about the first thing that makes no sense.
    pub fn new(config: &MuteTimeConfig) -> Result<Self, String> {
        let lists =
            [config.times.len(), config.weekdays.len(), config.days_of_month.len(), config.months.len()];
        if lists.iter().any(|length| *length > MUTE_RANGES_MAX) {
            return Err(format!("a list has more than {MUTE_RANGES_MAX} ranges"));
        }
        if lists.iter().all(|length| *length == 0) {
            return Err(
                "it would mute always; give `times`, `weekdays`, `days_of_month` or `months`".to_owned()
            );
        }
        let zone = match config.tz.as_deref() {
            None | Some("UTC") => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|error| {
                format!("tz `{name}`: {error}; write an IANA name such as Europe/Berlin (package tzdata)")
            })?,
        };
        let times = config.times.iter().map(|range| {
            let (start, end) = (minute(&range.start)?, minute(&range.end)?);
            if start == end || start == 1440 {
                return Err(format!("the time from {} to {} is empty", range.start, range.end));
            }
            Ok((start, end))
        });
        Ok(Self {
            times: times.collect::<Result<_, String>>()?,
            weekdays: ranges("weekday", &config.weekdays, |text| word(&WEEKDAYS, text), false)?,
            days_of_month: ranges("day of the month", &config.days_of_month, day_of_month, true)?,
            months: ranges("month", &config.months, month, false)?,
            zone,
        })
    }

    /// Whether `at` is muted.
    pub fn holds(&self, at: Timestamp) -> bool {
        let local = self.zone.to_datetime(at);
        let (today, minute) = (local.date(), minutes(local.time()));
        if self.times.is_empty() {
            return self.day(today);
        }
        self.times.iter().any(|&(start, end)| {
            if start < end {
                return (start..end).contains(&minute) && self.day(today);
            }
            let began_yesterday = minute < end;
            let yesterday = || today.checked_sub(1.day()).is_ok_and(|yesterday| self.day(yesterday));
            (minute >= start && self.day(today)) || (began_yesterday && yesterday())
        })
    }

    fn day(&self, date: Date) -> bool {
        let weekday = date.weekday().to_monday_zero_offset() + 1;
        let length = date.days_in_month();
        let from_end = |day: i8| if day < 0 { (length + 1 + day).max(1) } else { day };
        let of_month = |&(first, last): &(i8, i8)| (from_end(first)..=from_end(last)).contains(&date.day());
        any(&self.weekdays, |range| within(range, weekday))
            && any(&self.months, |range| within(range, date.month()))
            && any(&self.days_of_month, of_month)
    }
}

fn any<T>(list: &[T], holds: impl Fn(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(holds)
}

/// Whether a cyclic range holds it: `saturday:monday` has three days.
fn within(&(first, last): &(i8, i8), value: i8) -> bool {
    if first <= last { (first..=last).contains(&value) } else { value >= first || value <= last }
}

fn minutes(time: Time) -> Minute {
    Minute::from(time.hour().unsigned_abs()) * 60 + Minute::from(time.minute().unsigned_abs())
}

fn minute(text: &str) -> Result<Minute, String> {
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        if !two_digits(hour) || !two_digits(minute) {
            return None;
        }
        let (hour, minute): (Minute, Minute) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60 && hour * 60 + minute <= 1440).then_some(hour * 60 + minute)
    };
    read().ok_or_else(|| format!("`{text}` is not a time of day; write 22:00"))
}

fn ranges(
    what: &str,
    texts: &[String],
    read: impl Fn(&str) -> Option<i8>,
    ordered: bool,
) -> Result<Vec<(i8, i8)>, String> {
    let range = |text: &String| {
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        let wrong = || format!("`{text}` is not a {what} or a range of them, first:last");
        let (first, last) = (read(first.trim()).ok_or_else(wrong)?, read(last.trim()).ok_or_else(wrong)?);
        let backwards = ordered && (first > 0) == (last > 0) && first > last;
        if backwards || (ordered && first < 0 && last > 0) {
            return Err(format!("the range `{text}` ends before it begins"));
        }
        Ok((first, last))
    };
    texts.iter().map(range).collect()
}

/// The place of a word in a list, from 1; its first three letters do.
fn word(words: &[&str], text: &str) -> Option<i8> {
    let text = text.to_ascii_lowercase();
    let place =
        words.iter().position(|word| *word == text || (text.len() == 3 && word.starts_with(&text)))?;
    i8::try_from(place + 1).ok()
}

fn month(text: &str) -> Option<i8> {
    word(&MONTHS, text).or_else(|| text.parse().ok().filter(|month| (1..=12).contains(month)))
}

fn day_of_month(text: &str) -> Option<i8> {
    text.parse().ok().filter(|day: &i8| (1..=31).contains(&day.abs()))
}

#[cfg(test)]
mod tests;
