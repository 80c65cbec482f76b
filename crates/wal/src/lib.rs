//! An append-only log of opaque records: what makes an acknowledgement true before its rows reach a block.
//!
//! Layers, each knowing only the one below: [`Files`] (the file system, or a faulty one in a test) → frame
//! (length, type, checksum) → segment (a file of frames) → [`Wal`] (segments in order) → [`Recovered`] (what a
//! start finds). The bytes are described in `docs/format/wal.md`.
//!
//! What this crate is not: it does not know what a record means, it has no threads and no async (one owner calls
//! it and decides how many appends share one sync), and it is no queue: records are read back only at open.
//!
//! Invariants:
//! - **WAL-1** a record whose position was below the end of the log when [`Wal::sync`] returned survives a crash;
//! - **WAL-2** after a failed sync every append and sync is refused until the log is opened again;
//! - **WAL-3** a torn tail is cut and logged; damage before it is [`Error::Damaged`] with file and offset.
//!
//! ```
//! # fn main() -> hindsight_wal::Result<()> {
//! # let dir = tempfile::tempdir().expect("a temporary directory");
//! use hindsight_wal::{Options, Wal};
//! let (mut wal, _) = Wal::open(dir.path(), Options::default())?;
//! let position = wal.append(1, b"a request")?;
//! wal.sync()?; // now it may be acknowledged
//! drop(wal);
//!
//! let (_wal, recovered) = Wal::open(dir.path(), Options::default())?;
//! let records: Vec<_> = recovered.collect::<Result<_, _>>()?;
//! assert_eq!((records[0].position, &records[0].payload[..]), (position, &b"a request"[..]));
//! # Ok(())
//! # }
//! ```

mod checksums;
mod error;
mod files;
mod frame;
mod inspect;
mod log;
mod position;
mod recovery;
mod segment;

pub use error::{Error, Result};
pub use files::{Files, LogFile, OpenMode, StdFiles};
pub use frame::PAYLOAD_BYTES_MAX;
pub use inspect::{InspectedSegment, Inspection, RecordRef, TornTail, inspect};
pub use log::{Options, Wal};
pub use position::{Position, SegmentId};
pub use recovery::{Record, Recovered};
