use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use hindsight_model::{SqlError, to_micros};
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// Most bytes of text in one answer, far from where Arrow's 32-bit offsets end (QRY-2).
const TEXT_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A column's name and type, and what it holds.
pub(super) type Column = (&'static str, Kind, &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Double,
    /// Integer nanoseconds in SQLite, microseconds UTC in Arrow, rounded towards the past.
    Time,
}

/// One value on its way into a column of its kind.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    Text(String),
    Int(i64),
    Double(f64),
    Micros(i64),
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn time(at: Option<Timestamp>) -> Self {
        at.map_or(Self::Null, |at| Self::Micros(to_micros(at)))
    }
}

/// Every column may be null: what SQLite holds is checked as it is read, not trusted.
pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let field = |(name, kind, _): &Column| {
        let data_type = match kind {
            Kind::Text => DataType::Utf8,
            Kind::Int => DataType::Int64,
            Kind::Double => DataType::Float64,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        Field::new(*name, data_type, true)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// The columns' docs by name.
pub(super) fn docs(columns: &[Column]) -> Vec<(&'static str, &'static str)> {
    columns.iter().map(|(name, _, doc)| (*name, *doc)).collect()
}

/// A batch under construction.
#[derive(Debug)]
pub(super) struct Columns {
    table: &'static str,
    columns: &'static [Column],
    builders: Vec<Builder>,
    text_bytes: usize,
}

#[derive(Debug)]
enum Builder {
    Text(StringBuilder),
    Int(Int64Builder),
    Double(Float64Builder),
    Time(TimestampMicrosecondBuilder),
}

impl Columns {
    pub(super) fn new(table: &'static str, columns: &'static [Column]) -> Self {
        let builder = |(_, kind, _): &Column| match kind {
            Kind::Text => Builder::Text(StringBuilder::new()),
            Kind::Int => Builder::Int(Int64Builder::new()),
            Kind::Double => Builder::Double(Float64Builder::new()),
            Kind::Time => Builder::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
        };
        Self { table, columns, builders: columns.iter().map(builder).collect(), text_bytes: 0 }
    }

    /// Adds a row whose cells are in the order of the columns.
    pub(super) fn push_row(&mut self, row: &SqliteRow) -> Result<(), SqlError> {
        for (index, (name, kind, _)) in self.columns.iter().enumerate() {
            let cell = read(row, index, *kind).map_err(|error| SqlError::Failed {
                message: format!("read {}.{name} from the state database: {error}", self.table),
            })?;
            self.push_cell(index, cell)?;
        }
        Ok(())
    }

    /// Adds a row of ready cells, one for each column.
    pub(super) fn push<const N: usize>(&mut self, cells: [Cell; N]) -> Result<(), SqlError> {
        debug_assert_eq!(N, self.columns.len(), "{} has another number of columns", self.table);
        for (index, cell) in cells.into_iter().enumerate() {
            self.push_cell(index, cell)?;
        }
        Ok(())
    }

    fn push_cell(&mut self, index: usize, cell: Cell) -> Result<(), SqlError> {
        if let Cell::Text(text) = &cell {
            self.text_bytes += text.len();
            if self.text_bytes > TEXT_BYTES_MAX {
                let message = format!("{} holds more than {TEXT_BYTES_MAX} bytes of text", self.table);
                return Err(SqlError::Limit { limit: "memory", message });
            }
        }
        match (&mut self.builders[index], cell) {
            (Builder::Text(column), Cell::Text(text)) => column.append_value(text),
            (Builder::Int(column), Cell::Int(number)) => column.append_value(number),
            (Builder::Double(column), Cell::Double(number)) => column.append_value(number),
            (Builder::Time(column), Cell::Micros(micros)) => column.append_value(micros),
            (Builder::Text(column), Cell::Null) => column.append_null(),
            (Builder::Int(column), Cell::Null) => column.append_null(),
            (Builder::Double(column), Cell::Null) => column.append_null(),
            (Builder::Time(column), Cell::Null) => column.append_null(),
            (_, cell) => {
                let (name, kind, _) = self.columns[index];
                let message = format!("{}.{name} is {kind:?}, which {cell:?} is not", self.table);
                return Err(SqlError::Failed { message });
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<RecordBatch, SqlError> {
        let array = |builder: Builder| -> ArrayRef {
            match builder {
                Builder::Text(mut column) => Arc::new(column.finish()),
                Builder::Int(mut column) => Arc::new(column.finish()),
                Builder::Double(mut column) => Arc::new(column.finish()),
                Builder::Time(mut column) => Arc::new(column.finish()),
            }
        };
        let arrays = self.builders.into_iter().map(array).collect();
        RecordBatch::try_new(schema(self.columns), arrays)
            .map_err(|error| SqlError::Failed { message: format!("build {}: {error}", self.table) })
    }
}

fn read(row: &SqliteRow, index: usize, kind: Kind) -> Result<Cell, sqlx::Error> {
    Ok(match kind {
        Kind::Text => row.try_get::<Option<String>, _>(index)?.map(Cell::Text),
        Kind::Int => row.try_get::<Option<i64>, _>(index)?.map(Cell::Int),
        Kind::Double => row.try_get::<Option<f64>, _>(index)?.map(Cell::Double),
        Kind::Time => {
            row.try_get::<Option<i64>, _>(index)?.map(|nanos| Cell::Micros(nanos.div_euclid(1_000)))
        }
    }
    .unwrap_or(Cell::Null))
}
