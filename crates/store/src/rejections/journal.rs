//! Rows on disk: JSON lines in two files that take turns, see `docs/format/rejected.md`. A diary, not the log: it is
//! written by a thread of its own, never waited for, and not synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::RejectedItem;

/// The directory within the data directory.
const DIR: &str = "rejected";
const CURRENT: &str = "current.jsonl";
const PREVIOUS: &str = "previous.jsonl";
const FORMAT: &str = "hindsight rejected telemetry";
const FORMAT_VERSION: u64 = 1;
/// A file of this size becomes the previous one, in whose place it is put. Two files hold more than the ring does.
pub(super) const FILE_BYTES_MAX: u64 = 8 << 20;
/// Rows that may wait for the disk; beyond it they are counted as unwritten.
const QUEUE_ROWS_MAX: usize = 4_096;
/// No row is longer; a longer line is not ours.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// The writing end; the thread ends when it is closed or dropped.
#[derive(Debug)]
pub(super) struct Journal {
    rows: Mutex<Option<SyncSender<Arc<RejectedItem>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    unwritten: Arc<AtomicU64>,
}

impl Journal {
    /// Starts the thread, and returns what the files hold, oldest first.
    pub(super) fn open(data_dir: &Path, file_bytes_max: u64) -> (Self, Vec<RejectedItem>) {
        let dir = data_dir.join(DIR);
        let mut earlier = read(&dir.join(PREVIOUS));
        earlier.extend(read(&dir.join(CURRENT)));
        let unwritten = Arc::new(AtomicU64::new(0));
        let (sender, receiver) = sync_channel(QUEUE_ROWS_MAX);
        let writer =
            Writer { dir, file_bytes_max, file: None, failing: false, unwritten: Arc::clone(&unwritten) };
        let spawned = std::thread::Builder::new()
            .name("store-rejected".to_owned())
            .spawn(move || writer.run(&receiver));
        if let Err(error) = &spawned {
            tracing::warn!(%error, "refused telemetry will not be listed after a restart");
        }
        (Self { rows: Mutex::new(Some(sender)), thread: Mutex::new(spawned.ok()), unwritten }, earlier)
    }

    /// Hands a row to the thread; never waits.
    pub(super) fn write(&self, item: Arc<RejectedItem>) {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.as_ref().is_none_or(|rows| rows.try_send(item).is_err()) {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Waits until the thread has written what it was handed.
    pub(super) fn close(&self) {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that lists refused telemetry ended with a panic");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

struct Writer {
    dir: PathBuf,
    file_bytes_max: u64,
    /// The current file and its length; opened by the first row, and again after a failure.
    file: Option<(File, u64)>,
    failing: bool,
    unwritten: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, rows: &Receiver<Arc<RejectedItem>>) {
        while let Ok(item) = rows.recv() {
            let written = self.write(&item);
            if written.is_err() {
                self.unwritten.fetch_add(1, Ordering::Relaxed);
                self.file = None;
            }
            self.tell(written);
        }
    }

    fn write(&mut self, item: &RejectedItem) -> io::Result<()> {
        let mut line = to_line(item);
        line.push('\n');
        let full = self.file.as_ref().is_some_and(|(_, length)| *length >= self.file_bytes_max);
        if full {
            self.file = None;
            fs::rename(self.dir.join(CURRENT), self.dir.join(PREVIOUS))?;
        }
        if self.file.is_none() {
            self.file = Some(open(&self.dir)?);
        }
        let Some((file, length)) = &mut self.file else { return Ok(()) };
        file.write_all(line.as_bytes())?;
        *length += line.len() as u64;
        Ok(())
    }

    /// A failure is logged once when it begins and once when it ends.
    fn tell(&mut self, written: io::Result<()>) {
        match written {
            Err(error) if !self.failing => {
                tracing::warn!(%error, dir = %self.dir.display(), "could not write down refused telemetry");
                self.failing = true;
            }
            Ok(()) if self.failing => {
                tracing::info!("refused telemetry is written down again");
                self.failing = false;
            }
            _ => {}
        }
    }
}

/// The current file, ready for a whole line: with its first line if it is new, and with a line end after whatever a
/// crash or a full disk cut short.
fn open(dir: &Path) -> io::Result<(File, u64)> {
    fs::create_dir_all(dir)?;
    let path = dir.join(CURRENT);
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let length = file.metadata()?.len();
    let before = if length == 0 {
        format!("{}\n", json!({"format": FORMAT, "version": FORMAT_VERSION}))
    } else {
        "\n".to_owned()
    };
    file.write_all(before.as_bytes())?;
    Ok((file, length + before.len() as u64))
}

/// The rows of one file. Lines that are not rows are skipped and counted: a torn one ends many a file.
fn read(path: &Path) -> Vec<RejectedItem> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "could not read refused telemetry of earlier runs");
            return Vec::new();
        }
    };
    let (items, skipped) = read_lines(BufReader::new(file));
    if skipped > 0 {
        tracing::warn!(path = %path.display(), skipped, "skipped lines that are not refused telemetry");
    }
    items
}

/// Rows, and how many lines were none. A file of another version is skipped as a whole.
pub(super) fn read_lines(mut from: impl BufRead) -> (Vec<RejectedItem>, u64) {
    let (mut items, mut skipped, mut line) = (Vec::new(), 0, Vec::new());
    loop {
        line.clear();
        match from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return (items, skipped),
            Ok(_) => {}
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice::<Value>(&line) {
            Ok(value) if value["format"] == FORMAT => {
                if value["version"] != FORMAT_VERSION {
                    return (items, skipped + 1);
                }
            }
            Ok(value) => match from_json(&value) {
                Some(item) => items.push(item),
                None => skipped += 1,
            },
            Err(_) => skipped += 1,
        }
    }
}

pub(super) fn to_line(item: &RejectedItem) -> String {
    json!({
        "time": item.time.to_string(),
        "tenant": item.tenant.as_str(),
        "signal": item.signal.as_str(),
        "reason": item.reason,
        "occurrences": item.occurrences,
        "service": item.service,
        "sender": item.sender,
        "excerpt": item.excerpt,
    })
    .to_string()
}

fn from_json(value: &Value) -> Option<RejectedItem> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let signal = value["signal"].as_str()?;
    Some(RejectedItem {
        time: value["time"].as_str()?.parse::<Timestamp>().ok()?,
        tenant: value["tenant"].as_str()?.parse().ok()?,
        signal: hindsight_model::Signal::ALL.into_iter().find(|known| known.as_str() == signal)?,
        reason: text("reason")?.into(),
        occurrences: value["occurrences"].as_u64()?,
        service: text("service"),
        sender: text("sender"),
        excerpt: text("excerpt")?,
    })
}
