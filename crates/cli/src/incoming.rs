//! An answer as it comes: in the memory of what is read ahead, however long it is.

use std::sync::Arc;

use arrow::array::{Array as _, RecordBatch};
use arrow::datatypes::SchemaRef;
use hindsight_model::SqlError;
use hindsight_query::{Ended, RowStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::remote::RemoteRows;

/// Rows that wait to be printed, so that a slow reader of ours is no slow reader of the server's at once.
const READ_AHEAD_KIB: usize = 16 * 1024;

/// Rows where they come from.
#[derive(Debug)]
pub(crate) enum Rows {
    Server(Box<RemoteRows>),
    DataDir { id: u64, rows: Box<RowStream> },
}

impl Rows {
    fn schema(&self) -> &SchemaRef {
        match self {
            Self::Server(rows) => rows.schema(),
            Self::DataDir { rows, .. } => rows.schema(),
        }
    }

    fn id(&self) -> Option<u64> {
        match self {
            Self::Server(rows) => rows.id(),
            Self::DataDir { id, .. } => Some(*id),
        }
    }

    async fn next(&mut self) -> Option<Result<RecordBatch, SqlError>> {
        match self {
            Self::Server(rows) => rows.next().await,
            Self::DataDir { rows, .. } => rows.next().await,
        }
    }

    fn ended(&self) -> Ended {
        match self {
            // The stream does not tell what the query cost.
            Self::Server(_) => Ended::default(),
            Self::DataDir { rows, .. } => rows.ended().copied().unwrap_or_default(),
        }
    }
}

/// Rows that are being read. Dropping it stops the query.
#[derive(Debug)]
pub(crate) struct Incoming {
    schema: SchemaRef,
    id: Option<u64>,
    pieces: mpsc::UnboundedReceiver<Piece>,
    reading: JoinHandle<()>,
}

#[derive(Debug)]
enum Piece {
    Rows {
        batch: RecordBatch,
        /// Room is there again when these rows are taken.
        _room: OwnedSemaphorePermit,
    },
    Failed(SqlError),
    Ended(Ended),
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Rows(RecordBatch),
    /// Nothing more; what the query cost, where that is known.
    Ended(Ended),
}

impl Incoming {
    /// Begins to read ahead.
    pub(crate) fn start(mut rows: Rows) -> Self {
        let (schema, id) = (Arc::clone(rows.schema()), rows.id());
        // Bounded by the permits.
        let (tell, pieces) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(READ_AHEAD_KIB));
        let reading = tokio::spawn(async move {
            loop {
                let piece = match rows.next().await {
                    None => Piece::Ended(rows.ended()),
                    Some(Err(error)) => Piece::Failed(error),
                    Some(Ok(batch)) => {
                        // The room is never closed.
                        let Ok(_room) = Arc::clone(&room).acquire_many_owned(kib(&batch)).await else {
                            return;
                        };
                        Piece::Rows { batch, _room }
                    }
                };
                let last = !matches!(piece, Piece::Rows { .. });
                if tell.send(piece).is_err() || last {
                    return;
                }
            }
        });
        Self { schema, id, pieces, reading }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The query's id where it runs.
    pub(crate) fn id(&self) -> Option<u64> {
        self.id
    }

    /// # Errors
    /// Why the rows so far are not all; nothing comes after that.
    pub(crate) async fn next(&mut self) -> Result<Next, SqlError> {
        match self.pieces.recv().await {
            Some(Piece::Rows { batch, .. }) => Ok(Next::Rows(batch)),
            Some(Piece::Ended(ended)) => Ok(Next::Ended(ended)),
            Some(Piece::Failed(error)) => Err(error),
            None => Err(SqlError::Failed { message: "nothing reads the answer any more".to_owned() }),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// What a batch takes of the room, which is at least something and at most all of it.
fn kib(batch: &RecordBatch) -> u32 {
    let bytes: usize = batch
        .columns()
        .iter()
        .map(|column| {
            column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
        })
        .sum();
    u32::try_from((bytes / 1024).clamp(1, READ_AHEAD_KIB)).unwrap_or(1)
}
