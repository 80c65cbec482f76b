//! Random histories against a plain list: append, sync, reopen, remove, and a crash that cuts the last file at any
//! byte after what was synced.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    Sync,
    Reopen,
    /// The program dies; of the bytes that were never synced this share is still there.
    Crash(Index),
    RemoveBefore(Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Step::Append),
        2 => Just(Step::Sync),
        1 => Just(Step::Reopen),
        1 => any::<Index>().prop_map(Step::Crash),
        1 => any::<Index>().prop_map(Step::RemoveBefore),
    ]
}

/// What must be there: all records by position, and how much of it is durable.
#[derive(Debug, Default)]
struct Model {
    records: Vec<Vec<u8>>,
    synced: usize,
    removed_before: u64,
}

struct Run {
    dir: tempfile::TempDir,
    options: Options,
    wal: Option<Wal>,
    model: Model,
    /// Length of the last segment's file at the last sync, and which file that was.
    synced_file: (PathBuf, u64),
}

impl Run {
    fn new(segment_bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = small_segments(segment_bytes);
        let (wal, _) = Wal::open(dir.path(), options.clone()).unwrap();
        let synced_file = (wal.active.path.clone(), wal.active.length);
        Self { dir, options, wal: Some(wal), model: Model::default(), synced_file }
    }

    fn wal(&mut self) -> &mut Wal {
        self.wal.as_mut().expect("the log is open between steps")
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Append(payload) => {
                let rolled_from = self.wal().active.path.clone();
                let position = self.wal().append(1, &payload).unwrap();
                if self.wal().active.path != rolled_from {
                    // Rolling over syncs the full segment; the new one has only its header yet.
                    self.model.synced = self.model.records.len();
                    self.synced_file = (self.wal().active.path.clone(), crate::segment::HEADER_BYTES as u64);
                }
                self.model.records.push(payload);
                assert_eq!(position.0, self.model.records.len() as u64);
            }
            Step::Sync => {
                self.wal().sync().unwrap();
                self.model.synced = self.model.records.len();
                self.synced_file = (self.wal().active.path.clone(), self.wal().active.length);
            }
            Step::Reopen => self.reopen(),
            Step::Crash(share) => {
                self.wal = None;
                let (path, synced) = self.synced_file.clone();
                let written = fs::metadata(&path).unwrap().len();
                let kept = synced + share.index(usize::try_from(written - synced).unwrap() + 1) as u64;
                fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(kept).unwrap();
                self.reopen();
            }
            Step::RemoveBefore(at) => {
                let position = at.index(self.model.synced + 1) as u64;
                self.wal().remove_before(Position(position)).unwrap();
                self.model.removed_before = self.model.removed_before.max(position);
            }
        }
    }

    /// Opens the log and compares: everything synced, nothing changed, perhaps some of what was not synced.
    fn reopen(&mut self) {
        self.wal = None;
        let (wal, recovered) = Wal::open(self.dir.path(), self.options.clone()).unwrap();
        let records: Vec<Record> = recovered.collect::<Result<_>>().unwrap();
        let end = wal.next_position().0 as usize - 1;
        assert!(end >= self.model.synced, "synced records survive: {end} of {}", self.model.synced);
        assert!(end <= self.model.records.len());
        self.model.records.truncate(end);
        self.model.synced = end;
        let first = records.first().map_or(end as u64 + 1, |record| record.position.0);
        assert!(first <= self.model.removed_before.max(1), "only what may be removed is gone");
        let expected = &self.model.records[usize::try_from(first).unwrap() - 1..];
        assert!(records.iter().map(|record| &record.payload).eq(expected));
        self.synced_file = (wal.active.path.clone(), wal.active.length);
        self.wal = Some(wal);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: super::cases(128), ..ProptestConfig::default() })]
    #[test]
    fn any_history_keeps_every_synced_record(
        segment_bytes in 1_u64..400,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut run = Run::new(segment_bytes);
        for step in steps {
            run.apply(step);
        }
        run.reopen();
    }
}
