//! Sorted rows become Parquet files, column by column and page by page, with little memory and less repetition.
//!
//! Parquet's own writer takes flat arrays and finds out again, row by row, what the rows in memory already know:
//! which of them share a value. Here the owners' values go straight into dictionaries, long runs cost next to
//! nothing, and columns that no row has are a few bytes. See docs/adr/0007-block-layout.md.
//!
//! Reading order: `seal` (what goes in), `order`, `gather`, `sink` (a file), `column`, `page`, `chunk`, `filter`, then the
//! encodings `bits`, `delta`, `intern`.

#[cfg(test)]
pub(crate) mod batches;
mod bits;
mod chunk;
mod column;
mod delta;
mod dictionary;
mod filter;
mod gather;
mod intern;
mod order;
mod page;
mod plan;
mod range;
mod seal;
mod sink;

pub(crate) use column::Source;
pub(crate) use filter::IdFilter;
pub(crate) use seal::blocks;
pub(crate) use sink::{BlockSink, Finished, ROW_GROUP_ROWS_MAX, RowGroup};

/// Why a block cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Parquet refused what it was given.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Arrow refused what it was given.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// The rows are not such as the table's schema promises.
    #[error("{0}")]
    Shape(&'static str),
}

#[cfg(test)]
pub(crate) mod tests;
