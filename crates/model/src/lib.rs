//! The words of Hindsight as plain data: signals and their tables, attribute values, ids, time, and the records
//! that pass between the crates that decide (alerts, incidents).
//!
//! What this crate is not: it opens no file and no socket, and reads no clock but through [`Clock`].
//! The two traits that stand for the outside ([`Clock`], [`SqlSource`]) live here so that rules, incidents and
//! post-mortems can be written, tested and replayed without a SQL engine.
//!
//! ```
//! use hindsight_model::{Attributes, AnyValue, Table};
//! let mut attributes = Attributes::new();
//! attributes.insert("http.route".into(), AnyValue::String("/checkout".into()));
//! attributes.insert("retries".into(), AnyValue::Int(3));
//! assert_eq!(hindsight_model::attributes_to_json(&attributes), r#"{"http.route":"/checkout","retries":3}"#);
//! assert_eq!(Table::Spans.sort_key(), ["service_name", "timestamp"]);
//! ```

mod action;
mod alert;
mod clearance;
mod clock;
mod ids;
mod incident;
mod promoted;
mod promotion;
mod rows;
mod schema;
mod severity;
mod signal;
mod silence;
mod sql;
mod system_table;
mod table;
mod text_search;
mod tick;
mod time;
mod timeline;
mod value;

pub use action::{ActionCheck, ActionKey, ActionRecord, ActionStatement, CheckOutcome};
pub use alert::{AlertInstance, AlertState, Evaluation, IncidentSpec, Labels, Outcome, Told, Transition};
pub use clearance::Clearance;
pub use clock::{Clock, LogicalClock, SystemClock};
pub use ids::{IdError, IncidentId, NodeId, SpanId, Tenant, TraceId};
pub use incident::{
    Closing, Incident, IncidentResponse, IncidentRole, IncidentSeverity, IncidentStatus, IncidentTimes,
    Milestone, Reason, Suspect,
};
pub use promoted::{Promoted, PromotedKind, PromotedList, RESOURCE_PROMOTED, Since, promoted_column};
pub use promotion::{Promotion, PromotionError, check_promotions, promote};
pub use rows::{Cell, Owner, Owners, Place, Rows, dates, default_array};
pub use schema::{exemplar_fields, span_event_fields, span_link_fields, summary_quantile_fields};
pub use severity::severity_word;
pub use signal::Signal;
pub use silence::{Matcher, NewSilence, Silence, SilenceId, SilenceState};
pub use sql::{SqlAnswer, SqlError, SqlParam, SqlRequest, SqlSource, SqlStats, SqlValue};
pub use system_table::SystemTable;
pub use table::Table;
pub use text_search::{
    RowSet, TextIndex, WORD_BYTES_MAX, Wanted, indexed_part, lower_word, split_word, words,
};
pub use tick::{OutboxEntry, SloSlice, SloStatus, TickCommit};
pub use time::{DurationError, join_nanos, parse_duration, split_nanos, timestamp_from_micros, to_micros};
pub use timeline::{
    NewTimelineRow, TimelineChange, TimelineEdit, TimelineEntry, TimelineKind, TimelineRow, TimelineSource,
    TimelineState,
};
pub use value::{AnyValue, Attributes, ValueError, attributes_from_json, attributes_to_json};
