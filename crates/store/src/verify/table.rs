//! A table: its log, and the files that lie in its directory.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use hindsight_model::{NodeId, Table};

use super::block::{self, BlockCheck};
use super::history::{self, Commit};
use super::tables_dir::{LOG_DIR, Part, TablesDir};
use super::{Finding, Listed, Listing, Progress, VerifyReport, app_id, list};
use crate::stats::chain;
use crate::{Error, Result};

/// Commits read at a time.
const READS_AT_ONCE: usize = 8;

/// A table's log, read.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) listing: Listing,
    /// Files that its commits say are no longer listed.
    removed: BTreeSet<String>,
}

/// Reads the table's log, judges its commits, and returns what it lists; `None` when there is none to read.
pub(super) async fn check_log(
    table: Table,
    tables: &TablesDir,
    node: Option<NodeId>,
    report: &mut VerifyReport,
) -> Result<Option<Looked>> {
    let place = tables.shown(table, LOG_DIR);
    let app = node.map_or_else(String::new, |node| app_id(node, table));
    let (commits, findings) = read_commits(tables, table, &place).await?;
    report.checked.commits += commits.len() as u64;
    report.findings.extend(findings);
    report.findings.extend(history::check(&commits, &app, &place));
    let looked = match list(table, tables, node).await {
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
            let removed = commits.into_iter().flat_map(|commit| commit.removes).map(|removed| removed.path);
            Some(Looked { listing, removed: removed.collect() })
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
    };
    Ok(looked)
}

/// The commits that are there as JSON, in order, and what could not be read.
async fn read_commits(tables: &TablesDir, table: Table, place: &str) -> Result<(Vec<Commit>, Vec<Finding>)> {
    let names = tables.log_names(table).await?.into_iter();
    let versions = names.filter_map(|name| history::version_of_file(&name).map(|version| (version, name)));
    let mut texts = futures::stream::iter(versions)
        .map(|(version, name)| async move {
            let text = tables.log_text(table, &name).await?;
            Ok::<_, Error>((version, name, text))
        })
        .buffered(READS_AT_ONCE);
    let (mut commits, mut findings) = (Vec::new(), Vec::new());
    while let Some((version, name, text)) = texts.try_next().await? {
        match text.map_err(|error| error.to_string()).and_then(|text| history::parse(version, &text)) {
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
    Ok((commits, findings))
}

/// Checks every listed file, and looks for files that no log lists.
pub(super) async fn check_files(
    tables: &TablesDir,
    looked: &[Option<Looked>],
    quick: bool,
    report: &mut VerifyReport,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    let listings = || looked.iter().flatten().map(|looked| &looked.listing);
    let files: Vec<Listed> = listings().flat_map(|listing| listing.files.clone()).collect();
    let total_bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
    let mut done_bytes = 0;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut checks = futures::stream::iter(files)
        .map(|listed| async move {
            let (shown, size) = (tables.shown(listed.table, &listed.path), listed.size_bytes);
            Ok::<_, Error>((shown.clone(), size, check_file(tables, listed, shown, quick).await?))
        })
        .buffered(workers);
    while let Some((doing, size_bytes, checked)) = checks.try_next().await? {
        report.checked.blocks += 1;
        report.checked.block_bytes += size_bytes;
        report.checked.block_rows += checked.rows_listed;
        report.checked.rows_read += checked.rows_read;
        report.findings.extend(checked.findings);
        done_bytes += size_bytes;
        progress(Progress { doing, done_bytes, total_bytes });
    }
    for looked in looked.iter().flatten() {
        let (findings, waiting) = strays(tables, looked).await?;
        report.findings.extend(findings);
        report.checked.blocks_waiting_for_removal += waiting;
    }
    Ok(())
}

async fn check_file(tables: &TablesDir, listed: Listed, place: String, quick: bool) -> Result<BlockCheck> {
    let part = if quick { Part::Metadata } else { Part::Whole };
    let file = tables.open(listed.table, &listed.path, listed.size_bytes, part).await?;
    let shown = place.clone();
    let work = tokio::task::spawn_blocking(move || block::check(file, &listed, &shown, quick));
    // The Parquet reader may panic on bytes that are not Parquet; that is an answer too.
    let unreadable = |_| BlockCheck::unreadable(&place, "reading it made the reader panic");
    Ok(work.await.unwrap_or_else(unreadable))
}

/// Files of the table that its log does not list, and how many of them it did list once.
async fn strays(tables: &TablesDir, looked: &Looked) -> Result<(Vec<Finding>, u64)> {
    let table = looked.listing.table;
    let listed: BTreeSet<&str> = looked.listing.files.iter().map(|file| file.path.as_str()).collect();
    let (mut findings, mut waiting) = (Vec::new(), 0);
    for path in tables.files(table).await? {
        if looked.removed.contains(&path) {
            waiting += u64::from(!listed.contains(path.as_str()));
        } else if !listed.contains(path.as_str()) {
            findings.push(stray(&tables.shown(table, &path), path.contains('#')));
        }
    }
    Ok((findings, waiting))
}

fn stray(place: &str, is_staging: bool) -> Finding {
    let what = if is_staging {
        "a crash left this file before it was whole"
    } else {
        "no version of the table's log lists this file: a seal or a compaction did not end"
    };
    Finding::warning("orphan_file", place, what, "nothing reads it; remove it to have its space back")
}
