//! Log lines that are new, or many times more than before: rows of the timeline from the records around the onset.

use std::collections::BTreeMap;

use hindsight_model::{TimelineKind, TimelineRow};
use jiff::{SignedDuration, Timestamp};

use super::row;
use crate::Observations;
use crate::evidence::template_pattern;
use crate::format;
use crate::gather::moment_queries::BODY_CHARS;
use crate::gather::queries::template_minutes;
use crate::statistics::count;

/// The last minutes before the moment may be tainted already; so they are "after".
const TAINTED_S: f64 = 120.0;
/// How long after the moment is looked at.
const AFTER_S: f64 = 600.0;
/// Shortest past in which a line can be missed.
const PAST_MIN_S: f64 = 600.0;
/// Lines that make a new complaint, a new line of another kind, or a surge.
const NEW_COMPLAINTS_MIN: usize = 3;
const NEW_LINES_MIN: usize = 20;
const SURGE_MIN: usize = 20;
/// How many times more often makes a surge.
const SURGE_TIMES: f64 = 5.0;
/// Severity number of a warning.
const WARNING: i64 = 13;
/// Most rows, complaints first.
const ROWS_MAX: usize = 5;
/// Longest template shown.
const TEXT_CHARS: usize = 120;

/// What one template did.
#[derive(Default)]
struct Seen {
    severity: i64,
    before: usize,
    after: usize,
    first_after: Option<f64>,
}

/// The rows, complaints and then the most lines first.
pub(super) fn template_rows(seen: &Observations) -> Vec<TimelineRow> {
    let mut oldest: BTreeMap<u32, f64> = BTreeMap::new();
    let mut found: BTreeMap<(u32, u32), Seen> = BTreeMap::new();
    for log in seen.logs.iter().filter(|log| log.at_s < AFTER_S) {
        let oldest = oldest.entry(log.service).or_insert(log.at_s);
        *oldest = oldest.min(log.at_s);
        let one = found.entry((log.service, log.template)).or_default();
        one.severity = one.severity.max(log.severity);
        if log.at_s < -TAINTED_S {
            one.before += 1;
        } else {
            one.after += 1;
            one.first_after = Some(one.first_after.map_or(log.at_s, |first| first.min(log.at_s)));
        }
    }
    let after_s = (AFTER_S.min(seen.until_s) + TAINTED_S).max(1.0);
    let mut told: Vec<(bool, usize, TimelineRow)> = found
        .iter()
        .filter_map(|((service, template), one)| {
            let past_s = -TAINTED_S - oldest.get(service)?;
            if past_s < PAST_MIN_S {
                return None;
            }
            let complains = one.severity >= WARNING;
            let times = (count(one.after) / after_s) / (count(one.before) / past_s);
            let is_new =
                one.before == 0 && one.after >= if complains { NEW_COMPLAINTS_MIN } else { NEW_LINES_MIN };
            let surges = one.before > 0 && complains && one.after >= SURGE_MIN && times >= SURGE_TIMES;
            let what = match (is_new, surges) {
                (true, _) => format!("for the first time, {} in {}", one.after, format::minutes(after_s)),
                (_, true) => format!("{} times as often as before", format::number(times)),
                _ => return None,
            };
            let (name, text) = (seen.names.text(*service), seen.template(*template));
            let short: String = text.chars().take(TEXT_CHARS).collect();
            let at = time(seen.at, one.first_after?);
            let sql = template_minutes(
                name,
                &template_pattern(text),
                BODY_CHARS,
                (time(seen.at, -PAST_MIN_S - TAINTED_S), time(seen.at, AFTER_S)),
            );
            let said = format!("{name} logs “{short}” {what}");
            Some((complains, one.after, row(at, TimelineKind::Log, Some(name), said, sql)))
        })
        .collect();
    told.sort_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)).then_with(|| a.2.text.cmp(&b.2.text)));
    told.into_iter().take(ROWS_MAX).map(|(_, _, row)| row).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "seconds around an incident")]
fn time(at: Timestamp, seconds: f64) -> Timestamp {
    at.saturating_add(SignedDuration::from_millis((seconds * 1e3) as i64)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogEvent;
    use crate::testing::minute;

    #[test]
    fn new_complaints_and_surges_are_told_and_what_was_always_there_is_not() {
        let mut seen = Observations::empty(minute(60));
        seen.until_s = 900.0;
        let service = seen.names.id("orders");
        seen.templates = ["order <*> placed", "no connection in pool", "slow query", "cache miss"]
            .map(str::to_owned)
            .into();
        let mut log = |template, severity, from: i32, to: i32, every: usize| {
            let at = (from..to).step_by(every).map(f64::from);
            seen.logs.extend(at.map(|at_s| LogEvent { service, template, at_s, severity }));
        };
        log(0, 9, -3_000, 600, 2);
        log(1, 17, 20, 600, 60);
        log(2, 13, -3_000, 0, 300);
        log(2, 13, 0, 600, 10);
        log(3, 9, 30, 600, 60);
        let rows = template_rows(&seen);
        let told: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        assert_eq!(
            told,
            [
                "orders logs “slow query” 24 times as often as before",
                "orders logs “no connection in pool” for the first time, 10 in 12 min",
            ]
        );
        assert_eq!(rows[1].at, time(minute(60), 20.0));
        assert!(rows.iter().all(|row| row.sql.as_deref().is_some_and(|sql| sql.contains("regexp_like"))));
    }

    #[test]
    fn without_a_past_nothing_is_new() {
        let mut seen = Observations::empty(minute(60));
        seen.until_s = 900.0;
        let service = seen.names.id("orders");
        seen.templates = vec!["no connection".to_owned()];
        seen.logs =
            (0..50).map(|i| LogEvent { service, template: 0, at_s: f64::from(i), severity: 17 }).collect();
        assert_eq!(template_rows(&seen), []);
    }
}
