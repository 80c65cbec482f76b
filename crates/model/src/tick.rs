use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AlertInstance, Evaluation, Labels, Tenant, Transition};

/// Everything that one evaluation tick of one rule group changes, committed in one transaction (RUL-2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TickCommit {
    /// Whose group.
    pub tenant: Tenant,
    /// The group's name, unique in the workspace.
    pub group: String,
    /// Logical time of the tick; the next one starts after it.
    pub tick: Option<Timestamp>,
    /// Instances to insert or replace, by (tenant, rule, labels).
    pub instances: Vec<AlertInstance>,
    /// Instances to forget: (rule, labels).
    pub forgotten: Vec<(String, Labels)>,
    /// State changes, in order.
    pub transitions: Vec<Transition>,
    /// What was evaluated, skipped ones too.
    pub evaluations: Vec<Evaluation>,
    /// Notifications to send, written before anything is sent.
    pub outbox: Vec<OutboxEntry>,
    /// SLO minutes to insert or replace.
    pub slices: Vec<SloSlice>,
    /// SLO standings to insert or replace.
    pub slo_status: Vec<SloStatus>,
}

/// An alert that began to fire, or ended, on its way to one receiver: it waits until its group's turn to be told, and
/// is told at least once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Receiver's name in the configuration.
    pub receiver: String,
    /// The group that it joins, unique at its receiver.
    pub group_key: String,
    /// Same for every time that it is planned (RUL-2): its episode, and whether that begins or ends.
    pub dedup_key: String,
    /// What it says, as JSON that only `notify` reads.
    pub payload: String,
    /// Logical time of the transition behind it.
    pub created_at: Timestamp,
    /// The first turn of its group if it begins one.
    pub flush_at: Timestamp,
    /// Why it must not be sent, if it must not; it is then recorded only (ticks caught up after a long stop).
    #[serde(default)]
    pub unsent: Option<String>,
}

/// One minute of one SLO: a row of `slo_slices`. Late data replaces a slice and raises its revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SloSlice {
    /// Whose SLO.
    pub tenant: Tenant,
    /// The SLO's name.
    pub slo: String,
    /// Start of the minute.
    pub minute: Timestamp,
    /// Good events.
    pub good: f64,
    /// All events.
    pub total: f64,
    /// 0 when first written.
    pub revision: u32,
}

/// Where an SLO stands now: a row of `slo_status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SloStatus {
    /// Whose SLO.
    pub tenant: Tenant,
    /// The SLO's name.
    pub slo: String,
    /// The service it speaks for.
    pub service: String,
    /// Logical time of this standing.
    pub at: Timestamp,
    /// Objective as a ratio, 0.999 for 99.9 %.
    pub objective: f64,
    /// Length of the budget window in seconds.
    pub window_s: u64,
    /// Budget units in the window: events, or time slices.
    pub total: f64,
    /// Bad ones among them.
    pub bad: f64,
    /// Share of the budget spent, may exceed 1; `None` when nothing was observed.
    pub budget_consumed: Option<f64>,
    /// Burn rate over the last hour; `None` when nothing was observed.
    pub burn_1h: Option<f64>,
    /// `ok`, `burning`, `exhausted` or `unknown`.
    pub state: String,
    /// How events become budget units: `Occurrences`, `Timeslices` or `RatioTimeslices`.
    pub method: String,
    /// When the budget window began.
    pub period_start: Timestamp,
    /// When it ends; a rolling one ends with its last slice.
    pub period_end: Timestamp,
    /// Share of its minutes that were observed, since the SLO's first.
    pub coverage: f64,
    /// Share of the budget that will be spent at the end of a calendar period; `None` for rolling windows.
    pub projected: Option<f64>,
    /// Seconds until the budget is spent at the rate of the last hour; `None` when it is not, or not in this period.
    pub time_to_exhaust_s: Option<f64>,
    /// What the figures leave open, in a sentence.
    pub note: Option<String>,
}
