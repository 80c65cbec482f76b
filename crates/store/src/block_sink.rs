//! Sorted rows become one durable Parquet file, without the file ever being in memory as a whole.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hindsight_model::Table;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use crate::encode::{BlockSink, Finished, RowGroup};
use crate::{ColumnStats, Error, Result};

/// Encoded bytes are handed to storage in parts of this size; stores in the cloud want at least 5 MiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// A block that is being written to storage. It blocks, so it lives on a thread for blocking work.
pub(crate) struct BlockUpload {
    table: Table,
    path: Path,
    sink: BlockSink<Parts>,
    upload: SharedUpload,
    handle: Handle,
}

/// What is in a file that is durable, and that no commit names yet.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// CRC-32C of all bytes.
    pub(crate) checksum: u32,
    pub(crate) columns: std::collections::BTreeMap<String, ColumnStats>,
}

impl BlockUpload {
    /// Begins the file at `path`; nothing is there before [`BlockUpload::finish`] returns.
    pub(crate) fn create(
        store: &Arc<dyn ObjectStore>,
        table: Table,
        path: Path,
        handle: &Handle,
    ) -> Result<Self> {
        let upload = handle.block_on(store.put_multipart(&path)).map_err(failed(&path))?;
        let upload = SharedUpload(Arc::new(Mutex::new(upload)));
        let parts = Parts {
            upload: upload.clone(),
            handle: handle.clone(),
            buffer: Vec::new(),
            sent: 0,
            checksum: 0,
        };
        let sink = BlockSink::new(table, parts).map_err(|failure| Error::encode(table, failure))?;
        Ok(Self { table, path, sink, upload, handle: handle.clone() })
    }

    /// Adds a row group of rows that follow all earlier ones in the table's sort key.
    pub(crate) fn write(&mut self, group: &dyn RowGroup) -> Result<()> {
        self.sink.write(group).map_err(|failure| Error::encode(self.table, failure))
    }

    /// Ends the file and makes it durable.
    pub(crate) fn finish(self) -> Result<Written> {
        let Self { table, path, sink, .. } = self;
        let Finished { file: mut parts, rows, columns } =
            sink.finish().map_err(|failure| Error::encode(table, failure))?;
        let bytes = parts.complete().map_err(failed(&path))?;
        Ok(Written { rows, bytes, checksum: parts.checksum, columns })
    }

    /// Gives up: storage forgets the parts that it has.
    pub(crate) fn abort(self) {
        if let Err(error) = self.handle.block_on(self.upload.lock().abort()) {
            tracing::warn!(path = %self.path, error = %error, "could not take back the parts of an unfinished block");
        }
    }
}

fn failed(path: &Path) -> impl FnOnce(object_store::Error) -> Error {
    let path = path.to_string();
    move |source| Error::Storage { operation: "write the block", path, source: Box::new(source) }
}

/// The upload, within reach of the encoder that fills it and of whoever gives it up.
#[derive(Clone)]
struct SharedUpload(Arc<Mutex<Box<dyn MultipartUpload>>>);

impl SharedUpload {
    fn lock(&self) -> MutexGuard<'_, Box<dyn MultipartUpload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload as something to write to.
struct Parts {
    upload: SharedUpload,
    handle: Handle,
    buffer: Vec<u8>,
    sent: u64,
    /// CRC-32C of what was sent.
    checksum: u32,
}

impl Parts {
    fn send(&mut self) -> object_store::Result<()> {
        let part = Bytes::from(std::mem::take(&mut self.buffer));
        self.sent += part.len() as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, &part);
        let sending = self.upload.lock().put_part(part.into());
        self.handle.block_on(sending)
    }

    fn complete(&mut self) -> object_store::Result<u64> {
        if !self.buffer.is_empty() {
            self.send()?;
        }
        self.handle.block_on(self.upload.lock().complete())?;
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
