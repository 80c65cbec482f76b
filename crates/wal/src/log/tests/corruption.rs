//! The recovery policy as a table: what happened to the files, then how many of the five records survive or which
//! error names the place.

use super::*;
use crate::segment::HEADER_BYTES as SEGMENT_HEADER_BYTES;

/// What opening must do.
enum Expect {
    Records(usize),
    Damaged { offset: u64, what: &'static str },
    Missing,
    Version,
}

use Expect::{Damaged, Missing, Records, Version};

const FRAME: usize = 21 + 10 + 4;

/// Five synced records of ten bytes; `segment_bytes` decides how many share a file.
fn five_records(dir: &Path, segment_bytes: u64) {
    let (mut wal, _) = open(dir, small_segments(segment_bytes)).unwrap();
    for number in 0..5 {
        wal.append(1, &[number; 10]).unwrap();
        wal.sync().unwrap();
    }
}

#[track_caller]
fn check(name: &str, segment_bytes: u64, harm: impl Fn(&Path), expect: Expect) {
    let dir = tempfile::tempdir().unwrap();
    five_records(dir.path(), segment_bytes);
    harm(dir.path());
    let found = open(dir.path(), small_segments(segment_bytes)).map(|(_, records)| records.len());
    match (expect, found) {
        (Records(want), Ok(got)) => assert_eq!(got, want, "{name}"),
        (Damaged { offset: want, what }, Err(Error::Damaged { offset, what: said, .. })) => {
            assert_eq!(offset, want, "{name}: {said}");
            assert!(said.contains(what), "{name}: {said}");
        }
        (Missing, Err(Error::Missing { .. })) | (Version, Err(Error::Version { .. })) => {}
        (_, found) => panic!("{name}: {found:?}"),
    }
}

fn edit(dir: &Path, segment: u64, change: impl Fn(&mut Vec<u8>)) {
    let path = segment_path(dir, segment);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
}

/// Where frame `index` begins when all five share a segment.
fn frame_at(index: usize) -> usize {
    SEGMENT_HEADER_BYTES + index * FRAME
}

fn offset(index: usize) -> u64 {
    frame_at(index) as u64
}

const ONE: u64 = 1 << 20;

#[test]
fn a_torn_tail_is_cut_and_earlier_records_survive() {
    check("nothing happened", ONE, |_| {}, Records(5));
    check("last byte lost", ONE, |dir| edit(dir, 1, |b| b.truncate(b.len() - 1)), Records(4));
    check("last frame is one byte", ONE, |dir| edit(dir, 1, |b| b.truncate(frame_at(4) + 1)), Records(4));
    check("cut at a frame's end", ONE, |dir| edit(dir, 1, |b| b.truncate(frame_at(3))), Records(3));
    check(
        "only the header is left",
        ONE,
        |dir| edit(dir, 1, |b| b.truncate(SEGMENT_HEADER_BYTES)),
        Records(0),
    );
    check("tail filled with zeros", ONE, |dir| edit(dir, 1, |b| b.extend([0; 5_000])), Records(5));
    check("last frame zeroed", ONE, |dir| edit(dir, 1, |b| b[frame_at(4)..].fill(0)), Records(4));
    check("last checksum wrong", ONE, |dir| edit(dir, 1, |b| *b.last_mut().unwrap() ^= 1), Records(4));
    check("rubbish at the tail", ONE, |dir| edit(dir, 1, |b| b.extend([0xA5; 333])), Records(5));
    check("absurd length at the tail", ONE, |dir| edit(dir, 1, |b| b.extend([0xFF; 40])), Records(5));
}

#[test]
fn damage_before_the_tail_names_file_and_offset() {
    let flip = |at: usize| move |dir: &Path| edit(dir, 1, |bytes| bytes[at] ^= 1);
    check("payload of frame 1", ONE, flip(frame_at(1) + 25), Damaged { offset: offset(1), what: "checksum" });
    check("length of frame 2", ONE, flip(frame_at(2)), Damaged { offset: offset(2), what: "checksum" });
    check(
        "high length byte",
        ONE,
        flip(frame_at(0) + 3),
        Damaged { offset: offset(0), what: "after the file" },
    );
    check("type of frame 0", ONE, flip(frame_at(0) + 4), Damaged { offset: offset(0), what: "type" });
    check("position of frame 3", ONE, flip(frame_at(3) + 5), Damaged { offset: offset(3), what: "checksum" });
    check(
        "a frame is missing in the middle",
        ONE,
        |dir| edit(dir, 1, |b| drop(b.drain(frame_at(1)..frame_at(2)))),
        Damaged { offset: offset(1), what: "position 3, 2 was expected" },
    );
    check(
        "two frames swapped",
        ONE,
        |dir| edit(dir, 1, |b| b[frame_at(1)..frame_at(3)].rotate_left(FRAME)),
        Damaged { offset: offset(1), what: "position 3, 2 was expected" },
    );
    check(
        "the tail repeats a frame",
        ONE,
        |dir| edit(dir, 1, |b| b.extend_from_within(frame_at(4)..)),
        Damaged { offset: offset(5), what: "position 5, 6 was expected" },
    );
}

#[test]
fn a_segment_before_the_last_has_no_tail_to_tear() {
    // Every record has its own segment.
    check(
        "cut",
        1,
        |dir| edit(dir, 2, |b| b.truncate(b.len() - 1)),
        Damaged { offset: offset(0), what: "after" },
    );
    check("zeros", 1, |dir| edit(dir, 2, |b| b.extend([0; 9])), Damaged { offset: offset(1), what: "after" });
    check("last segment cut", 1, |dir| edit(dir, 5, |b| b.truncate(b.len() - 1)), Records(4));
    check(
        "whole records lost",
        1,
        |dir| edit(dir, 2, |b| b.truncate(SEGMENT_HEADER_BYTES)),
        Damaged { offset: 20, what: "begins at position 3, 2 was expected" },
    );
    check("a file is gone", 1, |dir| fs::remove_file(segment_path(dir, 3)).unwrap(), Missing);
    check(
        "the oldest is gone, as after a removal",
        1,
        |dir| fs::remove_file(segment_path(dir, 1)).unwrap(),
        Records(4),
    );
}

#[test]
fn a_bad_header_is_never_a_torn_tail() {
    let flip = |at: usize| move |dir: &Path| edit(dir, 1, |bytes| bytes[at] ^= 1);
    check("magic", ONE, flip(0), Damaged { offset: 0, what: "does not begin as a log segment" });
    check("checksum", ONE, flip(30), Damaged { offset: 28, what: "header's checksum" });
    check("segment number", ONE, flip(12), Damaged { offset: 28, what: "header's checksum" });
    check("cut short", ONE, |dir| edit(dir, 1, |b| b.truncate(9)), Damaged { offset: 9, what: "cut short" });
    check("empty", ONE, |dir| edit(dir, 1, Vec::clear), Damaged { offset: 0, what: "cut short" });
    check(
        "another segment's file",
        1,
        |dir| assert!(fs::copy(segment_path(dir, 1), segment_path(dir, 2)).is_ok()),
        Damaged { offset: 12, what: "names another segment" },
    );
    let newer = |bytes: &mut Vec<u8>| {
        bytes[8] = 9;
        let checksum = crc32c::crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
    };
    check("a newer format", ONE, |dir| edit(dir, 1, newer), Version);
}

/// After power loss the unsynced frames may be there in part and out of order. None of them was acknowledged, so a
/// hole in front of a whole frame is a torn tail as long as no frame says that the hole was durable.
#[test]
fn a_hole_among_frames_that_were_never_synced_is_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let (mut wal, _) = open(dir.path(), Options::default()).unwrap();
    wal.append(1, &[0; 10]).unwrap();
    wal.sync().unwrap();
    for number in 1..5 {
        wal.append(1, &[number; 10]).unwrap();
    }
    drop(wal);
    edit(dir.path(), 1, |bytes| bytes[frame_at(2)..frame_at(3)].fill(0));
    let (wal, records) = open(dir.path(), Options::default()).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(wal.size_bytes(), offset(2));
    drop(wal);
    assert_eq!(
        fs::metadata(segment_path(dir.path(), 1)).unwrap().len(),
        offset(2),
        "the tail is gone for good"
    );
}
