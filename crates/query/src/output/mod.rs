//! Answers as text: for people, for programs, for files.

mod columnar;
mod encoder;
mod json;
mod lines;
mod sql_type;

pub use columnar::to_arrow_stream;
pub use encoder::{Encoder, Format};
pub use json::{cells, to_json, to_rows};
pub use lines::{to_csv, to_ndjson, to_objects};
pub use sql_type::sql_type;
