//! Incidents: their life, their timeline, and ranked suspects (POSTMORTEM §1–§3).
//!
//! The deciding parts are pure. [`apply`] turns alert transitions into incidents; [`analyse`] turns one incident
//! and the [`Telemetry`] around it into an onset, a timeline, suspects and impact; [`take`] is what people do with an
//! incident, [`wanted_holds`] what it keeps from being deleted, [`regathered`] how a timeline grows. Only [`gather()`] asks SQL, and
//! only [`Runner`] touches state.
//!
//! What this crate is not: it sends nothing, renders nothing, and never says "the cause"; a [`Suspect`] is a
//! hypothesis with its reasons. Methods know no service, metric or threshold of one system.
//!
//! Invariants: every analysis is a function of (incident, transitions, telemetry, now), so that a replay finds
//! what the live run found; an incident and the cursor that led to it are saved in one transaction, before its
//! telemetry is looked at, and so are a person's change and its row in the audit log; a row that a person wrote or edited is never rewritten, and one that
//! was dismissed never comes back.
//!
//! ```
//! use hindsight_incidents::{Direction, change_points};
//! let mut errors: Vec<Option<f64>> = (0..30).map(|minute| Some(0.01 + 0.002 * f64::from(minute % 3))).collect();
//! errors.extend((0..10).map(|minute| Some(0.20 + 0.002 * f64::from(minute % 2))));
//! let found = change_points(&errors);
//! assert_eq!(found.len(), 1);
//! assert_eq!((found[0].index, found[0].direction()), (30, Direction::Up));
//! ```
//!
//! [`Suspect`]: hindsight_model::Suspect

mod affected;
mod alert_rows;
mod analysis;
mod change_point;
mod changes;
mod close_up;
mod correlate;
mod detect;
mod durations;
mod error;
mod evidence;
mod format;
pub mod gather;
mod graph;
mod hold;
mod impact;
mod import;
mod life;
mod onset;
mod progress;
mod respond;
mod rows;
mod runner;
mod series;
mod statistics;
mod step;
mod suspects;
mod telemetry;
#[cfg(test)]
mod testing;
mod timeline;
mod trace_pair;

pub use affected::Affected;
pub use analysis::{Analysis, analyse};
pub use change_point::{ChangePoint, Direction, change_points};
pub use changes::{CHANGE_EVENT, Change, changes, flag_changes, version_changes};
pub use close_up::CloseUp;
pub use correlate::{Correlation, Moment, correlate};
pub use detect::{Detected, Detector, Fact, Measure, Minute};
pub use durations::{Phase, phases};
pub use error::{Error, Result};
pub use evidence::{
    Blame, LogEvent, Meaning, MetricPoints, MetricSource, Names, Observations, ObservedSpan, Reading, blame,
};
pub use gather::gather;
pub use graph::ServiceGraph;
pub use hold::{PostmortemFact, WantedHold, ends_with_its_postmortem, wanted_holds, window_of};
pub use impact::Impact;
pub use import::{ImportFormat, ImportOptions, import};
pub use life::{Life, apply};
pub use onset::{Indicator, Onset};
pub use progress::{Looking, Progress};
pub use respond::{Added, By, ROWS_ADDED_MAX, said};
pub use rows::regathered;
pub use runner::{Declaration, Runner};
pub use series::Series;
pub use step::{Step, Taken, merge, take};
pub use telemetry::{AttributeCount, Edge, FlagSeries, GaugeSeries, ServiceSeries, Telemetry, VersionSeries};
pub use trace_pair::{AlignedSpan, TraceSpan, Went, align};
