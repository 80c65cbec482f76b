//! Which neighbouring blocks of one table, tenant and date become one: pure, from sizes alone.
//!
//! The rule behind every choice: the file that a row is in at least doubles its rows whenever the row is rewritten,
//! or gains half when that finishes it. So a row is rewritten about log2(rows of its last file / rows of its seal)
//! times at most, whatever the sizes. The one exception finishes a quiet date that has more than [`QUIET_FILES_MAX`]
//! unfinished files: at least that many go into one.
//!
//! A rewrite costs about a third of what it cost to take the row in, so small files wait for each other: under load, when
//! seals are large, until together they are a finished file, so that every row is rewritten once; on a quiet day until
//! there are as many as asked for, so that it is two or three times.

/// Files of one merge at most; how many of them are read at a time is a matter of memory.
const INPUTS_MAX: usize = 64;
/// Unfinished files that a quiet date may keep, because merging them would rewrite much to save little.
const QUIET_FILES_MAX: usize = 8;
/// A date aims at so many finished files; above it the target grows.
const FINISHED_FILES_AIM: u64 = 8;
/// How far the target may grow.
const TARGET_GROWTH_MAX: u64 = 4;

/// What the plan knows of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileSize {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Whether more rows are expected for a date soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Rows came recently: wait for enough files of one size.
    Busy,
    /// None came for a while: finish with few files.
    Quiet,
}

/// How large files are to become, and how long small ones wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    /// See [`crate::MaintenanceOptions::target_bytes`].
    pub(crate) target_bytes: u64,
    /// See [`crate::MaintenanceOptions::fan_in`].
    pub(crate) fan_in: usize,
}

/// The next merge of one table, tenant and date: positions in `files`, which are in log order, ascending; `None`
/// when everything is as it should be. Applying it and asking again ends.
pub(crate) fn plan(files: &[FileSize], activity: Activity, aim: Aim) -> Option<Vec<usize>> {
    let target = effective_target(files, aim.target_bytes);
    let fan_in = aim.fan_in.clamp(2, INPUTS_MAX);
    let unfinished: Vec<usize> = (0..files.len()).filter(|&at| !is_full(files[at], target)).collect();
    let mut best: Option<Found> = None;
    for start in 0..unfinished.len() {
        let mut run = Run::default();
        for (end, &at) in unfinished.iter().enumerate().skip(start).take(INPUTS_MAX) {
            if run.total.bytes + files[at].bytes > target {
                break;
            }
            run.add(files[at]);
            let next = unfinished.get(end + 1).map(|&next| files[next].bytes);
            let fits = match activity {
                Activity::Busy => run.fits_busy(fan_in, next, target),
                Activity::Quiet => run.fits_quiet(unfinished.len(), target),
            };
            let found = Found { start, run };
            if fits && best.is_none_or(|best| found.beats(best, activity)) {
                best = Some(found);
            }
        }
    }
    best.map(|found| unfinished[found.start..found.start + found.run.files].to_vec())
}

/// The size to merge up to: what was asked for, unless the date is so large that it would have too many files.
fn effective_target(files: &[FileSize], target_bytes: u64) -> u64 {
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    let most = target_bytes.saturating_mul(TARGET_GROWTH_MAX);
    (total / FINISHED_FILES_AIM).clamp(target_bytes, most)
}

/// A file that is never rewritten at this target.
fn is_full(file: FileSize, target: u64) -> bool {
    file.bytes.saturating_mul(2) >= target
}

/// Neighbours that may become one file.
#[derive(Clone, Copy, Debug)]
struct Run {
    files: usize,
    total: FileSize,
    largest_rows: u64,
}

impl Default for Run {
    fn default() -> Self {
        Self { files: 0, total: FileSize { rows: 0, bytes: 0 }, largest_rows: 0 }
    }
}

impl Run {
    fn add(&mut self, file: FileSize) {
        self.files += 1;
        self.total.rows += file.rows;
        self.total.bytes += file.bytes;
        self.largest_rows = self.largest_rows.max(file.rows);
    }

    /// Whether the rows of every input are at most one `by`th of the output's.
    fn grows(&self, by: u64) -> bool {
        self.files >= 2 && self.largest_rows.saturating_mul(by) <= self.total.rows
    }

    /// Whether the output is finished, and has half more rows than any input.
    fn finishes(&self, target: u64) -> bool {
        let gains = self.largest_rows.saturating_mul(3) <= self.total.rows.saturating_mul(2);
        self.files >= 2 && gains && is_full(self.total, target)
    }

    /// Whether the output is nearly as large as it may be, and has half more rows than any input.
    fn fills(&self, target: u64) -> bool {
        self.finishes(target) && self.total.bytes.saturating_mul(4) >= target.saturating_mul(3)
    }

    fn fits_busy(&self, fan_in: usize, next_bytes: Option<u64>, target: u64) -> bool {
        let many = self.files >= fan_in && self.grows(fan_in as u64 / 2);
        let as_many_as_allowed = self.files == INPUTS_MAX && self.grows(2);
        let overflows = next_bytes.is_some_and(|next| self.total.bytes + next > target);
        let as_large_as_allowed = overflows && self.finishes(target);
        many || self.fills(target) || as_many_as_allowed || as_large_as_allowed
    }

    fn fits_quiet(&self, unfinished: usize, target: u64) -> bool {
        let too_many_left = unfinished > QUIET_FILES_MAX && self.files >= QUIET_FILES_MAX;
        self.grows(2) || self.finishes(target) || too_many_left
    }
}

#[derive(Clone, Copy, Debug)]
struct Found {
    start: usize,
    run: Run,
}

impl Found {
    /// Busy: the least to write for each file saved. Quiet: the most files saved, then the least to write.
    fn beats(&self, other: Self, activity: Activity) -> bool {
        let saved = |found: &Self| found.run.files as u64 - 1;
        match activity {
            Activity::Busy => {
                let cost = |found: &Self, by: &Self| {
                    u128::from(found.run.total.bytes) * u128::from(saved(by).max(1))
                };
                cost(self, &other) < cost(&other, self)
            }
            Activity::Quiet => {
                let worth = |found: &Self| (saved(found), std::cmp::Reverse(found.run.total.bytes));
                worth(self) > worth(&other)
            }
        }
    }
}

#[cfg(test)]
mod tests;
