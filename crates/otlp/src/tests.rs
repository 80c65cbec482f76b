//! Fixtures are files under `fixtures/`, each one OTLP/JSON request: `accepted/` is stored whole, `same/` holds
//! pairs that mean the same, `rejected/` holds one bad item beside a good one, `unusable/` is refused whole.

mod answers;
mod fixtures;
mod generate;
mod limits;
mod properties;
mod repeats;
mod rules;
mod times;

use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, RecordBatch, TimestampMicrosecondArray};
use hindsight_model::{Signal, Table, Tenant, timestamp_from_micros};
use jiff::Timestamp;

use crate::{AdmitAll, DecodeContext, DecodeError, Decoded, Encoding, Interner, Limits, decode};

const NOW: &str = "2026-05-04T14:32:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Nanoseconds since the epoch, so many seconds after [`now`].
fn at(seconds: i64) -> u64 {
    u64::try_from((now().as_second() + seconds) * 1_000_000_000).unwrap()
}

fn decode_with(
    limits: &Limits,
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
) -> Result<Decoded, DecodeError> {
    let interner = Interner::new();
    decode(
        signal,
        encoding,
        body,
        &DecodeContext { arrival: now(), now: now(), limits, interner: &interner, series: &AdmitAll },
    )
}

fn decode_now(signal: Signal, encoding: Encoding, body: &[u8]) -> Result<Decoded, DecodeError> {
    decode_with(&Limits::default(), signal, encoding, body)
}

fn decode_json(signal: Signal, body: &str) -> Decoded {
    decode_now(signal, Encoding::Json, body.as_bytes()).unwrap()
}

fn fixture_dir(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder)
}

/// File name (without `.json`) and content of every fixture in a folder, sorted.
fn fixtures(folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(fixture_dir(folder))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no fixtures in {folder}");
    files
}

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(fixture_dir(path)).unwrap()
}

/// Which signal a fixture carries, by its first field.
fn signal_of(body: &[u8]) -> Signal {
    let text = String::from_utf8_lossy(body);
    if text.contains("resourceSpans") || text.contains("resource_spans") {
        Signal::Traces
    } else if text.contains("resourceMetrics") || text.contains("resource_metrics") {
        Signal::Metrics
    } else {
        Signal::Logs
    }
}

fn batch(decoded: &Decoded, table: Table) -> RecordBatch {
    let (_, rows) = decoded.batches.iter().find(|(of, _)| *of == table).expect("rows of the table");
    rows.to_batch(&Tenant::default()).unwrap()
}

/// A cell as a person reads it; `NULL` for null.
fn cell(decoded: &Decoded, table: Table, column: &str, row: usize) -> String {
    let batch = batch(decoded, table);
    let array: &ArrayRef = batch.column_by_name(column).expect("a column of the table");
    if array.is_null(row) {
        return "NULL".to_owned();
    }
    if let Some(times) = array.as_any().downcast_ref::<TimestampMicrosecondArray>() {
        return timestamp_from_micros(times.value(row)).unwrap().to_string();
    }
    arrow::util::display::array_value_to_string(array, row).unwrap()
}
