//! What a question costs before anything is read: from text to plan over many blocks of logs, ten a minute, and how
//! much of it the blocks are: the same with none.

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hindsight_model::{SqlRequest, SqlSource as _, Table, Tenant};
use hindsight_query::{MemorySource, QueryEngine, QueryOptions, Snapshot, TableSnapshot};
use hindsight_store::{BlockFile, BlockList, ColumnStats, StatValue};
use jiff::{SignedDuration, Timestamp};
use object_store::memory::InMemory;

const QUESTIONS: [(&str, &str); 3] = [
    ("all", "EXPLAIN SELECT service_name, count(*) FROM logs GROUP BY service_name"),
    (
        "fifteen minutes of a service",
        "EXPLAIN SELECT timestamp, body FROM logs WHERE service_name = 'checkout' \
         AND timestamp > TIMESTAMP '2026-11-01 01:00:00' - INTERVAL '15 minutes' ORDER BY timestamp DESC LIMIT 100",
    ),
    ("nothing", "EXPLAIN SELECT 1"),
];

fn blocks(count: u64) -> BlockList {
    let start: Timestamp = "2026-11-01T00:00:00Z".parse().expect("a time");
    let block = |number: u64| {
        let from = start + SignedDuration::from_secs(number as i64 * 6);
        let service = |name: &str| Some(StatValue::Text(name.to_owned()));
        let services = ColumnStats { min: service("cart"), max: service("shipping"), null_count: Some(0) };
        let date = from.to_zoned(jiff::tz::TimeZone::UTC).date();
        let path = format!("logs/tenant=default/date={date}/{number:020}-1-00000000.parquet");
        Arc::new(BlockFile {
            table: Table::Logs,
            path: path.into(),
            size_bytes: 1_000_000,
            rows: 10_000,
            tenant: Tenant::default(),
            date,
            min_timestamp: Some(from),
            max_timestamp: Some(from + SignedDuration::from_secs(6)),
            columns: [("service_name".to_owned(), services)].into(),
            wal_position: number,
            checksum: None,
            all_promoted: true,
        })
    };
    (0..count).map(block).collect()
}

fn plan(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(30);
    for count in [0, 1_000, 10_000] {
        let mut snapshot = Snapshot::default();
        snapshot.tables[Table::Logs.index()] =
            TableSnapshot { blocks: blocks(count), ..TableSnapshot::default() };
        let source = MemorySource::over(Arc::new(InMemory::new())).with(Tenant::default(), snapshot);
        let engine =
            QueryEngine::new(Arc::new(source), Vec::new(), QueryOptions::default()).expect("an engine");
        for (name, question) in QUESTIONS {
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| runtime.block_on(engine.sql(SqlRequest::new(question))).expect("a plan"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, plan);
criterion_main!(benches);
