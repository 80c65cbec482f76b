//! A table: its log, and the files that lie in its directory.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use futures::StreamExt;
use hindsight_model::{NodeId, Table};

use super::block::{self, BlockCheck};
use super::history::{self, Commit};
use super::{Finding, Listed, Listing, Progress, VerifyReport, app_id, list};
use crate::stats::chain;
use crate::{Error, Result};

/// Folders within a table that are not partitions.
const LOG_DIR: &str = "_delta_log";
/// How deep partitions lie: `tenant=…/date=…/file`.
const DEPTH_MAX: usize = 4;

/// Reads the table's log, judges its commits, and returns what it lists; `None` when there is none to read.
pub(super) async fn check_log(
    table: Table,
    tables_dir: &Path,
    node: Option<NodeId>,
    report: &mut VerifyReport,
) -> Option<Listing> {
    let place = format!("tables/{table}/{LOG_DIR}");
    let app = node.map_or_else(String::new, |node| app_id(node, table));
    let (commits, findings) = read_commits(&tables_dir.join(table.name()).join(LOG_DIR), &place);
    report.checked.commits += commits.len() as u64;
    report.findings.extend(findings);
    report.findings.extend(history::check(&commits, &app, &place));
    match list(table, tables_dir, node).await {
        Ok(Some(listing)) => {
            report.checked.tables += 1;
            let behind = commits.last().is_some_and(|last| last.version > listing.version);
            if behind {
                let what = format!("readers stop at version {}, later commits are cut off", listing.version);
                report.findings.push(Finding::problem(
                    "commit_missing",
                    place,
                    what,
                    "restore the table from a backup",
                ));
            }
            Some(listing)
        }
        Ok(None) => {
            if !commits.is_empty() {
                let what = "there are commits, and no reader finds a table in them".to_owned();
                report.findings.push(Finding::problem(
                    "table_unreadable",
                    place,
                    what,
                    "restore the table from a backup",
                ));
            }
            None
        }
        Err(error) => {
            let advice = "restore the table from a backup; the files in it are not affected";
            report.findings.push(Finding::problem("table_unreadable", place, chain(&error), advice));
            None
        }
    }
}

/// The commits that are there as JSON, in order, and what could not be read.
fn read_commits(log_dir: &Path, place: &str) -> (Vec<Commit>, Vec<Finding>) {
    let (mut commits, mut findings) = (Vec::new(), Vec::new());
    let Ok(entries) = fs::read_dir(log_dir) else { return (commits, findings) };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(version) = history::version_of_file(&name) else { continue };
        let text = fs::read_to_string(entry.path()).map_err(|error| error.to_string());
        match text.and_then(|text| history::parse(version, &text)) {
            Ok(commit) => commits.push(commit),
            Err(what) => findings.push(Finding::problem(
                "commit_unreadable",
                format!("{place}/{name}"),
                what,
                "restore the file from a backup",
            )),
        }
    }
    commits.sort_by_key(|commit| commit.version);
    (commits, findings)
}

/// Checks every listed file, and looks for files that no log lists.
pub(super) async fn check_files(
    tables_dir: &Path,
    listings: &[Option<Listing>],
    quick: bool,
    report: &mut VerifyReport,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    let files: Vec<Listed> = listings.iter().flatten().flat_map(|listing| listing.files.clone()).collect();
    let total_bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
    let mut done_bytes = 0;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut checks = futures::stream::iter(files)
        .map(|listed| {
            let root = tables_dir.join(listed.table.name());
            let shown = format!("tables/{}/{}", listed.table, listed.path);
            let size = listed.size_bytes;
            async move {
                let checked = tokio::task::spawn_blocking(move || block::check(&root, &listed, quick)).await;
                (shown, size, checked)
            }
        })
        .buffered(workers);
    while let Some((doing, size_bytes, checked)) = checks.next().await {
        // The Parquet reader may panic on bytes that are not Parquet; that is an answer too.
        let checked =
            checked.unwrap_or_else(|_| BlockCheck::unreadable(&doing, "reading it made the reader panic"));
        report.checked.blocks += 1;
        report.checked.block_bytes += size_bytes;
        report.checked.block_rows += checked.rows_listed;
        report.checked.rows_read += checked.rows_read;
        report.findings.extend(checked.findings);
        done_bytes += size_bytes;
        progress(Progress { doing, done_bytes, total_bytes });
    }
    let dir = tables_dir.to_path_buf();
    let known = listings.iter().flatten().map(|listing| (listing.table, names(listing))).collect::<Vec<_>>();
    let work = tokio::task::spawn_blocking(move || strays(&dir, &known));
    let (findings, waiting) = work.await.map_err(|_| Error::Stopped { worker: "search for stray files" })?;
    report.findings.extend(findings);
    report.checked.blocks_waiting_for_removal += waiting;
    Ok(())
}

fn names(listing: &Listing) -> BTreeSet<String> {
    listing.files.iter().map(|file| file.path.clone()).collect()
}

/// Files under `tables/` that no log lists, and how many of them a log did list once.
fn strays(tables_dir: &Path, known: &[(Table, BTreeSet<String>)]) -> (Vec<Finding>, u64) {
    let (mut findings, mut waiting) = (Vec::new(), 0);
    for (table, listed) in known {
        let root = tables_dir.join(table.name());
        let (commits, _) = read_commits(&root.join(LOG_DIR), "");
        let removed: BTreeSet<String> =
            commits.into_iter().flat_map(|commit| commit.removes).map(|removed| removed.path).collect();
        for path in files_below(&root) {
            let Ok(within) = path.strip_prefix(&root) else { continue };
            let within = within.to_string_lossy().into_owned();
            if listed.contains(&within) {
                continue;
            }
            if removed.contains(&within) {
                waiting += 1;
                continue;
            }
            findings.push(stray(&format!("tables/{table}/{within}"), within.contains('#')));
        }
    }
    (findings, waiting)
}

fn stray(place: &str, is_staging: bool) -> Finding {
    let what = if is_staging {
        "a crash left this file before it was whole"
    } else {
        "no version of the table's log lists this file: a seal or a compaction did not end"
    };
    Finding::warning("orphan_file", place, what, "nothing reads it; remove it to have its space back")
}

/// Every file of the table's partitions, the log left out.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_folder {
                found.push(entry.path());
            } else if entry.file_name() != LOG_DIR && depth < DEPTH_MAX {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    found.sort();
    found
}
