use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::gather::queries;
use crate::series::{observed, plus_minutes, total};
use crate::statistics::two_proportions;
use crate::{Telemetry, VersionSeries};

/// Share of a service's spans in a minute that a version must gain to count as rolled out.
const SHARE_MIN: f64 = 0.02;
/// Minutes at the start of the telemetry in which a version counts as having been there before.
const KNOWN_MINUTES: usize = 3;
/// Minutes of silence after which a version that comes back counts as a new change (a rollback).
const SILENCE_MINUTES: usize = 5;
/// Most changes returned, the oldest first.
const CHANGES_MAX: usize = 200;

/// A change of a service's `service.version`, or of the variant that a feature flag gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The service.
    pub service: String,
    /// Key of the feature flag that changed; `None` for a version.
    pub flag: Option<String>,
    /// First minute of the new version.
    pub at: Timestamp,
    /// `service.version 4.1.9 → 4.2.0`.
    pub what: String,
    /// The version before.
    pub old: String,
    /// The version after.
    pub new: String,
    /// Whether the new version had run before, as after a rollback.
    pub is_return: bool,
    /// Share of failed requests of the old version, before and beside the new one; `None` without requests.
    pub old_error_share: Option<f64>,
    /// The same of the new version.
    pub new_error_share: Option<f64>,
    /// z of the two-proportion test: above 3 the new version fails more often, surely.
    pub z: f64,
    /// The SQL that shows it.
    pub sql: String,
}

/// Every version change in the telemetry: a version's first sight after another, or its return after a silence.
/// In order of time.
pub fn version_changes(telemetry: &Telemetry) -> Vec<Change> {
    let mut by_service: BTreeMap<&str, Vec<&VersionSeries>> = BTreeMap::new();
    for version in &telemetry.versions {
        by_service.entry(&version.service).or_default().push(version);
    }
    let mut changes: Vec<Change> = by_service
        .values()
        .filter(|versions| versions.len() > 1)
        .flat_map(|versions| of_service(telemetry, versions))
        .collect();
    changes.sort_by(|a, b| (a.at, &a.service).cmp(&(b.at, &b.service)));
    changes.truncate(CHANGES_MAX);
    changes
}

/// The changes of feature flags, each with its variants as if they were versions, in order of time.
pub(crate) fn flag_changes(
    whole: &Telemetry,
    flags: BTreeMap<String, BTreeMap<String, VersionSeries>>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (flag, variants) in flags {
        let telemetry = Telemetry {
            versions: variants.into_values().collect(),
            ..Telemetry::empty(whole.from, whole.to)
        };
        changes.extend(version_changes(&telemetry).into_iter().map(|change| Change {
            what: format!("flag {flag} {} → {}", change.old, change.new),
            sql: queries::flags(
                plus_minutes(change.at, -30),
                plus_minutes(change.at, 30),
                Some(&change.service),
            ),
            flag: Some(flag.clone()),
            ..change
        }));
    }
    changes.sort_by(|a, b| (a.at, &a.what).cmp(&(b.at, &b.what)));
    changes.truncate(CHANGES_MAX);
    changes
}

fn of_service(telemetry: &Telemetry, versions: &[&VersionSeries]) -> Vec<Change> {
    let mut changes = Vec::new();
    for new in versions {
        for start in arrivals(new, versions, telemetry.minutes()) {
            if let Some(old) = dominant_before(versions, new, start) {
                changes.push(describe(telemetry, old, new, start));
            }
        }
    }
    changes
}

/// The minutes at which a version appears, or comes back.
fn arrivals(version: &VersionSeries, all: &[&VersionSeries], minutes: usize) -> Vec<usize> {
    let mut arrivals = Vec::new();
    let mut last_seen: Option<usize> = None;
    for minute in 0..minutes {
        let here = total(&version.spans, minute..minute + 1);
        let everyone: f64 = all.iter().map(|v| total(&v.spans, minute..minute + 1)).sum();
        if here <= 0.0 || here < everyone * SHARE_MIN {
            continue;
        }
        let arrived = match last_seen {
            None => minute >= KNOWN_MINUTES,
            // The others went on while this one was silent: a return, not a gap in the telemetry.
            Some(last) => minute - last > SILENCE_MINUTES && others_ran(version, all, last + 1..minute),
        };
        if arrived {
            arrivals.push(minute);
        }
        last_seen = Some(minute);
    }
    arrivals
}

fn others_ran(version: &VersionSeries, all: &[&VersionSeries], during: std::ops::Range<usize>) -> bool {
    all.iter().any(|v| v.version != version.version && total(&v.spans, during.clone()) > 0.0)
}

/// The version with most spans in the minutes just before.
fn dominant_before<'a>(
    versions: &[&'a VersionSeries],
    new: &VersionSeries,
    start: usize,
) -> Option<&'a VersionSeries> {
    let before = start.saturating_sub(SILENCE_MINUTES)..start;
    let weight = |v: &VersionSeries| total(&v.spans, before.clone());
    versions
        .iter()
        .copied()
        .filter(|v| v.version != new.version && weight(v) > 0.0)
        .max_by(|a, b| weight(a).total_cmp(&weight(b)))
}

fn describe(telemetry: &Telemetry, old: &VersionSeries, new: &VersionSeries, start: usize) -> Change {
    let end = (start..telemetry.minutes())
        .rfind(|minute| !observed(&new.spans, *minute..minute + 1).is_empty())
        .map_or(start + 1, |last| last + 1);
    let (old_bad, old_all) = (total(&old.errors, 0..end), total(&old.calls, 0..end));
    let (new_bad, new_all) = (total(&new.errors, start..end), total(&new.calls, start..end));
    let at = telemetry.minute_at(start);
    let share = |bad: f64, all: f64| (all > 0.0).then(|| bad / all);
    Change {
        service: new.service.clone(),
        flag: None,
        at,
        what: format!("service.version {} → {}", old.version, new.version),
        old: old.version.clone(),
        new: new.version.clone(),
        is_return: total(&new.spans, 0..start) > 0.0,
        old_error_share: share(old_bad, old_all),
        new_error_share: share(new_bad, new_all),
        z: two_proportions(old_bad, old_all, new_bad, new_all),
        sql: queries::versions(plus_minutes(at, -30), plus_minutes(at, 30), Some(&new.service)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::minute;

    fn variant(name: &str, evaluated: std::ops::Range<usize>) -> (String, VersionSeries) {
        let spans = (0..60).map(|minute| evaluated.contains(&minute).then_some(5.0)).collect();
        let none = vec![None; 60];
        let series = VersionSeries {
            service: "cart".to_owned(),
            version: name.to_owned(),
            spans,
            calls: none.clone(),
            errors: none,
        };
        (name.to_owned(), series)
    }

    #[test]
    fn a_flag_changes_when_another_variant_is_given_and_no_flag_changes_another() {
        let flags = BTreeMap::from([
            ("new-cart".to_owned(), BTreeMap::from([variant("off", 0..40), variant("on", 30..60)])),
            ("colour".to_owned(), BTreeMap::from([variant("red", 0..60)])),
            ("banner".to_owned(), BTreeMap::from([variant("a", 0..20), variant("b", 10..20)])),
        ]);
        let changes = flag_changes(&Telemetry::empty(minute(0), minute(60)), flags);
        let told: Vec<_> =
            changes.iter().map(|change| (change.flag.as_deref(), change.what.as_str(), change.at)).collect();
        assert_eq!(
            told,
            [
                (Some("banner"), "flag banner a → b", minute(10)),
                (Some("new-cart"), "flag new-cart off → on", minute(30)),
            ]
        );
        assert!(changes.iter().all(|change| change.sql.contains("feature_flag.evaluation")));
    }
}
