mod corruption;
mod damage_table;
mod faults;
mod model;
mod power;
mod sim_disk;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::Record;

/// How many cases a property takes that is dear: ten times as many in the long suite. `PROPTEST_CASES` overrides it.
fn cases(usual: u32) -> u32 {
    if std::env::var_os("HINDSIGHT_LONG").is_some() { usual * 10 } else { usual }
}

/// Opens the log and reads what it holds.
fn open(dir: &Path, options: Options) -> Result<(Wal, Vec<Vec<u8>>)> {
    let (wal, recovered) = Wal::open(dir, options)?;
    let records = recovered.collect::<Result<Vec<Record>>>()?;
    for pair in records.windows(2) {
        assert_eq!(pair[0].position.next(), pair[1].position);
    }
    Ok((wal, records.into_iter().map(|record| record.payload).collect()))
}

fn small_segments(segment_bytes: u64) -> Options {
    Options { segment_bytes, ..Options::default() }
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(SegmentId(number).file_name())
}

#[test]
fn positions_go_on_after_segments_were_removed_and_the_log_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wal, _) = open(dir.path(), small_segments(100)).unwrap();
    for number in 1..=20 {
        assert_eq!(wal.append(1, &[7; 30]).unwrap(), Position(number));
    }
    wal.sync().unwrap();
    let removable = wal.removable_before(Position(16)).unwrap();
    assert!(wal.remove_before(Position(16)).unwrap() > 0);
    assert_eq!(wal.first_position(), removable);
    assert!(removable <= Position(16), "a record at or above the position stays");
    drop(wal);
    let (mut wal, recovered) = Wal::open(dir.path(), small_segments(100)).unwrap();
    let positions: Vec<_> = recovered.map(|record| record.unwrap().position.0).collect();
    assert_eq!(positions, (removable.0..=20).collect::<Vec<_>>());
    wal.remove_before(Position(1_000)).unwrap();
    assert_eq!(wal.append(1, b"next").unwrap(), Position(21), "the written segment stays with its positions");
}

#[test]
fn a_new_log_starts_where_it_is_told_and_an_old_one_must_have_come_that_far() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { first_position: Position(41), ..Options::default() };
    let (mut wal, _) = open(dir.path(), options.clone()).unwrap();
    assert_eq!(wal.append(1, b"a").unwrap(), Position(41));
    wal.sync().unwrap();
    drop(wal);
    let (_, records) = open(dir.path(), options).unwrap();
    assert_eq!(records, [b"a"]);
    let beyond = Options { first_position: Position(50), ..Options::default() };
    assert!(matches!(
        open(dir.path(), beyond).unwrap_err(),
        Error::Behind { end: Position(42), wanted: Position(50) }
    ));
}

#[test]
fn a_payload_over_the_limit_is_refused_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wal, _) = open(dir.path(), Options::default()).unwrap();
    let large = vec![0; PAYLOAD_BYTES_MAX + 1];
    assert!(
        matches!(wal.append(1, &large), Err(Error::TooLarge { size_bytes }) if size_bytes == large.len())
    );
    assert_eq!(wal.append(1, b"small").unwrap(), Position(1));
}

#[test]
fn a_segment_that_never_got_its_name_is_removed_at_open() {
    let dir = tempfile::tempdir().unwrap();
    let staging = dir.path().join(format!("{}.tmp", SegmentId(1).file_name()));
    fs::write(&staging, b"half a head").unwrap();
    open(dir.path(), Options::default()).unwrap();
    assert!(!staging.try_exists().unwrap());
}
