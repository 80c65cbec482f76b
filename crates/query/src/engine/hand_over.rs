//! The engine's side of a stream: rows as they come off the plan, in the shape that their reader wants.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use hindsight_model::{SqlError, SqlRequest};
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::stream::Terms;
use crate::source::Snapshot;
use crate::usage::Usage;
use crate::{answer, fault, limits, signal_schema, statement};

/// What becomes of rows before they are handed on. It works on the engine's threads, so that it may take its time.
pub trait Shape: Send + 'static {
    /// Rows in this shape.
    type Part: Send + 'static;

    /// How much of a batch it is given at once, by the bytes of its rows; at least one row.
    const ROWS_BYTES: usize;

    /// The shape of some rows, never none. They come in order.
    ///
    /// # Errors
    /// When a column is not what its type says.
    fn part(&mut self, rows: &RecordBatch) -> Result<Self::Part, SqlError>;

    /// What a part takes.
    fn bytes(part: &Self::Part) -> usize;
}

/// Batches as the engine makes them.
#[derive(Debug)]
pub(super) struct AsTheyAre;

impl Shape for AsTheyAre {
    type Part = RecordBatch;
    const ROWS_BYTES: usize = usize::MAX;

    fn part(&mut self, rows: &RecordBatch) -> Result<RecordBatch, SqlError> {
        Ok(rows.clone())
    }

    fn bytes(_: &RecordBatch) -> usize {
        // Counted where they are made.
        0
    }
}

/// Shaped rows, and how many they were.
#[derive(Debug)]
pub(super) struct Piece<T> {
    pub(super) part: T,
    pub(super) rows: usize,
}

/// What a stream begins with.
#[derive(Debug)]
pub(super) struct Beginning<T> {
    pub(super) schema: SchemaRef,
    pub(super) pieces: Vec<Piece<T>>,
}

/// How the work ended when nothing went wrong.
#[derive(Debug)]
pub(super) struct Sent<T> {
    /// Everything, when it was too little to be streamed.
    pub(super) whole: Option<Beginning<T>>,
    /// The limit that cut it short.
    pub(super) partial: Option<&'static str>,
}

/// Where the beginning, then the rest goes.
pub(super) struct Output<S: Shape> {
    first: Option<oneshot::Sender<Beginning<S::Part>>>,
    pieces: mpsc::Sender<Piece<S::Part>>,
    shape: S,
    terms: Terms,
    gathered: Vec<Piece<S::Part>>,
    gathered_bytes: usize,
    usage: Arc<Usage>,
}

impl<S: Shape> Output<S> {
    pub(super) fn new(
        first: oneshot::Sender<Beginning<S::Part>>,
        pieces: mpsc::Sender<Piece<S::Part>>,
        shape: S,
        terms: Terms,
        usage: Arc<Usage>,
    ) -> Self {
        Self { first: Some(first), pieces, shape, terms, gathered: Vec::new(), gathered_bytes: 0, usage }
    }

    /// Says that this is a stream; a reader who has left is noticed at the first part.
    fn begin(&mut self, schema: &SchemaRef) {
        if let Some(first) = self.first.take() {
            let pieces = std::mem::take(&mut self.gathered);
            self.gathered_bytes = 0;
            let _ = first.send(Beginning { schema: Arc::clone(schema), pieces });
        }
    }

    /// A batch that takes `bytes`, shaped a piece at a time.
    async fn push(&mut self, batch: &RecordBatch, bytes: usize) -> Result<(), SqlError> {
        let rows = batch.num_rows();
        let each = rows_in(S::ROWS_BYTES, rows, bytes);
        for start in (0..rows).step_by(each) {
            let some = batch.slice(start, each.min(rows - start));
            let piece = Piece { part: self.shape.part(&some)?, rows: some.num_rows() };
            if self.first.is_some() {
                self.gathered_bytes += S::bytes(&piece.part);
                self.gathered.push(piece);
                if self.gathered_bytes > self.terms.whole_bytes_max {
                    self.begin(&batch.schema());
                }
            } else {
                self.send(piece).await?;
            }
            self.usage.add_rows(some.num_rows());
        }
        Ok(())
    }

    /// Waits until the reader has taken what was sent before.
    async fn send(&mut self, piece: Piece<S::Part>) -> Result<(), SqlError> {
        let piece = match self.pieces.try_send(piece) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(piece) | mpsc::error::TrySendError::Closed(piece)) => piece,
        };
        self.usage.reader.wait_begins();
        let sent = self.pieces.send(piece).await;
        self.usage.reader.wait_ends();
        sent.map_err(|_| SqlError::Cancelled)
    }

    /// The whole, when it was not streamed.
    fn end(self, schema: SchemaRef, partial: Option<&'static str>) -> Sent<S::Part> {
        let whole = self.first.is_some().then_some(Beginning { schema, pieces: self.gathered });
        Sent { whole, partial }
    }
}

/// How many of `rows` that take `bytes` together make a piece of `wanted` bytes.
fn rows_in(wanted: usize, rows: usize, bytes: usize) -> usize {
    if bytes <= wanted {
        return rows.max(1);
    }
    (wanted / bytes.div_ceil(rows.max(1))).clamp(1, rows.max(1))
}

impl Shared {
    /// Runs a query into `output`.
    pub(super) async fn send<S: Shape>(
        &self,
        request: SqlRequest,
        snapshot: Snapshot,
        usage: &Usage,
        mut output: Output<S>,
    ) -> Result<Sent<S::Part>, SqlError> {
        let explain = |error: DataFusionError| fault::explain(&error, self.memory.limit());
        let now = self.options.clock.now();
        let statement = statement::parse(&request.sql, &request.params, now)?;
        let opened = self.open(request, snapshot, usage, now)?;
        let plan = self.plan(&opened.session, statement).await?;
        let plan = Arc::clone(usage.plan.get_or_init(|| plan));
        let schema = signal_schema::unmarked(&plan.schema());
        if output.terms.whole_bytes_max == 0 {
            output.begin(&schema);
        }
        let rows_max = self.options.stream_rows_max;
        let rows_max = output.terms.rows_max.map_or(rows_max, |asked| asked.min(rows_max));
        let held = MemoryConsumer::new("rows on their way").register(&opened.memory);
        let mut stream = execute_stream(plan, opened.session.task_context()).map_err(explain)?;
        let mut room = rows_max;
        while let Some(batch) = stream.next().await {
            let mut batch = batch.map_err(explain)?;
            let over = batch.num_rows() > room;
            if over && !output.terms.partial {
                return Err(limits::rows_reached(rows_max));
            }
            if over {
                batch = batch.slice(0, room);
            }
            room -= batch.num_rows();
            if batch.num_rows() > 0 {
                let batch = answer::plain(&schema, &batch)?;
                let bytes = answer::bytes(&batch)?;
                held.try_resize(bytes + output.gathered_bytes).map_err(explain)?;
                output.push(&batch, bytes).await?;
            }
            if over {
                return Ok(output.end(schema, Some("rows")));
            }
        }
        Ok(output.end(schema, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_as_large_as_wanted_and_never_empty() {
        for (wanted, rows, bytes, expected) in [
            (usize::MAX, 8_192, 1 << 20, 8_192),
            (1 << 10, 100, 1 << 10, 100),
            (1 << 10, 100, 10 << 10, 9),
            (1 << 10, 3, 1 << 20, 1),
            (1 << 10, 0, 0, 1),
            (0, 10, 10, 1),
        ] {
            assert_eq!(rows_in(wanted, rows, bytes), expected, "{wanted} {rows} {bytes}");
        }
    }
}
