//! `hindsight backup` and `hindsight restore`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use hindsight_model::SystemClock;
use hindsight_state::State;
use hindsight_store::backup::{BackupReport, BackupTarget, RestoreReport};
use hindsight_store::verify::Progress;
use serde_json::json;

use crate::args::{BackupArgs, RestoreArgs};
use crate::progress::Reporter;
use crate::say;
use crate::tables::tables;
use crate::verify::data_dir;

/// Copies a data directory, which a server may be writing to.
pub(crate) async fn backup(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let data_dir = data_dir(args.data_dir.as_ref())?;
    let reporter = Arc::new(Reporter::start());
    let target = BackupTarget::open(&args.dest, &data_dir, &tables(args.tables.as_deref())?)?;
    // First of all, so that no decision in it rests on telemetry that the backup lacks.
    copy_state(&data_dir.join("state.db"), &target.state_path()?).await?;
    let telling = Arc::clone(&reporter);
    let tell = move |at: Progress| telling.tell(&at.doing, at.done_bytes, at.total_bytes);
    let done = target.run(Arc::new(SystemClock), Arc::new(tell)).await;
    reporter.end();
    let done = done.with_context(|| format!("back up {}", data_dir.display()))?;
    if args.json {
        say::line(&backup_json(&done, &data_dir, &args.dest, &reporter)?)?;
    } else {
        say::line(&format!(
            "{}: backup {} of {}: {} files ({}), of which {} ({}) were new; {} old files removed",
            args.dest.display(),
            done.generation,
            data_dir.display(),
            done.files,
            say::size(done.bytes),
            done.copied_files,
            say::size(done.copied_bytes),
            done.removed_files,
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn copy_state(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.try_exists()? {
        return Ok(());
    }
    let state = State::open_read_only(from).await?;
    let copied = state.copy_to(to).await;
    state.close().await;
    copied.with_context(|| format!("copy {} to {}", from.display(), to.display()))
}

/// Makes a data directory from a backup.
pub(crate) async fn restore(args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let reporter = Arc::new(Reporter::start());
    let telling = Arc::clone(&reporter);
    let tell = move |at: Progress| telling.tell(&at.doing, at.done_bytes, at.total_bytes);
    let location = tables(args.tables.as_deref())?;
    let done =
        hindsight_store::backup::restore(&args.source, &args.data_dir, &location, Arc::new(tell)).await;
    reporter.end();
    let done = done.with_context(|| format!("restore {}", args.source.display()))?;
    if args.json {
        say::line(&restore_json(&done, &args, &reporter)?)?;
    } else {
        say::line(&format!(
            "{}: {} files ({}) of the backup begun at {}; start it with `hindsight serve --data-dir {}`",
            args.data_dir.display(),
            done.files,
            say::size(done.bytes),
            done.backed_up_at,
            args.data_dir.display(),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn backup_json(done: &BackupReport, from: &Path, to: &Path, reporter: &Reporter) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&json!({
        "schema": "hindsight/backup-report/v1",
        "data_dir": from,
        "backup": to,
        "generation": done.generation,
        "files": done.files,
        "bytes": done.bytes,
        "copied_files": done.copied_files,
        "copied_bytes": done.copied_bytes,
        "removed_files": done.removed_files,
        "rounds": done.rounds,
        "wal_next": done.wal_next,
        "elapsed_ms": elapsed_ms(reporter),
    }))?)
}

fn restore_json(done: &RestoreReport, args: &RestoreArgs, reporter: &Reporter) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&json!({
        "schema": "hindsight/restore-report/v1",
        "backup": args.source,
        "data_dir": args.data_dir,
        "node_id": done.node_id,
        "backed_up_at": done.backed_up_at,
        "files": done.files,
        "bytes": done.bytes,
        "wal_next": done.wal_next,
        "elapsed_ms": elapsed_ms(reporter),
    }))?)
}

fn elapsed_ms(reporter: &Reporter) -> u64 {
    u64::try_from(reporter.elapsed().as_millis()).unwrap_or(u64::MAX)
}
