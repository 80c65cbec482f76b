use std::collections::BTreeMap;
use std::time::Duration;

use hindsight_model::SloSlice;
use jiff::Timestamp;
use serde::Serialize;

use super::burn::{Minutes, minute_of};
use super::{Budgeting, SLICE, budget_consumed};

/// How long after its end a deploy or flag change is still charged for bad minutes that no incident covers.
pub const LEDGER_REACH: Duration = Duration::from_secs(3_600);

/// What kind of thing spent budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerKind {
    /// An incident.
    Incident,
    /// A new version of a service.
    Deploy,
    /// A feature flag that got another value.
    FlagChange,
}

impl LedgerKind {
    /// `incident`, `deploy` or `flag_change`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Deploy => "deploy",
            Self::FlagChange => "flag_change",
        }
    }
}

/// Something that happened and may have spent budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerEvent {
    /// What it was.
    pub kind: LedgerKind,
    /// Its id, unique among its kind.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// When it began: of an incident, when it began to hurt.
    pub from: Timestamp,
    /// When it was over, not before `from`; `now` for an incident that is open.
    pub to: Timestamp,
}

/// What one event spent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LedgerEntry {
    /// The event; `None` is what no event covers.
    pub event: Option<LedgerEvent>,
    /// Of an incident, the deploy or flag change that it followed within [`LEDGER_REACH`], the latest of them.
    pub followed: Option<LedgerEvent>,
    /// Bad events of the minutes charged to it.
    pub bad: f64,
    /// Share of the period's budget that they spent.
    pub budget_share: f64,
}

/// What spent the budget, the most expensive first; events that spent nothing are left out.
///
/// `slices` are those of the budget window, in any order, each minute once; with a budgeting method other than
/// occurrences, what [`Budgeting::units`] makes of them. `budget` is 1 − objective and `period` the length of the whole
/// window. Every minute is charged once and whole:
///
/// 1. to the incident that covers any part of it; of several, to the one that began last, since a short outage
///    within a long slow burn is the better explanation of its own minutes (then to the greater id);
/// 2. else to the deploy or flag change that began last among those that are going on or ended within
///    [`LEDGER_REACH`] before;
/// 3. else to nothing: the entry whose `event` is `None`.
///
/// The `budget_share`s of all entries add up to [`budget_consumed`] of the same slices.
pub fn ledger(
    slices: &[SloSlice],
    events: &[LedgerEvent],
    budget: f64,
    period: Duration,
) -> Vec<LedgerEntry> {
    let (Some(first), Some(last)) = (
        slices.iter().map(|slice| minute_of(slice.minute)).min(),
        slices.iter().map(|slice| minute_of(slice.minute)).max(),
    ) else {
        return Vec::new();
    };
    let spent = |slice: &SloSlice| (slice.total - slice.good).max(0.0);
    let mut bad_of: BTreeMap<Option<usize>, f64> = BTreeMap::new();
    for slice in slices.iter().filter(|slice| spent(slice) > 0.0) {
        *bad_of.entry(charged(slice.minute, events)).or_default() += spent(slice);
    }
    let minutes = Minutes::load(slices);
    let whole = minutes.between(first, last + 1, Budgeting::Occurrences);
    let consumed = budget_consumed(&whole, budget, period).unwrap_or(0.0);
    let mut entries: Vec<LedgerEntry> = bad_of
        .into_iter()
        .map(|(at, bad)| {
            let event = at.map(|at| events[at].clone());
            LedgerEntry {
                followed: event.as_ref().and_then(|event| followed(event, events)),
                event,
                bad,
                budget_share: consumed * bad / whole.bad(),
            }
        })
        .collect();
    entries.sort_by(|a, b| b.bad.total_cmp(&a.bad).then_with(|| key(a).cmp(&key(b))));
    entries
}

/// Stable where two entries cost the same.
fn key(entry: &LedgerEntry) -> Option<(Timestamp, &str)> {
    entry.event.as_ref().map(|event| (event.from, event.id.as_str()))
}

/// Which event pays for the minute that begins at `minute`.
fn charged(minute: Timestamp, events: &[LedgerEvent]) -> Option<usize> {
    let latest = |covers: &dyn Fn(&LedgerEvent) -> bool| {
        let covering = events.iter().enumerate().filter(|(_, event)| covers(event));
        covering.max_by(|(_, a), (_, b)| (a.from, &a.id).cmp(&(b.from, &b.id))).map(|(at, _)| at)
    };
    let end = minute.checked_add(SLICE).unwrap_or(Timestamp::MAX);
    let incident = latest(&|event| {
        event.kind == LedgerKind::Incident && event.from < end && (minute < event.to || minute <= event.from)
    });
    incident.or_else(|| latest(&|event| is_change(event) && event.from < end && reaches(event, minute)))
}

/// The latest change that an incident began within reach of.
fn followed(event: &LedgerEvent, events: &[LedgerEvent]) -> Option<LedgerEvent> {
    if event.kind != LedgerKind::Incident {
        return None;
    }
    let before =
        |change: &&LedgerEvent| is_change(change) && change.from <= event.from && reaches(change, event.from);
    events.iter().filter(before).max_by_key(|change| (change.from, &change.id)).cloned()
}

fn is_change(event: &LedgerEvent) -> bool {
    event.kind != LedgerKind::Incident
}

/// Whether this instant lies before the end of the change's reach.
fn reaches(change: &LedgerEvent, at: Timestamp) -> bool {
    at < change.to.checked_add(LEDGER_REACH).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use hindsight_model::Tenant;
    use proptest::prelude::*;

    use super::*;
    use crate::slo::burn::minute_start;

    const PERIOD: Duration = Duration::from_secs(30 * 86_400);
    const BUDGET: f64 = 0.001;
    const START: i64 = 29_000_000;

    fn slices(bad: &[f64]) -> Vec<SloSlice> {
        let slice = |(age, bad): (i64, &f64)| SloSlice {
            tenant: Tenant::default(),
            slo: "s".to_owned(),
            minute: minute_start(START + age),
            good: 100.0 - bad,
            total: 100.0,
            revision: 0,
        };
        (0..).zip(bad).map(slice).collect()
    }

    /// An event from `from` to `to` minutes after the start.
    fn event(kind: LedgerKind, id: &str, from: i64, to: i64) -> LedgerEvent {
        let (from, to) = (minute_start(START + from), minute_start(START + to));
        LedgerEvent { kind, id: id.to_owned(), title: id.to_owned(), from, to }
    }

    /// Who spent how much, in the ledger's order.
    fn check(bad: &[f64], events: &[LedgerEvent], want: &[(&str, f64)]) {
        let entries = ledger(&slices(bad), events, BUDGET, PERIOD);
        let name = |entry: &LedgerEntry| entry.event.as_ref().map_or("-".to_owned(), |e| e.id.clone());
        let got: Vec<_> = entries.iter().map(|entry| (name(entry), entry.bad)).collect();
        let want: Vec<_> = want.iter().map(|(id, bad)| ((*id).to_owned(), *bad)).collect();
        assert_eq!(got, want);
    }

    use LedgerKind::{Deploy, FlagChange, Incident};

    #[test]
    fn an_incident_pays_before_a_deploy_and_a_deploy_before_nobody() {
        let bad = [1.0, 2.0, 4.0, 8.0, 16.0];
        check(&bad, &[], &[("-", 31.0)]);
        check(&bad, &[event(Deploy, "d", 1, 1)], &[("d", 30.0), ("-", 1.0)]);
        let both = [event(Incident, "i", 3, 4), event(Deploy, "d", 1, 1)];
        check(&bad, &both, &[("d", 22.0), ("i", 8.0), ("-", 1.0)]);
    }

    #[test]
    fn of_two_incidents_or_two_changes_the_one_that_began_last_pays() {
        let bad = [1.0, 2.0, 4.0, 8.0];
        let incidents = [event(Incident, "slow", 0, 4), event(Incident, "acute", 1, 3)];
        check(&bad, &incidents, &[("slow", 9.0), ("acute", 6.0)]);
        let changes = [event(FlagChange, "f", 2, 2), event(Deploy, "d", 0, 0)];
        check(&bad, &changes, &[("f", 12.0), ("d", 3.0)]);
    }

    #[test]
    fn a_change_pays_for_the_hour_after_it_and_no_longer() {
        let bad = vec![1.0; 70];
        check(&bad, &[event(Deploy, "d", 0, 5)], &[("d", 65.0), ("-", 5.0)]);
        check(&bad, &[event(Deploy, "d", 0, 0)], &[("d", 60.0), ("-", 10.0)]);
    }

    #[test]
    fn an_incident_says_which_change_it_followed() {
        let events = [
            event(Deploy, "old", 0, 0),
            event(FlagChange, "flag", 3, 3),
            event(Incident, "i", 5, 8),
            event(Deploy, "later", 6, 6),
        ];
        let entries = ledger(&slices(&[0.0, 0.0, 0.0, 0.0, 0.0, 9.0]), &events, BUDGET, PERIOD);
        assert_eq!(entries[0].followed.as_ref().unwrap().id, "flag");
        assert_eq!(entries[0].event.as_ref().unwrap().id, "i");
        let far = [event(Deploy, "d", -61, -61), event(Incident, "i", 5, 8)];
        let entries = ledger(&slices(&[0.0, 0.0, 0.0, 0.0, 0.0, 9.0]), &far, BUDGET, PERIOD);
        assert_eq!(entries[0].followed, None);
    }

    #[test]
    fn a_minute_that_is_touched_is_covered_and_an_event_of_no_length_touches_one() {
        check(&[1.0, 2.0, 4.0], &[event(Incident, "i", 1, 1)], &[("-", 5.0), ("i", 2.0)]);
        let mut late = event(Incident, "i", 1, 2);
        late.from = late.from.checked_add(Duration::from_secs(59)).unwrap();
        check(&[1.0, 2.0, 4.0], &[late], &[("-", 5.0), ("i", 2.0)]);
    }

    #[test]
    fn without_slices_or_without_errors_nothing_was_spent() {
        check(&[], &[event(Incident, "i", 0, 9)], &[]);
        check(&[0.0, 0.0], &[event(Incident, "i", 0, 9)], &[]);
    }

    fn an_event() -> impl Strategy<Value = LedgerEvent> {
        let kind = prop_oneof![Just(Incident), Just(Deploy), Just(FlagChange)];
        (kind, 0..6_u8, -90..90_i64, 0..60_i64)
            .prop_map(|(kind, id, from, length)| event(kind, &id.to_string(), from, from + length))
    }

    proptest! {
        #[test]
        fn the_shares_add_up_to_the_budget_consumed(
            bad in prop::collection::vec(prop_oneof![Just(0.0), 0.0..100.0_f64], 1..90),
            events in prop::collection::vec(an_event(), 0..8),
            shuffle in any::<prop::sample::Index>(),
        ) {
            let mut slices = slices(&bad);
            let middle = shuffle.index(slices.len());
            slices.rotate_left(middle);
            let minutes = Minutes::load(&slices);
            let end = START + i64::try_from(bad.len()).unwrap();
            let want = budget_consumed(&minutes.window(end, PERIOD, Budgeting::Occurrences), BUDGET, PERIOD).unwrap();
            let entries = ledger(&slices, &events, BUDGET, PERIOD);
            let got: f64 = entries.iter().map(|entry| entry.budget_share).sum();
            prop_assert!((got - want).abs() <= 1e-9 * want.max(1.0), "{got} is not {want}");
            let names: Vec<_> = entries.iter().map(|entry| &entry.event).collect();
            for (at, name) in names.iter().enumerate() {
                prop_assert!(!names[..at].contains(name), "two entries of {name:?}");
            }
        }
    }
}
