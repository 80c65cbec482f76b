//! `backup` and `restore`: consistent beside a working store, incremental, and refusing what is not whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::TablesLocation;
use crate::backup::{BackupError, BackupReport, BackupTarget, RestoreReport, restore};
use crate::verify::{Progress, VerifyOptions, verify};

async fn back_up(dir: &Path, folder: &Path) -> Result<BackupReport, BackupError> {
    let clock = Arc::new(LogicalClock::starting_at(now()));
    BackupTarget::open(folder, dir, &TablesLocation::Local)?.run(clock, Arc::new(|_: Progress| {})).await
}

async fn put_back(folder: &Path, dir: &Path) -> Result<RestoreReport, BackupError> {
    restore(folder, dir, &TablesLocation::Local, Arc::new(|_: Progress| {})).await
}

/// Restores into a new directory, which must be clean, and returns it.
async fn restored(folder: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    put_back(folder, dir.path()).await.unwrap();
    let lock = crate::DataDirLock::take(dir.path()).unwrap();
    let options =
        VerifyOptions { data_dir: dir.path().to_path_buf(), tables: TablesLocation::Local, quick: false };
    let report = verify(&options, &lock, &|_: Progress| {}).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
    dir
}

/// Every file below `dir` with its size.
fn sizes(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut all = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.insert(path.strip_prefix(dir).unwrap().to_path_buf(), path.metadata().unwrap().len());
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_store_holds_what_was_acknowledged_and_the_next_copies_what_is_new() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(StoreOptions { wal_segment_bytes: 1_000, ..options(dir.path()) }).await;
    send(&store, Signal::Traces, spans(0..8)).await;
    send(&store, Signal::Metrics, points(1)).await;
    store.seal().await.unwrap();
    send(&store, Signal::Traces, span(8)).await;
    let first = back_up(dir.path(), folder.path()).await.unwrap();
    assert_eq!((first.generation, first.rounds, first.copied_files), (1, 1, first.files));

    send(&store, Signal::Traces, span(9)).await;
    store.seal().await.unwrap();
    send(&store, Signal::Logs, log(1)).await;
    let second = back_up(dir.path(), folder.path()).await.unwrap();
    assert_eq!((second.generation, second.rounds), (2, 1));
    // The first blocks of three tables, and the two commits of each, were there already.
    assert!(second.copied_files <= second.files - 9, "{second:?}");
    let again = back_up(dir.path(), folder.path()).await.unwrap();
    assert_eq!((again.generation, again.copied_files, again.files), (3, 0, second.files));

    let copy = restored(folder.path()).await;
    store.shutdown().await.unwrap();
    let store = open(options(copy.path())).await;
    assert_eq!(span_numbers(&store).await, (0..10).collect::<Vec<_>>());
    assert_eq!((rows(&store, Table::Logs), rows(&store, Table::Metrics)), (1, 1));
    send(&store, Signal::Traces, span(10)).await;
    assert!(send(&store, Signal::Traces, span(9)).await.duplicate, "repeats are still known");
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_backup_does_not_need_is_removed_and_only_that() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(StoreOptions { wal_segment_bytes: 1, ..options(dir.path()) }).await;
    for number in 0..4 {
        send(&store, Signal::Traces, span(number)).await;
    }
    back_up(dir.path(), folder.path()).await.unwrap();
    let segments = |sizes: &BTreeMap<PathBuf, u64>| {
        sizes.keys().filter(|path| path.extension().is_some_and(|e| e == "wal")).count()
    };
    assert_eq!(segments(&sizes(folder.path())), 4);
    store.seal().await.unwrap();
    let report = back_up(dir.path(), folder.path()).await.unwrap();
    assert!(report.removed_files >= 3, "{report:?}");
    assert!(segments(&sizes(folder.path())) <= 2);
    store.shutdown().await.unwrap();
    let copy = restored(folder.path()).await;
    let store = open(options(copy.path())).await;
    assert_eq!(span_numbers(&store).await, (0..4).collect::<Vec<_>>());
    store.shutdown().await.unwrap();
}

/// Seals, segment removal and appends go on all the time; each backup must hold every row acknowledged before it.
#[tokio::test(flavor = "multi_thread")]
async fn backups_under_load_hold_every_row_acknowledged_before_them_exactly_once() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tiny =
        StoreOptions { wal_segment_bytes: 2_000, seal_age: Duration::from_millis(1), ..options(dir.path()) };
    let store = open(tiny).await;
    let acknowledged = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let writing = {
        let (store, acknowledged) = (store.clone(), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            for number in 0.. {
                let request = request("default", Signal::Traces, span(number));
                if store.ingest(request).await.is_err() {
                    return; // the store was shut down
                }
                acknowledged.store(number + 1, std::sync::atomic::Ordering::SeqCst);
            }
        })
    };
    for _ in 0..4 {
        let before = acknowledged.load(std::sync::atomic::Ordering::SeqCst);
        back_up(dir.path(), folder.path()).await.unwrap();
        let after = acknowledged.load(std::sync::atomic::Ordering::SeqCst);
        let copy = restored(folder.path()).await;
        let reopened = open(options(copy.path())).await;
        let numbers = span_numbers(&reopened).await;
        let count = numbers.len() as u64;
        assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "none twice, none left out");
        assert!(count >= before && count <= after + 1, "{before} before, {count} in the copy, {after} after");
        reopened.shutdown().await.unwrap();
    }
    assert!(acknowledged.load(std::sync::atomic::Ordering::SeqCst) > 20, "the load was real");
    store.shutdown().await.unwrap();
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_refused_before_anything_is_written() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(options(dir.path())).await;
    send(&store, Signal::Traces, spans(0..3)).await;
    store.seal().await.unwrap();
    back_up(dir.path(), folder.path()).await.unwrap();
    store.shutdown().await.unwrap();
    let target = tempfile::tempdir().unwrap();
    let stored: Vec<_> = sizes(folder.path())
        .into_iter()
        .filter(|(path, size)| *size > 0 && path.components().count() > 1)
        .collect();
    assert!(stored.len() >= 5, "{stored:?}");
    for (path, _) in stored {
        let path = folder.path().join(path);
        let kept = fs::read(&path).unwrap();
        let mut bytes = kept.clone();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        let refused = put_back(folder.path(), target.path()).await.unwrap_err();
        assert!(matches!(refused, BackupError::Altered { .. }), "{}: {refused}", path.display());
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
        fs::write(&path, kept).unwrap();
    }
    put_back(folder.path(), target.path()).await.unwrap();
    assert!(matches!(put_back(folder.path(), target.path()).await, Err(BackupError::NotEmpty { .. })));
    assert!(matches!(put_back(target.path(), folder.path()).await, Err(BackupError::NoManifest { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_source_is_no_backup_and_the_earlier_one_stays() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(options(dir.path())).await;
    send(&store, Signal::Traces, spans(0..3)).await;
    store.seal().await.unwrap();
    back_up(dir.path(), folder.path()).await.unwrap();
    send(&store, Signal::Traces, spans(3..6)).await;
    store.seal().await.unwrap();
    let newest = all_blocks(&store)[Table::Spans.index()][1].path.clone();
    let newest = dir.path().join("tables").join(newest.as_ref());
    let mut bytes = fs::read(&newest).unwrap();
    bytes[100] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let refused = back_up(dir.path(), folder.path()).await.unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
    store.shutdown().await.unwrap();
    let copy = restored(folder.path()).await;
    let store = open(options(copy.path())).await;
    assert_eq!(span_numbers(&store).await, (0..3).collect::<Vec<_>>());
    store.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_are_not_for_this_backup_are_refused_and_left_alone() {
    let (dir, other, folder) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&dir, &other] {
        let store = open(options(dir.path())).await;
        send(&store, Signal::Logs, log(1)).await;
        store.shutdown().await.unwrap();
    }
    back_up(dir.path(), folder.path()).await.unwrap();
    let refused = back_up(other.path(), folder.path()).await.unwrap_err();
    assert!(matches!(refused, BackupError::OtherNode { .. }), "{refused}");
    let strange = tempfile::tempdir().unwrap();
    fs::write(strange.path().join("data"), "precious").unwrap();
    let refused = back_up(dir.path(), strange.path()).await.unwrap_err();
    assert!(matches!(refused, BackupError::NotABackup { .. }), "{refused}");
    for inside in [dir.path().join("backup"), dir.path().to_path_buf()] {
        let refused = back_up(dir.path(), &inside).await.unwrap_err();
        assert!(matches!(refused, BackupError::Nested { .. }), "{refused}");
    }
    assert!(!dir.path().join("backup").try_exists().unwrap());
    let held = BackupTarget::open(folder.path(), dir.path(), &TablesLocation::Local).unwrap();
    let refused = back_up(dir.path(), folder.path()).await.unwrap_err();
    assert!(matches!(refused, BackupError::Busy { .. }), "{refused}");
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_restore_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    crate::data_format::stamp_restoring(dir.path()).unwrap();
    let clock = Arc::new(LogicalClock::starting_at(now()));
    let refused = Store::open(options(dir.path()), clock).await.unwrap_err();
    assert!(matches!(refused, Error::Restoring { .. }), "{refused}");
}
