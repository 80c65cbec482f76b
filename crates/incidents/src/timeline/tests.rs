use hindsight_model::{TimelineKind, TimelineSource};

use super::{CHANGE_ROWS_MAX, FELT_MAX, ROWS_MAX, climbs};
use crate::testing::{MINUTES, ONSET, deploy_world, incident, minute, transition};
use crate::{ChangePoint, Life, ServiceGraph, analyse, apply};

fn told() -> Vec<hindsight_model::TimelineRow> {
    let (_, mut transitions) = incident("checkout");
    transitions.push(transition(110, "checkout", "e1", hindsight_model::AlertState::Inactive));
    let graph = ServiceGraph::default();
    let incident = apply(Life { incidents: &[], graph: &graph, next_id: 1 }, &transitions, minute(MINUTES));
    analyse(&incident[0], &transitions, &deploy_world(1).telemetry, minute(MINUTES)).timeline
}

#[test]
fn the_story_is_told_in_order_with_one_trigger_first() {
    let rows = told();
    assert!(rows.is_sorted_by_key(|row| row.at));
    let triggers: Vec<_> = rows.iter().filter(|r| r.kind == TimelineKind::Trigger).collect();
    assert_eq!(triggers.len(), 1);
    assert_eq!(triggers[0], &rows[0]);
    assert_eq!(
        (rows[0].at, rows[0].text.as_str()),
        (minute(ONSET - 6), "checkout 4.2.0 first seen (before: 4.1.9)")
    );
    let kinds: Vec<_> = rows.iter().map(|r| r.kind).filter(|k| *k != TimelineKind::ChangePoint).collect();
    use TimelineKind::{Alert, Change, Milestone, Onset, Trigger};
    assert_eq!(kinds, [Trigger, Onset, Alert, Change, Milestone, Milestone, Alert], "{rows:#?}");
}

#[test]
fn every_row_is_the_systems_and_carries_its_sql() {
    let rows = told();
    assert!(rows.len() <= ROWS_MAX);
    for row in rows {
        assert_eq!((row.source, row.state.as_str()), (TimelineSource::System, "suggested"));
        let sql = row.sql.unwrap();
        assert!(sql.starts_with("SELECT") && sql.contains("TIMESTAMP '2026-05-04T"), "{}: {sql}", row.text);
    }
}

#[test]
fn texts_are_short_with_numbers_and_units() {
    let rows = told();
    let onset = rows.iter().find(|r| r.kind == TimelineKind::Onset).unwrap();
    assert_eq!(onset.text, "checkout error rate 0.3 % → 13.7 %");
    assert!(rows.iter().any(|r| r.text.starts_with("checkout p95 latency ")), "{rows:#?}");
    assert!(
        rows.iter().any(|r| r.text.starts_with("orders db.client.connection.usage 29.9 % → 99.4 %")),
        "{rows:#?}"
    );
    assert!(
        rows.iter().any(|r| r.text.starts_with("orders traffic 301 requests/min → 2981 requests/min")),
        "{rows:#?}"
    );
    assert!(rows.iter().any(|r| r.text == "checkout 4.1.9 is back (before: 4.2.0)"), "{rows:#?}");
    assert!(rows.iter().all(|r| r.text.chars().count() <= 160));
}

#[test]
fn telemetry_gets_few_rows_and_what_customers_felt_comes_first() {
    let mut world = deploy_world(1);
    for i in 0..8 {
        let during = move |m: usize| if (ONSET..105).contains(&m) { 900.0 + f64::from(i) } else { 1.0 };
        world.gauge("checkout", &format!("g{i}"), during).gauge("orders", &format!("g{i}"), during);
    }
    let (incident, transitions) = incident("checkout");
    let rows = analyse(&incident, &transitions, &world.telemetry, minute(MINUTES)).timeline;
    let told: Vec<_> = rows.iter().filter(|r| r.kind == TimelineKind::ChangePoint).map(|r| &r.text).collect();
    assert!(told.len() <= CHANGE_ROWS_MAX, "{told:#?}");
    let is_felt = |text: &str| text.contains(" p95 latency ") || text.contains(" error rate ");
    let felt = told.iter().filter(|text| is_felt(text)).count();
    assert_eq!(felt, 2 * FELT_MAX, "each with its rise and its fall: {told:#?}");
    assert!(told.iter().any(|text| text.contains(" g")), "what explains it has room: {told:#?}");
}

#[test]
fn steps_the_same_way_are_one_climb_and_a_fall_is_another_row() {
    let step =
        |index, before, after| ChangePoint { index, low: index, high: index, before, after, strength: 9.0 };
    let points =
        [step(33, 171.0, 451.0), step(38, 451.0, 5_010.0), step(65, 5_010.0, 172.0), step(90, 172.0, 90.0)];
    let told: Vec<_> = climbs(&points).iter().map(|c| (c.at, c.words(|v| format!("{v}")))).collect();
    let expected = [(33, "171 → 5010 within 5 min"), (65, "5010 → 172"), (90, "172 → 90")];
    assert_eq!(told, expected.map(|(at, words)| (at, words.to_owned())));
}

#[test]
fn an_alert_is_two_rows_and_a_tier_one_with_its_burn_rate() {
    use hindsight_model::AlertState::{Firing, Inactive, Pending, Recovering};
    let step = |at, from, to, episode: &str| {
        let mut t = transition(at, "checkout", episode, to);
        t.from = from;
        t
    };
    let mut transitions = vec![
        step(81, hindsight_model::AlertState::Inactive, Pending, "e1"),
        step(83, Pending, Firing, "e1"),
        step(107, Firing, Recovering, "e1"),
        step(112, Recovering, Inactive, "e1"),
        step(84, Inactive, Firing, "e2"),
        step(113, Firing, Recovering, "e2"),
        step(115, Recovering, Inactive, "e2"),
    ];
    for t in transitions.iter_mut().filter(|t| t.episode == "e2") {
        (t.rule, t.alert, t.value) =
            ("slo/s/page-1h".to_owned(), "Orders budget burn 1h/5m".to_owned(), Some(27.31));
    }
    transitions.sort_by_key(|t| t.at);
    let graph = ServiceGraph::default();
    let incident = apply(Life { incidents: &[], graph: &graph, next_id: 1 }, &transitions, minute(MINUTES));
    assert_eq!(incident.len(), 1);
    let rows = analyse(&incident[0], &transitions, &deploy_world(1).telemetry, minute(MINUTES)).timeline;
    let told: Vec<_> =
        rows.iter().filter(|r| r.kind == TimelineKind::Alert).map(|r| (r.at, r.text.as_str())).collect();
    assert_eq!(
        told,
        [
            (minute(83), "alert checkoutErrors fires 2 min after its breach began: checkout fails"),
            (minute(84), "alert Orders budget burn 1h/5m fires: burn rate 27.3×"),
            (minute(107), "alert checkoutErrors recovers, resolved 5 min later: checkout fails"),
        ]
    );
}
