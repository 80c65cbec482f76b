use hindsight_model::{SloSlice, Tenant};

use super::burn::{Minutes, minute_start};
use super::{Budgeting, Guard, Tier, google_30d};

const MONTH: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);
/// Events a minute: so many that chance plays no part.
const RATE: f64 = 1e6;
const START: i64 = 29_000_000;
/// Minutes before the outage, in which nothing fails.
const BEFORE: i64 = 1_440;
const OUTAGE: i64 = 400;
/// Minutes that are watched after it.
const AFTER: i64 = 60;

/// Minutes from the outage's begin until the tier fired, and from its end until the short window let go.
fn simulate(tier: &Tier, error: f64, budgeting: Budgeting) -> (Option<i64>, Option<i64>) {
    let mut minutes = Minutes::default();
    let (mut fired, mut reset) = (None, None);
    for end in 1..=BEFORE + OUTAGE + AFTER {
        let is_out = (BEFORE..BEFORE + OUTAGE).contains(&(end - 1));
        let bad = if is_out { RATE * error } else { 0.0 };
        minutes.set(&SloSlice {
            tenant: Tenant::default(),
            slo: "s".to_owned(),
            minute: minute_start(START + end - 1),
            good: RATE - bad,
            total: RATE,
            revision: 0,
        });
        let verdict = tier.read(&minutes, START + end, budgeting, 0.001, &Guard::default()).verdict.unwrap();
        if verdict.fires && fired.is_none() {
            fired = Some(end - BEFORE);
        }
        if end >= BEFORE + OUTAGE && !verdict.holds && fired.is_some() && reset.is_none() {
            reset = Some(end - BEFORE - OUTAGE);
        }
    }
    (fired, reset)
}

#[test]
fn the_figures_that_people_know_by_heart() {
    let tiers = google_30d(MONTH);
    // Due after 0.9 min, reset after 4.9 min; slices are whole minutes.
    assert_eq!(simulate(&tiers[0], 1.0, Budgeting::Occurrences), (Some(1), Some(5)));
    // Due after 3.6 h: 216 minutes meet the factor, the next exceeds it.
    assert_eq!(simulate(&tiers[1], 0.01, Budgeting::Occurrences).0, Some(217));
    assert_eq!(simulate(&tiers[0], 0.01, Budgeting::Occurrences), (None, None));
}

#[test]
fn with_one_minute_slices_a_total_outage_is_found_as_soon_by_every_method() {
    let page = &google_30d(MONTH)[0];
    for budgeting in [
        Budgeting::Occurrences,
        Budgeting::Timeslices { minutes: 1, target: 0.9 },
        Budgeting::RatioTimeslices { minutes: 1 },
    ] {
        assert_eq!(simulate(page, 1.0, budgeting), (Some(1), Some(5)), "{budgeting:?}");
    }
    // Slices that are still good enough spend nothing, however long it lasts.
    let lenient = Budgeting::Timeslices { minutes: 1, target: 0.9 };
    assert_eq!(simulate(page, 0.05, lenient), (None, None));
}
