//! `hindsight maintain`: one round of upkeep on a data directory that no server holds.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hindsight_model::{Clock as _, SystemClock};
use hindsight_server::{Config, Overrides, store_options};
use hindsight_store::{MaintenanceReport, Store, StoreStats};
use serde_json::{Value, json};

use crate::args::MaintainArgs;
use crate::progress::Reporter;
use crate::say;
use crate::verify::data_dir;

/// How often the work is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Seals what the log still holds, drops what is past its retention, merges until no merge is due, and deletes what
/// nobody needs. Exit code 0 done, 1 something failed and is told.
pub(crate) async fn run(args: &MaintainArgs) -> anyhow::Result<ExitCode> {
    let data_dir = data_dir(args.data_dir.as_ref(), &args.tables)?;
    let workspace = args.tables.workspace.clone();
    let overrides = Overrides { data_dir: Some(data_dir), workspace, ..Overrides::default() };
    let config = Config::load(&overrides)?;
    let reporter = Reporter::start();
    let mut options = store_options(&config);
    options.tables = args.tables.location()?;
    // By hand and at once: no server adds rows meanwhile, so every date is finished.
    options.maintenance.interval = None;
    options.maintenance.quiet_after = Duration::ZERO;
    reporter.tell("reading the log", 0, 0);
    let store = Store::open(options, Arc::new(SystemClock)).await?;
    let before = store.stats();
    let done = work(&store, &reporter).await;
    let after = store.stats();
    let closed = store.shutdown().await;
    reporter.end();
    let report = done.with_context(|| format!("look after {}", config.data_dir.value.display()))?;
    closed.context("close the data directory")?;
    tell(args, &report, &before, &after, &reporter)?;
    let failed = after.upkeep_failures_total > 0;
    if let Some(error) = after.last_error.filter(|_| failed) {
        say::problem(&format!("error: {error}"));
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn work(store: &Store, reporter: &Reporter) -> hindsight_store::Result<MaintenanceReport> {
    store.seal().await?;
    let mut working = std::pin::pin!(store.maintain(SystemClock.now()));
    loop {
        match tokio::time::timeout(LOOK_EVERY, working.as_mut()).await {
            Ok(done) => return done,
            Err(_) => {
                let stats = store.stats();
                let (merges, lag) = (stats.compactions_total, stats.compaction_lag_files);
                reporter.tell(&format!("merging; {merges} merges done, {lag} files too many"), 0, 0);
            }
        }
    }
}

fn tell(
    args: &MaintainArgs,
    report: &MaintenanceReport,
    before: &StoreStats,
    after: &StoreStats,
    reporter: &Reporter,
) -> anyhow::Result<()> {
    if args.json {
        return say::line(&serde_json::to_string_pretty(&to_json(report, before, after, reporter))?);
    }
    say::line(&format!(
        "{} files ({}) before, {} ({}) now: {} merges of {} files, {} rows in {} files past their retention",
        before.blocks,
        say::size(before.block_bytes),
        after.blocks,
        say::size(after.block_bytes),
        report.merges,
        report.files_merged,
        report.rows_expired,
        report.files_expired,
    ))?;
    say::line(&format!(
        "deleted {} files, {} of them in no table; {} wait for readers of other programs until the next round",
        report.files_removed + report.orphans_removed,
        report.orphans_removed,
        after.files_waiting,
    ))
}

fn to_json(
    report: &MaintenanceReport,
    before: &StoreStats,
    after: &StoreStats,
    reporter: &Reporter,
) -> Value {
    json!({
        "schema": "hindsight/maintain/v1",
        "files_before": before.blocks,
        "bytes_before": before.block_bytes,
        "files": after.blocks,
        "bytes": after.block_bytes,
        "rows": after.block_rows,
        "merges": report.merges,
        "files_merged": report.files_merged,
        "bytes_read": report.bytes_read,
        "bytes_written": report.bytes_written,
        "rows_expired": report.rows_expired,
        "files_expired": report.files_expired,
        "files_removed": report.files_removed,
        "orphans_removed": report.orphans_removed,
        "files_waiting": after.files_waiting,
        "failures": after.upkeep_failures_total,
        "elapsed_ms": u64::try_from(reporter.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
