use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::gather::queries::{self, Compared, Sample};
use crate::series::{observed, plus_minutes, total};
use crate::statistics::two_proportions;
use crate::{Telemetry, VersionSeries};

/// Event name of the log record that a posted change becomes.
pub const CHANGE_EVENT: &str = "hindsight.change";

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
    /// First minute of the new version or variant.
    pub at: Timestamp,
    /// `service.version 4.1.9 → 4.2.0`, `flag new-cart off → on`.
    pub what: String,
    /// The version before.
    pub old: String,
    /// The version after.
    pub new: String,
    /// Whether the new version had run before, as after a rollback.
    pub is_return: bool,
    /// Requests of the old version, before and beside the new one.
    pub old_requests: f64,
    /// Requests of the new one.
    pub new_requests: f64,
    /// Share of failed requests of the old version; `None` without requests.
    pub old_error_share: Option<f64>,
    /// The same of the new version.
    pub new_error_share: Option<f64>,
    /// z of the two-proportion test: above 3 the new version fails more often, surely.
    pub z: f64,
    /// The SQL that shows the change, minute by minute.
    pub sql: String,
    /// The SQL that compares old with new: requests, failed ones and their share.
    pub comparison_sql: String,
}

/// Every change in the telemetry, of versions and of feature flags, in order of time.
pub fn changes(telemetry: &Telemetry) -> Vec<Change> {
    let mut changes = version_changes(telemetry);
    changes.extend(flag_changes(telemetry));
    in_order(changes)
}

/// Every version change in the telemetry: a version's first sight after another, or its return after a silence.
/// In order of time.
pub fn version_changes(telemetry: &Telemetry) -> Vec<Change> {
    let mut by_service: BTreeMap<&str, Vec<&VersionSeries>> = BTreeMap::new();
    for version in &telemetry.versions {
        by_service.entry(&version.service).or_default().push(version);
    }
    in_order(by_service.values().flat_map(|versions| arrived(telemetry, None, versions)).collect())
}

/// Every change of a feature flag: a variant's first sight after another of the same flag in the same service, or its
/// return after a silence. In order of time.
pub fn flag_changes(telemetry: &Telemetry) -> Vec<Change> {
    let mut by_flag: BTreeMap<(&str, &str), Vec<&VersionSeries>> = BTreeMap::new();
    for variant in &telemetry.flags {
        by_flag.entry((&variant.given.service, &variant.flag)).or_default().push(&variant.given);
    }
    let changes = by_flag.iter().flat_map(|((_, flag), variants)| arrived(telemetry, Some(flag), variants));
    in_order(changes.collect())
}

fn in_order(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort_by(|a, b| (a.at, &a.service, &a.what).cmp(&(b.at, &b.service, &b.what)));
    changes.truncate(CHANGES_MAX);
    changes
}

/// The arrivals among the versions of one service, or among the variants of one flag.
fn arrived(telemetry: &Telemetry, flag: Option<&str>, versions: &[&VersionSeries]) -> Vec<Change> {
    let mut changes = Vec::new();
    if versions.len() < 2 {
        return changes;
    }
    for new in versions {
        for start in arrivals(new, versions, telemetry.minutes()) {
            if let Some(old) = dominant_before(versions, new, start) {
                changes.push(describe(telemetry, flag, old, new, start));
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

fn describe(
    telemetry: &Telemetry,
    flag: Option<&str>,
    old: &VersionSeries,
    new: &VersionSeries,
    start: usize,
) -> Change {
    let end = (start..telemetry.minutes())
        .rfind(|minute| !observed(&new.spans, *minute..minute + 1).is_empty())
        .map_or(start + 1, |last| last + 1);
    let (old_bad, old_all) = (total(&old.errors, 0..end), total(&old.calls, 0..end));
    let (new_bad, new_all) = (total(&new.errors, start..end), total(&new.calls, start..end));
    let at = telemetry.minute_at(start);
    let share = |bad: f64, all: f64| (all > 0.0).then(|| bad / all);
    let (near, far) = (plus_minutes(at, -30), plus_minutes(at, 30));
    let compared = Compared {
        from: telemetry.from,
        arrived: at,
        to: telemetry.minute_at(end),
        service: &new.service,
        old: &old.version,
        new: &new.version,
    };
    let (what, sql, comparison_sql) = match flag {
        Some(flag) => (
            format!("flag {flag} {} → {}", old.version, new.version),
            queries::flags(near, far, Some(&new.service), Some(Sample::All)),
            queries::variants_compared(&compared, flag),
        ),
        None => (
            format!("service.version {} → {}", old.version, new.version),
            queries::versions(near, far, Some(&new.service)),
            queries::versions_compared(&compared),
        ),
    };
    Change {
        service: new.service.clone(),
        flag: flag.map(str::to_owned),
        at,
        what,
        old: old.version.clone(),
        new: new.version.clone(),
        is_return: total(&new.spans, 0..start) > 0.0,
        old_requests: old_all,
        new_requests: new_all,
        old_error_share: share(old_bad, old_all),
        new_error_share: share(new_bad, new_all),
        z: two_proportions(old_bad, old_all, new_bad, new_all),
        sql,
        comparison_sql,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FlagSeries;
    use crate::testing::minute;

    /// A variant that was given in some minutes, with five requests in each of which this share failed.
    fn variant(flag: &str, name: &str, given: std::ops::Range<usize>, failed: f64) -> FlagSeries {
        let series = |value: f64| (0..60).map(|minute| given.contains(&minute).then_some(value)).collect();
        FlagSeries {
            flag: flag.to_owned(),
            given: VersionSeries {
                service: "cart".to_owned(),
                version: name.to_owned(),
                spans: series(5.0),
                calls: series(5.0),
                errors: series(5.0 * failed),
            },
        }
    }

    #[test]
    fn a_flag_changes_when_another_variant_is_given_and_no_flag_changes_another() {
        let telemetry = Telemetry {
            flags: vec![
                variant("new-cart", "off", 0..40, 0.0),
                variant("new-cart", "on", 30..60, 0.4),
                variant("colour", "red", 0..60, 0.0),
                variant("banner", "a", 0..20, 0.0),
                variant("banner", "b", 10..20, 0.0),
            ],
            ..Telemetry::empty(minute(0), minute(60))
        };
        let found = changes(&telemetry);
        let told: Vec<_> =
            found.iter().map(|change| (change.flag.as_deref(), change.what.as_str(), change.at)).collect();
        assert_eq!(
            told,
            [
                (Some("banner"), "flag banner a → b", minute(10)),
                (Some("new-cart"), "flag new-cart off → on", minute(30)),
            ]
        );
        assert!(found.iter().all(|change| change.sql.contains("feature_flag.evaluation")));
        let cart = &found[1];
        assert_eq!((cart.old_requests, cart.new_requests), (200.0, 150.0));
        assert_eq!((cart.old_error_share, cart.new_error_share), (Some(0.0), Some(0.4)));
        assert!(cart.z > 9.0 && found[0].z.abs() < 0.1, "{} {}", cart.z, found[0].z);
        assert!(cart.comparison_sql.contains("'new-cart'"), "{}", cart.comparison_sql);
    }
}
