//! Notifications: from alert transitions to receivers, by way of the outbox.
//!
//! Three steps. [`plan`] is pure: transitions in, events out, for the transaction that commits the tick. [`flush`] is
//! pure: a group of alerts takes its turn to speak, by its events, its memory, silences, inhibition, mute times and
//! the clock. [`Worker`] gives groups their turns and sends what they say: to webhooks, Alertmanagers, Slack and what
//! speaks its form, PagerDuty, by mail, and into files.
//!
//! What this crate is not: it does not decide what fires (`rules`), and it does not store (`state`). Routes are a list,
//! not a tree; there are no templates.
//!
//! Invariants:
//! - RUL-2: events are committed with their transition, and a group's memory with what it says, before anything is
//!   sent; every attempt at a notification carries the same dedup key, in the header `Idempotency-Key` (a file line
//!   has it as `dedup_key`, a mail as its `Message-ID`). Delivery is at least once, in order for each group.
//! - LIM-1: alerts, groups, payloads, attempts, delays and batches are bounded by the constants of this crate.
//!
//! ```
//! use hindsight_notify::{NotifyConfig, PlanSettings, ReceiverConfig, Routing, load_receivers, plan};
//! let config: ReceiverConfig =
//!     serde_json::from_str(r#"{"name": "ops", "type": "webhook", "url": "http://127.0.0.1:9095/hook"}"#)?;
//! let receivers = load_receivers(&[config], std::path::Path::new("."))?;
//! let routing = Routing::new(&NotifyConfig::default(), &receivers)?;
//! let entries = plan(&[], &routing, jiff::Timestamp::UNIX_EPOCH, &PlanSettings::default());
//! assert!(entries.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod error;
mod matcher;
mod mute_time;
mod receiver;
mod routing;
mod secret;

mod alert;
mod flush;
mod group;
mod mute;
mod plan;

mod delivery;
mod mail;
mod receivers;
mod retry;
mod send;
mod test_send;
mod turn;
mod worker;

#[cfg(test)]
mod testing;

pub use alert::{
    ANNOTATION_BYTES_MAX, ANNOTATIONS_MAX, Alert, Kind, LABEL_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX,
};
pub use config::{InhibitConfig, NotifyConfig, RouteConfig};
pub use delivery::{ALERTS_BYTES_MAX, ALERTS_MAX};
pub use error::{Error, Result};
pub use flush::{Fate, Flushed, MEMBERS_MAX, TURN_MIN, Told, Turn, flush};
pub use group::{Event, Group, Member};
pub use matcher::{
    MATCHER_NAME_BYTES_MAX, MATCHER_VALUE_BYTES_MAX, MATCHERS_MAX, MatcherError, Matchers, parse_matcher,
};
pub use mute::{Inhibition, Mutes};
pub use mute_time::{MUTE_RANGES_MAX, MUTE_TIMES_MAX, MuteTime, MuteTimeConfig, TimeRangeConfig};
pub use plan::{PlanSettings, plan};
pub use receiver::{
    Encryption, RECEIVER_NAME_BYTES_MAX, RECEIVERS_MAX, Receiver, ReceiverConfig, ReceiverKind,
    TIMEOUT_DEFAULT, TIMEOUT_MAX, load_receivers,
};
pub use receivers::alertmanager::{ALERTMANAGER_LIFETIME, ALERTMANAGER_REFRESH};
pub use receivers::pagerduty::{PAGERDUTY_DEDUP_KEY_MAX, PAGERDUTY_SUMMARY_MAX, PAGERDUTY_URL};
pub use retry::{
    ATTEMPTS_MAX, RETRY_AFTER_MAX, RETRY_DELAY_FIRST, RETRY_DELAY_MAX, retry_after, retry_delay,
};
pub use routing::{
    GROUP_BY_DEFAULT, GROUP_BY_MAX, GROUP_INTERVAL_DEFAULT, GROUP_TIME_MAX, GROUP_WAIT_DEFAULT,
    INHIBITIONS_MAX, REPEAT_INTERVAL_DEFAULT, ROUTES_MAX, Route, Routing, Timings,
};
pub use send::DEDUP_HEADER;
pub use test_send::send_test;
pub use worker::{BATCH_MAX, Report, TURNS_MAX, Worker};
