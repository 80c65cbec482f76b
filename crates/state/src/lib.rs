//! Transactional state in one SQLite file, `<data-dir>/state.db`: alert states, transitions, evaluations, the
//! outbox, silences, SLO slices, incidents with their timelines, what became of action items, the audit log and
//! stored answers.
//!
//! What this crate is not: it decides nothing and sends nothing. `rules`, `incidents` and `notify` decide; here
//! their decisions become durable, all of one step or none of it. Telemetry is elsewhere, in `store`.
//!
//! Invariants:
//! - RUL-2: a tick's states, transitions and notifications are one transaction, synced before
//!   [`State::commit_tick`] returns; committing it again changes nothing.
//! - SEC-2: the audit log is hash-chained; [`State::verify_audit`] names the first row that was tampered with.
//! - QRY-3: what [`State::system_tables`] returns shows a tenant its own rows only.
//! - LIM-1: every table that grows is cut by age or number, and every text has a limit.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use hindsight_model::{Tenant, TickCommit};
//! let state = hindsight_state::State::in_memory().await?;
//! let tick: jiff::Timestamp = "2026-05-04T14:32:00Z".parse()?;
//! let commit = TickCommit { group: "checkout-db".into(), tick: Some(tick), ..TickCommit::default() };
//! state.commit_tick(&commit).await?;
//! assert_eq!(state.last_tick(&Tenant::default(), "checkout-db").await?, Some(tick));
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod database;
mod error;
mod migrations;

mod actions;
mod alerts;
mod audit;
mod check;
mod groups;
mod idempotency;
mod incidents;
mod outbox;
mod prune;
mod record;
mod silences;
mod slo;
mod tables;
mod tick;
mod timeline;
mod told;

mod cells;
#[cfg(test)]
mod testing;

pub use actions::ACTION_TEXT_BYTES_MAX;
pub use alerts::{PAGE_MAX, TransitionFilter};
pub use audit::{AUDIT_DETAIL_BYTES_MAX, AUDIT_WORD_BYTES_MAX, AuditEntry, AuditVerified};
pub use check::StateChecked;
pub use database::State;
pub use error::{Cause, Error, Result};
pub use groups::{DueGroup, EVENTS_WAITING_MAX, EventFate, GroupEvent, GroupTurn, TURN_EVENTS_MAX};
pub use idempotency::{
    Begin, IDEMPOTENCY_AGE_MAX, IDEMPOTENCY_ANSWER_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_LEASE,
};
pub use incidents::{Consumed, INCIDENT_BYTES_MAX};
pub use outbox::{CLAIM_MAX, Claimed, Delivery, OutboxCounts, PAYLOAD_BYTES_MAX};
pub use prune::{
    EVALUATIONS_AGE_MAX, EVALUATIONS_MAX, EVENTS_DONE_MAX, OUTBOX_DONE_MAX, SILENCES_DONE_MAX,
    SLICES_AGE_MAX, TRANSITIONS_MAX,
};
pub use record::{IncidentRecord, KeptAction, NumberedTransition, Taken};
pub use silences::{SILENCE_COMMENT_BYTES_MAX, SILENCES_MAX};
pub use tick::Committed;
pub use timeline::{TIMELINE_ROWS_MAX, TIMELINE_TEXT_BYTES_MAX};
pub use told::{TOLD_MAX, Told};
