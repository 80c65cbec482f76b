//! SQL over everything that was acknowledged: the DataFusion session, its tables, its functions, its limits.
//!
//! This is the only home of SQL-engine types: none of them appears in a public signature. The crate does not
//! write telemetry, does not know HTTP, and keeps no state but the list of running and recent queries.
//!
//! Invariants:
//! - **QRY-1** every query takes one [`Snapshot`] of all signal tables before it is planned, so that it sees each
//!   row once whatever is being sealed or compacted meanwhile;
//! - **QRY-2** memory, time, rows, concurrency and the text's length are bounded by [`QueryOptions`]; beyond a
//!   bound the one query fails with [`SqlError::Limit`](hindsight_model::SqlError::Limit);
//! - **QRY-3** a snapshot holds one tenant's blocks and rows, and the engine checks that again before it plans.
//!
//! ```
//! use std::sync::Arc;
//! use hindsight_model::{SqlRequest, SqlSource};
//! use hindsight_query::{MemorySource, QueryEngine, QueryOptions, output};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let engine = QueryEngine::new(Arc::new(MemorySource::empty()), Vec::new(), QueryOptions::default())?;
//! let answer = engine.sql(SqlRequest::new("SELECT count(*) AS n FROM logs WHERE attributes->>'k' = 'v'")).await?;
//! assert_eq!(output::to_json(&answer)?["rows"], serde_json::json!([[0]]));
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod attribute_functions;
mod attribute_keys;
mod attribute_text;
mod block_pages;
mod block_reader;
mod block_scan;
mod block_shares;
mod chain;
mod collapse_runs;
mod dictionaries;
mod documentation;
mod engine;
mod error;
mod executions;
mod fault;
mod functions;
mod group_blooms;
mod group_codes;
mod head_scan;
mod information_schema;
mod json_operator;
mod json_pruning;
mod limits;
mod memory;
mod newest_first;
mod once;
mod page_counts;
mod params;
mod prune;
mod query_log;
mod series_cuts;
mod series_merge;
mod series_sort;
mod series_window;
mod session;
mod signal_schema;
mod signal_table;
mod source;
mod spill;
mod stand_in;
mod statement;
mod suggest;
mod system;
mod table_docs;
mod table_info;
mod time_range;
mod usage;
mod view_equality;
mod views;
mod wanted;
mod whole_pages;
mod yielding;

pub mod output;

pub use engine::{Answered, Description, Ended, Pending, QueryEngine, RowStream, Shape, Terms, Whole};
pub use error::{Error, Result};
pub use limits::QueryOptions;
pub use query_log::QueryInfo;
pub use source::{BlockSource, Guard, MemorySource, Snapshot, TableSnapshot};
pub use spill::SpillOptions;
pub use table_info::{ColumnInfo, TableInfo};

#[cfg(test)]
mod tests;
