//! The written record of an incident: a plain file people edit, drawn from evidence, checked by rules, rendered to
//! one page that needs nothing else.
//!
//! - [`draft`] asks SQL, freezes the answers and writes `postmortems/PM-<year>-<nnn>-<slug>/postmortem.md`: facts where
//!   evidence has them, questions where it has none.
//! - [`Document`] reads and writes that file; [`evidence`] its frozen answers beside it.
//! - [`lint`] keeps it from being theatre; [`render`] and [`to_json`] show it.
//! - [`actions`] follows the action items: how they stand, what verifies them, how other trackers take them.
//! - [`similar_incidents`] names past incidents that looked alike, and what became of their actions.
//! - [`PostmortemsTable`] and [`ActionItemsTable`] let SQL ask about documents and what became of their actions.
//! - [`chart`] draws; report and pages share it.
//!
//! What this crate is not: it runs no SQL engine (it takes a [`hindsight_model::SqlSource`]), reads no clock, keeps no
//! database of its own (what became of action items lies in `state`), and never claims a cause.
//!
//! Invariants: **PM-1** every number, time and chart is backed by frozen evidence with a checksum, and evidence that
//! kept text cites is never overwritten; **PM-2** a document is a plain file, and the program never rewrites prose it
//! did not generate.
//!
//! ```
//! use hindsight_postmortem::document::{merge_regions, region};
//! let old = format!("Our own words.\n{}", region("impact", "- 20 failed [E1]"));
//! let fresh = region("impact", "- 23 failed [E1]");
//! assert_eq!(merge_regions(&old, &fresh), format!("Our own words.\n{fresh}"));
//! let edited = old.replace("20 failed", "about 20 failed");
//! assert_eq!(merge_regions(&edited, &fresh), edited);
//! ```

pub mod actions;
pub mod chart;
pub mod document;
mod draft;
mod edit;
mod error;
pub mod evidence;
mod files;
mod import;
mod line_ends;
mod lint;
pub mod recurrence;
mod render;
mod similar;
mod tables;
#[cfg(test)]
mod testing;
mod workflow;
pub mod workspace;

pub use document::Document;
pub use draft::{DraftInput, Drafted, draft};
pub use edit::{changed, edit};
pub use error::{Error, Result};
pub use evidence::Evidence;
pub use files::{MAX_DOCUMENT_BYTES, MAX_EVIDENCE_BYTES};
pub use import::{ImportInput, Imported, ImportedFile, import, import_file};
pub use line_ends::with_line_ends_of;
pub use lint::{
    Area, Finding, Knowledge, Level, Observed, ObservedKind, Rule, ask_telemetry, beside, lint,
    lint_document, lint_knowing, lint_with, required_because, rules,
};
pub use render::{markdown_html, render, render_article, render_document, report_stylesheet, to_json};
pub use similar::{
    Feature, Features, PastAction, SIMILAR_MAX, Similar, features, likest, similar_incidents, similarity,
};
pub use tables::{
    ActionItemsTable, ActionRow, Listed, MAX_ACTION_ITEMS, PostmortemRow, PostmortemsTable, list,
    list_actions, list_all,
};
pub use workflow::{Moved, Obstacle, Refusal, Step, transition};
