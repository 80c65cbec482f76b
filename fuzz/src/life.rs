//! The life of a write-ahead log as bytes tell it: appends, syncs, removals, restarts, crashes, and at last damage.
//! A fuzzer does not guess checksums, so the frames are written by the log itself.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use hindsight_wal::{Files as _, Options, Position, Wal};

use super::memory::MemoryFiles;
use super::{LOG_DIR, agree};

/// Small, so that a short life has several segments.
const SEGMENT_BYTES: u64 = 200;
/// A life does not grow with its script without end.
const STEPS_MAX: usize = 400;
const DAMAGES_MAX: usize = 40;
const DAMAGED_BYTES_MAX: usize = 64 * 1024;

/// Lives by `script`. WAL-1 and WAL-3 hold at every restart; after damage, looking and opening agree.
pub(crate) fn live(script: &[u8]) {
    let files = MemoryFiles::default();
    let mut script = Script(script);
    let Ok((log, _)) = open(&files) else { return };
    let mut life = Life { files: files.clone(), log, records: VecDeque::new(), synced: Position::FIRST };
    for _ in 0..STEPS_MAX {
        let Some(step) = script.next() else { break };
        match step % 8 {
            0..=2 => life.append(script.or_zero(), script.or_zero()),
            3 => life.sync(),
            4 => life.remove(script.or_zero()),
            5 => life = life.restart(None),
            6 => life = life.restart(Some(script.or_zero())),
            _ => break,
        }
    }
    drop(life);
    for _ in 0..DAMAGES_MAX {
        let Some(step) = script.next() else { break };
        damage(&files, step, &mut script);
    }
    agree(&files, &options());
}

fn options() -> Options {
    Options { segment_bytes: SEGMENT_BYTES, ..Options::default() }
}

fn open(files: &MemoryFiles) -> hindsight_wal::Result<(Wal, hindsight_wal::Recovered)> {
    Wal::open_with(Arc::new(files.clone()), Path::new(LOG_DIR), options())
}

struct Life {
    files: MemoryFiles,
    log: Wal,
    /// What must be there if it is below `synced`, and may be there else.
    records: VecDeque<(Position, u8, Vec<u8>)>,
    synced: Position,
}

impl Life {
    fn append(&mut self, kind: u8, length: u8) {
        let kind = kind.max(1);
        let payload = vec![kind; usize::from(length)];
        let position = self.log.append(kind, &payload).expect("memory takes every write");
        if let Some((last, ..)) = self.records.back() {
            assert_eq!(position, last.next(), "positions have no gap");
        }
        self.records.push_back((position, kind, payload));
    }

    fn sync(&mut self) {
        self.log.sync().expect("memory takes every sync");
        self.synced = self.log.next_position();
    }

    /// Gives up some of what was synced, as a seal does.
    fn remove(&mut self, share: u8) {
        let before = self.log.first_position();
        let given_up = self.synced.0.saturating_sub(before.0) * u64::from(share) / 255;
        let up_to = Position(before.0 + given_up);
        self.log.remove_before(up_to).expect("memory lets every file go");
        let first = self.log.first_position();
        assert!(first >= before && first <= up_to, "no more goes than was given up");
        self.records.retain(|(position, ..)| *position >= first);
    }

    /// Opens the log again, after a crash that keeps `keep` of 256 parts of what was not synced.
    fn restart(self, crash: Option<u8>) -> Self {
        let Self { files, log, records, synced } = self;
        drop(log);
        if let Some(keep) = crash {
            files.all().iter().for_each(|(_, file)| file.crash(keep));
        }
        let (log, recovered) = open(&files).expect("a log that only crashed opens");
        let found: VecDeque<_> = recovered
            .map(|record| record.expect("what was checked reads back"))
            .map(|record| (record.position, record.kind, record.payload))
            .collect();
        assert!(found.iter().eq(records.iter().take(found.len())), "what is found is what was written");
        let kept = records.get(found.len()).is_none_or(|(position, ..)| *position >= synced);
        assert!(
            kept,
            "WAL-1: {synced} was synced, and {} of {} records are there",
            found.len(),
            records.len()
        );
        assert!(
            crash.is_some() || found.len() == records.len(),
            "a restart without a crash keeps everything"
        );
        let next = log.next_position();
        assert!(next >= synced, "no position below a synced one is used again");
        Self { files, log, records: found, synced: next }
    }
}

/// Spoils one file.
fn damage(files: &MemoryFiles, step: u8, script: &mut Script<'_>) {
    let all = files.all();
    let at = usize::from(script.or_zero());
    let Some((path, _)) = all.get(at % all.len().max(1)) else { return };
    let place = usize::from(script.or_zero()) << 8 | usize::from(script.or_zero());
    match step % 5 {
        0 => files.edit(path, |bytes| {
            let length = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(place % length) {
                *byte ^= 1 << (step / 5 % 8);
            }
        }),
        1 => files.edit(path, |bytes| bytes.truncate(place % (bytes.len() + 1))),
        2 => files.edit(path, |bytes| {
            if bytes.len() < DAMAGED_BYTES_MAX {
                bytes.extend_from_within(place % (bytes.len() + 1)..);
            }
        }),
        3 => files.edit(path, |bytes| {
            if bytes.len() < DAMAGED_BYTES_MAX {
                bytes.extend(script.0.iter().take(place));
            }
        }),
        // It is there, so it goes.
        _ => drop(files.remove(path)),
    }
}

/// Bytes that are used up one by one.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn or_zero(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }
}
