//! The active-series limit, on arrival and after a restart (LIM-1).

use hindsight_otlp::RejectReason;

use super::*;

fn points(names: &[&str]) -> Vec<u8> {
    let at = "1777905119000000000";
    let metrics: Vec<String> = names
        .iter()
        .map(|name| {
            format!(r#"{{"name":"{name}","gauge":{{"dataPoints":[{{"timeUnixNano":"{at}","asInt":"1"}}]}}}}"#)
        })
        .collect();
    format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{}]}}]}}]}}"#, metrics.join(","))
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_series_over_the_limit_are_refused_one_by_one_and_a_replay_refuses_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let limited = || StoreOptions { series_max: 2, ..options(dir.path()) };
    let store = open(limited()).await;
    assert_eq!(send(&store, Signal::Metrics, points(&["a", "b"])).await.decoded.rejected, 0);
    let mixed = send(&store, Signal::Metrics, points(&["a", "c", "b", "d"])).await;
    assert_eq!((mixed.decoded.accepted, mixed.decoded.rejected), (2, 2));
    assert_eq!(mixed.decoded.reasons.get(&RejectReason::TooManySeries), Some(&2));
    assert!(mixed.decoded.message(Signal::Metrics).contains("active series"));
    assert_eq!(store.stats().active_series, 2);
    assert_eq!(rows(&store, Table::Metrics), 4);
    drop(store);
    // With room for all of them by now: what was refused stays refused.
    let store = open(options(dir.path())).await;
    assert_eq!(rows(&store, Table::Metrics), 4);
    assert_eq!(send(&store, Signal::Metrics, points(&["d"])).await.decoded.accepted, 1);
    store.shutdown().await.unwrap();
}
