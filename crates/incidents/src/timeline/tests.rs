use hindsight_model::{TimelineKind, TimelineSource};

use super::ROWS_MAX;
use crate::testing::{MINUTES, ONSET, deploy_world, incident, minute, transition};
use crate::{Life, ServiceGraph, analyse, apply};

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
    assert_eq!(kinds, [Trigger, Onset, Alert, Change, Milestone, Alert, Milestone], "{rows:#?}");
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
        rows.iter().any(|r| r.text.starts_with("orders db.client.connection.usage 0.3 → 0.99")),
        "{rows:#?}"
    );
    assert!(
        rows.iter().any(|r| r.text.starts_with("orders traffic 301 requests/min → 2981 requests/min")),
        "{rows:#?}"
    );
    assert!(rows.iter().any(|r| r.text == "checkout 4.1.9 is back (before: 4.2.0)"), "{rows:#?}");
    assert!(rows.iter().all(|r| r.text.chars().count() <= 160));
}
