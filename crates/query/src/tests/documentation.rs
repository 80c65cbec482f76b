//! The SQL of the documentation runs, over the recorded sample data, and answers something.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use hindsight_model::{LogicalClock, Signal, SqlRequest, SqlSource, Tenant};
use hindsight_otlp::{AdmitAll, DecodeContext, Encoding, Interner, Limits, decode};
use jiff::Timestamp;

use crate::{MemorySource, QueryEngine, QueryOptions, Snapshot};

/// Late in the recorded outage.
const NOW: &str = "2026-05-04T21:50:00Z";
/// A block whose answer may have no row says so in the line above it.
const MAY_BE_EMPTY: &str = "<!-- may be empty -->";

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_documentation_answers() {
    let engine = over_the_recording();
    let mut failures = String::new();
    for (page, least) in [("sql-by-example.md", 30), ("sql-functions.md", 15)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
        let blocks = blocks(&std::fs::read_to_string(path).unwrap());
        assert!(blocks.len() >= least, "{page} has only {} queries", blocks.len());
        for block in blocks {
            match engine.sql(SqlRequest::new(&block.sql)).await {
                Ok(answer) if answer.row_count() > 0 || block.may_be_empty => {}
                Ok(_) => writeln!(failures, "{page}:{}: no row\n{}", block.line, block.sql).unwrap(),
                Err(error) => writeln!(failures, "{page}:{}: {error}\n{}", block.line, block.sql).unwrap(),
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

struct Block {
    line: usize,
    sql: String,
    may_be_empty: bool,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut before = "";
    for (line, text) in page.lines().enumerate() {
        match &mut open {
            None if text == "```sql" => {
                open =
                    Some(Block { line: line + 1, sql: String::new(), may_be_empty: before == MAY_BE_EMPTY });
            }
            Some(_) if text == "```" => blocks.extend(open.take()),
            Some(block) => {
                block.sql.push_str(text);
                block.sql.push('\n');
            }
            None => {}
        }
        before = text;
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The third of the recording that ends in the outage.
fn over_the_recording() -> QueryEngine {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sample-data/checkout-outage/telemetry.jsonl.zst");
    let text = zstd::decode_all(std::fs::File::open(file).unwrap()).unwrap();
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let now: Timestamp = NOW.parse().unwrap();
    let (limits, interner) = (Limits::default(), Interner::new());
    let context =
        DecodeContext { arrival: now, now, limits: &limits, interner: &interner, series: &AdmitAll };
    let mut snapshot = Snapshot::default();
    for line in &lines[lines.len() / 4..lines.len() / 2] {
        let signal = match line {
            line if line.starts_with(br#"{"resourceSpans""#) => Signal::Traces,
            line if line.starts_with(br#"{"resourceLogs""#) => Signal::Logs,
            _ => Signal::Metrics,
        };
        for (table, rows) in decode(signal, Encoding::Json, line, &context).unwrap().batches {
            snapshot.tables[table.index()].head.push(rows);
        }
    }
    let source = MemorySource::empty().with(Tenant::default(), snapshot);
    let options = QueryOptions { clock: Arc::new(LogicalClock::starting_at(now)), ..Default::default() };
    QueryEngine::new(Arc::new(source), Vec::new(), options).unwrap()
}
