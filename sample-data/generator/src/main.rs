//! Writes the recording and what must be found in it: `telemetry.jsonl.zst` and `expected.yaml`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use hindsight_sample::{Content, Story, generate};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// zstd's last ordinary level: slow to write, quick to read.
const LEVEL: i32 = 19;

/// Tells the story of a release that goes wrong, as OTLP/JSON lines.
#[derive(Debug, Parser)]
struct Flags {
    /// Seed of everything random; the same seed and start give the same bytes.
    #[arg(long, default_value_t = 20_260_504)]
    seed: u64,
    /// First moment of the recording (RFC 3339); the rollout comes 28 minutes later.
    #[arg(long, default_value = "2026-05-04T21:04:00Z")]
    start: Timestamp,
    /// Directory to write telemetry.jsonl.zst and expected.yaml to.
    #[arg(long, default_value = "sample-data/checkout-outage")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let story = Story::new(flags.seed, flags.start)?;
    fs::create_dir_all(&flags.out).with_context(|| format!("create {}", flags.out.display()))?;

    let mut text = Vec::new();
    let mut lines = 0;
    let truth = generate(&story, |line| {
        text.extend_from_slice(line);
        text.push(b'\n');
        lines += 1;
    });
    let sha256 = hex::encode(Sha256::digest(&text));
    let content = Content { lines, bytes: text.len() as u64, sha256 };

    let packed = compress(&text).context("compress the recording")?;
    write(&flags.out.join("telemetry.jsonl.zst"), &packed)?;
    write(&flags.out.join("expected.yaml"), truth.to_yaml(&content).as_bytes())?;
    let (totals, bytes) = (truth.totals, content.bytes);
    let packed = packed.len();
    writeln!(std::io::stdout(), "{lines} lines, {bytes} bytes, {packed} compressed; {totals:?}")?;
    Ok(())
}

fn compress(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(text.len() as u64))?;
    encoder.write_all(text)?;
    encoder.finish()
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}
