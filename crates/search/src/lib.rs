//! Full-text indexes of blocks: which rows of a block have a word, kept beside the data directory's tables.
//!
//! An index only says where to look: a query looks at the rows it names and judges them itself, so that its answer
//! is the same with and without one. Indexes are derived: one that is missing, damaged or of another version counts
//! as none and is built anew. They are built one at a time, in the background, for blocks that will stay, and the
//! oldest go when all of them together grow beyond [`SearchOptions::bytes_max`] (LIM-1).
//!
//! What this crate is not: it answers no query and ranks nothing. Blocks without an index are read whole.
//!
//! Reading order: `search_index` (what there is), `keep` → `plan` → `build` → `part_writer` → `column_words` (one
//! index), `block_index` → `part_reader` (one look-up); `term`, `buckets` and `gaps` are the format, which
//! `docs/format/search-index.md` tells.
//!
//! ```
//! use hindsight_model::{TextIndex, Wanted};
//! use hindsight_search::SearchIndex;
//!
//! # let dir = tempfile::tempdir()?;
//! let indexes = SearchIndex::open(&dir.path().join("index"))?;
//! let wanted = Wanted::Word { column: "body".to_owned(), word: "timeout".to_owned() };
//! assert_eq!(indexes.candidates("logs/tenant=default/date=2026-05-04/a.parquet", &wanted), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block_file;
mod block_index;
mod buckets;
mod build;
mod column_words;
mod cut;
mod error;
mod gaps;
mod keep;
mod manifest;
mod options;
mod packed_words;
mod part_reader;
mod part_writer;
mod plan;
mod rows;
mod search_index;
mod term;

#[cfg(test)]
mod tests;

pub use error::{Error, Result};
pub use options::{SearchOptions, indexed_columns};
pub use search_index::SearchIndex;
