//! From the engine's batches to those of an answer.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::error::ArrowError;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use datafusion_functions_json::udfs::json_union_to_text_udf;
use hindsight_model::SqlError;

/// A batch under the schema that users see: texts that were views are copied out of what they point into.
pub(crate) fn plain(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => text_of_json(column).and_then(|column| cast(&column, field.data_type())),
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = columns
        .collect::<Result<Vec<_>, _>>()
        .and_then(|columns| RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options));
    batch.map_err(|error| gathering(&error))
}

/// JSON of any type as its text; any other column as it is.
fn text_of_json(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !matches!(column.data_type(), DataType::Union(..)) {
        return Ok(Arc::clone(column));
    }
    let (udf, rows) = (json_union_to_text_udf(), column.len());
    let args = ScalarFunctionArgs {
        args: vec![ColumnarValue::Array(Arc::clone(column))],
        arg_fields: vec![Arc::new(Field::new("json", column.data_type().clone(), true))],
        number_rows: rows,
        return_field: Arc::new(Field::new("text", DataType::Utf8View, true)),
        config_options: Arc::default(),
    };
    udf.invoke_with_args(args)?.into_array(rows).map_err(ArrowError::from)
}

/// What the batch's own rows take; a batch may be a small window on a large buffer.
pub(crate) fn bytes(batch: &RecordBatch) -> Result<usize, SqlError> {
    let sizes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size());
    sizes.sum::<Result<usize, _>>().map_err(|error| gathering(&error))
}

fn gathering(error: &ArrowError) -> SqlError {
    SqlError::Failed { message: format!("gather the answer: {error}") }
}
