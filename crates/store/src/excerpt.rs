//! The rows of a window of time as Parquet files that need no table, and such files as the tables of a new data
//! directory: what a capsule takes out and puts in.
//!
//! Blocks within the window go as they are. A block that reaches beyond it, and rows that are not sealed yet, are
//! written anew without the rows outside, so that nothing leaves but the window. Nothing in the store changes.

mod cut;
mod plant;
mod spool;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use hindsight_model::{Table, Tenant, to_micros};
use jiff::Timestamp;
use jiff::civil::Date;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Handle;

use self::cut::{Cut, cut};
use self::spool::Spool;
use crate::block_stats::BlockStats;
use crate::block_writer::encode;
use crate::merge::local_file;
use crate::verify::Progress;
use crate::{BlockFile, Error, Result, Snapshot, StatValue, Store};

pub use plant::{Plant, plant};

/// One tenant's rows of a window, taken at one instant (QRY-1). As long as it lives its files stay (BLK-3).
#[derive(Debug)]
pub struct Excerpt {
    files: Vec<ExcerptFile>,
    spool: Spool,
    object_store: Arc<dyn ObjectStore>,
}

/// One Parquet file of an excerpt: sorted rows of one table and UTC date, without the columns `tenant` and `date`.
#[derive(Clone, Debug)]
pub struct ExcerptFile {
    /// The table.
    pub table: Table,
    /// The date of all its rows.
    pub date: Date,
    /// How many rows.
    pub rows: u64,
    /// Bytes of the file.
    pub size_bytes: u64,
    /// Bounds of its columns, as JSON text such as a Delta log has.
    pub stats: String,
    /// As in [`BlockFile::all_promoted`].
    pub all_promoted: bool,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Block(Arc<BlockFile>),
    /// In the spool, from this byte on.
    Spooled(u64),
}

impl Store {
    /// The tenant's rows from `from` to `to`, both included, of all tables. Rows that were acknowledged before the call
    /// are in it (QRY-1), also those that only the log has.
    ///
    /// Takes disk in the data directory for what is written anew, as long as the excerpt lives; a kill leaves nothing.
    ///
    /// # Errors
    /// When a block cannot be read or the disk is full.
    pub async fn excerpt(
        &self,
        tenant: &Tenant,
        from: Timestamp,
        to: Timestamp,
        tell: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<Excerpt> {
        let work = Work {
            snapshot: self.snapshot(tenant),
            from,
            to,
            object_store: self.object_store(),
            folder: self.inner().options.data_dir.clone(),
            handle: Handle::current(),
            tell,
        };
        match tokio::task::spawn_blocking(move || work.run()).await {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

impl Excerpt {
    /// The files, by table, date and time.
    pub fn files(&self) -> &[ExcerptFile] {
        &self.files
    }

    /// The bytes of one of its files, piece by piece. May be asked for again.
    ///
    /// # Errors
    /// When storage does not give the file; errors on the way are in the stream.
    pub async fn read(&self, file: &ExcerptFile) -> Result<BoxStream<'static, Result<Bytes>>> {
        match &file.place {
            Place::Spooled(at) => Ok(self.spool.read(*at, file.size_bytes).boxed()),
            Place::Block(block) => {
                let path = block.path.to_string();
                let failed = move |source| Error::Storage {
                    operation: "read the block",
                    path: path.clone(),
                    source: Box::new(source),
                };
                let got = self.object_store.get(&block.path).await.map_err(&failed)?;
                Ok(got.into_stream().map_err(failed).boxed())
            }
        }
    }
}

/// Making an excerpt, on a thread that may block.
struct Work {
    snapshot: Snapshot,
    from: Timestamp,
    to: Timestamp,
    object_store: Arc<dyn ObjectStore>,
    folder: PathBuf,
    handle: Handle,
    tell: Arc<dyn Fn(Progress) + Send + Sync>,
}

impl Work {
    fn run(self) -> Result<Excerpt> {
        let mut spool = Spool::create(&self.folder)?;
        let mut files = Vec::new();
        let (mut done, total) = (0, self.bytes_to_cut());
        for table in Table::ALL {
            let rows = self.snapshot.table(table);
            for block in rows.blocks.overlapping(Some(self.from), Some(self.to)) {
                if self.is_within(block) {
                    files.push(file_of(block, Place::Block(Arc::clone(block))));
                    continue;
                }
                (self.tell)(Progress {
                    doing: format!("cutting {}", block.path),
                    done_bytes: done,
                    total_bytes: total,
                });
                let source = local_file(block, &self.object_store, &self.folder, &self.handle)?;
                let at = spool.end();
                let part = cut(table, source, self.micros(), &mut spool)?;
                files.extend(written(block, part, at, &mut spool));
                done += block.size_bytes;
            }
            files.extend(self.unsealed(table, &mut spool)?);
        }
        files.sort_by_key(|file| (file.table, file.date));
        Ok(Excerpt { files, spool, object_store: self.object_store })
    }

    /// Rows that are not sealed yet, as a seal would write them.
    fn unsealed(&self, table: Table, spool: &mut Spool) -> Result<Vec<ExcerptFile>> {
        let head = &self.snapshot.table(table).head;
        if head.is_empty() {
            return Ok(Vec::new());
        }
        let mut files = Vec::new();
        for encoded in encode(table, self.snapshot.tenant(), head, 0)? {
            let at = spool.end();
            if self.is_within(&encoded.block) {
                spool.append(&encoded.bytes)?;
                files.push(file_of(&encoded.block, Place::Spooled(at)));
            } else {
                let part = cut(table, encoded.bytes, self.micros(), &mut *spool)?;
                files.extend(written(&encoded.block, part, at, spool));
            }
        }
        Ok(files)
    }

    fn is_within(&self, block: &BlockFile) -> bool {
        block.min_timestamp.is_some_and(|min| min >= self.from)
            && block.max_timestamp.is_some_and(|max| max <= self.to)
    }

    fn micros(&self) -> (i64, i64) {
        (to_micros(self.from), to_micros(self.to))
    }

    fn bytes_to_cut(&self) -> u64 {
        let of = |table| self.snapshot.table(table).blocks.overlapping(Some(self.from), Some(self.to));
        let all = Table::ALL.into_iter().flat_map(of);
        all.filter(|block| !self.is_within(block)).map(|block| block.size_bytes).sum()
    }
}

fn file_of(block: &BlockFile, place: Place) -> ExcerptFile {
    let stats = BlockStats { rows: block.rows, columns: block.columns.clone() };
    ExcerptFile {
        table: block.table,
        date: block.date,
        rows: block.rows,
        size_bytes: block.size_bytes,
        stats: stats.to_json(),
        all_promoted: block.all_promoted,
        place,
    }
}

/// The file that was cut out of a block, from `at` to the end of the spool; nothing, and the spool as it was, when no
/// row of it was wanted.
fn written(block: &BlockFile, part: Option<Cut>, at: u64, spool: &mut Spool) -> Option<ExcerptFile> {
    let Some(part) = part else {
        spool.forget_from(at);
        return None;
    };
    let mut block = BlockFile { rows: part.rows, size_bytes: spool.end() - at, ..block.clone() };
    // A bound of all rows bounds some of them; how many are null is not known any more.
    for column in block.columns.values_mut() {
        column.null_count = None;
    }
    let times = block.columns.entry("timestamp".to_owned()).or_default();
    (times.min, times.max) = (Some(StatValue::Micros(part.first)), Some(StatValue::Micros(part.last)));
    Some(file_of(&block, Place::Spooled(at)))
}
