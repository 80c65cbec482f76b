//! Sorted rows become one durable Parquet file, without the file ever being in memory as a whole.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_writer::ArrowWriter;
use tokio::runtime::Handle;

use crate::block_writer::{file_schema, properties};
use crate::{Error, Result};
use hindsight_model::Table;

/// Encoded bytes are handed to storage in parts of this size; stores in the cloud want at least 5 MiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Where [`BlockSink::push`] goes. It blocks, so it lives on a thread for blocking work.
pub(crate) struct BlockSink {
    table: Table,
    path: Path,
    writer: ArrowWriter<Parts>,
    rows: u64,
}

/// A file that is durable, and that no commit names yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl BlockSink {
    /// Begins the file at `path`; nothing is there before [`BlockSink::finish`] returns.
    pub(crate) fn create(
        store: &Arc<dyn ObjectStore>,
        table: Table,
        path: Path,
        handle: &Handle,
    ) -> Result<Self> {
        let upload = handle.block_on(store.put_multipart(&path)).map_err(failed(&path))?;
        let parts = Parts { upload, handle: handle.clone(), buffer: Vec::new(), sent: 0 };
        let parquet = |source| Error::Parquet { table, source: Box::new(source) };
        let properties = properties(table).map_err(parquet)?;
        let writer = ArrowWriter::try_new(parts, file_schema(table), Some(properties)).map_err(parquet)?;
        Ok(Self { table, path, writer, rows: 0 })
    }

    /// Adds rows that follow all earlier ones in the table's sort key.
    pub(crate) fn push(&mut self, rows: &RecordBatch) -> Result<()> {
        let table = self.table;
        self.rows += rows.num_rows() as u64;
        self.writer.write(rows).map_err(|source| Error::Parquet { table, source: Box::new(source) })
    }

    /// Ends the file and makes it durable.
    pub(crate) fn finish(self) -> Result<Written> {
        let Self { table, path, writer, rows } = self;
        let parquet = |source| Error::Parquet { table, source: Box::new(source) };
        let mut parts = writer.into_inner().map_err(parquet)?;
        let bytes = parts.complete().map_err(failed(&path))?;
        Ok(Written { rows, bytes })
    }
}

impl BlockSink {
    /// Gives up: storage forgets the parts that it has.
    pub(crate) fn abort(mut self) {
        let parts = self.writer.inner_mut();
        if let Err(error) = parts.handle.block_on(parts.upload.abort()) {
            tracing::warn!(path = %self.path, error = %error, "could not take back the parts of an unfinished block");
        }
    }
}

fn failed(path: &Path) -> impl FnOnce(object_store::Error) -> Error {
    let path = path.to_string();
    move |source| Error::Storage { operation: "write the block", path, source: Box::new(source) }
}

/// An upload as something to write to. One that is dropped unfinished leaves nothing behind on local storage.
struct Parts {
    upload: Box<dyn MultipartUpload>,
    handle: Handle,
    buffer: Vec<u8>,
    sent: u64,
}

impl Parts {
    fn send(&mut self) -> object_store::Result<()> {
        let part = Bytes::from(std::mem::take(&mut self.buffer));
        self.sent += part.len() as u64;
        self.handle.block_on(self.upload.put_part(part.into()))
    }

    fn complete(&mut self) -> object_store::Result<u64> {
        if !self.buffer.is_empty() {
            self.send()?;
        }
        self.handle.block_on(self.upload.complete())?;
        Ok(self.sent)
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PART_BYTES {
            self.send().map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    /// Parts have a least size, so they go out when they are full and at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
