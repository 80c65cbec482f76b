//! The written record of an incident.

pub mod chart;
pub mod document;
mod draft;
mod error;
pub mod evidence;
mod files;
mod render;
pub mod workspace;

pub use document::Document;
pub use draft::{DraftInput, Drafted, draft};
pub use error::{Error, Result};
pub use evidence::Evidence;
pub use files::{MAX_DOCUMENT_BYTES, MAX_EVIDENCE_BYTES};
pub use render::{markdown_html, render, render_article, render_document, report_stylesheet, to_json};
