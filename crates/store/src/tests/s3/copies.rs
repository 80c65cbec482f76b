//! `verify`, `backup` and `restore` with tables in object storage.

use object_store::path::Path as ObjectPath;

use super::*;
use crate::DataDirLock;
use crate::backup::{BackupError, BackupReport, BackupTarget, RestoreReport, restore};
use crate::verify::{Finding, Progress, VerifyOptions, VerifyReport, verify};

fn place(bucket: &Bucket, prefix: &str) -> TablesLocation {
    let mut url = TablesUrl::parse(&format!("s3://{}/{prefix}", bucket.name)).unwrap();
    let TablesUrl { endpoint, region, keys, request_timeout, retry_time_max, .. } = bucket.url();
    (url.endpoint, url.region, url.keys) = (endpoint, region, keys);
    (url.request_timeout, url.retry_time_max) = (request_timeout, retry_time_max);
    TablesLocation::Url(Box::new(url))
}

async fn look(dir: &Path, tables: &TablesLocation, quick: bool) -> crate::Result<VerifyReport> {
    let lock = DataDirLock::take(dir).unwrap();
    let options = VerifyOptions { data_dir: dir.to_path_buf(), tables: tables.clone(), quick };
    verify(&options, &lock, &|_: Progress| {}).await
}

async fn check_clean(dir: &Path, tables: &TablesLocation) -> VerifyReport {
    let report = look(dir, tables, false).await.unwrap();
    assert!(report.findings.kept().is_empty(), "{:#?}", report.findings);
    report
}

async fn back_up(dir: &Path, folder: &Path, tables: &TablesLocation) -> Result<BackupReport, BackupError> {
    let clock = Arc::new(LogicalClock::starting_at(now()));
    BackupTarget::open(folder, dir, tables)?.run(clock, Arc::new(|_: Progress| {})).await
}

async fn put_back(folder: &Path, dir: &Path, tables: &TablesLocation) -> Result<RestoreReport, BackupError> {
    restore(folder, dir, tables, Arc::new(|_: Progress| {})).await
}

/// Eight seals of spans merged into one file, two more seals, logs, and a record that no block holds.
async fn filled(bucket: &Bucket, dir: &Path) -> Store {
    let manual = by_hand(dir);
    let store = open(StoreOptions { tables: TablesLocation::Url(Box::new(bucket.url())), ..manual }).await;
    for round in 0..8 {
        send(&store, Signal::Traces, spans(round * 10..round * 10 + 10)).await;
        store.seal().await.unwrap();
    }
    assert_eq!(store.maintain(now()).await.unwrap().merges, 1);
    for round in 8..10 {
        send(&store, Signal::Traces, spans(round * 10..round * 10 + 10)).await;
        send(&store, Signal::Logs, log(round)).await;
        store.seal().await.unwrap();
    }
    send(&store, Signal::Traces, span(100)).await;
    store
}

/// Every object below the bucket's tables, by path.
async fn objects(bucket: &Bucket) -> Vec<ObjectPath> {
    let store = raw(bucket);
    let mut found: Vec<_> = futures::TryStreamExt::try_collect::<Vec<_>>(store.list(None)).await.unwrap();
    found.sort_by(|a, b| a.location.cmp(&b.location));
    found.into_iter().map(|object| object.location).collect()
}

fn raw(bucket: &Bucket) -> Arc<dyn object_store::ObjectStore> {
    let location = TablesLocation::Url(Box::new(bucket.url()));
    TablesStorage::open(&location, Path::new("/")).unwrap().object_store()
}

async fn read(bucket: &Bucket, path: &ObjectPath) -> bytes::Bytes {
    raw(bucket).get(path).await.unwrap().bytes().await.unwrap()
}

async fn write(bucket: &Bucket, path: &ObjectPath, bytes: impl Into<bytes::Bytes>) {
    raw(bucket).put(path, bytes.into().into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_reads_tables_in_the_bucket_and_says_what_is_wrong_with_which_object() {
    let (bucket, dir) = (Bucket::new().await, tempfile::tempdir().unwrap());
    let tables = TablesLocation::Url(Box::new(bucket.url()));
    filled(&bucket, dir.path()).await.shutdown().await.unwrap();
    let report = check_clean(dir.path(), &tables).await;
    assert_eq!((report.checked.tables, report.checked.block_rows, report.checked.rows_read), (2, 103, 103));
    assert_eq!(report.checked.blocks_waiting_for_removal, 8);
    let quick = look(dir.path(), &tables, true).await.unwrap();
    assert!(quick.findings.kept().is_empty(), "{:#?}", quick.findings);
    assert_eq!((quick.checked.block_rows, quick.checked.rows_read), (103, 0));
    assert!(!dir.path().join("tables").try_exists().unwrap());

    let all = objects(&bucket).await;
    let find = |part: &str| all.iter().find(|path| path.as_ref().contains(part)).unwrap().clone();
    let (merged, sealed, commit) =
        (find("-c1-"), find("logs/tenant="), find("spans/_delta_log/00000000000000000004.json"));
    let flipped = |bytes: &bytes::Bytes| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 4;
        bytes[middle] ^= 1;
        bytes
    };
    let whole = [&merged, &sealed, &commit].map(|path| (path.clone(), read(&bucket, path)));
    let whole: Vec<_> =
        futures::future::join_all(whole.map(|(path, bytes)| async { (path, bytes.await) })).await;
    for (number, kind, also_quick) in [
        (0, "block_checksum", false),
        (1, "block_checksum", false),
        (0, "block_size", true),
        (1, "block_missing", true),
        (2, "commit_missing", true),
        (2, "commit_unreadable", true),
    ] {
        let (path, bytes) = &whole[number];
        match kind {
            "block_checksum" => write(&bucket, path, flipped(bytes)).await,
            "block_size" => write(&bucket, path, bytes.slice(..bytes.len() - 9)).await,
            "commit_unreadable" => write(&bucket, path, bytes.slice(..bytes.len() / 2)).await,
            _ => raw(&bucket).delete(path).await.unwrap(),
        }
        for quick in [false, true] {
            let report = look(dir.path(), &tables, quick).await.unwrap();
            let wanted = format!("s3://{}/team/tables/{path}", bucket.name);
            let found = |finding: &&Finding| finding.kind == kind && finding.place == wanted;
            let found = report.findings.kept().iter().find(found);
            assert_eq!(
                found.is_some(),
                !quick || also_quick,
                "{kind}, quick {quick}: {:#?}",
                report.findings
            );
        }
        write(&bucket, path, bytes.clone()).await;
    }
    check_clean(dir.path(), &tables).await;
    write(&bucket, &ObjectPath::from("logs/tenant=a/date=2026-05-04/x.parquet"), "rows").await;
    let report = look(dir.path(), &tables, true).await.unwrap();
    assert_eq!(report.findings.kept().iter().map(|f| f.kind).collect::<Vec<_>>(), ["orphan_file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_does_not_answer_is_no_finding_but_an_error() {
    let (bucket, dir) = (Bucket::new().await, tempfile::tempdir().unwrap());
    filled(&bucket, dir.path()).await.shutdown().await.unwrap();
    let mut url = bucket.url();
    url.retry_time_max = Duration::from_millis(200);
    let tables = TablesLocation::Url(Box::new(url));
    bucket.proxy.script(|request| request.path.contains("/tenant").then_some(Fault::Refused));
    for quick in [false, true] {
        let failed = look(dir.path(), &tables, quick).await.unwrap_err().to_string();
        assert!(
            failed.starts_with("could not read s3://") || failed.starts_with("could not read spans"),
            "{failed}"
        );
    }
    bucket.proxy.script(|_| Some(Fault::Refused));
    let failed = look(dir.path(), &tables, false).await.unwrap_err().to_string();
    assert!(failed.starts_with("could not list s3://"), "{failed}");
    let folder = tempfile::tempdir().unwrap();
    assert!(back_up(dir.path(), folder.path(), &tables).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_holds_the_bucket_s_tables_and_becomes_tables_on_disk_or_in_another_bucket() {
    let (bucket, dir, folder) =
        (Bucket::new().await, tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tables = TablesLocation::Url(Box::new(bucket.url()));
    let store = filled(&bucket, dir.path()).await;
    let first = back_up(dir.path(), folder.path(), &tables).await.unwrap();
    assert_eq!(first.copied_files, first.files);
    send(&store, Signal::Traces, span(101)).await;
    store.seal().await.unwrap();
    bucket.proxy.take_seen();
    let second = back_up(dir.path(), folder.path(), &tables).await.unwrap();
    let read = bucket.proxy.take_seen();
    let blocks =
        read.iter().filter(|request| request.method == "GET" && request.path.contains("/tenant")).count();
    assert_eq!(blocks, 1, "only the new block is read again");
    assert!(second.copied_files < second.files / 2, "{second:?}");
    store.shutdown().await.unwrap();

    let (on_disk, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put_back(folder.path(), on_disk.path(), &TablesLocation::Local).await.unwrap();
    check_clean(on_disk.path(), &TablesLocation::Local).await;
    let other = place(&bucket, "restored/tables");
    // Every answer to a commit is lost, and what it did is not done twice.
    bucket.proxy.script(|request| is_commit(request).then_some(Fault::AnswerRefused));
    let report = put_back(folder.path(), elsewhere.path(), &other).await.unwrap();
    bucket.proxy.heal();
    assert_eq!((report.files, report.bytes), (second.files, second.bytes));
    assert!(!elsewhere.path().join("tables").try_exists().unwrap());
    check_clean(elsewhere.path(), &other).await;
    for (dir, tables) in [(on_disk.path(), TablesLocation::Local), (elsewhere.path(), other.clone())] {
        let store = open(StoreOptions { tables, ..options(dir) }).await;
        assert_eq!(span_numbers(&store).await, (0..102).collect::<Vec<_>>());
        assert_eq!(rows(&store, Table::Logs), 2);
        send(&store, Signal::Traces, span(102)).await;
        store.seal().await.unwrap();
        store.shutdown().await.unwrap();
    }
    check_clean(elsewhere.path(), &other).await;

    let again = tempfile::tempdir().unwrap();
    let refused = put_back(folder.path(), again.path(), &other).await.unwrap_err();
    assert!(matches!(refused, BackupError::TablesNotEmpty { .. }), "{refused}");
    assert_eq!(std::fs::read_dir(again.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_object_is_no_backup_and_a_spoiled_answer_never_gets_into_one() {
    let (bucket, dir, folder) =
        (Bucket::new().await, tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut url = bucket.url();
    url.retry_time_max = Duration::from_millis(300);
    let tables = TablesLocation::Url(Box::new(url));
    let store = filled(&bucket, dir.path()).await;
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    bucket.proxy.script(move |_| {
        let kinds = [Fault::Refused, Fault::Cut, Fault::AnswerLost, Fault::AnswerRefused, Fault::Slow];
        random.random_bool(0.4).then(|| kinds[random.random_range(0..kinds.len())])
    });
    let mut outcomes = Vec::new();
    for _ in 0..6 {
        outcomes.push(back_up(dir.path(), folder.path(), &tables).await.is_ok());
    }
    bucket.proxy.heal();
    back_up(dir.path(), folder.path(), &tables).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    put_back(folder.path(), copy.path(), &TablesLocation::Local).await.unwrap();
    check_clean(copy.path(), &TablesLocation::Local).await;

    // The merged file's checksum is in the table's log only.
    let path = objects(&bucket).await.into_iter().find(|path| path.as_ref().contains("-c1-")).unwrap();
    let mut bytes = read(&bucket, &path).await.to_vec();
    bytes[100] ^= 1;
    write(&bucket, &path, bytes).await;
    let fresh = tempfile::tempdir().unwrap();
    let refused = back_up(dir.path(), fresh.path(), &tables).await.unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}, after {outcomes:?}");
    store.shutdown().await.unwrap();
}
