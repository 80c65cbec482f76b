//! The written record of an incident.

pub mod chart;
pub mod document;
mod error;
pub mod evidence;
mod files;

pub use document::Document;
pub use error::{Error, Result};
pub use evidence::Evidence;
pub use files::{MAX_DOCUMENT_BYTES, MAX_EVIDENCE_BYTES};
