use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::testing::start;

/// A span that begins so many milliseconds after the trace does.
fn span(id: &str, parent: &str, name: (&str, &str), begun_ms: i64, ms: f64) -> TraceSpan {
    TraceSpan {
        id: id.to_owned(),
        parent: (!parent.is_empty()).then(|| parent.to_owned()),
        service: name.0.to_owned(),
        operation: name.1.to_owned(),
        at: start() + SignedDuration::from_millis(begun_ms),
        ms,
        failed: false,
        message: String::new(),
    }
}

/// Checkout calls its stock and its database twice.
fn good() -> Vec<TraceSpan> {
    vec![
        span("a", "client", ("checkout", "POST /pay"), 0, 100.0),
        span("b", "a", ("stock", "GET /stock"), 10, 20.0),
        span("c", "a", ("db", "SELECT"), 40, 10.0),
        span("d", "a", ("db", "SELECT"), 60, 10.0),
    ]
}

fn told(rows: &[AlignedSpan]) -> Vec<(usize, &str, Option<f64>, Option<f64>)> {
    let own = |went: &Option<Went>| went.as_ref().map(|went| went.own_ms.round());
    rows.iter().map(|row| (row.depth, row.operation.as_str(), own(&row.bad), own(&row.good))).collect()
}

#[test]
fn steps_stand_beside_their_counterparts_and_missing_and_new_ones_alone() {
    let mut bad = vec![
        span("1", "", ("checkout", "POST /pay"), 0, 5_100.0),
        span("2", "1", ("db", "SELECT"), 20, 5_000.0),
        span("3", "1", ("fallback", "GET /cache"), 5_030, 10.0),
    ];
    bad[1].failed = true;
    let rows = align((&bad, "1"), (&good(), "a"));
    assert_eq!(
        told(&rows),
        [
            (0, "POST /pay", Some(90.0), Some(60.0)),
            (1, "GET /stock", None, Some(20.0)),
            (1, "SELECT", Some(5_000.0), Some(10.0)),
            (1, "SELECT", None, Some(10.0)),
            (1, "GET /cache", Some(10.0), None),
        ]
    );
    assert!(rows[2].fails_anew() && !rows[4].fails_anew());
    assert_eq!(rows[2].lost_ms(), 4_990.0);
}

#[test]
fn own_time_is_what_no_child_covers_also_where_they_overlap_and_outlive_it() {
    let spans = [
        span("a", "", ("s", "op"), 0, 100.0),
        span("b", "a", ("s", "x"), 10, 40.0),
        span("c", "a", ("s", "y"), 30, 40.0),
        span("d", "a", ("s", "z"), 90, 500.0),
        span("e", "a", ("s", "early"), -50, 20.0),
    ];
    assert_eq!(align((&spans, "a"), (&[], ""))[0].bad.as_ref().map(|went| went.own_ms.round()), Some(30.0));
}

#[test]
fn what_is_no_tree_ends() {
    let circle = [span("a", "b", ("s", "x"), 0, 1.0), span("b", "a", ("s", "y"), 1, 1.0)];
    let own = [span("a", "a", ("s", "x"), 0, 1.0)];
    assert!(align((&circle, "a"), (&circle, "a")).len() <= 4);
    assert_eq!(align((&own, "a"), (&own, "none")).len(), 1);
    assert!(align((&[], "a"), (&[], "b")).is_empty());
}

/// A trace of which every span hangs below the first.
fn trace() -> impl Strategy<Value = Vec<TraceSpan>> {
    prop::collection::vec((0..4_usize, 0..30_usize, 0..200_i64, 0.0..300.0_f64), 1..30).prop_map(|raw| {
        let each = raw.into_iter().enumerate().map(|(index, (name, parent, begun, ms))| {
            let parent = if index == 0 { String::new() } else { (parent % index).to_string() };
            let names = ["one", "two", "three", "four"];
            span(&index.to_string(), &parent, ("service", names[name]), begun, ms)
        });
        each.collect()
    })
}

proptest! {
    #[test]
    fn a_trace_beside_itself_differs_in_nothing(spans in trace()) {
        let rows = align((&spans, "0"), (&spans, "0"));
        prop_assert_eq!(rows.len(), spans.len());
        prop_assert!(rows.iter().all(|row| row.bad == row.good && row.lost_ms() == 0.0));
    }

    #[test]
    fn every_span_stands_once_on_its_side_and_sides_can_be_swapped(a in trace(), b in trace()) {
        let rows = align((&a, "0"), (&b, "0"));
        prop_assert_eq!(rows.iter().filter(|row| row.bad.is_some()).count(), a.len());
        prop_assert_eq!(rows.iter().filter(|row| row.good.is_some()).count(), b.len());
        let lost: f64 = rows.iter().map(AlignedSpan::lost_ms).sum();
        let swapped: f64 = align((&b, "0"), (&a, "0")).iter().map(AlignedSpan::lost_ms).sum();
        prop_assert!((lost + swapped).abs() < 1e-6);
    }
}
