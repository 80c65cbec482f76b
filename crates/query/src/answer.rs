//! From the engine's batches to those of an answer.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use hindsight_model::SqlError;

/// A batch under the schema that users see: texts that were views are copied out of what they point into.
pub(crate) fn plain(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => cast(column, field.data_type()),
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = columns
        .collect::<Result<Vec<_>, _>>()
        .and_then(|columns| RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options));
    batch.map_err(|error| gathering(&error))
}

/// What the batch's own rows take; a batch may be a small window on a large buffer.
pub(crate) fn bytes(batch: &RecordBatch) -> Result<usize, SqlError> {
    let sizes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size());
    sizes.sum::<Result<usize, _>>().map_err(|error| gathering(&error))
}

fn gathering(error: &ArrowError) -> SqlError {
    SqlError::Failed { message: format!("gather the answer: {error}") }
}
