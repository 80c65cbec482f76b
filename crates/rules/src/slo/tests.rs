use std::time::Duration;

use hindsight_model::{SloSlice, Tenant};
use proptest::prelude::*;

use super::burn::{Minutes, minute_start};
use super::{Budgeting, Guard, Severity, WindowSum, budget_consumed, burn_rate, google_30d, time_to_exhaust};

const DAY: Duration = Duration::from_secs(86_400);
const BUDGET: f64 = 0.001;
const OCCURRENCES: Budgeting = Budgeting::Occurrences;
/// The minute that the last slice of each test ends with.
const END: i64 = 30_000_000;

/// A month of slices up to `END` with `rate` events a minute; `error_of` gives each minute's share of bad ones, by
/// how many minutes before the end it begins.
fn month(rate: f64, error_of: impl Fn(i64) -> f64) -> Minutes {
    let slice = |age: i64| SloSlice {
        tenant: Tenant::default(),
        slo: "s".to_owned(),
        minute: minute_start(END - age),
        good: rate * (1.0 - error_of(age)),
        total: rate,
        revision: 0,
    };
    Minutes::load(&(1..=30 * 1_440).rev().map(slice).collect::<Vec<_>>())
}

/// Which tiers fire and which hold.
fn verdicts(minutes: &Minutes) -> Vec<(bool, bool)> {
    let read =
        |tier: &super::Tier| tier.read(minutes, END, OCCURRENCES, BUDGET, &Guard::default()).verdict.unwrap();
    google_30d(30 * DAY).iter().map(|tier| (read(tier).fires, read(tier).holds)).collect()
}

#[test]
fn the_factors_for_thirty_days_are_those_of_the_workbook() {
    let tiers = google_30d(30 * DAY);
    let factors: Vec<f64> = tiers.iter().map(|tier| (tier.factor * 1e9).round() / 1e9).collect();
    assert_eq!(factors, [14.4, 6.0, 3.0, 1.0]);
    let severities: Vec<Severity> = tiers.iter().map(|tier| tier.severity).collect();
    assert_eq!(severities, [Severity::Page, Severity::Page, Severity::Ticket, Severity::Ticket]);
    assert!(tiers.iter().all(|tier| tier.long == 12 * tier.short));
}

#[test]
fn a_total_outage_makes_the_fast_page_due_after_nine_tenths_of_a_minute() {
    // Only the newest minute is hit, for this share of it. With 100 000 events a minute chance plays no part.
    let fast_page = |share: f64| verdicts(&month(1e5, |age| if age == 1 { share } else { 0.0 }))[0].0;
    assert!(!fast_page(0.86));
    assert!(fast_page(0.9));
}

#[test]
fn the_fast_page_resets_after_4_9_minutes_without_errors() {
    // The outage lasted ten minutes. The short window of five holds four clean minutes and one that was bad for
    // this share: 0.1 of a minute is 4.9 minutes after the end, 0.07 is 4.93.
    let holds = |share: f64| {
        let error_of = |age: i64| match age {
            1..=4 => 0.0,
            5 => share,
            6..=14 => 1.0,
            _ => 0.0,
        };
        verdicts(&month(1e5, error_of))[0].1
    };
    assert!(holds(0.1));
    assert!(!holds(0.07));
}

#[test]
fn one_per_cent_of_errors_makes_the_slow_page_due_after_3_6_hours_and_never_the_fast_one() {
    let after = |minutes: i64| verdicts(&month(1e5, |age| if age <= minutes { 0.01 } else { 0.0 }));
    assert!(!after(216)[1].0, "3.6 h are 216 min: the factor is met and not yet exceeded");
    assert!(after(218)[1].0);
    assert!(!after(30 * 1_440)[0].0, "a burn rate of 10 is below 14.4");
}

#[test]
fn tickets_come_for_slow_burns() {
    let steady = |error: f64| verdicts(&month(1e5, |_| error));
    assert_eq!(steady(0.0005), [(false, false); 4]);
    assert_eq!(steady(0.0015), [(false, false), (false, false), (false, false), (true, true)]);
    assert_eq!(steady(0.0035), [(false, false), (false, false), (true, true), (true, true)]);
}

#[test]
fn a_window_in_which_nothing_happened_is_unknown() {
    let minutes = month(0.0, |_| 0.0);
    let sum = minutes.window(END, DAY, OCCURRENCES);
    assert_eq!((burn_rate(&sum, BUDGET), budget_consumed(&sum, BUDGET, DAY)), (None, None));
    let reading = google_30d(30 * DAY)[0].read(&minutes, END, OCCURRENCES, BUDGET, &Guard::default());
    assert_eq!(reading.verdict, None);
}

#[test]
fn a_handful_of_failures_in_little_traffic_does_not_page() {
    // One event a minute; two of the last five failed: a burn rate of 33 over the hour, by chance.
    let minutes = month(1.0, |age| if age <= 2 { 1.0 } else { 0.0 });
    let reading = google_30d(30 * DAY)[0].read(&minutes, END, OCCURRENCES, BUDGET, &Guard::default());
    assert!(reading.burn_long.unwrap() > 14.4 && reading.burn_short.unwrap() > 14.4);
    assert!(!reading.verdict.unwrap().fires);
    // Five failures are both enough and too many for chance.
    let minutes = month(1.0, |age| if age <= 5 { 1.0 } else { 0.0 });
    assert!(
        google_30d(30 * DAY)[0]
            .read(&minutes, END, OCCURRENCES, BUDGET, &Guard::default())
            .verdict
            .unwrap()
            .fires
    );
}

#[test]
fn the_guard_asks_for_more_failures_the_likelier_chance_brings_them() {
    let sum = |bad: f64, total: f64| WindowSum {
        good: total - bad,
        total,
        bad_events: bad,
        observed: 60,
        expected: 60,
    };
    let guard = Guard::default();
    assert!(!guard.admits(&sum(4.0, 100.0), 0.0144, OCCURRENCES), "fewer than min_failures");
    assert!(
        !guard.admits(&sum(52.0, 3_600.0), 0.0144, OCCURRENCES),
        "52 of 3600 is what 1.44 % brings on average"
    );
    assert!(
        guard.admits(&sum(66.0, 3_600.0), 0.0144, OCCURRENCES),
        "66 come by chance less than once in twenty"
    );
}

#[test]
fn holes_in_the_slices_freeze_a_tier_and_youth_does_not() {
    let mut slices = Vec::new();
    for age in (1..=60).rev() {
        slices.push(SloSlice {
            tenant: Tenant::default(),
            slo: "s".to_owned(),
            minute: minute_start(END - age),
            good: 0.0,
            total: 100.0,
            revision: 0,
        });
    }
    let read = |slices: &[SloSlice]| {
        google_30d(30 * DAY)[0].read(&Minutes::load(slices), END, OCCURRENCES, BUDGET, &Guard::default())
    };
    assert!(read(&slices).verdict.unwrap().fires);
    // Only the last three minutes exist at all: all that can be expected is there.
    assert_eq!(read(&slices[57..]).coverage, 1.0);
    assert!(read(&slices[57..]).verdict.unwrap().fires);
    // Seven of sixty are missing in the middle: 88 %.
    let mut holed = slices.clone();
    holed.drain(20..27);
    assert_eq!(read(&holed).verdict, None);
    assert!(read(&holed).coverage < 0.9);
}

#[test]
fn the_budget_lasts_as_long_as_the_present_rate_allows() {
    let period = 30 * DAY;
    assert_eq!(time_to_exhaust(0.0, period, 1.0), Some(period));
    assert_eq!(time_to_exhaust(0.5, period, 15.0), Some(DAY));
    assert_eq!(time_to_exhaust(0.5, period, 0.0), None);
    assert_eq!(time_to_exhaust(1.2, period, 3.0), None);
}

#[test]
fn a_young_slo_has_spent_what_its_short_life_cost_and_an_old_one_what_its_period_did() {
    let (month, budget) = (30 * DAY, 0.001);
    let consumed = |minutes: u32, bad: f64| {
        let sum = WindowSum {
            good: 1_000.0 - bad,
            total: 1_000.0,
            bad_events: bad,
            observed: minutes,
            expected: minutes,
        };
        budget_consumed(&sum, budget, month).unwrap()
    };
    // 90 minutes at a burn rate of 171 are 90 / 43 200 of the period.
    assert!((consumed(90, 171.0) - 171.0 * 90.0 / 43_200.0).abs() < 1e-9);
    // A total outage since its first minute spends 2 % of the budget in the 0.864 minutes of ALERTING §2.
    assert!((consumed(1, 1_000.0) - 0.02 / 0.864).abs() < 1e-9);
    assert!((consumed(43_200, 2.0) - 2.0).abs() < 1e-9, "a full window: burn itself");
    assert!((consumed(50_000, 2.0) - 2.0).abs() < 1e-9, "never more than the period");
}

/// Slices of ten minutes before `END`, each with its good and total.
fn ten(counts: [(f64, f64); 10]) -> Vec<SloSlice> {
    (0..10)
        .zip(counts)
        .map(|(at, (good, total))| SloSlice {
            tenant: Tenant::default(),
            slo: "s".to_owned(),
            minute: minute_start(END - 10 + at),
            good,
            total,
            revision: 0,
        })
        .collect()
}

#[test]
fn each_budgeting_method_counts_what_openslo_says() {
    // Two time slices of five minutes: a busy one of which 1 % failed, and a quiet one of which half did; after it
    // nothing happened.
    let mut counts = [(0.0, 0.0); 10];
    counts[0] = (990.0, 1_000.0);
    counts[7] = (1.0, 2.0);
    let minutes = Minutes::load(&ten(counts));
    let sum = |budgeting| {
        let sum = minutes.window(END, DAY, budgeting);
        (sum.good, sum.total, sum.bad_events)
    };
    assert_eq!(sum(OCCURRENCES), (991.0, 1_002.0, 11.0));
    assert_eq!(sum(Budgeting::Timeslices { minutes: 5, target: 0.95 }), (1.0, 2.0, 11.0));
    assert_eq!(sum(Budgeting::Timeslices { minutes: 5, target: 0.995 }), (0.0, 2.0, 11.0));
    assert_eq!(sum(Budgeting::RatioTimeslices { minutes: 5 }), (0.99 + 0.5, 2.0, 11.0));
    // Of one-minute slices only the two in which something happened were observed.
    assert_eq!(sum(Budgeting::Timeslices { minutes: 1, target: 0.5 }), (2.0, 2.0, 11.0));
}

#[test]
fn a_window_that_begins_within_a_time_slice_takes_its_share_of_it() {
    let mut counts = [(10.0, 10.0); 10];
    counts[0] = (0.0, 10.0);
    let minutes = Minutes::load(&ten(counts));
    let bad = |length: u32| {
        let window = Duration::from_secs(60) * length;
        minutes.window(END, window, Budgeting::Timeslices { minutes: 5, target: 0.9 }).bad()
    };
    assert_eq!((bad(5), bad(10)), (0.0, 1.0));
    assert!((bad(7) - 0.4).abs() < 1e-9);
}

#[test]
fn time_slices_ask_for_enough_bad_events_and_not_for_more_than_chance_in_all() {
    // A busy day without errors before a quiet night in which everything fails, in 60 of 1440 slices.
    let quiet_night = |rate: f64| {
        let error_of = |age: i64| if age <= 60 { 1.0 } else { 0.0 };
        let slice = |age: i64| {
            let total = if age <= 60 { rate } else { 1e5 };
            SloSlice {
                tenant: Tenant::default(),
                slo: "s".to_owned(),
                minute: minute_start(END - age),
                good: total * (1.0 - error_of(age)),
                total,
                revision: 0,
            }
        };
        let minutes = Minutes::load(&(1..=4_320).rev().map(slice).collect::<Vec<_>>());
        let budgeting = Budgeting::Timeslices { minutes: 1, target: 0.9 };
        let ticket = &google_30d(30 * DAY)[2];
        ticket.read(&minutes, END, budgeting, BUDGET, &Guard::default()).verdict.unwrap().fires
    };
    assert!(quiet_night(1.0));
    assert!(!quiet_night(0.05), "three events in all");
}

#[test]
fn tiers_are_told_apart_by_their_windows() {
    let windows: Vec<String> = google_30d(30 * DAY).iter().map(super::Tier::windows).collect();
    assert_eq!(windows, ["1h/5m", "6h/30m", "1d/2h", "3d/6h"]);
}

#[test]
fn a_slice_that_is_replaced_counts_once() {
    let mut minutes = Minutes::default();
    let slice = |good, total, revision| SloSlice {
        tenant: Tenant::default(),
        slo: "s".to_owned(),
        minute: minute_start(END - 1),
        good,
        total,
        revision,
    };
    minutes.set(&slice(90.0, 100.0, 0));
    assert_eq!(minutes.revision_of(END - 1, 90.0, 100.0), None);
    assert_eq!(minutes.revision_of(END - 1, 95.0, 110.0), Some(1));
    minutes.set(&slice(95.0, 110.0, 1));
    let sum = minutes.window(END, DAY, OCCURRENCES);
    assert_eq!((sum.good, sum.total, sum.observed, sum.expected), (95.0, 110.0, 1, 1));
}

/// Minutes of which some come twice: the later counts replace the earlier.
fn arrivals() -> impl Strategy<Value = Vec<(i64, u32, u32)>> {
    prop::collection::vec((1..600_i64, 0..50_u32, 0..50_u32), 1..200)
}

fn methods() -> impl Strategy<Value = Budgeting> {
    prop_oneof![
        Just(Budgeting::Occurrences),
        (1..70_u32, 0.5..1.0_f64).prop_map(|(minutes, target)| Budgeting::Timeslices { minutes, target }),
        (1..70_u32).prop_map(|minutes| Budgeting::RatioTimeslices { minutes }),
    ]
}

proptest! {
    #[test]
    fn more_failures_never_lower_a_burn_rate(good in 0.0..1e6_f64, bad in 0.0..1e6_f64, more in 0.0..1e6_f64) {
        let sum = |bad: f64| WindowSum { good, total: good + bad, bad_events: bad, observed: 1, expected: 1 };
        if let Some(before) = burn_rate(&sum(bad), BUDGET) {
            let after = burn_rate(&sum(bad + more), BUDGET).unwrap();
            prop_assert!(after >= before - 1e-9 && after <= 1.0 / BUDGET + 1e-6);
        }
    }

    /// Late data replaces slices; what counts is what is there in the end, and not how it came.
    #[test]
    fn slices_in_any_order_with_late_replacements_read_as_if_computed_afresh(
        arrivals in arrivals(), budgeting in methods(), window in 1..700_u32,
    ) {
        let slice = |&(age, good, bad): &(i64, u32, u32)| SloSlice {
            tenant: Tenant::default(),
            slo: "s".to_owned(),
            minute: minute_start(END - age),
            good: f64::from(good),
            total: f64::from(good + bad),
            revision: 0,
        };
        let mut live = Minutes::default();
        for arrival in &arrivals {
            let new = slice(arrival);
            let minute = END - arrival.0;
            if let Some(revision) = live.revision_of(minute, new.good, new.total) {
                live.set(&SloSlice { revision, ..new });
            }
        }
        let last: std::collections::BTreeMap<i64, SloSlice> =
            arrivals.iter().map(|arrival| (-arrival.0, slice(arrival))).collect();
        let fresh = Minutes::load(&last.values().cloned().collect::<Vec<_>>());
        let window = Duration::from_secs(60) * window;
        prop_assert_eq!(live.window(END, window, budgeting), fresh.window(END, window, budgeting));
        // The ledger's units are the same sums, minute by minute.
        let units = Minutes::load(&budgeting.units(&last.values().cloned().collect::<Vec<_>>()));
        let (sum, of_units) = (live.window(END, 10 * DAY, budgeting), units.window(END, 10 * DAY, OCCURRENCES));
        prop_assert!((sum.total - of_units.total).abs() < 1e-9 && (sum.bad() - of_units.bad()).abs() < 1e-9);
    }
}
