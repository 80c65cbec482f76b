//! Between Rust values and SQLite's cells: times are integer nanoseconds UTC, maps are JSON text with sorted keys,
//! enums are their words.

use hindsight_model::Tenant;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row, Type};

use crate::error::{Error, Result};

/// How much of an unreadable value an error shows.
const SHOWN_CHARS_MAX: usize = 60;

/// One row of a named table, read column by column.
pub(crate) struct Cells<'r> {
    row: &'r SqliteRow,
    table: &'static str,
}

impl<'r> Cells<'r> {
    pub(crate) fn of(table: &'static str, row: &'r SqliteRow) -> Self {
        Self { row, table }
    }

    pub(crate) fn get<T>(&self, column: &'static str) -> Result<T>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite>,
    {
        self.row.try_get(column).map_err(|error| self.damaged(column, &error.to_string()))
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<String> {
        self.get(column)
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp> {
        self.get::<i64>(column).map(time)
    }

    pub(crate) fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>> {
        Ok(self.get::<Option<i64>>(column)?.map(time))
    }

    pub(crate) fn unsigned<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        let number: i64 = self.get(column)?;
        T::try_from(number).map_err(|_| self.damaged(column, &number.to_string()))
    }

    pub(crate) fn tenant(&self) -> Result<Tenant> {
        let text = self.text("tenant")?;
        text.parse().map_err(|_| self.damaged("tenant", &text))
    }

    /// A column of JSON text.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        let text = self.text(column)?;
        serde_json::from_str(&text).map_err(|_| self.damaged(column, &text))
    }

    /// A column that holds one of an enum's words.
    pub(crate) fn word<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        let text = self.text(column)?;
        serde_json::from_value(serde_json::Value::String(text.clone()))
            .map_err(|_| self.damaged(column, &text))
    }

    pub(crate) fn damaged(&self, column: &'static str, found: &str) -> Error {
        Error::Damaged { table: self.table, column, found: found.chars().take(SHOWN_CHARS_MAX).collect() }
    }
}

/// The instant a cell stands for.
pub(crate) fn time(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanos)).expect("any i64 of nanoseconds lies within jiff's range")
}

/// The cell for an instant; `what` names its owner in the error.
pub(crate) fn nanos(what: &'static str, at: Timestamp) -> Result<i64> {
    i64::try_from(at.as_nanosecond()).map_err(|_| Error::Time { what, at })
}

pub(crate) fn opt_nanos(what: &'static str, at: Option<Timestamp>) -> Result<Option<i64>> {
    at.map(|at| nanos(what, at)).transpose()
}

/// A span of time in nanoseconds, the longest that fits if it is longer.
pub(crate) fn span_nanos(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// JSON text. Only for types whose keys are strings.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("the model's types with string keys always serialise")
}

/// A limit on a text, checked before it is stored (LIM-1).
pub(crate) fn at_most(what: &'static str, text: &str, limit: usize) -> Result<()> {
    if text.len() > limit {
        return Err(Error::TooLong { what, limit, got: text.len() });
    }
    Ok(())
}
