//! Where telemetry lives: acknowledged requests in a write-ahead log, their rows in a head that queries see at
//! once, and from there in sorted Parquet blocks listed by one Delta table for each signal table.
//!
//! What this crate is not: it speaks no network protocol, plans no query, and never changes a row.
//!
//! Invariants (DESIGN §3):
//! - **WAL-1** [`Store::ingest`] returns only after the request is durable as [`Durability`] says;
//! - **WAL-2** after a failed sync nothing is accepted until restart; queries and seals of what was acknowledged go on;
//! - **BLK-1** a block's Delta commit carries the log position that it reaches (`txn`: app id = node id + table),
//!   and replay skips what a commit covers: each record reaches each table exactly once;
//! - **BLK-2** blocks are immutable, sorted by their table's key, and readable by any Delta reader;
//! - **BLK-3** no row is deleted while a hold covers it, and no file while a snapshot has it;
//! - **QRY-1** [`Store::snapshot`] sees each acknowledged row exactly once, whatever is being sealed or
//!   merged meanwhile;
//! - **LIM-1** the queue, bytes in flight, the head, remembered requests and kept rejections are bounded.
//!
//! Reading order: `store` (opening and ending), `ingest` → `writer` → `live` (one request), `seal` → `block_writer`
//! → `table_log` (one seal), `replay` (one restart), `maintenance` → `plan` → `compact` → `merge`, `vacuum` (one round
//! of upkeep).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use hindsight_model::{LogicalClock, Signal, Table, Tenant};
//! use hindsight_store::{Ingest, Store, StoreOptions};
//!
//! # let dir = tempfile::tempdir()?;
//! let clock = LogicalClock::starting_at("2026-05-04T14:32:00Z".parse()?);
//! let store = Store::open(StoreOptions::new(dir.path()), Arc::new(clock)).await?;
//! let body = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[
//!     {"timeUnixNano":"1777905119000000000","body":{"stringValue":"hello"}}]}]}]}"#;
//! let request = Ingest {
//!     tenant: Tenant::default(),
//!     signal: Signal::Logs,
//!     encoding: hindsight_otlp::Encoding::Json,
//!     body: body.to_vec().into(),
//!     sender: None,
//! };
//! assert_eq!(store.ingest(request).await?.decoded.accepted, 1);
//! assert_eq!(store.snapshot(&Tenant::default()).table(Table::Logs).rows(), 1);
//! assert_eq!(store.seal().await?.blocks, 1);
//! assert_eq!(store.snapshot(&Tenant::default()).table(Table::Logs).rows(), 1);
//! store.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod admission;
mod arrivals;
pub mod backup;
mod block;
mod block_list;
mod block_name;
mod block_sink;
mod block_stats;
mod block_writer;
mod catalogue;
mod compact;
mod data_format;
mod dedup;
mod durable_fs;
mod encode;
mod error;
mod excerpt;
mod head;
mod holds;
mod id_filters;
mod ingest;
mod live;
mod lock;
mod maintenance;
mod merge;
mod options;
mod plan;
mod record;
mod rejections;
mod replay;
mod retention;
#[cfg(feature = "s3")]
mod s3;
mod seal;
mod small_file;
mod snapshot;
mod stats;
mod store;
mod system_tables;
mod table_log;
mod tables_location;
mod tables_storage;
mod throttle;
mod tiers;
mod vacuum;
pub mod verify;
mod worker;
mod writer;

#[cfg(test)]
mod tests;

pub use admission::{ActiveSeries, RateLimit, RateUnit, SERIES_MAX};
pub use block::{BlockFile, ColumnStats, StatValue};
pub use block_list::BlockList;
pub use block_writer::encode_rows;
pub use error::{Error, IngestError, Result};
pub use excerpt::{Excerpt, ExcerptFile, Plant, plant};
pub use holds::{Hold, HoldId, HoldIdError};
pub use id_filters::IdFilters;
pub use ingest::{Ingest, Ingested};
pub use lock::DataDirLock;
pub use maintenance::{MaintenanceOptions, MaintenanceReport};
pub use options::{Durability, StoreOptions};
pub use rejections::{Refusal, RejectedItem};
pub use retention::RetentionRule;
pub use snapshot::{Snapshot, TableSnapshot};
pub use stats::{SealReport, StoreStats};
pub use store::Store;
pub use system_tables::{BlocksTable, HoldsTable, RejectedTelemetryTable};
pub use tables_location::{TablesLocation, TablesUrl};
