use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::{
    Array, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use jiff::Timestamp;

use crate::{Clearance, Tenant, timestamp_from_micros};

/// Something that answers SQL over the telemetry: the query engine in the program, a closure over fixed rows in a
/// test.
#[async_trait::async_trait]
pub trait SqlSource: Send + Sync {
    /// Runs one query and returns all its rows.
    ///
    /// # Errors
    /// Each kind of [`SqlError`]; nothing partial is returned.
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError>;
}

/// A question: the text, its named parameters, whose rows, and under which limits.
#[derive(Clone, Debug)]
pub struct SqlRequest {
    /// Whose rows the query may see (QRY-3).
    pub tenant: Tenant,
    /// Which post-mortems it may see.
    pub clearance: Clearance,
    /// The SQL text, with parameters written `$name`.
    pub sql: String,
    /// Values of the parameters, without the dollar.
    pub params: BTreeMap<String, SqlParam>,
    /// Longest the query may take; `None` means the engine's own limit.
    pub timeout: Option<Duration>,
}

impl SqlRequest {
    /// A query of the default tenant without parameters, that sees what everyone may see.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            tenant: Tenant::default(),
            clearance: Clearance::default(),
            sql: sql.into(),
            params: BTreeMap::new(),
            timeout: None,
        }
    }

    /// The same query for another tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.tenant = tenant;
        self
    }

    /// The same query of a reader with this clearance.
    #[must_use]
    pub fn clearance(mut self, clearance: Clearance) -> Self {
        self.clearance = clearance;
        self
    }

    /// The same query with `$name` bound to `value`.
    #[must_use]
    pub fn param(mut self, name: impl Into<String>, value: impl Into<SqlParam>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }
}

/// The value of a named parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlParam {
    /// Null.
    Null,
    /// `BOOLEAN`.
    Bool(bool),
    /// `BIGINT`.
    Int(i64),
    /// `DOUBLE`.
    Double(f64),
    /// `VARCHAR`.
    Text(String),
    /// `TIMESTAMP(µs, UTC)`.
    Time(Timestamp),
    /// `INTERVAL`.
    Interval(Duration),
}

impl From<Timestamp> for SqlParam {
    fn from(at: Timestamp) -> Self {
        Self::Time(at)
    }
}

impl From<&str> for SqlParam {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for SqlParam {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for SqlParam {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for SqlParam {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<Duration> for SqlParam {
    fn from(span: Duration) -> Self {
        Self::Interval(span)
    }
}

/// Why a query gave no answer; the variants differ in who must act.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SqlError {
    /// The text is wrong: unknown column, syntax, bad parameter. The asker mends it.
    #[error("{message}")]
    Invalid {
        /// What is wrong, with the place where known.
        message: String,
    },
    /// A limit stopped it (QRY-2). The message names the limit and its value.
    #[error("{message}")]
    Limit {
        /// `timeout`, `memory`, `spill`, `rows`, `concurrency` or `reader`.
        limit: &'static str,
        /// A sentence that names the limit, its value and what to do.
        message: String,
    },
    /// Somebody cancelled it.
    #[error("query was cancelled")]
    Cancelled,
    /// Storage or the engine failed.
    #[error("{message}")]
    Failed {
        /// What failed, the whole chain of causes.
        message: String,
    },
}

/// What a query cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SqlStats {
    /// Wall time from asking to the last row.
    pub elapsed: Duration,
    /// Rows read from blocks and head, before filters.
    pub rows_scanned: u64,
    /// Bytes read from blocks, as they lie in their files.
    pub bytes_scanned: u64,
    /// Files that had to be opened.
    pub files_scanned: u64,
    /// Files that planning ruled out without opening them.
    pub files_pruned: u64,
    /// Of these, the ones that only the resident filters of trace and span ids ruled out.
    pub files_pruned_by_id: u64,
    /// Rows of the files that were left that a full-text index ruled out.
    pub rows_skipped_by_index: u64,
    /// The most memory it held at a time, in bytes.
    pub memory_peak_bytes: u64,
    /// Bytes written to temporary files, because they did not fit the memory.
    pub spilled_bytes: u64,
}

/// A query's rows, with their columns even when there are none.
#[derive(Clone, Debug)]
pub struct SqlAnswer {
    /// Column names and types.
    pub schema: SchemaRef,
    /// The rows, in order.
    pub batches: Vec<RecordBatch>,
    /// What it cost.
    pub stats: SqlStats,
}

/// One cell, in the few kinds that rules, reports and pages tell apart.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// SQL NULL.
    Null,
    /// `BOOLEAN`.
    Bool(bool),
    /// Any integer type that fits.
    Int(i64),
    /// Any floating or decimal type.
    Double(f64),
    /// Text, and every type not named here, as the engine would print it.
    Text(String),
    /// Any timestamp type.
    Time(Timestamp),
}

impl SqlValue {
    /// The number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a measured value, not an id")]
            Self::Int(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The instant, if it is one.
    pub fn as_time(&self) -> Option<Timestamp> {
        match self {
            Self::Time(at) => Some(*at),
            _ => None,
        }
    }
}

impl std::fmt::Display for SqlValue {
    /// As a person reads it; NULL is an empty text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Double(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Time(at) => write!(f, "{at}"),
        }
    }
}

impl SqlAnswer {
    /// An answer from ready batches; with none, an answer without rows.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self { schema, batches, stats: SqlStats::default() }
    }

    /// Number of rows.
    pub fn row_count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The column names in order.
    pub fn columns(&self) -> Vec<&str> {
        self.schema.fields().iter().map(|field| field.name().as_str()).collect()
    }

    /// Every row as cells in column order.
    ///
    /// # Errors
    /// When Arrow cannot read a column of a type it made itself.
    pub fn rows(&self) -> Result<Vec<Vec<SqlValue>>, ArrowError> {
        let whole = concat_batches(&self.schema, &self.batches)?;
        let mut rows = vec![Vec::with_capacity(whole.num_columns()); whole.num_rows()];
        for column in whole.columns() {
            for (row, value) in rows.iter_mut().zip(column_values(column)?) {
                row.push(value);
            }
        }
        Ok(rows)
    }
}

fn column_values(column: &dyn Array) -> Result<Vec<SqlValue>, ArrowError> {
    let rows = 0..column.len();
    Ok(match column.data_type() {
        DataType::Null => vec![SqlValue::Null; column.len()],
        DataType::Boolean => {
            let column = downcast::<BooleanArray>(column)?;
            rows.map(|i| or_null(column, i, || SqlValue::Bool(column.value(i)))).collect()
        }
        DataType::Timestamp(_, _) => {
            let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            let micros = downcast::<TimestampMicrosecondArray>(&micros)?;
            rows.map(|i| or_null(micros, i, || time_or_text(micros.value(i)))).collect()
        }
        kind if kind.is_integer() => {
            let numbers = cast(column, &DataType::Int64)?;
            let numbers = downcast::<Int64Array>(&numbers)?;
            rows.map(|i| or_null(numbers, i, || SqlValue::Int(numbers.value(i)))).collect()
        }
        kind if kind.is_numeric() => {
            let numbers = cast(column, &DataType::Float64)?;
            let numbers = downcast::<Float64Array>(&numbers)?;
            rows.map(|i| or_null(numbers, i, || SqlValue::Double(numbers.value(i)))).collect()
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => {
            let texts = cast(column, &DataType::Utf8)?;
            let texts = downcast::<StringArray>(&texts)?;
            rows.map(|i| or_null(texts, i, || SqlValue::Text(texts.value(i).to_owned()))).collect()
        }
        _ => {
            let format = arrow::util::display::FormatOptions::default();
            let formatter = arrow::util::display::ArrayFormatter::try_new(column, &format)?;
            rows.map(|i| or_null(column, i, || SqlValue::Text(formatter.value(i).to_string()))).collect()
        }
    })
}

fn or_null(column: &dyn Array, row: usize, value: impl FnOnce() -> SqlValue) -> SqlValue {
    if column.is_null(row) { SqlValue::Null } else { value() }
}

fn time_or_text(micros: i64) -> SqlValue {
    timestamp_from_micros(micros).map_or_else(|| SqlValue::Text(format!("{micros} µs")), SqlValue::Time)
}

fn downcast<T: 'static>(column: &dyn Array) -> Result<&T, ArrowError> {
    column
        .as_any()
        .downcast_ref()
        .ok_or_else(|| ArrowError::CastError(format!("a {} column is not what it says", column.data_type())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array};

    use super::*;

    #[test]
    fn rows_keep_nulls_and_kinds() {
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef),
            ("t", Arc::new(TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("UTC")) as ArrayRef),
            ("s", Arc::new(StringArray::from(vec![None, Some("x")])) as ArrayRef),
        ])
        .unwrap();
        let answer = SqlAnswer::new(batch.schema(), vec![batch]);
        let rows = answer.rows().unwrap();
        assert_eq!(rows[0], [SqlValue::Int(1), SqlValue::Time(Timestamp::UNIX_EPOCH), SqlValue::Null]);
        assert_eq!(rows[1][0], SqlValue::Null);
        assert_eq!(rows[1][2], SqlValue::Text("x".into()));
    }
}
