//! Notifications: from alert transitions to receivers, by way of the outbox.
//!
//! Two halves. [`plan`] is pure: transitions in, outbox entries out, for the transaction that commits the tick.
//! [`Worker`] sends what the outbox holds: webhooks in Alertmanager's version-4 format, or lines in a file.
//!
//! What this crate is not: it does not decide what fires (`rules`), and it does not store (`state`). Routing,
//! grouping, silences and further receivers are not here yet: every transition goes to every receiver, alone.
//!
//! Invariants:
//! - RUL-2: entries are committed with their transition before anything is sent; every attempt of one carries
//!   the same dedup key, in the header `Idempotency-Key` (a file line has it as `dedup_key`). Delivery is at least
//!   once; of one episode, "resolved" never overtakes "firing".
//! - LIM-1: payloads, attempts, delays and batches are bounded by the constants of this crate.
//!
//! ```
//! use hindsight_notify::{PlanSettings, ReceiverConfig, load_receivers, plan};
//! let config: ReceiverConfig =
//!     serde_json::from_str(r#"{"name": "ops", "type": "webhook", "url": "http://127.0.0.1:9095/hook"}"#)?;
//! let receivers = load_receivers(&[config], std::path::Path::new("."))?;
//! let entries = plan(&[], &receivers, jiff::Timestamp::UNIX_EPOCH, &PlanSettings::default());
//! assert!(entries.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod receiver;

mod payload;
mod plan;

mod retry;
mod send;
mod worker;

#[cfg(test)]
mod testing;

pub use error::{Error, Result};
pub use payload::{ANNOTATION_BYTES_MAX, ANNOTATIONS_MAX, LABEL_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX};
pub use plan::{PlanSettings, plan};
pub use receiver::{
    RECEIVER_NAME_BYTES_MAX, RECEIVERS_MAX, Receiver, ReceiverConfig, ReceiverKind, TIMEOUT_DEFAULT,
    TIMEOUT_MAX, load_receivers,
};
pub use retry::{
    ATTEMPTS_MAX, RETRY_AFTER_MAX, RETRY_DELAY_FIRST, RETRY_DELAY_MAX, retry_after, retry_delay,
};
pub use send::DEDUP_HEADER;
pub use worker::{BATCH_MAX, Report, Worker};
