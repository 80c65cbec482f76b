use arrow::error::ArrowError;
use hindsight_model::ValueError;

/// A request of which nothing can be used: `INVALID_ARGUMENT`, 400. The text is fit for the sender to read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the protobuf message that was announced.
    #[error("not a valid OTLP protobuf message at byte {offset}, in {field}: {what}")]
    Protobuf {
        /// Where in the (decompressed) body.
        offset: usize,
        /// The message and field, for example `Span.name`.
        field: String,
        /// What is wrong there.
        what: &'static str,
    },
    /// Well-formed protobuf that does not fit the message.
    #[error("not an OTLP protobuf message")]
    Message(#[source] prost::DecodeError),
    /// Not JSON, or JSON that does not fit the message.
    #[error("not a valid OTLP/JSON message at line {line}, column {column}: {what}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; 0 at the end of a line.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// Attribute values inside attribute values, further down than anything is meant to be.
    #[error("{place} nests more than {max} levels deep; flatten it")]
    TooDeep {
        /// Which value.
        place: String,
        /// Levels allowed.
        max: usize,
    },
    /// More bytes than [`crate::BODY_BYTES_MAX`].
    #[error("the request has {got} bytes and {max} is the most that can be decoded; send smaller batches")]
    TooLarge {
        /// Bytes in the body.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Few bytes that stand for very many messages.
    #[error(
        "the request would unpack to more than {max} bytes, most of them empty messages; send smaller batches"
    )]
    Unpacks {
        /// Bytes allowed for a request of this size.
        max: usize,
    },
    /// Arrow refused columns that this crate made: a bug of ours, not the sender's.
    #[error("build the rows of {table}")]
    Arrow {
        /// Which table.
        table: hindsight_model::Table,
        /// What Arrow says.
        #[source]
        source: ArrowError,
    },
}

/// Rows that do not lead back to an OTLP request.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A column is not there.
    #[error("the batch has no column `{0}`; it is not from a signal table")]
    Missing(&'static str),
    /// A column has another type.
    #[error("column `{column}` has type {found}, not the table's")]
    Type {
        /// Which column.
        column: &'static str,
        /// The type it has.
        found: String,
    },
    /// A cell that no decoding makes.
    #[error("row {row}: column `{column}` holds `{value}`, which OTLP cannot say")]
    Cell {
        /// Row in the batch, from 0.
        row: usize,
        /// Which column.
        column: &'static str,
        /// The cell, shortened.
        value: String,
    },
    /// An attribute text that is not canonical JSON.
    #[error("row {row}: read column `{column}`")]
    Value {
        /// Row in the batch, from 0.
        row: usize,
        /// Which column.
        column: &'static str,
        /// What is wrong with it.
        #[source]
        source: ValueError,
    },
}
