//! `verify`: what is whole passes, and each kind of damage is found, named and placed.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::seal::SealStep;
use crate::verify::{Finding, Progress, Severity, VerifyOptions, VerifyReport, verify};
use crate::{DataDirLock, TablesLocation};

async fn look(dir: &Path) -> VerifyReport {
    look_as(dir, false).await
}

async fn look_as(dir: &Path, quick: bool) -> VerifyReport {
    let lock = DataDirLock::take(dir).unwrap();
    let options = VerifyOptions { data_dir: dir.to_path_buf(), tables: TablesLocation::Local, quick };
    verify(&options, &lock, &|_: Progress| {}).await.unwrap()
}

fn kinds(report: &VerifyReport, severity: Severity) -> Vec<&'static str> {
    report.findings.kept().iter().filter(|f| f.severity == severity).map(|f| f.kind).collect()
}

/// Waits until a store that was dropped has let go of the directory.
async fn released(dir: &Path) {
    let free = async {
        while DataDirLock::take(dir).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), free).await.unwrap();
}

/// Three seals of every signal, and a few records that no block holds yet.
async fn filled(dir: &Path) {
    let store = open(options(dir)).await;
    for round in 0..3 {
        send(&store, Signal::Traces, spans(round * 10..round * 10 + 4)).await;
        send(&store, Signal::Traces, spans(round * 10 + 5..round * 10 + 8)).await;
        send(&store, Signal::Logs, log(round)).await;
        send(&store, Signal::Metrics, points(round)).await;
        store.seal().await.unwrap();
    }
    send(&store, Signal::Traces, span(90)).await;
    send(&store, Signal::Logs, log(91)).await;
    drop(store);
    released(dir).await;
}

/// The blocks of a table, in commit order.
fn blocks(dir: &Path, table: &str) -> Vec<PathBuf> {
    let day = dir.join(format!("tables/{table}/tenant=default/date=2026-05-04"));
    let mut found: Vec<_> = fs::read_dir(day).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn commit(dir: &Path, table: &str, version: u64) -> PathBuf {
    dir.join(format!("tables/{table}/_delta_log/{version:020}.json"))
}

fn segment(dir: &Path) -> PathBuf {
    dir.join("wal/00000000000000000001.wal")
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} is not in {}: {text}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_a_filled_and_a_closed_directory_are_clean() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    drop(store);
    released(dir.path()).await;
    let report = look(dir.path()).await;
    assert!(report.findings.kept().is_empty(), "{:?}", report.findings);

    filled(dir.path()).await;
    let report = look(dir.path()).await;
    assert!(report.findings.kept().is_empty(), "{:?}", report.findings);
    let checked = report.checked;
    // The three requests with metrics are decoded again: no commit says that they had no summaries.
    assert_eq!((checked.tables, checked.blocks, checked.wal_records_to_replay), (4, 12, 5), "{checked:?}");
    assert_eq!((checked.block_rows, checked.rows_read), (30, 30));
    let quick = look_as(dir.path(), true).await;
    assert!(quick.is_clean());
    assert_eq!((quick.checked.block_rows, quick.checked.rows_read), (30, 0));

    open(options(dir.path())).await.shutdown().await.unwrap();
    let report = look(dir.path()).await;
    assert!(report.findings.kept().is_empty(), "{:?}", report.findings);
    assert_eq!((report.checked.block_rows, report.checked.wal_records_to_replay), (32, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    edit(&segment(dir.path()), |bytes| bytes.truncate(bytes.len() - 3));
    let before = contents(dir.path());
    let report = look(dir.path()).await;
    assert_eq!(kinds(&report, Severity::Warning), ["wal_torn_tail"]);
    assert_eq!(contents(dir.path()), before);
}

/// Every file below `dir` but `LOCK`, with its bytes.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != "LOCK" {
                all.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_not_checked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path())).await;
    let refused = DataDirLock::take(dir.path()).unwrap_err().to_string();
    assert!(refused.contains(&std::process::id().to_string()), "{refused}");
    store.shutdown().await.unwrap();
}

/// Damage, then what it must be called, where it must be seen, and whether `--quick` sees it too.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_damage_is_found_named_and_placed() {
    type Damage = fn(&Path);
    let original = tempfile::tempdir().unwrap();
    filled(original.path()).await;
    let table: [(&str, &str, bool, Damage); 24] = [
        ("wal_damaged", "wal/0000", true, |dir| edit(&segment(dir), |bytes| bytes[90] ^= 1)),
        ("wal_damaged", "wal/0000", true, |dir| edit(&segment(dir), |bytes| bytes[0] ^= 1)),
        ("wal_version", "wal/0000", true, |dir| edit(&segment(dir), |bytes| newer_segment(bytes))),
        ("wal_behind", "wal", true, |dir| edit(&segment(dir), |bytes| bytes.truncate(32))),
        ("wal_missing", "wal", true, |dir| fs::remove_file(segment(dir)).unwrap()),
        ("wal_unreadable", "wal", true, |dir| fs::remove_dir_all(dir.join("wal")).unwrap()),
        ("block_missing", "tables/spans/", true, |dir| fs::remove_file(&blocks(dir, "spans")[1]).unwrap()),
        ("block_size", "tables/logs/", true, |dir| {
            edit(&blocks(dir, "logs")[0], |bytes| bytes.truncate(900));
        }),
        ("block_size", "tables/spans/", true, |dir| swap(&blocks(dir, "spans")[0], &blocks(dir, "logs")[0])),
        ("block_checksum", "tables/spans/", false, |dir| {
            edit(&blocks(dir, "spans")[2], |bytes| bytes[200] ^= 1);
        }),
        ("block_checksum", "tables/metrics/", false, swap_of_one_size),
        ("block_rows", "tables/spans/", true, |dir| {
            replace(&commit(dir, "spans", 1), r#"\"numRecords\":7"#, r#"\"numRecords\":8"#);
        }),
        ("block_stats", "tables/spans/", false, |dir| {
            replace(&commit(dir, "spans", 1), r#"\"service_name\":\"even\""#, r#"\"service_name\":\"odd\""#);
        }),
        ("block_stats", "tables/spans/", false, |dir| {
            replace(
                &commit(dir, "spans", 2),
                r#"\"duration_nano\":0,\"error_type\""#,
                r#"\"duration_nano\":3,\"error_type\""#,
            );
        }),
        ("block_stats", "tables/logs/", false, |dir| {
            replace(
                &commit(dir, "logs", 1),
                r#"\"maxValues\":{\"severity_number\":9"#,
                r#"\"maxValues\":{\"severity_number\":4"#,
            );
        }),
        ("block_entry", "tables/logs/", true, |dir| {
            replace(&commit(dir, "logs", 1), r#""tenant":"default""#, r#""tenant":"other""#);
        }),
        ("block_entry", "tables/logs/", true, |dir| {
            replace(&commit(dir, "logs", 1), r#"\"numRecords\""#, r#"\"rows\""#);
        }),
        ("commit_missing", "tables/logs/_delta_log/00000000000000000002.json", true, |dir| {
            fs::remove_file(commit(dir, "logs", 2)).unwrap();
        }),
        ("commit_unreadable", "tables/logs/_delta_log/00000000000000000002.json", true, |dir| {
            edit(&commit(dir, "logs", 2), |bytes| bytes.truncate(bytes.len() / 2));
        }),
        ("committed_twice", "tables/spans/_delta_log/00000000000000000004.json", true, |dir| {
            let text = fs::read_to_string(commit(dir, "spans", 3)).unwrap();
            fs::write(commit(dir, "spans", 4), text).unwrap();
        }),
        ("orphan_commit", "tables/spans/_delta_log/00000000000000000003.json", true, |dir| {
            let text = fs::read_to_string(commit(dir, "spans", 3)).unwrap();
            let kept: Vec<_> = text.lines().filter(|line| !line.starts_with(r#"{"txn""#)).collect();
            fs::write(commit(dir, "spans", 3), kept.join("\n")).unwrap();
        }),
        ("node_id", "node.id", true, |dir| fs::write(dir.join("node.id"), "mine").unwrap()),
        ("format", "FORMAT", true, |dir| fs::write(dir.join("FORMAT"), "hindsight-data 2\n").unwrap()),
        ("format", "FORMAT", true, |dir| {
            fs::write(dir.join("FORMAT"), "hindsight-data restoring\n").unwrap();
        }),
    ];
    for (number, (kind, place, also_quick, damage)) in table.into_iter().enumerate() {
        let dir = copy(original.path());
        damage(dir.path());
        for quick in [false, true] {
            let report = look_as(dir.path(), quick).await;
            let found: Vec<&Finding> = report.findings.kept().iter().filter(|f| f.kind == kind).collect();
            if quick && !also_quick {
                assert!(found.is_empty(), "{number} {kind}: --quick reads no rows");
                continue;
            }
            let all: Vec<_> = report.findings.kept().iter().map(ToString::to_string).collect();
            assert!(!report.is_clean() && !found.is_empty(), "{number} {kind}, quick {quick}: {all:#?}");
            assert!(found.iter().any(|f| f.place.starts_with(place)), "{number} {kind}: {all:#?}");
            assert!(found.iter().all(|f| !f.advice.is_empty() && !f.what.is_empty()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_date_and_in_another_order_are_found_behind_a_true_checksum() {
    for (kind, what, change) in [
        ("block_order", "comes before the row above it", reversed as fn(&RecordBatch) -> RecordBatch),
        ("block_date", "not of its folder's date", a_day_later),
    ] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path()).await;
        let path = blocks(dir.path(), "spans").swap_remove(0);
        let renamed = rewrite(&path, change);
        let (old, new) =
            (path.file_name().unwrap().to_str().unwrap(), renamed.file_name().unwrap().to_str().unwrap());
        replace(&commit(dir.path(), "spans", 1), old, new);
        let entry = fs::read_to_string(commit(dir.path(), "spans", 1)).unwrap();
        let size = entry.split(r#""size":"#).nth(1).unwrap().split(',').next().unwrap().to_owned();
        let now = fs::metadata(&renamed).unwrap().len();
        replace(&commit(dir.path(), "spans", 1), &format!(r#""size":{size}"#), &format!(r#""size":{now}"#));
        let report = look(dir.path()).await;
        let found = report.findings.kept().iter().find(|f| f.kind == kind);
        let found = found.unwrap_or_else(|| panic!("{kind}: {:#?}", report.findings));
        assert!(found.what.contains(what), "{found}");
    }
}

/// Writes a file anew with its rows changed, under a name with the right checksum.
fn rewrite(path: &Path, change: fn(&RecordBatch) -> RecordBatch) -> PathBuf {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(|batch| change(&batch.unwrap())).collect();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batches[0].schema(), None).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
    let position = crate::block_name::position_in_name(path.to_str().unwrap()).unwrap();
    let renamed = path.with_file_name(crate::block_name::block_file_name(position, &bytes));
    fs::write(&renamed, bytes).unwrap();
    fs::remove_file(path).unwrap();
    renamed
}

fn reversed(batch: &RecordBatch) -> RecordBatch {
    let rows = u32::try_from(batch.num_rows()).unwrap();
    let order = arrow::array::UInt32Array::from_iter_values((0..rows).rev());
    arrow::compute::take_record_batch(batch, &order).unwrap()
}

fn a_day_later(batch: &RecordBatch) -> RecordBatch {
    let index = batch.schema().index_of("timestamp").unwrap();
    let mut columns = batch.columns().to_vec();
    let micros = micros(batch).into_iter().map(|at| at + 86_400_000_000);
    columns[index] =
        Arc::new(arrow::array::TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"));
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_seal_leaves_is_no_problem_and_is_told() {
    for (moment, orphans) in
        [(SealStep::Commit, 1), (SealStep::Show, 0)].map(|(step, n)| ((step, Some(Table::Spans)), n))
    {
        let dir = tempfile::tempdir().unwrap();
        let crashing = options(dir.path());
        let store = open(crashing.clone()).await;
        send(&store, Signal::Traces, span(1)).await;
        store.seal().await.unwrap();
        send(&store, Signal::Traces, span(2)).await;
        *crashing.seal_stop.0.lock().unwrap() = Some(moment);
        store.seal().await.unwrap_err();
        drop(store);
        released(dir.path()).await;
        let report = look(dir.path()).await;
        assert!(report.is_clean(), "{moment:?}: {:?}", report.findings);
        assert_eq!(kinds(&report, Severity::Warning), vec!["orphan_file"; orphans], "{moment:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strange_file_is_a_warning_and_a_gap_between_tables_and_log_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { wal_segment_bytes: 1, ..options(dir.path()) };
    let store = open(options).await;
    send(&store, Signal::Traces, span(1)).await;
    store.seal().await.unwrap();
    for number in 2..6 {
        send(&store, Signal::Traces, span(number)).await;
    }
    drop(store);
    released(dir.path()).await;
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let report = look(dir.path()).await;
    assert!(report.is_clean());
    assert_eq!(kinds(&report, Severity::Warning), ["unknown_file"]);
    // The oldest segments go: nothing in their names or frames tells, only the tables do.
    let mut segments: Vec<_> =
        fs::read_dir(dir.path().join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    for path in &segments[..3] {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(kinds(&look(dir.path()).await, Severity::Problem), ["wal_gap"]);
}

/// A merged file's checksum is in the table's log, and outlives the commit that brought it.
#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_flips_in_a_merged_file_is_found_also_when_a_checkpoint_has_its_entry() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(by_hand(dir.path())).await;
    for number in 0..8 {
        send(&store, Signal::Logs, log(number)).await;
        store.seal().await.unwrap();
    }
    assert_eq!(store.maintain(now()).await.unwrap().merges, 1);
    // Version 64 is followed by a checkpoint.
    for number in 8..70 {
        send(&store, Signal::Logs, log(number)).await;
        store.seal().await.unwrap();
    }
    let merged = |store: &Store| {
        let blocks = all_blocks(store).swap_remove(Table::Logs.index());
        blocks.into_iter().find(|block| block.level() == 1).unwrap()
    };
    let before = merged(&store);
    store.shutdown().await.unwrap();
    assert!(dir.path().join("tables/logs/_delta_log/_last_checkpoint").try_exists().unwrap());
    for version in 0..64 {
        fs::remove_file(commit(dir.path(), "logs", version)).unwrap();
    }
    let path = dir.path().join("tables").join(before.path.as_ref());
    assert_eq!(before.checksum, Some(crc32c::crc32c(&fs::read(&path).unwrap())));
    let store = open(by_hand(dir.path())).await;
    assert_eq!(merged(&store), before, "read from the checkpoint");
    store.shutdown().await.unwrap();
    assert!(look(dir.path()).await.is_clean());
    // In the column data, where no page has a checksum of its own.
    edit(&path, |bytes| bytes[60] ^= 1);
    let report = look(dir.path()).await;
    assert_eq!(kinds(&report, Severity::Problem), ["block_checksum"]);
}

fn newer_segment(bytes: &mut [u8]) {
    bytes[8] = 9;
    let checksum = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
}

fn swap(a: &Path, b: &Path) {
    let (first, second) = (fs::read(a).unwrap(), fs::read(b).unwrap());
    fs::write(a, second).unwrap();
    fs::write(b, first).unwrap();
}

/// Two files of one table change places; a byte is added to neither, so sizes agree once they are the same.
fn swap_of_one_size(dir: &Path) {
    let files = blocks(dir, "metrics");
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    let pair = files
        .iter()
        .flat_map(|a| files.iter().map(move |b| (a, b)))
        .find(|(a, b)| a < b && size(a) == size(b));
    let (a, b) = pair.expect("of three files with one row each, two have one size");
    swap(a, b);
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for (path, bytes) in contents(from) {
        let target = to.path().join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
    to
}
