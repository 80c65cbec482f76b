//! What must not be deleted (BLK-3): the evidence of an incident outlives the retention of its tables.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use hindsight_model::{Table, Tenant};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::lock::write_durably;
use crate::{BlockFile, Error, Result};

/// The version of the file's layout; see `docs/format/holds.md`.
const FORMAT: u64 = 1;
/// Holds at most (LIM-1); another one is refused until some are released.
const HOLDS_MAX: usize = 10_000;
/// Bytes of an id at most.
const ID_BYTES_MAX: usize = 64;

/// The name of a hold, chosen by whoever asks for it: an incident's id, for example.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldId(String);

impl HoldId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that cannot name a hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` does not name a hold; use 1 to 64 of a-z, A-Z, 0-9, `-`, `_`, `.` and `/`")]
pub struct HoldIdError(String);

impl FromStr for HoldId {
    type Err = HoldIdError;

    fn from_str(text: &str) -> Result<Self, HoldIdError> {
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if text.is_empty() || text.len() > ID_BYTES_MAX || !text.chars().all(safe) {
            return Err(HoldIdError(text.chars().take(80).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Rows of one tenant, in some tables, over some time, that nothing deletes until the hold is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its name; asking again under the same name replaces it.
    pub id: HoldId,
    /// Whose rows.
    pub tenant: Tenant,
    /// In which tables.
    pub tables: BTreeSet<Table>,
    /// The first instant held, by the rows' `timestamp`.
    pub from: Timestamp,
    /// The last instant held.
    pub to: Timestamp,
}

impl Hold {
    /// Whether the block may have rows that are held: whole blocks are kept.
    pub fn covers(&self, block: &BlockFile) -> bool {
        let (first, last) = block.time_range();
        self.is_about(block.table, &block.tenant) && first <= self.to && self.from <= last
    }

    /// The same for a file of which only the place is known.
    pub(crate) fn covers_date(&self, table: Table, tenant: &Tenant, date: Date) -> bool {
        let (first, last) = day(date);
        self.is_about(table, tenant) && first <= self.to && self.from <= last
    }

    fn is_about(&self, table: Table, tenant: &Tenant) -> bool {
        self.tables.contains(&table) && self.tenant == *tenant
    }
}

impl BlockFile {
    /// The first and last instant that a row may have: the statistics, or the whole date where they are missing.
    pub(crate) fn time_range(&self) -> (Timestamp, Timestamp) {
        let (first, last) = day(self.date);
        (self.min_timestamp.unwrap_or(first), self.max_timestamp.unwrap_or(last))
    }
}

/// The first and the last instant of a UTC date.
fn day(date: Date) -> (Timestamp, Timestamp) {
    let start = |date: Date| date.to_zoned(jiff::tz::TimeZone::UTC).map(|day| day.timestamp());
    let first = start(date).unwrap_or(Timestamp::MIN);
    let next = date.tomorrow().and_then(start).unwrap_or(Timestamp::MAX);
    (first, next)
}

/// The holds of a data directory and the file they are in.
#[derive(Debug)]
pub(crate) struct HoldBook {
    path: PathBuf,
    /// Held by whoever changes the holds, and by whoever deletes rows from the decision to the deed.
    gate: tokio::sync::Mutex<()>,
    holds: RwLock<Arc<Vec<Hold>>>,
}

impl HoldBook {
    /// Reads `<data-dir>/holds.json`, if it is there. One that cannot be read stops the start: without it, retention
    /// would delete what somebody asked to keep.
    pub(crate) fn open(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join("holds.json");
        let holds = match std::fs::read_to_string(&path) {
            Ok(text) => decode(&text).map_err(|reason| Error::Holds { path: path.clone(), reason })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        Ok(Self { path, gate: tokio::sync::Mutex::default(), holds: RwLock::new(Arc::new(holds)) })
    }

    /// The holds now. For deleting, take [`HoldBook::closed`] first.
    pub(crate) fn list(&self) -> Arc<Vec<Hold>> {
        Arc::clone(&self.holds.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// No hold begins or ends until the guard goes.
    pub(crate) async fn closed(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.gate.lock().await
    }

    pub(crate) async fn put(&self, hold: Hold) -> Result<()> {
        let _closed = self.closed().await;
        let mut holds = Vec::clone(&self.list());
        holds.retain(|other| other.id != hold.id);
        if holds.len() >= HOLDS_MAX {
            let reason = format!("there are {HOLDS_MAX} holds already; release some");
            return Err(Error::Holds { path: self.path.clone(), reason });
        }
        holds.push(hold);
        holds.sort_by(|a, b| a.id.cmp(&b.id));
        self.store(holds).await
    }

    /// Whether there was such a hold.
    pub(crate) async fn remove(&self, id: &HoldId) -> Result<bool> {
        let _closed = self.closed().await;
        let mut holds = Vec::clone(&self.list());
        let before = holds.len();
        holds.retain(|hold| hold.id != *id);
        if holds.len() == before {
            return Ok(false);
        }
        self.store(holds).await.map(|()| true)
    }

    async fn store(&self, holds: Vec<Hold>) -> Result<()> {
        let (path, text) = (self.path.clone(), encode(&holds));
        let written = tokio::task::spawn_blocking(move || {
            write_durably(&path, &text).map_err(Error::io("write", &path))
        });
        written.await.map_err(|_| Error::Stopped { worker: "writer of holds" })??;
        *self.holds.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(holds);
        Ok(())
    }
}

fn encode(holds: &[Hold]) -> String {
    let holds: Vec<Value> = holds
        .iter()
        .map(|hold| {
            let tables: Vec<&str> = hold.tables.iter().map(|table| table.name()).collect();
            json!({
                "id": hold.id.as_str(),
                "tenant": hold.tenant.as_str(),
                "tables": tables,
                "from": hold.from.to_string(),
                "to": hold.to.to_string(),
            })
        })
        .collect();
    format!("{:#}\n", json!({ "format": FORMAT, "holds": holds }))
}

fn decode(text: &str) -> Result<Vec<Hold>, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    match file["format"].as_u64() {
        Some(FORMAT) => {}
        Some(other) => return Err(format!("it has format {other}, and this program knows {FORMAT}")),
        None => return Err("it has no `format`".to_owned()),
    }
    let holds = file["holds"].as_array().ok_or("it has no `holds`")?;
    holds.iter().map(decode_hold).collect()
}

fn decode_hold(hold: &Value) -> Result<Hold, String> {
    let text = |key: &str| hold[key].as_str().ok_or_else(|| format!("a hold has no `{key}`"));
    fn parse<T: FromStr>(key: &str, text: &str) -> Result<T, String>
    where
        T::Err: fmt::Display,
    {
        text.parse().map_err(|error| format!("a hold's `{key}` is wrong: {error}"))
    }
    let table = |name: &Value| {
        name.as_str().and_then(Table::from_name).ok_or_else(|| format!("a hold names the table {name}"))
    };
    Ok(Hold {
        id: parse("id", text("id")?)?,
        tenant: parse("tenant", text("tenant")?)?,
        tables: hold["tables"]
            .as_array()
            .ok_or("a hold has no `tables`")?
            .iter()
            .map(table)
            .collect::<Result<_, _>>()?,
        from: parse("from", text("from")?)?,
        to: parse("to", text("to")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(id: &str) -> Hold {
        Hold {
            id: id.parse().unwrap(),
            tenant: Tenant::default(),
            tables: BTreeSet::from([Table::Logs, Table::Spans]),
            from: "2026-05-04T14:00:00.000000001Z".parse().unwrap(),
            to: "2026-05-04T15:00:00Z".parse().unwrap(),
        }
    }

    #[tokio::test]
    async fn holds_survive_a_restart_to_the_nanosecond() {
        let dir = tempfile::tempdir().unwrap();
        let book = HoldBook::open(dir.path()).unwrap();
        book.put(hold("INC-7")).await.unwrap();
        book.put(hold("INC-8")).await.unwrap();
        let wider = Hold { to: "2026-05-04T16:00:00Z".parse().unwrap(), ..hold("INC-7") };
        book.put(wider.clone()).await.unwrap();
        assert!(book.remove(&"INC-8".parse().unwrap()).await.unwrap());
        assert!(!book.remove(&"INC-8".parse().unwrap()).await.unwrap());
        let again = HoldBook::open(dir.path()).unwrap();
        assert_eq!(**again.list(), [wider]);
    }

    #[test]
    fn a_file_that_cannot_be_read_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holds.json");
        let whole = encode(&[hold("INC-7")]);
        for (damage, says) in [
            (whole[..whole.len() / 2].to_owned(), "not JSON"),
            (whole.replace("\"format\": 1", "\"format\": 2"), "format 2"),
            (whole.replace("spans", "spanz"), "spanz"),
            (whole.replace("2026-05-04T15", "yesterday"), "`to` is wrong"),
            ("{}".to_owned(), "no `format`"),
        ] {
            std::fs::write(&path, damage).unwrap();
            let refused = HoldBook::open(dir.path()).unwrap_err().to_string();
            assert!(refused.contains(says) && refused.contains("holds.json"), "{refused}");
        }
    }

    #[test]
    fn a_hold_is_named_by_plain_text() {
        for bad in ["", "a b", "ü", &"x".repeat(65)] {
            assert!(bad.parse::<HoldId>().is_err(), "{bad}");
        }
    }
}
