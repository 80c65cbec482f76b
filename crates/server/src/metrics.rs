//! `/metrics`: what the server did, as Prometheus text (version 0.0.4).

use std::fmt::Write as _;

use hindsight_search::SearchIndex;
use hindsight_state::OutboxCounts;
use hindsight_store::StoreStats;

use crate::app::App;

/// Name, kind, help, value.
type Sample = (&'static str, &'static str, &'static str, u64);

/// The whole exposition. `outbox` is left out where it could not be counted.
pub(crate) fn render(app: &App, outbox: Option<&OutboxCounts>) -> String {
    let stats = app.store.stats();
    let mut out = String::new();
    let (search_blocks, search_bytes) = app.search.as_ref().map_or((0, 0), SearchIndex::size);
    let samples: [Sample; 31] = [
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
            "Requests pushed back because the head was full or too much was in flight.",
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
        (
            "hindsight_id_filter_blocks",
            "gauge",
            "Blocks whose id filter is in memory.",
            stats.id_filter_blocks,
        ),
        ("hindsight_id_filter_bytes", "gauge", "Memory of id filters.", stats.id_filter_bytes),
        (
            "hindsight_id_filter_bytes_max",
            "gauge",
            "Memory that id filters may take; blocks beyond it are opened to look.",
            app.config.limits.id_filter_bytes_max.value as u64,
        ),
        ("hindsight_search_index_blocks", "gauge", "Blocks whose texts are indexed.", search_blocks),
        ("hindsight_search_index_bytes", "gauge", "Size of all text indexes.", search_bytes),
        (
            "hindsight_search_index_bytes_max",
            "gauge",
            "Size that text indexes may take; those of the oldest rows go beyond it.",
            app.config.search.bytes_max.value,
        ),
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
            "hindsight_compaction_memory_bytes_max",
            "gauge",
            "Memory that a merge of blocks took at most since the start, reckoned from their footers.",
            stats.compaction_memory_bytes_max,
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
    let samples = samples.into_iter().chain(pressure(app, &stats));
    for (name, kind, help, value) in samples {
        // Writing to a String cannot fail.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    labelled(app, &mut out);
    if let Some(outbox) = outbox {
        notifications(outbox, &mut out);
    }
    out
}

/// The bounds of LIM-1 and how far they are used.
fn pressure(app: &App, stats: &StoreStats) -> [Sample; 10] {
    let limits = &app.config.limits;
    let bodies = &app.pressure.bodies;
    [
        (
            "hindsight_rate_limited_total",
            "counter",
            "Requests refused because their tenant sent faster than it may.",
            stats.rate_limited_total,
        ),
        (
            "hindsight_in_flight_bytes",
            "gauge",
            "Bytes of requests being decoded or waiting for the log.",
            stats.in_flight_bytes,
        ),
        ("hindsight_body_bytes", "gauge", "Bytes of bodies being read or unpacked.", bodies.used() as u64),
        (
            "hindsight_body_bytes_max",
            "gauge",
            "Bytes of bodies above which requests are told to come back.",
            bodies.bytes_max() as u64,
        ),
        (
            "hindsight_tenant_bytes_per_second_max",
            "gauge",
            "Bytes a second that one tenant may send; 0 is no limit.",
            limits.tenant_bytes_per_second.value,
        ),
        (
            "hindsight_tenant_items_per_second_max",
            "gauge",
            "Items a second that one tenant may send; 0 is no limit.",
            limits.tenant_items_per_second.value,
        ),
        (
            "hindsight_active_series",
            "gauge",
            "Series that count against their tenant's limit, of all tenants.",
            stats.active_series,
        ),
        (
            "hindsight_series_max",
            "gauge",
            "Series that one tenant may have active at once.",
            limits.series_max.value as u64,
        ),
        (
            "hindsight_rejections_unwritten_total",
            "counter",
            "Rows of rejected_telemetry that will be missing after a restart.",
            stats.rejections_unwritten_total,
        ),
        (
            "hindsight_wal_poisoned",
            "gauge",
            "1 when the log accepts nothing until restart.",
            u64::from(stats.poisoned),
        ),
    ]
}

fn labelled(app: &App, out: &mut String) {
    let mut ports =
        vec![("grpc", &app.pressure.grpc), ("http", &app.pressure.http), ("web", &app.pressure.web)];
    if app.addresses.pg.is_some() {
        ports.push(("pg", &app.pressure.pg));
    }
    let name = "hindsight_requests_refused_total";
    let _ = write!(out, "# HELP {name} OTLP requests refused as a whole.\n# TYPE {name} counter\n");
    for (reason, count) in app.pressure.refused() {
        let _ = writeln!(out, "{name}{{reason=\"{reason}\"}} {count}");
    }
    let name = "hindsight_connections";
    let _ = write!(out, "# HELP {name} Open connections.\n# TYPE {name} gauge\n");
    for (port, connections) in &ports {
        let _ = writeln!(out, "{name}{{port=\"{port}\"}} {}", connections.open());
    }
    let name = "hindsight_connections_max";
    let _ = write!(out, "# HELP {name} Connections that a port takes at once.\n# TYPE {name} gauge\n");
    for (port, connections) in &ports {
        let _ = writeln!(out, "{name}{{port=\"{port}\"}} {}", connections.max());
    }
    let name = "hindsight_connections_turned_away_total";
    let _ = write!(
        out,
        "# HELP {name} Connections refused because there were too many.\n# TYPE {name} counter\n"
    );
    for (port, connections) in &ports {
        let _ = writeln!(out, "{name}{{port=\"{port}\"}} {}", connections.turned_away());
    }
}

/// What the table `notifications` holds, by status.
fn notifications(outbox: &OutboxCounts, out: &mut String) {
    let name = "hindsight_notifications";
    let help = "Rows of the table notifications that are kept; dead ones were given up.";
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    for (status, count) in [
        ("waiting", outbox.waiting),
        ("pending", outbox.pending),
        ("sent", outbox.sent),
        ("dead", outbox.dead),
        ("muted", outbox.muted),
        ("unsent", outbox.unsent),
    ] {
        let _ = writeln!(out, "{name}{{status=\"{status}\"}} {count}");
    }
}
