//! The recorded sample data as rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use hindsight_model::{Owner, Rows, Signal, Table, Tenant};
use hindsight_otlp::{AdmitAll, DecodeContext, Encoding, Interner, Limits, decode};

const RECORDING: &[u8] = include_bytes!("../../../sample-data/checkout-outage/telemetry.jsonl.zst");

/// The batches of every table that has any, one a request.
pub(crate) fn tables() -> BTreeMap<Table, Vec<RecordBatch>> {
    let lines = zstd::decode_all(RECORDING).expect("the recording is whole");
    let (limits, interner) = (Limits::default(), Interner::new());
    let now: jiff::Timestamp = "2026-05-05T12:00:00Z".parse().expect("it is a time");
    let context =
        DecodeContext { arrival: now, now, limits: &limits, interner: &interner, series: &AdmitAll };
    let mut tables: BTreeMap<Table, Vec<RecordBatch>> = BTreeMap::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let signal = match line {
            _ if line.starts_with(br#"{"resourceSpans""#) => Signal::Traces,
            _ if line.starts_with(br#"{"resourceLogs""#) => Signal::Logs,
            _ => Signal::Metrics,
        };
        let decoded = decode(signal, Encoding::Json, line, &context).expect("it was recorded as sent");
        assert_eq!(decoded.rejected, 0, "it was accepted when it was recorded");
        for (table, rows) in decoded.batches {
            let batch = rows.to_batch(&Tenant::default(), None).expect("a request fits in one batch");
            tables.entry(table).or_default().push(batch);
        }
    }
    tables
}

/// Each batch as rows whose owners are shared with those of other batches.
pub(crate) fn rows(table: Table, batches: &[RecordBatch]) -> Vec<Rows> {
    let mut known: HashMap<String, Arc<Owner>> = HashMap::new();
    let mut share = |owner: &Arc<Owner>| {
        Arc::clone(known.entry(format!("{owner:?}")).or_insert_with(|| Arc::clone(owner)))
    };
    let batch = |batch| {
        let rows = Rows::from_batch(table, batch).expect("it has the table's schema");
        let owners = rows.owners().iter().map(&mut share).collect();
        let columns = (0..table.row_columns().len()).map(|index| rows.column(index).cloned()).collect();
        Rows::try_new(table, owners, rows.keys().to_vec(), columns).expect("they were rows before")
    };
    batches.iter().map(batch).collect()
}
