use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;
const TARGET: u64 = 256 * MIB;
const AIM: Aim = Aim { target_bytes: TARGET, fan_in: 32 };

#[derive(Clone, Copy, Debug)]
struct Simulated {
    size: FileSize,
    rewrites: u32,
    /// Rows of the smallest seal in it.
    seal_rows: u64,
}

/// Applies plans until there is none; returns the rows written.
fn settle(files: &mut Vec<Simulated>, activity: Activity) -> u64 {
    let mut written = 0;
    loop {
        let sizes: Vec<FileSize> = files.iter().map(|file| file.size).collect();
        let Some(chosen) = plan(&sizes, activity, AIM) else { return written };
        let inputs: Vec<Simulated> = chosen.iter().map(|&at| files[at]).collect();
        let rows = inputs.iter().map(|file| file.size.rows).sum();
        // Larger files compress better.
        let bytes = inputs.iter().map(|file| file.size.bytes).sum::<u64>() * 9 / 10;
        let merged = Simulated {
            size: FileSize { rows, bytes },
            rewrites: 1 + inputs.iter().map(|file| file.rewrites).max().unwrap(),
            seal_rows: inputs.iter().map(|file| file.seal_rows).min().unwrap(),
        };
        written += rows;
        let last = *chosen.last().unwrap();
        files[last] = merged;
        for &at in chosen[..chosen.len() - 1].iter().rev() {
            files.remove(at);
        }
    }
}

fn seal(rows: u64) -> Simulated {
    Simulated { size: FileSize { rows, bytes: rows * 80 }, rewrites: 0, seal_rows: rows }
}

/// A day of 1440 seals whose rows `rows_of` gives, merged as they come and finished at the end.
fn day(rows_of: impl Fn(u64) -> u64) -> (Vec<Simulated>, f64) {
    let mut files = Vec::new();
    let (mut sealed, mut written, mut most) = (0, 0, 0);
    for minute in 0..1_440 {
        files.push(seal(rows_of(minute)));
        sealed += rows_of(minute);
        written += settle(&mut files, Activity::Busy);
        most = most.max(files.len());
    }
    assert!(most <= 80, "{most} files at the worst moment");
    written += settle(&mut files, Activity::Quiet);
    (files, written as f64 / sealed as f64)
}

#[test]
fn a_day_of_small_seals_ends_in_few_files_and_rewrites_each_row_few_times() {
    // From 80 KB to 5 MB a seal: 115 MB to 7 GB a day.
    for rows in [1_000, 10_000, 30_000, 65_000] {
        let (files, amplification) = day(|_| rows);
        assert!(files.len() < 20, "{rows} rows a seal: {} files", files.len());
        assert!(amplification <= 3.0, "{rows} rows a seal: every row written {amplification} times");
        for file in &files {
            assert!(file.rewrites <= 4, "{rows} rows a seal: {} rewrites", file.rewrites);
        }
    }
}

#[test]
fn under_load_every_row_is_rewritten_once() {
    // Seals of 5 to 40 MB: logs, spans and points at the pace of one core.
    for rows in [62_500, 130_000, 250_000, 500_000] {
        let (mut files, mut sealed, mut written) = (Vec::new(), 0, 0);
        for _ in 0..600 {
            files.push(seal(rows));
            sealed += rows;
            written += settle(&mut files, Activity::Busy);
        }
        let waiting = files.iter().filter(|file| file.rewrites == 0).count();
        assert!(waiting < 64, "{waiting} files wait");
        assert!(written <= sealed, "{rows} rows a seal: {written} rows written for {sealed}");
        assert!(files.iter().all(|file| file.rewrites <= 1));
    }
}

#[test]
fn an_uneven_day_ends_in_few_files_too() {
    // Quiet nights and busy hours, a factor of 60 between; and every fifth seal tiny.
    let uneven: [fn(u64) -> u64; 2] = [
        |minute| 1_000 + 60_000 * (minute * 7 % 1_440) / 1_440,
        |minute| if minute % 5 == 0 { 10 } else { 20_000 },
    ];
    for rows_of in uneven {
        let (files, amplification) = day(rows_of);
        assert!(files.len() < 20, "{} files", files.len());
        assert!(amplification <= 3.5, "every row written {amplification} times");
    }
}

#[test]
fn late_rows_in_small_seals_do_not_rewrite_a_finished_date() {
    let (mut files, _) = day(|_| 30_000);
    let whole: u64 = files.iter().map(|file| file.size.rows).sum();
    let mut written = 0;
    // One tiny seal every eleven minutes for three days: the date is quiet each time.
    for _ in 0..400 {
        files.push(seal(100));
        written += settle(&mut files, Activity::Quiet);
    }
    assert!(files.len() < 30, "{} files", files.len());
    // Now and then the one file that was left unfinished takes them in.
    assert!(written < whole / 4, "{written} rows written for 40,000 late ones");
}

#[test]
fn many_tiny_old_files_become_one() {
    let mut files = vec![seal(50); 300];
    settle(&mut files, Activity::Quiet);
    assert!(files.len() <= 2, "{files:?}");
}

#[test]
fn a_finished_file_is_left_alone() {
    let full = FileSize { rows: 1_000_000, bytes: TARGET / 2 };
    assert_eq!(plan(&[full, full], Activity::Quiet, AIM), None);
    let small = FileSize { rows: 10, bytes: 1_000 };
    // Finished files do not keep their neighbours apart.
    assert_eq!(plan(&[small, full, small], Activity::Quiet, AIM), Some(vec![0, 2]));
    assert_eq!(plan(&[small, full, small], Activity::Busy, AIM), None);
    assert_eq!(plan(&[], Activity::Quiet, AIM), None);
}

proptest! {
    #[test]
    fn every_merge_obeys_the_rule_and_merging_ends(
        sizes in prop::collection::vec((0_u64..2_000_000, 1_u64..200), 0..60),
        quiet: bool,
    ) {
        let activity = if quiet { Activity::Quiet } else { Activity::Busy };
        let mut files: Vec<FileSize> =
            sizes.iter().map(|&(rows, width)| FileSize { rows, bytes: rows * width / 2 + 1_000 }).collect();
        let rows_before: u64 = files.iter().map(|file| file.rows).sum();
        let mut merges = 0;
        while let Some(chosen) = plan(&files, activity, AIM) {
            prop_assert!(chosen.is_sorted_by(|a, b| a < b));
            prop_assert!((2..=INPUTS_MAX).contains(&chosen.len()));
            let inputs: Vec<FileSize> = chosen.iter().map(|&at| files[at]).collect();
            let rows: u64 = inputs.iter().map(|file| file.rows).sum();
            let bytes: u64 = inputs.iter().map(|file| file.bytes).sum();
            prop_assert!(bytes <= TARGET * TARGET_GROWTH_MAX);
            let largest = inputs.iter().map(|file| file.rows).max().unwrap();
            let finished = bytes * 2 >= TARGET && largest * 3 <= rows * 2;
            let left_over = quiet && inputs.len() >= QUIET_FILES_MAX;
            prop_assert!(largest * 2 <= rows || finished || left_over);
            files[chosen[chosen.len() - 1]] = FileSize { rows, bytes };
            for &at in chosen[..chosen.len() - 1].iter().rev() {
                files.remove(at);
            }
            merges += 1;
            prop_assert!(merges <= 60);
        }
        prop_assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), rows_before);
    }

    #[test]
    fn a_date_that_has_settled_has_few_unfinished_files(
        sizes in prop::collection::vec(1_u64..400_000, 1..400),
    ) {
        let mut files: Vec<Simulated> = Vec::new();
        for rows in sizes {
            files.push(seal(rows));
            settle(&mut files, Activity::Busy);
        }
        settle(&mut files, Activity::Quiet);
        let sizes: Vec<FileSize> = files.iter().map(|file| file.size).collect();
        let target = effective_target(&sizes, TARGET);
        let unfinished = sizes.iter().filter(|size| !is_full(**size, target)).count();
        prop_assert!(unfinished <= QUIET_FILES_MAX, "{:?}", sizes);
        // A finished file has half the target at least, and the target is an eighth of the date at least, unless the
        // date is larger than the largest target allows for.
        let total: u64 = sizes.iter().map(|size| size.bytes).sum();
        let is_huge = total > FINISHED_FILES_AIM * TARGET * TARGET_GROWTH_MAX;
        let finished = sizes.len() - unfinished;
        prop_assert!(is_huge || finished as u64 <= 2 * FINISHED_FILES_AIM, "{:?}", sizes);
        for file in &files {
            let bound = (file.size.rows as f64 / file.seal_rows as f64).log2().ceil() as u32 + 2;
            prop_assert!(file.rewrites <= bound, "{} rewrites, bound {bound}", file.rewrites);
        }
    }
}
