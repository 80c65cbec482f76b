use std::collections::BTreeMap;
use std::time::Duration;

use hindsight_model::{AlertState, Labels, Outcome};
use jiff::Timestamp;

use super::flapping::changes_percent;
use super::{Change, InstanceState, Reason, end, step};
use crate::rule::{Absence, CheckedRule, Flapping, Measure, OnMissing, Policy};
use crate::{Condition, Op};

pub(super) const TICK: i64 = 30;

/// Fires above 0.9, recovers at 0.75 or below; `for` and `keep_firing_for` in seconds.
pub(super) fn rule(for_: u64, keep: u64) -> CheckedRule {
    CheckedRule {
        id: "g/A".to_owned(),
        alert: "A".to_owned(),
        line: 1,
        measure: Measure::Sql,
        sql: String::new(),
        condition: Some(Condition { op: Op::Gt, fire: 0.9, recover: 0.75 }),
        policy: Policy {
            for_: Duration::from_secs(for_),
            keep_firing_for: Duration::from_secs(keep),
            ..Policy::default()
        },
        error_after: Duration::from_secs(300),
        require_watermark: false,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        incident: None,
    }
}

pub(super) fn t(tick: usize) -> Timestamp {
    Timestamp::from_second(1_000_000 + i64::try_from(tick).unwrap() * TICK).unwrap()
}

pub(super) fn play(rule: &CheckedRule, outcomes: &[Outcome]) -> Vec<(InstanceState, Option<Change>)> {
    let mut state = InstanceState::default();
    let mut steps = Vec::new();
    for (tick, outcome) in outcomes.iter().enumerate() {
        let (next, change) = step(rule, &Labels::new(), &state, outcome, t(tick));
        state = next.clone();
        steps.push((next, change));
    }
    steps
}

/// One letter for each tick: `H`igh 0.95, in the `B`and 0.8, `L`ow 0.5, `M`issing, `N`o data, `E`rror, `U`nobserved.
fn outcomes(letters: &str) -> Vec<Outcome> {
    let outcome = |letter| match letter {
        'H' => Outcome::Value(0.95),
        'B' => Outcome::Value(0.8),
        'L' => Outcome::Value(0.5),
        'M' => Outcome::Missing,
        'N' => Outcome::NoData,
        'E' => Outcome::Error("down".to_owned()),
        'U' => Outcome::Unobserved,
        other => panic!("{other}"),
    };
    letters.chars().map(outcome).collect()
}

/// Checks the state after each tick: `i`nactive, `p`ending, `f`iring, `r`ecovering.
fn check(rule: &CheckedRule, input: &str, states: &str) {
    let letter = |state| match state {
        AlertState::Inactive => 'i',
        AlertState::Pending => 'p',
        AlertState::Firing => 'f',
        AlertState::Recovering => 'r',
    };
    let got: String = play(rule, &outcomes(input)).iter().map(|(state, _)| letter(state.state)).collect();
    assert_eq!(got, states, "for {input}");
}

fn with(mut rule: CheckedRule, on_no_data: Absence, on_missing: OnMissing) -> CheckedRule {
    rule.policy.on_no_data = on_no_data;
    rule.policy.on_missing = on_missing;
    rule
}

#[test]
fn inactive_goes_to_pending_or_straight_to_firing() {
    check(&rule(60, 0), "LHHH", "ippf");
    check(&rule(0, 0), "LHL", "ifi");
}

#[test]
fn pending_without_a_breach_is_inactive_again() {
    check(&rule(60, 0), "HHLHHH", "ppippf");
}

#[test]
fn the_band_between_recover_and_fire_neither_fires_nor_recovers() {
    check(&rule(60, 0), "BBBB", "iiii");
    check(&rule(60, 0), "HB", "pi");
    check(&rule(0, 60), "HBBBLBLLL", "ffffrfrri");
}

#[test]
fn firing_recovers_at_once_or_after_keep_firing_for() {
    check(&rule(0, 0), "HHL", "ffi");
    check(&rule(0, 60), "HLLL", "frri");
}

#[test]
fn a_breach_while_recovering_is_the_same_episode() {
    let steps = play(&rule(0, 60), &outcomes("HLHLLL"));
    let episodes: Vec<_> = steps.iter().filter_map(|(_, change)| change.as_ref()).collect();
    assert_eq!(episodes.len(), 5);
    assert!(
        episodes.iter().all(|change| change.episode == episodes[0].episode && !change.episode.is_empty())
    );
    assert_eq!(steps.last().unwrap().0.episode, "");
}

#[test]
fn a_new_breach_is_a_new_episode() {
    let steps = play(&rule(0, 0), &outcomes("HLH"));
    let episodes: Vec<_> =
        steps.iter().filter_map(|(_, change)| change.as_ref().map(|c| &c.episode)).collect();
    assert_eq!(episodes[0], episodes[1]);
    assert_ne!(episodes[1], episodes[2]);
}

#[test]
fn error_and_unobserved_freeze_every_state() {
    for frozen in ["E", "U"] {
        check(&rule(60, 0), &format!("L{frozen}L"), "iii");
        check(&rule(60, 0), &format!("H{}", frozen.repeat(9)), "pppppppppp");
        check(&rule(0, 60), &format!("H{}", frozen.repeat(9)), "ffffffffff");
        check(&rule(0, 60), &format!("HL{}", frozen.repeat(8)), "frrrrrrrrr");
    }
}

#[test]
fn time_that_is_frozen_does_not_count() {
    // Two ticks of breach are needed; the three frozen ones add nothing to them.
    check(&rule(60, 0), "HEEEHH", "pppppf");
    check(&rule(0, 60), "HLUUULL", "frrrrri");
}

#[test]
fn missing_acts_after_k_ticks_as_the_rule_says() {
    let missing = |then| with(rule(0, 60), Absence::Keep, OnMissing { after: 2, then });
    check(&missing(Absence::Resolve), "HMMM", "ffii");
    check(&missing(Absence::Resolve), "HMHMM", "ffffi");
    check(&missing(Absence::Keep), "HMMMM", "fffff");
    check(&missing(Absence::NoBreach), "HMMMMM", "ffrrii");
    check(&with(rule(60, 0), Absence::Keep, OnMissing { after: 2, then: Absence::Fire }), "LMMMM", "iippf");
    let steps = play(&missing(Absence::Resolve), &outcomes("HMM"));
    assert_eq!(steps[2].1.as_ref().map(|change| change.reason), Some(Reason::MissingSeries));
}

#[test]
fn no_data_acts_as_the_rule_says() {
    let no_data = |on_no_data| with(rule(0, 60), on_no_data, OnMissing::default());
    check(&no_data(Absence::Keep), "HNNNL", "ffffr");
    check(&no_data(Absence::Resolve), "HNL", "fii");
    check(&no_data(Absence::Fire), "LNL", "ifr");
    check(&no_data(Absence::NoBreach), "HNNN", "frri");
    let steps = play(&no_data(Absence::Resolve), &outcomes("HN"));
    assert_eq!(steps[1].1.as_ref().map(|change| change.reason), Some(Reason::NoData));
}

#[test]
fn a_value_that_is_not_a_number_neither_fires_nor_clears() {
    let steps = play(&rule(0, 0), &[Outcome::Value(0.95), Outcome::Value(f64::NAN)]);
    assert_eq!(steps[1].0.state, AlertState::Firing);
}

#[test]
fn the_start_of_the_breach_is_told_as_it_was_even_when_clocks_moved() {
    let steps = play(&rule(60, 0), &outcomes("HEEEHH"));
    assert_eq!(steps[5].1.as_ref().unwrap().active_at, Some(t(0)));
}

#[test]
fn an_episode_ends_for_outside_reasons_only_when_there_is_one() {
    let steps = play(&rule(60, 0), &outcomes("LH"));
    assert_eq!(end(&steps[0].0, Reason::RuleDeleted), None);
    let change = end(&steps[1].0, Reason::Updated).unwrap();
    assert_eq!((change.from, change.to), (AlertState::Pending, AlertState::Inactive));
    assert_eq!(change.episode, steps[1].0.episode);
}

#[test]
fn changes_weigh_from_three_quarters_to_five_quarters() {
    assert_eq!(changes_percent(0, 21), 0.0);
    // Only the newest of twenty places changed: 1.25 of 20.
    assert!((changes_percent(0b1, 21) - 6.25).abs() < 1e-9);
    // Only the oldest: 0.75 of 20.
    assert!((changes_percent(1 << 20, 21) - 3.75).abs() < 1e-9);
    // All of them.
    assert!((changes_percent(0x0015_5555, 21) - 100.0).abs() < 1e-9);
}

#[test]
fn flapping_holds_the_worse_state_with_one_notice_and_lets_go_when_calm() {
    let mut rule = rule(0, 0);
    rule.policy.flapping = Some(Flapping { window: 21, high: 20.0, low: 5.0 });
    let steps = play(&rule, &outcomes(&format!("HLHLHLHLHL{}", "L".repeat(40))));
    let changes: Vec<_> = steps.iter().filter_map(|(_, change)| change.as_ref()).collect();
    let notices = changes.iter().filter(|change| change.reason == Reason::Flapping).count();
    assert_eq!(notices, 1, "{changes:?}");
    let begins = steps.iter().position(|(state, _)| state.flapping).unwrap();
    let ends = begins + steps[begins..].iter().position(|(state, _)| !state.flapping).unwrap();
    assert!(steps[begins..ends].iter().all(|(state, _)| state.state == AlertState::Firing));
    let last = changes.last().unwrap();
    assert_eq!((last.to, last.reason), (AlertState::Inactive, Reason::Recovered));
    assert!(changes.len() < 8, "ten changes became {}", changes.len());
    let told: Vec<_> = changes.iter().skip_while(|change| change.reason != Reason::Flapping).collect();
    assert!(told.iter().all(|change| change.episode == told[0].episode), "one episode while it flaps");
}

#[test]
fn a_breach_that_is_pending_when_flapping_ends_leaves_nobody_with_an_unresolved_alert() {
    let mut rule = rule(30, 0);
    rule.policy.flapping = Some(Flapping { window: 21, high: 20.0, low: 5.0 });
    let mut input: Vec<char> = format!("{}{}", "HHL".repeat(6), "L".repeat(40)).chars().collect();
    let play_letters = |input: &[char]| play(&rule, &outcomes(&input.iter().collect::<String>()));
    let steps = play_letters(&input);
    let begins = steps.iter().position(|(state, _)| state.flapping).unwrap();
    let ends = begins + steps[begins..].iter().position(|(state, _)| !state.flapping).unwrap();
    input[ends] = 'H';
    let steps = play_letters(&input);
    assert_eq!((steps[ends].0.flapping, steps[ends].0.inner), (false, AlertState::Pending));
    assert_eq!(steps[ends].0.state, AlertState::Firing);
    let change = steps[ends + 1].1.as_ref().unwrap();
    assert_eq!((change.from, change.to), (AlertState::Firing, AlertState::Inactive));
}
