//! `/metrics`: what the server did, as Prometheus text (version 0.0.4).

use std::fmt::Write as _;

use crate::app::App;

/// The whole exposition.
pub(crate) fn render(app: &App) -> String {
    let stats = app.store.stats();
    let mut out = String::new();
    let samples: [(&str, &str, &str, u64); 24] = [
        (
            "hindsight_requests_acknowledged_total",
            "counter",
            "OTLP requests acknowledged.",
            stats.requests_acked_total,
        ),
        (
            "hindsight_items_accepted_total",
            "counter",
            "Spans, points and log records accepted.",
            stats.items_accepted_total,
        ),
        (
            "hindsight_items_rejected_total",
            "counter",
            "Spans, points and log records refused.",
            stats.items_rejected_total,
        ),
        (
            "hindsight_duplicate_requests_total",
            "counter",
            "Repeated requests acknowledged without storing again.",
            stats.duplicates_dropped_total,
        ),
        (
            "hindsight_busy_total",
            "counter",
            "Requests pushed back because the head was full.",
            stats.busy_total,
        ),
        (
            "hindsight_unavailable_total",
            "counter",
            "Requests refused because the log or the disk failed.",
            stats.unavailable_total,
        ),
        (
            "hindsight_seal_failures_total",
            "counter",
            "Seals that failed and will be tried again.",
            stats.seal_failures_total,
        ),
        ("hindsight_seals_total", "counter", "Times the head was sealed into blocks.", stats.seals_total),
        ("hindsight_head_rows", "gauge", "Rows not sealed yet.", stats.head_rows),
        ("hindsight_head_bytes", "gauge", "Memory of rows not sealed yet.", stats.head_bytes),
        (
            "hindsight_head_bytes_max",
            "gauge",
            "Head size at which intake pushes back.",
            app.config.head_bytes_max.value as u64,
        ),
        ("hindsight_wal_bytes", "gauge", "Size of the write-ahead log.", stats.wal_bytes),
        ("hindsight_blocks", "gauge", "Sealed blocks.", stats.blocks),
        ("hindsight_compactions_total", "counter", "Merges of blocks.", stats.compactions_total),
        (
            "hindsight_compaction_read_bytes_total",
            "counter",
            "Size of the blocks that were merged.",
            stats.compaction_bytes_read_total,
        ),
        (
            "hindsight_compaction_written_bytes_total",
            "counter",
            "Size of the blocks that merges made.",
            stats.compaction_bytes_written_total,
        ),
        (
            "hindsight_compaction_lag_files",
            "gauge",
            "Blocks that the merges now due would save.",
            stats.compaction_lag_files,
        ),
        (
            "hindsight_upkeep_failures_total",
            "counter",
            "Merges and other upkeep of blocks that failed and will be tried again.",
            stats.upkeep_failures_total,
        ),
        (
            "hindsight_retention_rows_total",
            "counter",
            "Rows dropped because they were past their retention.",
            stats.retention_rows_total,
        ),
        (
            "hindsight_block_files_removed_total",
            "counter",
            "Files deleted after they had left their table.",
            stats.files_removed_total,
        ),
        (
            "hindsight_orphan_files_removed_total",
            "counter",
            "Files deleted that were in no table.",
            stats.orphans_removed_total,
        ),
        (
            "hindsight_block_files_waiting",
            "gauge",
            "Files out of their table that are not deleted yet.",
            stats.files_waiting,
        ),
        ("hindsight_holds", "gauge", "Holds that keep rows from being deleted.", stats.holds),
        ("hindsight_queries_running", "gauge", "Queries under way.", app.query.running().len() as u64),
    ];
    for (name, kind, help, value) in samples {
        // Writing to a String cannot fail.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    out
}
