//! The fuzz targets' corpus on a stable toolchain: every file, and seeded mutations of each, through the same checks.
//!
//! `HINDSIGHT_MAKE_CORPUS=1` writes the seed files anew.

// The fuzz folder is a workspace of its own; its checks are compiled in here as they are.
#[expect(unreachable_pub, reason = "they are public in the crate that the fuzz targets use")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use hindsight_otlp::Encoding;
use hindsight_wal::{Options, StdFiles, Wal};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::every_table;
use crate::otlp::{self, PROTOBUF};

type Target = (&'static str, fn(&[u8]));
const TARGETS: [Target; 3] = [("wire", targets::wire), ("json", targets::json), ("wal", targets::wal)];
/// Mutations of a target's files together, and of each at least.
const MUTATIONS: u64 = 2_400;
const MUTATIONS_MIN: u64 = 10;
/// The corpus is kept small.
const BYTES_MAX: u64 = 200_000;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

#[test]
fn every_corpus_file_and_its_mutations_pass_the_fuzz_targets_checks() -> anyhow::Result<()> {
    let seed = match std::env::var("HINDSIGHT_TEST_SEED") {
        Ok(text) => text.parse().with_context(|| format!("read HINDSIGHT_TEST_SEED={text}"))?,
        Err(_) => otlp::now(),
    };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut total = 0;
    for (name, check) in TARGETS {
        let mut files: Vec<_> = fs::read_dir(corpus().join(name))?.collect::<Result<_, _>>()?;
        files.sort_by_key(fs::DirEntry::file_name);
        ensure!(files.len() >= 4, "the corpus of {name} is empty");
        let mutations = (MUTATIONS / files.len() as u64).max(MUTATIONS_MIN);
        for file in files {
            let bytes = fs::read(file.path())?;
            total += bytes.len() as u64;
            check(&bytes);
            for number in 0..mutations {
                let mutated = mutate(&bytes, &mut random);
                let passed = std::panic::catch_unwind(|| check(&mutated));
                ensure!(
                    passed.is_ok(),
                    "{name}: {:?}, mutation {number} with HINDSIGHT_TEST_SEED={seed}",
                    file.path()
                );
            }
        }
    }
    ensure!(total <= BYTES_MAX, "the corpus has {total} bytes, more than {BYTES_MAX}");
    Ok(())
}

/// A few flips, cuts, repeats and foreign bytes.
fn mutate(bytes: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut below = |end: usize| usize::try_from(random.next_u64() % (end.max(1) as u64)).unwrap_or(0);
    let mut bytes = bytes.to_vec();
    for _ in 0..=below(4) {
        let (at, end) = (below(bytes.len()), below(bytes.len()));
        let kind = below(5);
        match kind {
            _ if bytes.is_empty() => return bytes,
            0 => bytes[at] ^= 1 << below(8),
            1 => bytes[at] = [0, 0x7F, 0x80, 0xFF, b'"'][below(5)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at.min(end)..at.max(end))),
            _ => {
                let part = bytes[at.min(end)..at.max(end)].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

#[test]
fn the_seed_files_are_made_when_asked_for() -> anyhow::Result<()> {
    if std::env::var_os("HINDSIGHT_MAKE_CORPUS").is_none() {
        use std::io::Write as _;
        let _ = writeln!(
            std::io::stderr(),
            "skipped: set HINDSIGHT_MAKE_CORPUS=1 to make the seeds of fuzz/corpus"
        );
        return Ok(());
    }
    let bodies = every_table::bodies(1_777_904_990_000_000_000, 2);
    for (number, body) in bodies.iter().enumerate() {
        let name = if body.content_type == PROTOBUF { "wire" } else { "json" };
        let bytes = [&[targets::signal_byte(body.signal)][..], &body.bytes].concat();
        write(name, &format!("{}-{number}", body.signal), &bytes)?;
    }
    // Each in the other encoding too, so that every message of the protocol is in both.
    for (number, body) in bodies.iter().enumerate() {
        let (from, to, name) = match body.content_type {
            PROTOBUF => (Encoding::Protobuf, Encoding::Json, "json"),
            _ => (Encoding::Json, Encoding::Protobuf, "wire"),
        };
        let request = hindsight_otlp::decode_request(body.signal, from, &body.bytes)?;
        let bytes = hindsight_otlp::encode_request(&request, to);
        let bytes = [&[targets::signal_byte(body.signal)][..], &bytes].concat();
        write(name, &format!("{}-{number}-converted", body.signal), &bytes)?;
    }
    for (name, records) in [("empty", 0), ("one", 1), ("synced", 6), ("long", 3)] {
        let frames = frames(records, if name == "long" { 3_000 } else { 20 })?;
        write("wal", name, &[b"0", &frames[32..]].concat())?;
        write("wal", &format!("{name}-whole"), &[b"1", &frames[..]].concat())?;
    }
    for (name, script) in LIVES {
        write("wal", &format!("life-{name}"), &[b"2", script].concat())?;
    }
    Ok(())
}

/// Scripts of `fuzz/src/life.rs`: what each does is in its name.
const LIVES: [(&str, &[u8]); 5] = [
    ("append-sync-crash-append", &[0, 1, 90, 0, 2, 90, 3, 0, 3, 90, 6, 100, 0, 4, 90, 3, 5]),
    ("several-segments-removed", &[0, 1, 250, 0, 2, 250, 0, 3, 250, 0, 4, 250, 3, 4, 255, 0, 5, 9, 6, 0, 5]),
    ("torn-tail", &[0, 1, 60, 3, 0, 2, 60, 7, 1, 0, 0, 140]),
    ("flipped-before-synced", &[0, 1, 60, 3, 0, 2, 60, 3, 0, 3, 60, 3, 7, 0, 0, 0, 60]),
    ("lost-segment", &[0, 1, 250, 0, 2, 250, 0, 3, 250, 3, 7, 4, 1, 0, 0]),
];

/// A segment with so many records, each synced.
fn frames(records: u8, size: usize) -> anyhow::Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    let (mut log, _) = Wal::open_with(Arc::new(StdFiles), dir.path(), Options::default())?;
    for number in 0..records {
        log.append(1 + number % 2, &vec![number; size])?;
        log.sync()?;
    }
    Ok(fs::read(dir.path().join("00000000000000000001.wal"))?)
}

fn write(target: &str, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = corpus().join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes).with_context(|| format!("write {target}/{name}"))
}
