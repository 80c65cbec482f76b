//! The engine over the real store: what was acknowledged is seen once, before and after sealing.

use std::sync::Arc;

use hindsight_model::{LogicalClock, Signal, SqlRequest, SqlSource, Tenant};
use hindsight_store::{Ingest, Store, StoreOptions};
use jiff::Timestamp;

use crate::{BlockSource, QueryEngine, QueryOptions, Snapshot};

const BODY: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
    "scopeSpans":[{"spans":[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","name":"GET /",
    "kind":2,"startTimeUnixNano":"1777905119000000123","endTimeUnixNano":"1777905119500000123",
    "attributes":[{"key":"http.route","value":{"stringValue":"/"}}]}]}]}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_ingested_span_is_answered_before_and_after_it_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(LogicalClock::starting_at("2026-05-04T14:32:00Z".parse().unwrap()));
    let store = Store::open(StoreOptions::new(dir.path()), clock).await.unwrap();
    let engine = QueryEngine::new(Arc::new(store.clone()), Vec::new(), QueryOptions::default()).unwrap();
    let request = Ingest {
        tenant: Tenant::default(),
        signal: Signal::Traces,
        encoding: hindsight_otlp::Encoding::Json,
        body: BODY.as_bytes().to_vec().into(),
        sender: None,
    };
    store.ingest(request).await.unwrap();
    check(&engine, 0).await;
    assert_eq!(store.seal().await.unwrap().blocks, 1);
    check(&engine, 1).await;
    store.shutdown().await.unwrap();
}

/// BLK-3: files that were merged away stay as long as a query that began before may read them.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_keeps_the_files_it_reads_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let now: Timestamp = "2026-05-04T14:32:00Z".parse().unwrap();
    let mut options = StoreOptions::new(dir.path());
    options.maintenance.interval = None;
    options.maintenance.fan_in = 8;
    let store = Store::open(options, Arc::new(LogicalClock::starting_at(now))).await.unwrap();
    for number in 0..8 {
        let request = Ingest {
            tenant: Tenant::default(),
            signal: Signal::Traces,
            encoding: hindsight_otlp::Encoding::Json,
            body: BODY.replace("GET /", &format!("GET /{number}")).into_bytes().into(),
            sender: None,
        };
        store.ingest(request).await.unwrap();
        store.seal().await.unwrap();
    }
    // A scan's plan has paths only; the guard is what the engine keeps to the end.
    let Snapshot { guard, .. } = BlockSource::snapshot(&store, &Tenant::default()).await.unwrap();
    assert_eq!(store.maintain(now).await.unwrap().merges, 1);
    let later = now + store_grace();
    assert_eq!(store.maintain(later).await.unwrap().files_removed, 0);
    drop(guard);
    assert_eq!(store.maintain(later).await.unwrap().files_removed, 8);
    store.shutdown().await.unwrap();
}

fn store_grace() -> std::time::Duration {
    hindsight_store::MaintenanceOptions::default().removal_grace
}

async fn check(engine: &QueryEngine, files: u64) {
    let sql = "SELECT service_name, attributes->>'http.route', time_unix_nano, tenant, date, kind FROM spans";
    let answer = engine.sql(SqlRequest::new(sql)).await.unwrap();
    let rows: Vec<Vec<String>> =
        answer.rows().unwrap().iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(rows, [["shop", "/", "1777905119000000123", "default", "2026-05-04", "server"]]);
    assert_eq!(answer.stats.files_scanned, files);
}

/// The routes and how often each comes, and whether JSON was read for them.
async fn routes(store: &Store) -> (Vec<String>, bool) {
    let sql = "SELECT attributes->>'http.route' AS route, count(*) FROM spans GROUP BY 1 ORDER BY 1";
    let engine = QueryEngine::new(Arc::new(store.clone()), Vec::new(), QueryOptions::default()).unwrap();
    let answer = engine.sql(SqlRequest::new(sql)).await.unwrap();
    let counted = answer.rows().unwrap().iter().map(|row| format!("{} {}", row[0], row[1])).collect();
    let plan = engine.sql(SqlRequest::new(format!("EXPLAIN {sql}"))).await.unwrap();
    (counted, format!("{:?}", plan.rows().unwrap()).contains("attribute_text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attribute_is_its_column_alone_until_one_that_does_not_fit_is_in_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let now: Timestamp = "2026-05-04T14:32:00Z".parse().unwrap();
    let mut options = StoreOptions::new(dir.path());
    options.maintenance.interval = None;
    options.maintenance.fan_in = 8;
    let clock = Arc::new(LogicalClock::starting_at(now));
    let open = async || Store::open(options.clone(), Arc::clone(&clock) as _).await.unwrap();
    let mut store = open().await;
    store.ingest(span(1)).await.unwrap();
    assert_eq!(routes(&store).await, (vec!["/ 1".to_owned()], false));
    store.seal().await.unwrap();
    for number in 2..=8 {
        store.ingest(span(number)).await.unwrap();
        store.seal().await.unwrap();
    }
    assert_eq!(routes(&store).await, (vec!["/ 8".to_owned()], false));
    assert_eq!(store.maintain(now).await.unwrap().merges, 1);
    assert_eq!(routes(&store).await, (vec!["/ 8".to_owned()], false));
    store.shutdown().await.unwrap();
    store = open().await;
    assert_eq!(routes(&store).await, (vec!["/ 8".to_owned()], false));

    let mut odd = span(9);
    let body = String::from_utf8(odd.body.to_vec()).unwrap();
    odd.body = body.replace(r#"{"stringValue":"/"}"#, r#"{"intValue":"5"}"#).into_bytes().into();
    store.ingest(odd).await.unwrap();
    let both = (vec!["/ 8".to_owned(), "5 1".to_owned()], true);
    assert_eq!(routes(&store).await, both);
    store.seal().await.unwrap();
    assert_eq!(routes(&store).await, both);
    for number in 10..=17 {
        store.ingest(span(number)).await.unwrap();
        store.seal().await.unwrap();
    }
    assert!(store.maintain(now).await.unwrap().merges > 0);
    let both = (vec!["/ 16".to_owned(), "5 1".to_owned()], true);
    assert_eq!(routes(&store).await, both);
    store.shutdown().await.unwrap();
    assert_eq!(routes(&open().await).await, both);
}

fn span(number: u64) -> Ingest {
    let body = BODY
        .replace("4bf92f3577b34da6a3ce929d0e0e4736", &format!("{number:032x}"))
        .replace("00f067aa0ba902b7", &format!("{number:016x}"));
    Ingest {
        tenant: Tenant::default(),
        signal: Signal::Traces,
        encoding: hindsight_otlp::Encoding::Json,
        body: body.into_bytes().into(),
        sender: None,
    }
}

async fn counts(engine: &QueryEngine, sql: &str) -> (usize, u64, u64, u64) {
    let answer = engine.sql(SqlRequest::new(sql)).await.unwrap();
    let stats = answer.stats;
    (answer.row_count(), stats.files_scanned, stats.files_pruned, stats.files_pruned_by_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_by_id_opens_the_files_that_hold_it_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(LogicalClock::starting_at("2026-05-04T14:32:00Z".parse().unwrap()));
    let options = StoreOptions::new(dir.path());
    let store = Store::open(options.clone(), Arc::clone(&clock) as _).await.unwrap();
    for number in 1..=4 {
        store.ingest(span(number)).await.unwrap();
        store.seal().await.unwrap();
    }
    for restarted in [false, true] {
        let store = if restarted {
            store.shutdown().await.unwrap();
            let store = Store::open(options.clone(), Arc::clone(&clock) as _).await.unwrap();
            let filled = async {
                while store.stats().id_filter_blocks < 4 {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(std::time::Duration::from_secs(60), filled).await.unwrap();
            store
        } else {
            store.clone()
        };
        let engine = QueryEngine::new(Arc::new(store.clone()), Vec::new(), QueryOptions::default()).unwrap();
        let (two, three, none) = (format!("{:032x}", 2), format!("{:032x}", 3), format!("{:032x}", 9));
        for (filter, wanted) in [
            (format!("trace_id = '{two}'"), (1, 1, 3, 3)),
            (format!("'{two}' = trace_id AND name = 'GET /'"), (1, 1, 3, 3)),
            (format!("trace_id IN ('{two}', '{three}', '{none}')"), (2, 2, 2, 2)),
            (format!("trace_id = '{two}' OR trace_id = '{three}'"), (2, 2, 2, 2)),
            (format!("span_id = '{}'", &two[16..]), (1, 1, 3, 3)),
            (format!("trace_id = '{two}' AND span_id = '{}'", &three[16..]), (0, 0, 4, 4)),
            (format!("trace_id = '{none}'"), (0, 0, 4, 4)),
            (format!("trace_id = '{two}' AND timestamp < TIMESTAMP '2020-01-01T00:00:00Z'"), (0, 0, 4, 0)),
            (format!("trace_id <> '{two}'"), (3, 4, 0, 0)),
            (format!("trace_id = '{two}' OR name = 'other'"), (1, 4, 0, 0)),
            (format!("upper(trace_id) = '{two}'"), (1, 4, 0, 0)),
        ] {
            let sql = format!("SELECT name FROM spans WHERE {filter}");
            assert_eq!(counts(&engine, &sql).await, wanted, "{filter}, restarted: {restarted}");
        }
        if restarted {
            store.shutdown().await.unwrap();
        }
    }
}
