//! Writes the seeded fault cases as `hindsight bench rca` reads them: CASES/CASE/*.jsonl.zst and LABELS/CASE.json.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use hindsight_sample::{FaultCase, FaultDay};

/// Makes small systems up, with one fault each.
#[derive(Debug, Parser)]
struct Flags {
    /// Seed of the first case; each case has the next one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many.
    #[arg(long, default_value_t = 48)]
    count: u64,
    /// Long recordings instead, with several faults each, for `--detect`: so many.
    #[arg(long, value_name = "COUNT")]
    days: Option<u64>,
    /// Hours of each.
    #[arg(long, default_value_t = 24)]
    hours: u64,
    /// Faults of each; 0 for quiet ones.
    #[arg(long, default_value_t = 12)]
    faults: u64,
    /// Requests per second from outside, on average.
    #[arg(long, default_value_t = 0.5)]
    rate: f64,
    /// Directory to write `cases` and `labels` to.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let labels = flags.out.join("labels");
    fs::create_dir_all(&labels).with_context(|| format!("create {}", labels.display()))?;
    if let Some(days) = flags.days {
        for seed in flags.seed..flags.seed + days {
            day(&FaultDay { seed, hours: flags.hours, faults: flags.faults, rate: flags.rate }, &flags.out)?;
        }
        writeln!(std::io::stdout(), "{days} recordings in {}", flags.out.display())?;
        return Ok(());
    }
    for case in FaultCase::all(flags.seed, flags.count) {
        let told = case.generate()?;
        let folder = flags.out.join("cases").join(case.name());
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        for (signal, lines) in [("traces", &told.traces), ("logs", &told.logs), ("metrics", &told.metrics)] {
            if !lines.is_empty() {
                write(&folder.join(format!("{signal}.jsonl.zst")), lines)?;
            }
        }
        let label = labels.join(format!("{}.json", case.name()));
        fs::write(&label, told.label(case)).with_context(|| format!("write {}", label.display()))?;
    }
    writeln!(std::io::stdout(), "{} cases in {}", flags.count, flags.out.display())?;
    Ok(())
}

fn day(day: &FaultDay, out: &Path) -> anyhow::Result<()> {
    let folder = out.join("cases").join(day.name());
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let mut files: BTreeMap<&str, zstd::Encoder<'_, fs::File>> = BTreeMap::new();
    let faults = day.generate(|signal, line| -> anyhow::Result<()> {
        let file = match files.entry(signal) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(place) => {
                let path = folder.join(format!("{signal}.jsonl.zst"));
                let file = fs::File::create(&path).with_context(|| format!("create {}", path.display()))?;
                place.insert(zstd::Encoder::new(file, 3)?)
            }
        };
        file.write_all(&line)?;
        file.write_all(b"\n")?;
        Ok(())
    })?;
    for file in files.into_values() {
        file.finish()?;
    }
    let label = out.join("labels").join(format!("{}.json", day.name()));
    fs::write(&label, day.label(&faults)).with_context(|| format!("write {}", label.display()))?;
    Ok(())
}

fn write(path: &Path, lines: &[Vec<u8>]) -> anyhow::Result<()> {
    let file = fs::File::create(path).with_context(|| format!("create {}", path.display()))?;
    let mut encoder = zstd::Encoder::new(file, 3)?;
    for line in lines {
        encoder.write_all(line)?;
        encoder.write_all(b"\n")?;
    }
    encoder.finish().with_context(|| format!("write {}", path.display()))?;
    Ok(())
}
