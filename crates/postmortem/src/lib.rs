//! The written record of an incident.

pub mod chart;
pub mod document;
mod draft;
mod error;
pub mod evidence;
mod files;
mod lint;
mod render;
mod tables;
#[cfg(test)]
mod testing;
pub mod workspace;

pub use document::Document;
pub use draft::{DraftInput, Drafted, draft};
pub use error::{Error, Result};
pub use evidence::Evidence;
pub use files::{MAX_DOCUMENT_BYTES, MAX_EVIDENCE_BYTES};
pub use lint::{Finding, Level, Rule, lint, lint_document, rules};
pub use render::{markdown_html, render, render_article, render_document, report_stylesheet, to_json};
pub use tables::{
    ActionItemsTable, ActionRow, MAX_ACTION_ITEMS, PostmortemRow, PostmortemsTable, list, list_actions,
};
