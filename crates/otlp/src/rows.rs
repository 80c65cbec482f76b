//! One walk over a request's protobuf bytes that fills the columns: no tree of messages in between.
//!
//! A record is read into slices of the request, checked whole, and only then written. What records share (resource
//! and scope, metric, series) is recognised by its bytes, see [`Interner`]. Whatever is not plain (see
//! [`Stop::Odd`]) is left to the general reader, so nothing here needs to know protobuf's rarer rules.

mod columns;
mod entries;
mod exemplars;
mod histograms;
mod ids;
mod interner;
mod logs;
mod metrics;
mod numbers;
mod owner;
mod pass;
mod points;
mod promoted;
mod reader;
mod script;
mod span_lists;
mod spans;
mod stop;
mod summaries;

pub use interner::Interner;
pub(crate) use logs::write_logs;
pub(crate) use metrics::write_metrics;
pub(crate) use pass::Pass;
pub(crate) use points::TEMPORALITIES;
pub(crate) use spans::{KINDS, STATUS_CODES, write_traces};
pub(crate) use stop::Stop;
