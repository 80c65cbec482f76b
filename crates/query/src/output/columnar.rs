use arrow::ipc::writer::StreamWriter;
use hindsight_model::SqlAnswer;

use crate::error::{Error, Result};

/// The Arrow IPC streaming format: the schema, then the batches.
///
/// # Errors
/// When Arrow cannot write a column.
pub fn to_arrow_stream(answer: &SqlAnswer) -> Result<Vec<u8>> {
    let fail = |source| Error::Output { format: "an Arrow stream", source };
    let mut writer = StreamWriter::try_new(Vec::new(), &answer.schema).map_err(fail)?;
    for batch in &answer.batches {
        writer.write(batch).map_err(fail)?;
    }
    writer.into_inner().map_err(fail)
}
