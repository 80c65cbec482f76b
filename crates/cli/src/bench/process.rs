//! What a process has cost so far, as Linux tells it under `/proc`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// The kernel counts processor time for `/proc` in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time of all threads, in user mode and in the kernel.
pub(super) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text =
        fs::read_to_string(&path).with_context(|| format!("read {path}; is process {pid} running?"))?;
    ticks(&text).map(|ticks| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)).with_context(|| path)
}

/// Fields 14 and 15; the second field may hold anything, but ends at the last parenthesis.
fn ticks(stat: &str) -> anyhow::Result<u64> {
    let (_, fields) = stat.rsplit_once(')').context("it has no process name")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next =
        || fields.next().and_then(|field| field.parse::<u64>().ok()).context("it lacks processor times");
    Ok(next()? + next()?)
}

/// The most memory the process has ever had resident, in bytes.
pub(super) fn peak_rss_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("VmHWM:") {
            let kib: u64 =
                rest.trim().trim_end_matches(" kB").parse().with_context(|| format!("read {line}"))?;
            return Ok(kib * 1024);
        }
    }
    bail!("{path} has no VmHWM")
}

/// Bytes allocated on disk under a data directory: blocks and their logs, write-ahead log, and everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OnDisk {
    pub(super) tables: u64,
    pub(super) wal: u64,
    pub(super) all: u64,
}

pub(super) fn on_disk(data_dir: &Path) -> anyhow::Result<OnDisk> {
    let all = allocated(data_dir)?;
    Ok(OnDisk { tables: allocated(&data_dir.join("tables"))?, wal: allocated(&data_dir.join("wal"))?, all })
}

fn allocated(dir: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = fs::read_dir(dir) else { return Ok(0) };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes += allocated(&entry.path())?;
        } else {
            // A file that is removed just now takes no space.
            bytes += entry.metadata().map_or(0, |metadata| metadata.blocks() * 512);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_look_like_anything() {
        let stat = "77 (a b) 3) S 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20 0 1 0 5 6";
        assert_eq!(ticks(stat).unwrap(), 154);
        assert!(ticks("77 (x) S 1").is_err());
    }

    #[test]
    fn this_very_process_has_cost_something() {
        let pid = std::process::id();
        cpu_time(pid).unwrap();
        assert!(peak_rss_bytes(pid).unwrap() > 1024 * 1024);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("wal")).unwrap();
        fs::write(dir.path().join("wal/1"), vec![1; 100_000]).unwrap();
        let found = on_disk(dir.path()).unwrap();
        assert!(found.wal >= 100_000 && found.all >= found.wal && found.tables == 0, "{found:?}");
    }
}
