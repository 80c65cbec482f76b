//! From finished batches to an answer.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use hindsight_model::{SqlAnswer, SqlError};

use crate::signal_schema;

/// The answer with none of our marks on its columns.
pub(crate) fn unmark(schema: &Schema, batches: Vec<RecordBatch>) -> Result<SqlAnswer, SqlError> {
    let schema = signal_schema::unmarked(schema);
    let batches = batches
        .into_iter()
        .filter(|batch| batch.num_rows() > 0)
        .map(|batch| {
            let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &options)
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| gathering(&error))?;
    Ok(SqlAnswer::new(schema, batches))
}

/// What the batch's own rows take; a batch may be a small window on a large buffer.
pub(crate) fn bytes(batch: &RecordBatch) -> Result<usize, SqlError> {
    let sizes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size());
    sizes.sum::<Result<usize, _>>().map_err(|error| gathering(&error))
}

fn gathering(error: &ArrowError) -> SqlError {
    SqlError::Failed { message: format!("gather the answer: {error}") }
}
