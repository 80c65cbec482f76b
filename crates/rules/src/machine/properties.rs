use hindsight_model::{AlertState, Labels, Outcome};
use proptest::prelude::*;

use super::tests::{TICK, play, rule, t};
use super::{Change, InstanceState, step};
use crate::rule::{Absence, CheckedRule, Flapping, OnMissing};

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => (0.0..1.2_f64).prop_map(Outcome::Value),
        2 => Just(Outcome::Value(0.95)),
        1 => Just(Outcome::Value(f64::NAN)),
        1 => Just(Outcome::Missing),
        1 => Just(Outcome::NoData),
        1 => Just(Outcome::Error("down".to_owned())),
        1 => Just(Outcome::Unobserved),
    ]
}

fn absence() -> impl Strategy<Value = Absence> {
    prop_oneof![Just(Absence::Keep), Just(Absence::Resolve), Just(Absence::Fire), Just(Absence::NoBreach)]
}

fn any_rule() -> impl Strategy<Value = CheckedRule> {
    let flapping = prop::option::of(Just(Flapping { window: 21, high: 20.0, low: 5.0 }));
    (0..5_u64, 0..5_u64, absence(), absence(), 1..4_u32, flapping).prop_map(
        |(for_, keep, on_no_data, then, after, flapping)| {
            let mut rule = rule(for_ * 30, keep * 30);
            rule.policy.on_no_data = on_no_data;
            rule.policy.on_missing = OnMissing { after, then };
            rule.policy.flapping = flapping;
            rule
        },
    )
}

fn changes(steps: Vec<(InstanceState, Option<Change>)>) -> Vec<Change> {
    steps.into_iter().filter_map(|(_, change)| change).collect()
}

proptest! {
    #[test]
    fn an_error_or_an_unobserved_window_never_changes_a_state(
        rule in any_rule(),
        outcomes in prop::collection::vec(outcome(), 1..80),
    ) {
        for (outcome, (_, change)) in outcomes.iter().zip(play(&rule, &outcomes)) {
            if matches!(outcome, Outcome::Error(_) | Outcome::Unobserved) {
                prop_assert_eq!(change, None);
            }
        }
    }

    #[test]
    fn firing_comes_only_after_the_breach_was_seen_for_as_long_as_for(
        mut rule in any_rule(),
        outcomes in prop::collection::vec(outcome(), 1..80),
    ) {
        rule.policy.flapping = None;
        let steps = play(&rule, &outcomes);
        for (at, (_, change)) in steps.iter().enumerate() {
            let Some(change) = change else { continue };
            if change.to != AlertState::Firing || change.from == AlertState::Recovering {
                continue;
            }
            // Walk back to where the pending state began; ticks that froze it do not count.
            let mut judged = 0;
            for earlier in (0..at).rev().take_while(|earlier| steps[*earlier].0.state == AlertState::Pending) {
                let next = &steps[earlier + 1].0;
                judged += i64::from(next.active_clock == steps[earlier].0.active_clock);
            }
            let needed = i64::try_from(rule.policy.for_.as_secs()).unwrap();
            prop_assert!(judged * TICK >= needed, "fired after {} s of {needed}", judged * TICK);
        }
    }

    #[test]
    fn a_restart_at_any_tick_gives_the_same_changes(
        rule in any_rule(),
        outcomes in prop::collection::vec(outcome(), 1..80),
        restart in 0..80_usize,
    ) {
        let mut state = InstanceState::default();
        let mut restarted = Vec::new();
        for (tick, outcome) in outcomes.iter().enumerate() {
            if tick == restart {
                state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
            }
            let (next, change) = step(&rule, &Labels::new(), &state, outcome, t(tick));
            state = next;
            restarted.extend(change);
        }
        prop_assert_eq!(restarted, changes(play(&rule, &outcomes)));
    }

    #[test]
    fn values_within_the_band_never_change_anything_but_pending(
        mut rule in any_rule(),
        before in prop::collection::vec(outcome(), 1..30),
        band in prop::collection::vec(0.751..0.9_f64, 1..30),
    ) {
        rule.policy.flapping = None;
        let mut outcomes = before.clone();
        outcomes.extend(band.iter().map(|value| Outcome::Value(*value)));
        let steps = play(&rule, &outcomes);
        let later = &steps[before.len()..];
        let begun = changes(later.to_vec());
        // At most one change, at the first value: pending gives up, or recovering returns to firing.
        prop_assert!(begun.len() <= 1, "{begun:?}");
        for change in begun {
            let allowed = [(AlertState::Pending, AlertState::Inactive), (AlertState::Recovering, AlertState::Firing)];
            prop_assert!(allowed.contains(&(change.from, change.to)), "{change:?}");
            prop_assert_eq!(later[0].1.as_ref(), Some(&change));
        }
    }

    #[test]
    fn changes_follow_on_each_other_and_what_fired_is_resolved(
        rule in any_rule(),
        outcomes in prop::collection::vec(prop_oneof![Just(Outcome::Value(0.95)), Just(Outcome::Value(0.5)), outcome()], 1..120),
    ) {
        let mut state = AlertState::Inactive;
        for change in changes(play(&rule, &outcomes)) {
            prop_assert_eq!(change.from, state);
            let fell_back = change.to == AlertState::Pending && change.from != AlertState::Inactive;
            prop_assert!(!fell_back, "{change:?}");
            state = change.to;
        }
    }

    #[test]
    fn an_episode_has_one_name_from_its_first_change_to_inactive(
        rule in any_rule(),
        outcomes in prop::collection::vec(outcome(), 1..80),
    ) {
        let mut open: Option<String> = None;
        for change in changes(play(&rule, &outcomes)) {
            prop_assert!(!change.episode.is_empty());
            let expected = open.get_or_insert_with(|| change.episode.clone());
            prop_assert_eq!(&*expected, &change.episode);
            if change.to == AlertState::Inactive {
                open = None;
            }
        }
    }
}
