//! Tenants that send too fast, and what is remembered of refused requests.

use super::*;
use crate::{IngestError, RateLimit, RateUnit, Refusal};

fn limited(dir: &Path, rate: RateLimit) -> StoreOptions {
    StoreOptions { rate, ..options(dir) }
}

async fn refused(store: &Store, number: u64) -> (RateUnit, Duration) {
    match store.ingest(request("default", Signal::Traces, span(number))).await {
        Err(IngestError::RateLimited { unit, retry_after }) => (unit, retry_after),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_over_its_items_is_refused_until_its_debt_is_paid_and_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let rate = RateLimit { items_per_second: 20, burst: Duration::from_secs(1), ..RateLimit::default() };
    let store = open(limited(dir.path(), rate)).await;
    send(&store, Signal::Traces, spans(0..40)).await;
    let (unit, retry_after) = refused(&store, 40).await;
    assert_eq!(unit, RateUnit::Items);
    send_as(&store, "other", Signal::Traces, span(41)).await;
    assert_eq!(span_numbers(&store).await, (0..40).collect::<Vec<_>>(), "what was refused is not there");
    assert_eq!(store.stats().rate_limited_total, 1);
    tokio::time::sleep(retry_after + Duration::from_millis(100)).await;
    send(&store, Signal::Traces, span(40)).await;
    assert_eq!(span_numbers(&store).await, (0..41).collect::<Vec<_>>());
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_larger_than_the_burst_passes_and_the_next_waits() {
    let dir = tempfile::tempdir().unwrap();
    let rate = RateLimit { bytes_per_second: 10, burst: Duration::from_secs(1), ..RateLimit::default() };
    let store = open(limited(dir.path(), rate)).await;
    send(&store, Signal::Traces, span(1)).await;
    let (unit, retry_after) = refused(&store, 2).await;
    assert_eq!(unit, RateUnit::Bytes);
    assert!(retry_after > Duration::from_secs(5), "hundreds of bytes at ten a second: {retry_after:?}");
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_count_against_the_head() {
    let dir = tempfile::tempdir().unwrap();
    let small = StoreOptions { in_flight_bytes_max: 1, ..options(dir.path()) };
    let store = open(small).await;
    // One unit of in-flight memory: requests get in one at a time, and however large.
    let mut senders = tokio::task::JoinSet::new();
    for number in 0..16 {
        let store = store.clone();
        senders.spawn(async move {
            loop {
                match store.ingest(request("default", Signal::Traces, span(number))).await {
                    Ok(_) => return,
                    Err(IngestError::Busy { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    senders.join_all().await;
    assert_eq!(span_numbers(&store).await, (0..16).collect::<Vec<_>>());
    // The last answer is given a moment before its room is.
    let given_back = async {
        while store.stats().in_flight_bytes > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), given_back).await.expect("all room is given back");
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_still_listed_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    let text = String::from_utf8(span(1)).unwrap();
    let bad = text.replace(r#""spanId":"0000000000000002""#, r#""spanId":"0000000000000000""#);
    send(&store, Signal::Traces, bad.into_bytes()).await;
    let tenant = Tenant::default();
    let refusal = Refusal {
        tenant: &tenant,
        signal: Signal::Logs,
        reason: "request_too_large",
        sender: None,
        told: "the body is larger than 5 bytes",
    };
    for _ in 0..3 {
        store.note_refusal(refusal);
    }
    let before = store.rejections();
    store.shutdown().await.unwrap();
    let store = open(options(dir.path())).await;
    let after = store.rejections();
    assert_eq!(after, before);
    let listed: Vec<(&str, u64)> = after.iter().map(|item| (&*item.reason, item.occurrences)).collect();
    assert_eq!(listed, [("invalid_span_id", 1), ("request_too_large", 3)]);
    store.shutdown().await.unwrap();
}
