//! The store's own state as SQL tables.

mod blocks;
mod holds;
mod rejected_telemetry;

pub use blocks::BlocksTable;
pub use holds::HoldsTable;
pub use rejected_telemetry::RejectedTelemetryTable;

use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, TimeUnit};
use hindsight_model::to_micros;
use jiff::Timestamp;
use std::sync::Arc;

fn time_field(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), nullable)
}

fn times(values: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    let micros: TimestampMicrosecondArray = values.map(|at| at.map(to_micros)).collect();
    Arc::new(micros.with_timezone("UTC"))
}
