//! Random histories on a disk that fails: what was acknowledged is there, nothing else than what was written is
//! there, and opening never takes a crash for damage (WAL-1, WAL-2, WAL-3).

use std::io;

use proptest::prelude::*;

use super::sim_disk::{Call, SimDisk};
use super::*;
use crate::segment::HEADER_BYTES;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    Sync,
    /// The next call of this kind fails.
    Fault(Call, io::ErrorKind),
    /// The power fails; the numbers decide what of the unsynced is found again.
    Crash(Vec<usize>),
    /// The program ends and starts; the page cache lives on.
    Restart,
    RemoveBefore(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let call = prop::sample::select(&Call::ALL[..]);
    let kind = prop::sample::select(vec![io::ErrorKind::StorageFull, io::ErrorKind::Other]);
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..50).prop_map(Step::Append),
        4 => Just(Step::Sync),
        3 => (call, kind).prop_map(|(call, kind)| Step::Fault(call, kind)),
        2 => prop::collection::vec(0_usize..1_000, 1..30).prop_map(Step::Crash),
        1 => Just(Step::Restart),
        1 => any::<prop::sample::Index>().prop_map(Step::RemoveBefore),
    ]
}

struct Run {
    disk: SimDisk,
    options: Options,
    /// `None` between a failed open and the next.
    wal: Option<Wal>,
    /// Everything that was appended, by position; the first `acked` of it was synced.
    records: Vec<Vec<u8>>,
    acked: usize,
    removed_before: u64,
}

fn dir() -> PathBuf {
    PathBuf::from("/wal")
}

impl Run {
    fn new(segment_bytes: u64) -> Self {
        let disk = SimDisk::default();
        let options = small_segments(segment_bytes);
        let mut run = Self { disk, options, wal: None, records: Vec::new(), acked: 0, removed_before: 0 };
        run.open();
        run
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Append(payload) => self.append(payload),
            Step::Sync => self.sync(),
            Step::Fault(call, kind) => self.disk.fail_next(call, kind),
            Step::Crash(numbers) => {
                self.wal = None;
                let mut numbers = numbers.into_iter().cycle();
                self.disk.crash(|sides| numbers.next().unwrap() % sides);
                self.open();
            }
            Step::Restart => {
                self.wal = None;
                self.disk.heal();
                self.open();
            }
            Step::RemoveBefore(at) => {
                let position = at.index(self.acked + 1) as u64;
                if let Some(wal) = &mut self.wal {
                    self.removed_before = self.removed_before.max(position);
                    let _ = wal.remove_before(Position(position));
                }
            }
        }
    }

    fn append(&mut self, payload: Vec<u8>) {
        let Some(wal) = &mut self.wal else { return };
        let expected = wal.next_position();
        match wal.append(1, &payload) {
            Ok(position) => {
                assert_eq!((position, position.0), (expected, self.records.len() as u64 + 1));
                self.records.push(payload);
            }
            Err(Error::Poisoned { .. }) => assert!(wal.is_poisoned()),
            Err(Error::Io { .. }) => {
                assert_eq!(wal.next_position(), expected, "a failed append leaves no record");
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn sync(&mut self) {
        let Some(wal) = &mut self.wal else { return };
        match wal.sync() {
            Ok(()) => {
                assert!(!wal.is_poisoned(), "WAL-2");
                self.acked = self.records.len();
            }
            Err(_) => assert!(wal.is_poisoned(), "WAL-2"),
        }
    }

    /// Opens until it works; a disk that fails a call is an error to come back from, never damage.
    fn open(&mut self) {
        let opened = match Wal::open_with(Arc::new(self.disk.clone()), dir(), self.options.clone()) {
            Err(Error::Io { .. }) => Wal::open_with(Arc::new(self.disk.clone()), dir(), self.options.clone()),
            opened => opened,
        };
        let (wal, recovered) = opened.unwrap();
        let found: Vec<Record> = recovered.collect::<Result<_>>().unwrap();
        let end = usize::try_from(wal.next_position().0).unwrap() - 1;
        assert!(end >= self.acked, "WAL-1: {} were acknowledged, {end} are there", self.acked);
        assert!(end <= self.records.len(), "nobody wrote that many");
        let first = found.first().map_or(end + 1, |record| usize::try_from(record.position.0).unwrap());
        assert!(first as u64 <= self.removed_before.max(1), "only what may be removed is gone");
        assert!(found.iter().map(|record| &record.payload).eq(&self.records[first - 1..end]));
        self.records.truncate(end);
        // Opening makes what it found durable, so it may be served and sealed.
        self.acked = end;
        self.wal = Some(wal);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: super::cases(512), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_history_on_a_failing_disk_keeps_every_acknowledged_record(
        segment_bytes in 1_u64..500,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut run = Run::new(segment_bytes);
        for step in steps {
            run.apply(step);
        }
        run.apply(Step::Crash(vec![0]));
        run.apply(Step::Crash(vec![999]));
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_a_torn_tail_and_never_another_record(
        payloads in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), any::<bool>()), 1..20),
        segment_bytes in 1_u64..300,
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let disk = SimDisk::default();
        let (mut wal, _) = Wal::open_with(Arc::new(disk.clone()), dir(), small_segments(segment_bytes)).unwrap();
        for (payload, sync) in &payloads {
            wal.append(1, payload).unwrap();
            if *sync {
                wal.sync().unwrap();
            }
        }
        drop(wal);
        let mut files = disk.image();
        let file = at.index(files.len());
        let bytes = files.values_mut().nth(file).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let harmed = SimDisk::holding(&files);
        match Wal::open_with(Arc::new(harmed.clone()), dir(), small_segments(segment_bytes)) {
            Ok((_, recovered)) => {
                prop_assert_eq!(file + 1, files.len(), "only the last segment has a tail");
                let found: Vec<_> = recovered.map(|record| record.unwrap().payload).collect();
                prop_assert!(found.iter().eq(payloads.iter().map(|(payload, _)| payload).take(found.len())));
                prop_assert!(found.len() < payloads.len(), "the flipped bit was in a record");
                // A record that was written after a sync says that everything before it was durable.
                let synced_later = payloads[found.len()..payloads.len() - 1].iter().any(|(_, sync)| *sync);
                prop_assert!(!synced_later, "an acknowledged record was taken for a torn tail");
            }
            Err(Error::Damaged { path, offset, .. }) => {
                prop_assert_eq!(&path, files.keys().nth(file).unwrap());
                prop_assert!(offset as usize <= at.max(HEADER_BYTES), "offset {} for the byte {}", offset, at);
                prop_assert_eq!(harmed.image(), files, "a refusal changes nothing");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Found by the histories above: the program was killed between the new segment's rename and the sync of the
/// directory, started again, acknowledged a record in that segment, and then the power failed.
#[test]
fn a_name_that_nobody_synced_is_synced_before_a_record_under_it_is_acknowledged() {
    let mut run = Run::new(1);
    for step in [
        Step::Append(b"one".to_vec()),
        Step::Sync,
        Step::Fault(Call::SyncDir, io::ErrorKind::Other),
        Step::Append(b"refused".to_vec()),
        Step::Restart,
        Step::Append(b"two".to_vec()),
        Step::Sync,
        Step::Crash(vec![0]),
    ] {
        run.apply(step);
    }
    assert_eq!(run.records, [b"one", b"two"]);
}

/// Found by the flipped bits above: the frames right behind a damaged one were written before its sync, and only
/// one still later says that it was durable.
#[test]
fn damage_within_a_group_is_told_by_the_frames_after_its_sync() {
    let disk = SimDisk::default();
    let (mut wal, _) = Wal::open_with(Arc::new(disk.clone()), dir(), Options::default()).unwrap();
    for group in [["a", "b"], ["c", "d"]] {
        for payload in group {
            wal.append(1, payload.as_bytes()).unwrap();
        }
        wal.sync().unwrap();
    }
    drop(wal);
    let mut files = disk.image();
    files.values_mut().next().unwrap()[HEADER_BYTES] ^= 1;
    let harmed = Arc::new(SimDisk::holding(&files));
    let refused = Wal::open_with(harmed, dir(), Options::default()).unwrap_err();
    assert!(matches!(refused, Error::Damaged { offset, .. } if offset == HEADER_BYTES as u64), "{refused}");
}
