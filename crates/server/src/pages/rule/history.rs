//! What a rule's instances did, and who was told of it.

use std::collections::{BTreeMap, BTreeSet};

use hindsight_model::{AlertState, Incident, Tenant, Transition};
use hindsight_state::Told;
use jiff::{SignedDuration, Timestamp};

use super::super::alert_words::{Chip, Moment, Number, chips, moment, number, sql_text, state_class};
use super::super::frame::PageError;
use super::super::range::Range;
use crate::app::App;

/// Transitions listed, the newest.
const TRANSITIONS_MAX: usize = 40;
/// Notifications listed, the newest.
const NOTIFICATIONS_MAX: u32 = 40;
/// A notification is planned with its transition, or when its group is sent: within this time after it.
const GROUPED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

pub(super) struct TransitionRow {
    pub(super) at: Moment,
    pub(super) chips: Vec<Chip>,
    pub(super) from: AlertState,
    pub(super) to: AlertState,
    pub(super) class: &'static str,
    pub(super) reason: String,
    pub(super) value: Option<Number>,
    pub(super) incident: Option<String>,
}

pub(super) struct NotificationRow {
    pub(super) at: Moment,
    pub(super) receiver: String,
    pub(super) kind: String,
    pub(super) status: &'static str,
    pub(super) class: &'static str,
    pub(super) attempts: u32,
    pub(super) sent: Option<Moment>,
    pub(super) reason: String,
}

/// Newest first.
pub(super) fn transitions(
    transitions: &[Transition],
    incidents: &[Incident],
    now: Timestamp,
    range: &Range,
) -> Vec<TransitionRow> {
    let mut incident_of: BTreeMap<&str, String> = BTreeMap::new();
    for incident in incidents {
        for episode in incident.alerts.keys() {
            incident_of.insert(episode, incident.id.to_string());
        }
    }
    let row = |transition: &Transition| TransitionRow {
        at: moment(transition.at, now, range),
        chips: chips(&transition.labels),
        from: transition.from,
        to: transition.to,
        class: state_class(transition.to),
        reason: transition.reason.replace('_', " "),
        value: transition.value.map(|value| number(Some(value))),
        incident: incident_of.get(transition.episode.as_str()).cloned(),
    };
    transitions.iter().rev().take(TRANSITIONS_MAX).map(row).collect()
}

/// What was told of the rule since the oldest transition listed, newest first.
pub(super) async fn notifications(
    app: &App,
    transitions: &[Transition],
    range: &Range,
) -> Result<Vec<NotificationRow>, PageError> {
    let oldest = transitions.len().saturating_sub(TRANSITIONS_MAX);
    let Some(first) = transitions.get(oldest) else { return Ok(Vec::new()) };
    let now = app.clock.now();
    let to = now.checked_add(GROUPED_WITHIN).unwrap_or(now);
    let episodes: BTreeSet<&str> = transitions[oldest..].iter().map(|tr| tr.episode.as_str()).collect();
    let episodes: Vec<&str> = episodes.into_iter().filter(|episode| !episode.is_empty()).collect();
    let told =
        app.state.notifications_of(&Tenant::default(), &episodes, first.at, to, NOTIFICATIONS_MAX).await?;
    Ok(told.into_iter().map(|told| notification(told, now, range)).collect())
}

pub(super) fn notifications_query(rule: &str) -> String {
    format!(
        "SELECT n.created_at, n.receiver, n.status, n.attempts, n.sent_at, n.reason, n.dedup_key\nFROM notifications n\n\
         JOIN (SELECT DISTINCT episode FROM alert_transitions WHERE rule = {}) e\n  ON strpos(n.alerts, e.episode) > 0\n\
         ORDER BY n.created_at DESC LIMIT 200",
        sql_text(rule)
    )
}

fn notification(told: Told, now: Timestamp, range: &Range) -> NotificationRow {
    let (status, class) = match told.status.as_str() {
        "sent" => ("sent", "ok"),
        "pending" | "waiting" => ("waiting", "warn"),
        "muted" => ("muted", "unknown"),
        "dead" => ("given up", "warn"),
        _ => ("not sent", "unknown"),
    };
    NotificationRow {
        at: moment(told.created_at, now, range),
        receiver: told.receiver,
        kind: told.kind.unwrap_or_default(),
        status,
        class,
        attempts: told.attempts,
        sent: told.sent_at.map(|at| moment(at, now, range)),
        reason: told.reason.unwrap_or_default(),
    }
}
