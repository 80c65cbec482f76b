//! Ids begin at 7, so that a number that was not taken from the counter shows.

use super::*;
use crate::testing::{labels, minute, transition};

fn run(stored: &[Incident], graph: &ServiceGraph, transitions: &[Transition]) -> Vec<Incident> {
    apply(Life { incidents: stored, graph, next_id: 7 + stored.len() as u64 }, transitions, minute(1_000))
}

fn alone(stored: &[Incident], transitions: &[Transition]) -> Vec<Incident> {
    run(stored, &ServiceGraph::default(), transitions)
}

#[test]
fn the_first_alert_opens_an_incident_that_names_who_is_affected() {
    let opened = alone(&[], &[transition(10, "checkout", "e1", AlertState::Firing)]);
    assert_eq!(opened.len(), 1);
    let incident = &opened[0];
    assert_eq!((incident.id.0, incident.status), (7, IncidentStatus::Open));
    assert_eq!(incident.title, "checkout: fails");
    assert_eq!(incident.key, labels(&[("service_name", "checkout")]));
    assert_eq!(incident.times.detected, Some(minute(10)));
    assert_eq!(incident.firing, ["e1"]);
}

#[test]
fn the_same_key_joins_and_the_worst_severity_wins() {
    let mut second = transition(40, "checkout", "e2", AlertState::Firing);
    second.incident.as_mut().unwrap().severity = IncidentSeverity::Sev1;
    let joined = alone(&[], &[transition(10, "checkout", "e1", AlertState::Firing), second]);
    assert_eq!(joined.len(), 1);
    assert_eq!(joined[0].severity, IncidentSeverity::Sev1);
    assert_eq!(joined[0].alerts["e2"], "same service_name=checkout");
}

#[test]
fn neighbours_join_within_ten_minutes_and_strangers_do_not() {
    let mut graph = ServiceGraph::default();
    graph.add("gateway", "checkout");
    graph.add("checkout", "orders");
    graph.add("orders", "ledger");
    let first = transition(10, "gateway", "e1", AlertState::Firing);
    for (service, at, incidents) in [("orders", 19, 1), ("orders", 21, 2), ("ledger", 12, 2), ("mail", 12, 2)]
    {
        let second = transition(at, service, "e2", AlertState::Firing);
        let found = run(&[], &graph, &[first.clone(), second]);
        assert_eq!(found.len(), incidents, "{service} at minute {at}");
        if incidents == 1 {
            let reason = &found[0].alerts["e2"];
            assert_eq!(reason, "orders is 2 calls from gateway in the service graph, within 10 min");
            assert_eq!(found[0].services, ["gateway", "orders"]);
        }
    }
}

#[test]
fn alerts_without_the_block_join_but_never_open() {
    let mut plain = transition(12, "checkout", "e2", AlertState::Firing);
    plain.incident = None;
    assert!(alone(&[], std::slice::from_ref(&plain)).is_empty());
    let joined = alone(&[], &[transition(10, "checkout", "e1", AlertState::Firing), plain]);
    assert_eq!(joined[0].firing, ["e1", "e2"]);
}

#[test]
fn the_last_alert_to_end_resolves_the_incident() {
    let mut other = transition(11, "checkout", "e2", AlertState::Firing);
    other.alert = "CheckoutSlow".to_owned();
    let steps = [
        transition(10, "checkout", "e1", AlertState::Firing),
        other,
        transition(20, "checkout", "e1", AlertState::Inactive),
    ];
    let halfway = alone(&[], &steps);
    assert_eq!(halfway[0].status, IncidentStatus::Open);
    let done = alone(&halfway, &[transition(30, "checkout", "e2", AlertState::Inactive)]);
    assert_eq!(done[0].status, IncidentStatus::Resolved);
    assert_eq!((done[0].times.mitigated, done[0].times.resolved), (Some(minute(30)), Some(minute(30))));
}

/// A page tier of `checkout`'s SLO.
fn tier(at: usize, episode: &str, to: AlertState) -> Transition {
    Transition { rule: "slo/checkout/page-1h".to_owned(), ..transition(at, "checkout", episode, to) }
}

#[test]
fn a_tier_that_looks_back_does_not_hold_an_incident_that_other_alerts_left() {
    let steps = [
        tier(9, "t1", AlertState::Firing),
        transition(10, "checkout", "e1", AlertState::Firing),
        tier(11, "t2", AlertState::Firing),
    ];
    let open = alone(&[], &steps);
    assert_eq!((open.len(), open[0].alerts.len()), (1, 3));
    assert_eq!(open[0].firing, ["e1"], "the first other alert takes over from the tier that opened it");
    let over = alone(&open, &[transition(20, "checkout", "e1", AlertState::Inactive)]);
    assert_eq!((over[0].status, over[0].times.resolved), (IncidentStatus::Resolved, Some(minute(20))));
    // The tiers end, or fire again, and nothing changes.
    let later = [
        tier(22, "t1", AlertState::Firing),
        tier(40, "t1", AlertState::Inactive),
        tier(50, "t2", AlertState::Inactive),
    ];
    assert!(alone(&over, &later).is_empty());
}

#[test]
fn a_tier_alone_holds_its_incident() {
    let open = alone(&[], &[tier(10, "t1", AlertState::Firing)]);
    assert_eq!(open[0].firing, ["t1"]);
    let over = alone(&open, &[tier(40, "t1", AlertState::Inactive)]);
    assert_eq!((over[0].status, over[0].times.resolved), (IncidentStatus::Resolved, Some(minute(40))));
}

#[test]
fn only_a_tier_whose_breach_began_after_the_end_reopens() {
    let steps = [
        transition(10, "checkout", "e1", AlertState::Firing),
        transition(20, "checkout", "e1", AlertState::Inactive),
    ];
    let over = alone(&[], &steps);
    let late = Transition { active_at: Some(minute(18)), ..tier(22, "t1", AlertState::Firing) };
    let told = alone(&over, &[late]);
    assert_eq!((told.len(), told[0].id, told[0].status), (1, over[0].id, IncidentStatus::Resolved));
    assert!(told[0].alerts.contains_key("t1") && told[0].firing.is_empty(), "it is evidence");
    let new = Transition { active_at: Some(minute(35)), ..tier(36, "t2", AlertState::Firing) };
    let again = alone(&told, &[new]);
    assert_eq!((again[0].id, again[0].status), (over[0].id, IncidentStatus::Reopened));
}

#[test]
fn tickets_join_nothing() {
    let mut ticket = tier(12, "t1", AlertState::Firing);
    ticket.incident = None;
    let found = alone(&[], &[transition(10, "checkout", "e1", AlertState::Firing), ticket]);
    assert_eq!(found[0].alerts.len(), 1);
}

#[test]
fn no_name_makes_an_alert_pass_for_a_tier() {
    let mut loud = transition(10, "checkout", "e1", AlertState::Firing);
    loud.alert = "burn rate: all of it".to_owned();
    let open = alone(&[], &[loud, tier(11, "t1", AlertState::Firing)]);
    assert_eq!(open[0].firing, ["e1"]);
}

#[test]
fn a_resolved_incident_reopens_within_its_time_and_not_after() {
    let steps = [
        transition(10, "checkout", "e1", AlertState::Firing),
        transition(20, "checkout", "e1", AlertState::Inactive),
    ];
    let resolved = alone(&[], &steps);
    let soon = alone(&resolved, &[transition(45, "checkout", "e2", AlertState::Firing)]);
    assert_eq!((soon.len(), soon[0].id, soon[0].status), (1, resolved[0].id, IncidentStatus::Reopened));
    assert_eq!(soon[0].times.resolved, None);
    let late = alone(&resolved, &[transition(51, "checkout", "e2", AlertState::Firing)]);
    assert_eq!((late.len(), late[0].id.0, late[0].status), (1, 8, IncidentStatus::Open));
}

#[test]
fn transitions_applied_twice_change_nothing() {
    let steps = [
        transition(10, "checkout", "e1", AlertState::Firing),
        transition(20, "checkout", "e1", AlertState::Inactive),
    ];
    let once = alone(&[], &steps);
    assert!(alone(&once, &steps).is_empty());
}

#[test]
fn tenants_never_share_an_incident() {
    let mut foreign = transition(11, "checkout", "e2", AlertState::Firing);
    foreign.tenant = "other".parse().unwrap();
    let found = alone(&[], &[transition(10, "checkout", "e1", AlertState::Firing), foreign]);
    assert_eq!(found.len(), 2);
}

#[test]
fn titles_are_one_bounded_line() {
    let mut loud = transition(10, "checkout", "e1", AlertState::Firing);
    loud.annotations = labels(&[("summary", &"line\n".repeat(100))]);
    let title = &alone(&[], &[loud])[0].title;
    assert!(title.starts_with("checkout: line") && !title.contains('\n'), "{title}");
    assert_eq!(title.chars().count(), TITLE_CHARS_MAX);
}
