//! Tables in object storage as the source of a backup: what lies there, and an object as something to read.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use hindsight_model::Table;
use object_store::ObjectMeta;
use tokio::runtime::Handle;

use super::BackupError;
use super::round::Fault;
use super::source::{Source, version_of_log_file};
use crate::verify::{LOG_DIR, RemoteTables};

/// What lies in object storage for one table, as it was listed after the table's log was read.
pub(super) struct RemoteTable<'a> {
    tables: &'a RemoteTables,
    table: Table,
    objects: BTreeMap<String, ObjectMeta>,
    handle: Handle,
}

impl<'a> RemoteTable<'a> {
    /// Lists the table's objects. Blocks; not for an I/O thread.
    pub(super) fn list(tables: &'a RemoteTables, table: Table, handle: &Handle) -> Result<Self, Fault> {
        let objects = handle.block_on(tables.objects(table)).map_err(BackupError::store)?;
        Ok(Self { tables, table, objects, handle: handle.clone() })
    }

    /// The files of the table's log that make up its versions up to `version`, by name.
    pub(super) fn log_files(&self, version: u64) -> Vec<String> {
        let names = self.objects.keys().filter_map(|path| path.strip_prefix(LOG_DIR)?.strip_prefix('/'));
        names
            .filter(|name| version_of_log_file(name).is_some_and(|of| of <= version))
            .map(str::to_owned)
            .collect()
    }

    /// The object at `path` within the table.
    pub(super) fn source(&self, path: &str) -> Result<Source<'_>, Fault> {
        let gone = {
            let place = format!("{}/{}/{path}", self.tables.name(), self.table);
            move || Fault::Moved(format!("{place} is gone"))
        };
        let meta = self.objects.get(path).ok_or_else(&gone)?;
        let modified_ns = meta.last_modified.timestamp_nanos_opt();
        let path = path.to_owned();
        let open = Box::new(move || {
            let got = self.handle.block_on(self.tables.get(self.table, &path)).map_err(BackupError::store)?;
            let parts = got.ok_or_else(gone)?.parts;
            Ok(Box::new(Parts { parts, unread: Bytes::new(), handle: self.handle.clone() }) as Box<dyn Read>)
        });
        Ok(Source {
            size: meta.size,
            modified_ns: modified_ns.and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0),
            open,
        })
    }
}

/// An object's content, part by part, read on a thread that may block.
struct Parts {
    parts: BoxStream<'static, object_store::Result<Bytes>>,
    unread: Bytes,
    handle: Handle,
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.handle.block_on(self.parts.try_next()).map_err(io::Error::other)? {
                Some(part) => self.unread = part,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.unread.len());
        self.unread.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
