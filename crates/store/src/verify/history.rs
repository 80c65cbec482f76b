//! The commits of a table's log, one after the other: does each say what it covers, and does none say it twice?
//! Reading is a few lines of JSON; judging is a pure function of what was read.

use std::collections::{BTreeMap, HashMap};

use object_store::path::Path;
use serde_json::Value;

use super::Finding;
use crate::block_name::position_in_name;

/// One version of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) version: u64,
    pub(super) adds: Vec<AddLine>,
    pub(super) removes: Vec<RemoveLine>,
    /// Application transactions: who, up to which position.
    pub(super) transactions: Vec<(String, i64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddLine {
    pub(super) path: String,
    /// Rows, when the statistics say.
    pub(super) rows: Option<u64>,
    pub(super) data_change: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemoveLine {
    pub(super) path: String,
    pub(super) data_change: bool,
}

/// The version in a commit's file name, `00000000000000000042.json`.
pub(super) fn version_of_file(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// Reads a commit: one JSON object a line.
pub(super) fn parse(version: u64, text: &str) -> Result<Commit, String> {
    let mut commit = Commit { version, ..Commit::default() };
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let action: Value =
            serde_json::from_str(line).map_err(|error| format!("line {number} is not JSON: {error}"))?;
        let path = |action: &Value| {
            let raw = action["path"].as_str().ok_or_else(|| format!("line {number} names no file"))?;
            Ok::<_, String>(decoded(raw))
        };
        if let Some(add) = action.get("add") {
            let stats = add["stats"].as_str().and_then(|stats| serde_json::from_str::<Value>(stats).ok());
            commit.adds.push(AddLine {
                path: path(add)?,
                rows: stats.and_then(|stats| stats["numRecords"].as_u64()),
                data_change: add["dataChange"].as_bool().unwrap_or(true),
            });
        } else if let Some(remove) = action.get("remove") {
            let data_change = remove["dataChange"].as_bool().unwrap_or(true);
            commit.removes.push(RemoveLine { path: path(remove)?, data_change });
        } else if let Some(transaction) = action.get("txn") {
            let app =
                transaction["appId"].as_str().ok_or_else(|| format!("line {number} names no writer"))?;
            let at = transaction["version"].as_i64();
            let at = at.ok_or_else(|| format!("line {number} has a transaction without a version"))?;
            commit.transactions.push((app.to_owned(), at));
        }
    }
    Ok(commit)
}

/// The log writes paths as URLs do.
fn decoded(path: &str) -> String {
    Path::from_url_path(path).map_or_else(|_| path.to_owned(), String::from)
}

/// What a run of commits says taken together. `app_id` is this node's name in the transactions.
pub(super) fn check(commits: &[Commit], app_id: &str, place: &str) -> Vec<Finding> {
    let mut judge =
        Judge { place, findings: Vec::new(), rows: HashMap::new(), active: BTreeMap::new(), covered: None };
    judge.check_versions(commits);
    // Before version 0 nothing was active; a log that was cut at a checkpoint tells less.
    let is_whole = commits.first().is_some_and(|commit| commit.version == 0);
    for commit in commits {
        judge.check_transaction(commit, app_id);
        judge.check_files(commit, is_whole);
    }
    judge.findings
}

struct Judge<'a> {
    place: &'a str,
    findings: Vec<Finding>,
    /// Rows of every file ever added.
    rows: HashMap<String, Option<u64>>,
    /// Active files, and the version that added each.
    active: BTreeMap<String, u64>,
    /// The last version of ours that covers something, and the position.
    covered: Option<(u64, u64)>,
}

const FROM_BACKUP: &str = "restore the table from a backup";

impl Judge<'_> {
    fn problem(&mut self, kind: &'static str, version: u64, what: String, advice: &str) {
        let place = format!("{}/{version:020}.json", self.place);
        self.findings.push(Finding::problem(kind, place, what, advice));
    }

    fn check_versions(&mut self, commits: &[Commit]) {
        for pair in commits.windows(2) {
            let missing = pair[0].version + 1;
            if pair[1].version != missing {
                let what = "the commit is missing although later ones are there".to_owned();
                self.problem("commit_missing", missing, what, FROM_BACKUP);
            }
        }
    }

    /// BLK-1: every commit that adds rows says up to which log position, and each goes further than the last.
    fn check_transaction(&mut self, commit: &Commit, app_id: &str) {
        let new_rows: Vec<&AddLine> = commit.adds.iter().filter(|add| add.data_change).collect();
        let ours = commit.transactions.iter().find(|(app, _)| app == app_id);
        let position = ours.and_then(|(_, at)| u64::try_from(*at).ok());
        if new_rows.is_empty() {
            return;
        }
        let Some(position) = position else {
            // Another node's transactions are its own business.
            if commit.transactions.is_empty() {
                let what = format!("it adds {} files and no log position covers them", new_rows.len());
                let advice = "find out which program wrote it; this one never does";
                self.problem("orphan_commit", commit.version, what, advice);
            }
            return;
        };
        let before = self.covered.map_or(0, |(_, position)| position);
        if let Some((earlier, last)) = self.covered
            && position <= last
        {
            let what = format!(
                "it covers the log up to position {position}, and version {earlier} covers it up to {last} already: \
                 rows may be there twice"
            );
            self.problem("committed_twice", commit.version, what, FROM_BACKUP);
            return;
        }
        for add in new_rows {
            if let Some(named) = position_in_name(&add.path)
                && (named <= before || named > position)
            {
                let what = format!(
                    "it covers log positions {} to {position}, and its file {} is named after position {named}",
                    before + 1,
                    add.path
                );
                self.problem("position", commit.version, what, FROM_BACKUP);
            }
        }
        self.covered = Some((commit.version, position));
    }

    fn check_files(&mut self, commit: &Commit, is_whole: bool) {
        for removed in &commit.removes {
            if self.active.remove(&removed.path).is_none() && is_whole {
                let what = format!("it removes {}, which is not listed at that point", removed.path);
                self.problem("removed_twice", commit.version, what, FROM_BACKUP);
            }
        }
        for add in &commit.adds {
            self.rows.insert(add.path.clone(), add.rows);
            if let Some(earlier) = self.active.insert(add.path.clone(), commit.version) {
                let what = format!("it adds {}, which version {earlier} has added already", add.path);
                self.problem("added_twice", commit.version, what, FROM_BACKUP);
            }
        }
        self.check_rewrite(commit);
    }

    /// A commit that only rearranges rows must keep their number.
    fn check_rewrite(&mut self, commit: &Commit) {
        let is_rewrite = commit.adds.iter().all(|add| !add.data_change)
            && commit.removes.iter().all(|removed| !removed.data_change)
            && !(commit.adds.is_empty() && commit.removes.is_empty());
        if !is_rewrite {
            return;
        }
        let added: Option<u64> = commit.adds.iter().map(|add| add.rows).sum();
        let known = |removed: &RemoveLine| self.rows.get(&removed.path).copied().flatten();
        let removed: Option<u64> = commit.removes.iter().map(known).sum();
        if let (Some(added), Some(removed)) = (added, removed)
            && added != removed
        {
            let what = format!("it rewrites {removed} rows as {added}");
            self.problem("rows_changed", commit.version, what, FROM_BACKUP);
        }
    }
}
