//! The recovery policy as one table: each kind of damage at each place, and exactly what a start makes of it.
//! `docs/format/wal.md` has the same table in words.

use std::collections::BTreeMap;

use super::sim_disk::SimDisk;
use super::*;

/// A frame with ten bytes of payload.
const FRAME: usize = 21 + 10 + 4;
const HEADER: usize = 32;
/// Three records a segment: 1–3, 4–6 and 7–9, each synced before the next was written.
const SEGMENT: usize = HEADER + 3 * FRAME;

/// What a start does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// This many records are there and so many bytes were cut off and logged.
    Cut(usize, u64),
    /// Refused, with the segment, the offset and a part of the reason.
    Damaged(u64, usize, &'static str),
    /// Refused: this segment is not there.
    Missing(u64),
}
use Outcome::{Cut, Damaged, Missing};

/// Where a frame is harmed.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The last record of the last segment.
    Tail,
    /// The second of three in the last segment.
    Middle,
    /// The second of three in the segment before.
    Earlier,
}

impl Place {
    const ALL: [Self; 3] = [Self::Tail, Self::Middle, Self::Earlier];

    /// Segment, and the offset of the frame.
    fn frame(self) -> (u64, usize) {
        match self {
            Self::Tail => (3, HEADER + 2 * FRAME),
            Self::Middle => (3, HEADER + FRAME),
            Self::Earlier => (2, HEADER + FRAME),
        }
    }
}

/// The second frame's offset, in either segment.
const SECOND: usize = HEADER + FRAME;
const CHECKSUM: &str = "checksum does not match";
const BEYOND: &str = "ends after the file does";

type Harm = fn(&mut Vec<u8>, usize);
type Row = (&'static str, Harm, [Outcome; 3]);

/// Damage to one frame, or from it on: at the tail, in the middle of the last segment, in an earlier segment.
#[rustfmt::skip]
const FRAMES: &[Row] = &[
    ("length, lowest bit",      |b, at| b[at] ^= 1,            [Cut(8, 35), Damaged(3, SECOND, CHECKSUM), Damaged(2, SECOND, CHECKSUM)]),
    ("length, beyond the file", |b, at| b[at + 2] ^= 1,        [Cut(8, 35), Damaged(3, SECOND, BEYOND), Damaged(2, SECOND, BEYOND)]),
    ("length, beyond the limit", |b, at| b[at + 3] ^= 0x80,    [Cut(8, 35), Damaged(3, SECOND, "exceeds the limit"), Damaged(2, SECOND, "exceeds the limit")]),
    ("kind becomes 0",          |b, at| b[at + 4] ^= 1,        [Cut(8, 35), Damaged(3, SECOND, "type is 0"), Damaged(2, SECOND, "type is 0")]),
    ("kind becomes another",    |b, at| b[at + 4] ^= 2,        [Cut(8, 35), Damaged(3, SECOND, CHECKSUM), Damaged(2, SECOND, CHECKSUM)]),
    ("position",                |b, at| b[at + 5] ^= 1,        [Cut(8, 35), Damaged(3, SECOND, CHECKSUM), Damaged(2, SECOND, CHECKSUM)]),
    ("durable",                 |b, at| b[at + 13] ^= 1,       [Cut(8, 35), Damaged(3, SECOND, CHECKSUM), Damaged(2, SECOND, CHECKSUM)]),
    ("payload",                 |b, at| b[at + 25] ^= 8,       [Cut(8, 35), Damaged(3, SECOND, CHECKSUM), Damaged(2, SECOND, CHECKSUM)]),
    ("checksum",                |b, at| b[at + 31] ^= 1,       [Cut(8, 35), Damaged(3, SECOND, CHECKSUM), Damaged(2, SECOND, CHECKSUM)]),
    ("position, and a checksum that fits", |b, at| reposition(b, at),         [Damaged(3, HEADER + 2 * FRAME, "position 99, 9 was expected"), Damaged(3, SECOND, "position 99, 8 was expected"), Damaged(2, SECOND, "position 99, 5 was expected")]),
    ("the frame is zeros",      |b, at| b[at..at + FRAME].fill(0), [Cut(8, 35), Damaged(3, SECOND, "type is 0"), Damaged(2, SECOND, "type is 0")]),
    ("zeros from here on",      |b, at| b[at..].fill(0),       [Cut(8, 35), Cut(7, 70), Damaged(2, SECOND, "type is 0")]),
    ("the frame is gone",       |b, at| drop(b.drain(at..at + FRAME)), [Cut(8, 0), Damaged(3, SECOND, "position 9, 8 was expected"), Damaged(2, SECOND, "position 6, 5 was expected")]),
    ("the frame is there twice", |b, at| { let copy = b[at..at + FRAME].to_vec(); b.splice(at..at, copy); }, [Damaged(3, SEGMENT, "position 9, 10 was expected"), Damaged(3, SECOND + FRAME, "position 8, 9 was expected"), Damaged(2, SECOND + FRAME, "position 5, 6 was expected")]),
    ("cut within the frame",    |b, at| b.truncate(at + 9),    [Cut(8, 9), Cut(7, 9), Damaged(2, SECOND, BEYOND)]),
    ("cut before the frame",    |b, at| b.truncate(at),        [Cut(8, 0), Cut(7, 0), Damaged(3, 20, "begins at position 7, 5 was expected")]),
];

/// Damage after the last frame of a segment: of the last, of an earlier one.
#[rustfmt::skip]
/// What it is called, how it is done, and what must come of it.
type EndDamage = (&'static str, fn(&mut Vec<u8>, &[u8]), [Outcome; 2]);
type HeaderDamage = (&'static str, fn(&mut Vec<u8>), [Outcome; 2]);
type SegmentDamage = (&'static str, fn(&mut Segments), Outcome);

const ENDS: &[EndDamage] = &[
    ("zeros appended", |b, _| b.extend([0; 50]), [Cut(9, 50), Damaged(2, SEGMENT, "type is 0")]),
    ("one byte appended", |b, _| b.push(7), [Cut(9, 1), Damaged(2, SEGMENT, BEYOND)]),
    (
        "garbage appended",
        |b, _| b.extend([0xA5; 333]),
        [Cut(9, 333), Damaged(2, SEGMENT, "exceeds the limit")],
    ),
    (
        "a stale tail that begins with a frame",
        |b, old| b.extend(&old[HEADER..]),
        [
            Damaged(3, SEGMENT, "position 1, 10 was expected"),
            Damaged(2, SEGMENT, "position 1, 7 was expected"),
        ],
    ),
    (
        "a stale tail that begins within one",
        |b, old| b.extend(&old[HEADER + 20..]),
        [Cut(9, 85), Damaged(2, SEGMENT, "")],
    ),
];

/// Damage to a segment's header: of the last, of an earlier one.
#[rustfmt::skip]
const HEADERS: &[HeaderDamage] = &[
    ("magic",                   |b| b[3] ^= 1,                 [Damaged(3, 0, "does not begin as a log segment"), Damaged(2, 0, "does not begin as a log segment")]),
    ("version",                 |b| b[8] ^= 2,                 [Damaged(3, 28, CHECKSUM), Damaged(2, 28, CHECKSUM)]),
    ("segment number",          |b| b[12] ^= 1,                [Damaged(3, 28, CHECKSUM), Damaged(2, 28, CHECKSUM)]),
    ("first position",          |b| b[20] ^= 1,                [Damaged(3, 28, CHECKSUM), Damaged(2, 28, CHECKSUM)]),
    ("checksum",                |b| b[31] ^= 1,                [Damaged(3, 28, CHECKSUM), Damaged(2, 28, CHECKSUM)]),
    ("the header is zeros",     |b| b[..HEADER].fill(0),       [Damaged(3, 0, "does not begin as a log segment"), Damaged(2, 0, "does not begin as a log segment")]),
    ("the header is cut short", |b| b.truncate(31),            [Damaged(3, 31, "cut short"), Damaged(2, 31, "cut short")]),
    ("the file is empty",       Vec::clear,                    [Damaged(3, 0, "cut short"), Damaged(2, 0, "cut short")]),
];

type Segments = BTreeMap<PathBuf, Vec<u8>>;

/// Damage to whole segments.
#[rustfmt::skip]
const SEGMENTS: &[SegmentDamage] = &[
    ("the oldest is gone, as after a removal", |s| remove(s, 1), Cut(6, 0)),
    ("one in the middle is gone", |s| remove(s, 2),            Missing(2)),
    ("the last is gone",        |s| remove(s, 3),              Cut(6, 0)),
    ("the first is there again after the last", |s| copy(s, 1, 4), Damaged(4, 12, "names another segment")),
    ("the last is there again after itself", |s| copy(s, 3, 4), Damaged(4, 12, "names another segment")),
    ("an earlier one lies over the last", |s| copy(s, 2, 3),   Damaged(3, 12, "names another segment")),
    ("two earlier ones are swapped", |s| swap(s, 1, 2),        Damaged(1, 12, "names another segment")),
    ("the last two are swapped", |s| swap(s, 2, 3),            Damaged(2, 12, "names another segment")),
];

#[test]
fn damage_to_a_frame_has_the_outcome_of_the_table() {
    for (name, harm, outcomes) in FRAMES {
        for (place, outcome) in Place::ALL.into_iter().zip(outcomes) {
            let (segment, at) = place.frame();
            let mut files = nine_records();
            harm(files.get_mut(&path(segment)).unwrap(), at);
            check(&format!("{name}, {place:?}"), &files, *outcome);
        }
    }
}

#[test]
fn damage_after_the_frames_has_the_outcome_of_the_table() {
    for (name, harm, outcomes) in ENDS {
        for (segment, outcome) in [3, 2].into_iter().zip(outcomes) {
            let mut files = nine_records();
            let old = files[&path(1)].clone();
            harm(files.get_mut(&path(segment)).unwrap(), &old);
            check(&format!("{name}, segment {segment}"), &files, *outcome);
        }
    }
}

#[test]
fn damage_to_a_header_has_the_outcome_of_the_table() {
    for (name, harm, outcomes) in HEADERS {
        for (segment, outcome) in [3, 2].into_iter().zip(outcomes) {
            let mut files = nine_records();
            harm(files.get_mut(&path(segment)).unwrap());
            check(&format!("{name}, segment {segment}"), &files, *outcome);
        }
    }
}

#[test]
fn damage_to_whole_segments_has_the_outcome_of_the_table() {
    for (name, harm, outcome) in SEGMENTS {
        let mut files = nine_records();
        harm(&mut files);
        check(name, &files, *outcome);
    }
}

/// Every bit of the log, one at a time: nothing but the last record can be lost to one, and never silently.
#[test]
fn each_single_bit_is_a_refusal_that_names_the_file_or_costs_the_last_record() {
    let whole = nine_records();
    let tail = HEADER + 2 * FRAME;
    for (file, bytes) in &whole {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut files = whole.clone();
                files.get_mut(file).unwrap()[at] ^= 1_u8 << bit;
                let is_tail = *file == path(3) && at >= tail;
                match open_on(&SimDisk::holding(&files)) {
                    Ok((records, torn)) => {
                        assert!(is_tail, "{}:{at} bit {bit} went unnoticed", file.display());
                        assert_eq!((records.len(), torn), (8, FRAME as u64), "byte {at} bit {bit}");
                    }
                    Err(Error::Damaged { path, .. }) => {
                        assert!(!is_tail, "byte {at} bit {bit} of the tail stops the start");
                        assert_eq!(path, *file);
                    }
                    Err(error) => panic!("{}:{at} bit {bit}: {error}", file.display()),
                }
            }
        }
    }
}

fn path(segment: u64) -> PathBuf {
    segment_path(Path::new("/wal"), segment)
}

fn nine_records() -> Segments {
    let disk = SimDisk::default();
    let options = small_segments(SEGMENT as u64);
    let (mut wal, _) = Wal::open_with(Arc::new(disk.clone()), "/wal", options).unwrap();
    for number in 1..=9 {
        wal.append(1, &[number; 10]).unwrap();
        wal.sync().unwrap();
    }
    let files = disk.image();
    assert_eq!(files.values().map(Vec::len).collect::<Vec<_>>(), [SEGMENT; 3]);
    files
}

/// The payloads' first bytes, and the bytes that were cut off.
fn open_on(disk: &SimDisk) -> Result<(Vec<u8>, u64)> {
    let options = small_segments(SEGMENT as u64);
    let (_, recovered) = Wal::open_with(Arc::new(disk.clone()), "/wal", options)?;
    let torn = recovered.torn_bytes();
    let payloads = recovered.map(|record| record.map(|record| record.payload[0]));
    Ok((payloads.collect::<Result<_>>()?, torn))
}

fn check(name: &str, files: &Segments, outcome: Outcome) {
    let disk = SimDisk::holding(files);
    match (outcome, open_on(&disk)) {
        (Cut(count, bytes), Ok((records, torn))) => {
            assert_eq!((records.len(), torn), (count, bytes), "{name}");
            // The records are some of the nine in a row, as they were written.
            assert!(records.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{name}: {records:?}");
            assert_eq!(open_on(&disk).unwrap(), (records, 0), "{name}: the cut is for good");
        }
        (Damaged(segment, wanted, reason), Err(Error::Damaged { path: file, offset, what })) => {
            assert_eq!((file, offset), (path(segment), wanted as u64), "{name}: {what}");
            assert!(what.contains(reason), "{name}: {what}");
            assert_eq!(disk.image(), *files, "{name}: a refusal changes nothing");
        }
        (Missing(segment), Err(Error::Missing { path: file })) => assert_eq!(file, path(segment), "{name}"),
        (_, found) => panic!("{name}: {outcome:?} was expected, not {found:?}"),
    }
}

/// A whole frame that says it is another record.
fn reposition(bytes: &mut [u8], at: usize) {
    bytes[at + 5] = 99;
    let checksum = crc32c::crc32c(&bytes[at..at + FRAME - 4]);
    bytes[at + FRAME - 4..at + FRAME].copy_from_slice(&checksum.to_le_bytes());
}

fn remove(segments: &mut Segments, segment: u64) {
    segments.remove(&path(segment)).unwrap();
}

fn copy(segments: &mut Segments, from: u64, to: u64) {
    let bytes = segments[&path(from)].clone();
    segments.insert(path(to), bytes);
}

fn swap(segments: &mut Segments, one: u64, other: u64) {
    let (first, second) = (segments[&path(one)].clone(), segments[&path(other)].clone());
    segments.insert(path(one), second);
    segments.insert(path(other), first);
}
