use hindsight_model::SqlAnswer;

use crate::error::{Error, Result};
use crate::output::encoder::{Format, arrow_end, encoded};

/// The Arrow IPC streaming format: the schema, then the batches.
///
/// # Errors
/// When Arrow cannot write a column.
pub fn to_arrow_stream(answer: &SqlAnswer) -> Result<Vec<u8>> {
    let mut out = encoded(answer, Format::Arrow)?;
    let end = arrow_end().map_err(|source| Error::Output { format: "an Arrow stream", source })?;
    out.extend_from_slice(&end);
    Ok(out)
}
