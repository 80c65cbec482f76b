//! The recorded sample data, as it was sent and as rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use hindsight_model::{Owner, Rows, Signal, Table, Tenant};
use hindsight_otlp::{
    AdmitAll, DecodeContext, Decoded, Encoding, Interner, Limits, decode, decode_request, encode_request,
};
use jiff::Timestamp;

const RECORDING: &[u8] = include_bytes!("../../sample-data/checkout-outage/telemetry.jsonl.zst");

/// Every request of one signal as protobuf, in the order they were sent.
///
/// # Panics
/// When the recording is not what the generator wrote.
pub fn bodies(signal: Signal) -> Vec<Vec<u8>> {
    let plain = |line: &[u8]| {
        let request = decode_request(signal, Encoding::Json, line).expect("it was recorded as sent");
        encode_request(&request, Encoding::Protobuf)
    };
    lines().iter().filter(|(of, _)| *of == signal).map(|(_, line)| plain(line)).collect()
}

/// The rows of one request.
///
/// # Panics
/// When the request was not accepted whole.
pub fn decode_body(signal: Signal, encoding: Encoding, body: &[u8], interner: &Interner) -> Decoded {
    let limits = Limits::default();
    let now: Timestamp = "2026-05-05T12:00:00Z".parse().expect("it is a time");
    let context = DecodeContext { arrival: now, now, limits: &limits, interner, series: &AdmitAll };
    let decoded = decode(signal, encoding, body, &context).expect("it was recorded as sent");
    assert_eq!(decoded.rejected, 0, "it was accepted when it was recorded");
    decoded
}

/// The batches of every table that has any, one a request.
///
/// # Panics
/// When the recording is not what the generator wrote.
pub fn tables() -> BTreeMap<Table, Vec<RecordBatch>> {
    let interner = Interner::new();
    let mut tables: BTreeMap<Table, Vec<RecordBatch>> = BTreeMap::new();
    for (signal, line) in lines() {
        for (table, rows) in decode_body(signal, Encoding::Json, &line, &interner).batches {
            let batch = rows.to_batch(&Tenant::default()).expect("a request fits in one batch");
            tables.entry(table).or_default().push(batch);
        }
    }
    tables
}

/// Each batch as rows whose owners are shared with those of other batches.
///
/// # Panics
/// When a batch is not of `table`.
pub fn rows(table: Table, batches: &[RecordBatch]) -> Vec<Rows> {
    let mut known: HashMap<String, Arc<Owner>> = HashMap::new();
    let mut share = |owner: &Arc<Owner>| {
        Arc::clone(known.entry(format!("{owner:?}")).or_insert_with(|| Arc::clone(owner)))
    };
    let batch = |batch| {
        let rows = Rows::from_batch(table, batch).expect("it has the table's schema");
        let owners: Vec<_> = rows.owners().iter().map(&mut share).collect();
        let columns = (0..table.row_columns().len()).map(|index| rows.column(index).cloned()).collect();
        Rows::try_new(table, owners, rows.keys().to_vec(), columns).expect("they were rows before")
    };
    batches.iter().map(batch).collect()
}

/// Every request as it was recorded.
fn lines() -> Vec<(Signal, Vec<u8>)> {
    let text = zstd::decode_all(RECORDING).expect("the recording is whole");
    let signal = |line: &[u8]| match line {
        _ if line.starts_with(br#"{"resourceSpans""#) => Signal::Traces,
        _ if line.starts_with(br#"{"resourceLogs""#) => Signal::Logs,
        _ => Signal::Metrics,
    };
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| (signal(line), line.to_vec())).collect()
}
