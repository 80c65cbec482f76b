use super::*;
use crate::{Options, StdFiles, Wal};

/// Ten records in segments of two, with a sync after each.
fn log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 70, ..Options::default() };
    let (mut wal, _) = Wal::open(dir.path(), options).unwrap();
    for number in 0..10_u8 {
        wal.append(1, &[number; 10]).unwrap();
        wal.sync().unwrap();
    }
    dir
}

fn look(dir: &Path) -> (Inspection, Vec<u64>) {
    let mut positions = Vec::new();
    let found = inspect(&StdFiles, dir, |record| positions.push(record.position.0)).unwrap();
    (found, positions)
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(SegmentId(number).file_name())
}

/// Every file of the directory with its bytes.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn a_clean_log_shows_every_record_and_is_left_as_it_is() {
    let dir = log();
    std::fs::write(dir.path().join("00000000000000000009.wal.tmp"), b"half").unwrap();
    let before = contents(dir.path());
    let (found, positions) = look(dir.path());
    assert_eq!(positions, (1..=10).collect::<Vec<_>>());
    assert!(found.damage.is_empty() && found.torn.is_none(), "{found:?}");
    assert_eq!(found.segments.len(), 5);
    assert_eq!((found.first_position(), found.next_position()), (Some(Position(1)), Some(Position(11))));
    assert_eq!(found.unfinished.len(), 1);
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn an_empty_directory_holds_nothing_and_a_missing_one_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (found, positions) = look(dir.path());
    assert!(found.segments.is_empty() && positions.is_empty());
    assert!(inspect(&StdFiles, &dir.path().join("not there"), |_| {}).is_err());
}

/// Each damage, what it is called, and which records are still shown.
#[test]
fn every_fault_is_named_and_the_rest_of_the_log_is_still_read() {
    type Damage = fn(&Path);
    let table: [(&str, Damage, &[u64]); 6] = [
        ("checksum", |dir| flip(&segment(dir, 2), 60), &[1, 2, 5, 6, 7, 8, 9, 10]),
        ("is missing", |dir| std::fs::remove_file(segment(dir, 3)).unwrap(), &[1, 2, 3, 4, 7, 8, 9, 10]),
        ("does not begin as a log segment", |dir| flip(&segment(dir, 1), 0), &[3, 4, 5, 6, 7, 8, 9, 10]),
        ("ends after the file does", |dir| cut(&segment(dir, 4), 3), &[1, 2, 3, 4, 5, 6, 7, 9, 10]),
        ("names another segment", swap_two, &[1, 2, 3, 4, 9, 10]),
        // The last record says that the one before it was durable.
        ("checksum", |dir| flip(&segment(dir, 5), 60), &[1, 2, 3, 4, 5, 6, 7, 8]),
    ];
    for (what, damage, shown) in table {
        let dir = log();
        damage(dir.path());
        let (found, positions) = look(dir.path());
        assert!(found.damage.iter().any(|error| error.to_string().contains(what)), "{what}: {found:?}");
        assert_eq!(positions, shown, "{what}");
        assert!(Wal::open(dir.path(), Options::default()).is_err(), "{what}: opening agrees");
    }
}

#[test]
fn a_torn_tail_is_told_apart_from_damage_and_is_not_cut() {
    let dir = log();
    let last = segment(dir.path(), 5);
    cut(&last, 3);
    let size = std::fs::metadata(&last).unwrap().len();
    let (found, positions) = look(dir.path());
    assert!(found.damage.is_empty(), "{found:?}");
    let torn = found.torn.unwrap();
    assert_eq!((torn.path, torn.offset + torn.bytes), (last.clone(), size));
    assert_eq!(positions, (1..=9).collect::<Vec<_>>());
    assert_eq!(std::fs::metadata(&last).unwrap().len(), size);
}

#[test]
fn a_segment_put_in_another_ones_place_with_a_fitting_name_breaks_the_order() {
    let dir = log();
    // A whole segment that begins at the wrong position: made by a log of its own.
    let other = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 70, first_position: Position(41) };
    let (mut wal, _) = Wal::open(other.path(), options).unwrap();
    for _ in 0..6 {
        wal.append(1, &[0; 10]).unwrap();
        wal.sync().unwrap();
    }
    std::fs::copy(segment(other.path(), 3), segment(dir.path(), 3)).unwrap();
    let (found, _) = look(dir.path());
    let text: Vec<_> = found.damage.iter().map(ToString::to_string).collect();
    assert!(text[0].contains("begins at position 45, 5 was expected"), "{text:?}");
    assert!(text[1].contains("begins at position 7, 47 was expected"), "{text:?}");
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, by: usize) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() - by]).unwrap();
}

fn swap_two(dir: &Path) {
    let (third, fourth) = (std::fs::read(segment(dir, 3)).unwrap(), std::fs::read(segment(dir, 4)).unwrap());
    std::fs::write(segment(dir, 3), fourth).unwrap();
    std::fs::write(segment(dir, 4), third).unwrap();
}
