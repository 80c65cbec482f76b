//! What people do with an incident, as a pure function: the incident before, the step, the incident after.

use hindsight_model::{
    Closing, Incident, IncidentId, IncidentRole, IncidentSeverity, IncidentStatus, Milestone, TimelineKind,
};
use jiff::Timestamp;

use crate::life::{ALERTS_MAX, worst};
use crate::{Error, PostmortemFact, Result};

/// Longest reason, cause or name in characters.
const WORDS_CHARS_MAX: usize = 2_000;

/// One thing a person does with an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Somebody takes it.
    Acknowledge,
    /// The cause is known.
    Cause {
        /// What it was.
        text: String,
    },
    /// Customers are no longer hurt.
    Mitigate {
        /// What was done; may be left out.
        text: Option<String>,
    },
    /// It is over.
    Resolve,
    /// It came back, or was not over.
    Reopen {
        /// Why.
        reason: String,
    },
    /// The work on it is done.
    Close {
        /// Why there is no post-mortem; needed when there is none.
        without_postmortem: Option<String>,
    },
    /// It is worse, or less bad, than was thought.
    Severity {
        /// How bad it is.
        severity: IncidentSeverity,
        /// Why.
        reason: String,
    },
    /// Somebody has a role in the response.
    Role {
        /// Which.
        role: IncidentRole,
        /// Who has it now; `None` gives it up.
        person: Option<String>,
    },
    /// A time is known better than telemetry knows it.
    Time {
        /// Which.
        milestone: Milestone,
        /// When; `None` leaves it to telemetry again.
        at: Option<Timestamp>,
    },
}

impl Step {
    /// The word for the audit log.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Acknowledge => "incident.acknowledge",
            Self::Cause { .. } => "incident.cause",
            Self::Mitigate { .. } => "incident.mitigate",
            Self::Resolve => "incident.resolve",
            Self::Reopen { .. } => "incident.reopen",
            Self::Close { .. } => "incident.close",
            Self::Severity { .. } => "incident.severity",
            Self::Role { .. } => "incident.role",
            Self::Time { .. } => "incident.time",
        }
    }
}

/// An incident after a step, and what the timeline says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The incident; the same as before when the step changes nothing.
    pub incident: Incident,
    /// The row of the timeline; none for steps that are no event.
    pub row: Option<(TimelineKind, String)>,
}

/// The incident after a person did this at `at`. A step that was taken before changes nothing.
///
/// # Errors
/// [`Error::Refused`] when the incident does not stand where the step could be taken, [`Error::Text`] for words that
/// are missing or too long.
pub fn take(
    incident: &Incident,
    step: &Step,
    at: Timestamp,
    postmortems: &[PostmortemFact],
) -> Result<Taken> {
    if incident.status == IncidentStatus::Merged {
        let into =
            incident.response.duplicate_of.map_or_else(|| "another one".to_owned(), |id| id.to_string());
        return refuse(incident.id, format!("is part of {into}"), format!("do it with {into}"));
    }
    let is_closed = incident.status == IncidentStatus::Closed;
    if is_closed && !matches!(step, Step::Reopen { .. } | Step::Close { .. }) {
        return refuse(incident.id, "is closed".to_owned(), "reopen it first".to_owned());
    }
    let mut after = incident.clone();
    let row = match step {
        Step::Acknowledge => acknowledge(&mut after, at),
        Step::Cause { text } => {
            let text = words("the cause", text)?;
            state(&mut after, Milestone::CauseIdentified, at);
            after.response.cause = Some(text.clone());
            Some((TimelineKind::Milestone, format!("cause identified: {text}")))
        }
        Step::Mitigate { text } => {
            let text = text.as_deref().map(|text| words("what was done", text)).transpose()?;
            if incident.status.is_live() {
                after.status = IncidentStatus::Mitigated;
            }
            state(&mut after, Milestone::Mitigated, at);
            let said = text.map_or_else(|| "mitigated".to_owned(), |text| format!("mitigated: {text}"));
            Some((TimelineKind::Milestone, said))
        }
        Step::Resolve => resolve(&mut after, at),
        Step::Reopen { reason } => reopen(&mut after, &words("the reason", reason)?),
        Step::Close { without_postmortem } => {
            close(&mut after, without_postmortem.as_deref(), at, postmortems)?
        }
        Step::Severity { severity, reason } => {
            let reason = words("the reason", reason)?;
            after.severity = *severity;
            let said = format!("severity {} → {severity}: {reason}", incident.severity);
            Some((TimelineKind::Milestone, said))
        }
        Step::Role { role, person } => {
            match person {
                Some(person) => {
                    after.response.roles.insert(*role, words("the name", person)?);
                }
                None => drop(after.response.roles.remove(role)),
            }
            // Roles, not names: the timeline is read by people who must not look for somebody to blame.
            let what = if person.is_some() { "taken on" } else { "given up" };
            Some((TimelineKind::Note, format!("{} {what}", role.words())))
        }
        Step::Time { milestone, at } => {
            after.response.stated.put(*milestone, *at);
            if at.is_some() {
                after.times.put(*milestone, *at);
            }
            None
        }
    };
    let row = row.filter(|_| after != *incident);
    Ok(Taken { incident: after, row })
}

/// The two incidents after `source` was found to be part of `target`. Alerts of the source, those to come too, belong
/// to the target from now on.
///
/// # Errors
/// [`Error::Refused`] when they are one, when one of them was merged before, or when the target is closed.
pub fn merge(source: &Incident, target: &Incident, reason: &str) -> Result<(Incident, Incident)> {
    let reason = words("the reason", reason)?;
    if source.id == target.id {
        let hint = "name two incidents".to_owned();
        return refuse(source.id, "cannot be merged into itself".to_owned(), hint);
    }
    for incident in [source, target] {
        if let Some(into) = incident.response.duplicate_of {
            return refuse(incident.id, format!("is part of {into}"), format!("merge with {into}"));
        }
    }
    if target.status == IncidentStatus::Closed {
        return refuse(target.id, "is closed".to_owned(), "reopen it first".to_owned());
    }
    let (mut gone, mut stays) = (source.clone(), target.clone());
    gone.status = IncidentStatus::Merged;
    gone.response.duplicate_of = Some(target.id);
    gone.firing.clear();
    stays.severity = worst(stays.severity, gone.severity);
    for (episode, why) in &source.alerts {
        if stays.alerts.len() < ALERTS_MAX {
            let told = format!("{why}; merged from {}: {reason}", source.id);
            stays.alerts.entry(episode.clone()).or_insert(told);
        }
    }
    for episode in &source.firing {
        if !stays.firing.contains(episode) {
            stays.firing.push(episode.clone());
        }
    }
    for service in &source.services {
        if !stays.services.contains(service) {
            stays.services.push(service.clone());
        }
    }
    stays.times.detected = [stays.times.detected, source.times.detected].into_iter().flatten().min();
    // Analysis gathers around detection, so the target begins where the earlier of the two did.
    stays.opened_at = stays.opened_at.min(source.opened_at);
    if stays.status == IncidentStatus::Resolved && source.status.is_live() {
        again(&mut stays);
    }
    Ok((gone, stays))
}

fn acknowledge(after: &mut Incident, at: Timestamp) -> Option<(TimelineKind, String)> {
    if after.response.stated.acknowledged.is_none() {
        state(after, Milestone::Acknowledged, at);
    }
    if matches!(after.status, IncidentStatus::Open | IncidentStatus::Reopened) {
        after.status = IncidentStatus::Acknowledged;
    }
    Some((TimelineKind::Milestone, "acknowledged".to_owned()))
}

fn resolve(after: &mut Incident, at: Timestamp) -> Option<(TimelineKind, String)> {
    if after.status.is_live() {
        after.status = IncidentStatus::Resolved;
        // When customers were well is left to telemetry; it need not be when somebody said so.
        state(after, Milestone::Resolved, at);
    }
    Some((TimelineKind::Milestone, "resolved".to_owned()))
}

fn reopen(after: &mut Incident, reason: &str) -> Option<(TimelineKind, String)> {
    if matches!(after.status, IncidentStatus::Resolved | IncidentStatus::Closed) {
        again(after);
    }
    Some((TimelineKind::Milestone, format!("reopened: {reason}")))
}

/// It is not over: what was said of its end no longer holds.
pub(crate) fn again(incident: &mut Incident) {
    incident.status = IncidentStatus::Reopened;
    incident.response.closed = None;
    for milestone in [Milestone::Mitigated, Milestone::Resolved] {
        incident.times.put(milestone, None);
        incident.response.stated.put(milestone, None);
    }
}

fn close(
    after: &mut Incident,
    without_postmortem: Option<&str>,
    at: Timestamp,
    postmortems: &[PostmortemFact],
) -> Result<Option<(TimelineKind, String)>> {
    let id = after.id;
    if after.status == IncidentStatus::Closed {
        return Ok(None);
    }
    if after.status != IncidentStatus::Resolved {
        return refuse(id, format!("is {}", after.status), "resolve it before it is closed".to_owned());
    }
    let mut about = postmortems.iter().filter(|fact| fact.incidents.contains(&id)).peekable();
    let has_one = about.peek().is_some();
    if let Some(open) = about.find(|fact| !fact.is_closed) {
        let what = format!("has the post-mortem {}, which is not closed", open.id);
        return refuse(id, what, format!("close {} first; the incident is closed with it", open.id));
    }
    let reason = match (has_one, without_postmortem) {
        (true, _) => None,
        (false, Some(reason)) => Some(words("the reason", reason)?),
        (false, None) => {
            let hint = "write one with `hindsight postmortem draft`, or say why none is needed \
                        (`--without-postmortem REASON`)";
            return refuse(id, "has no post-mortem".to_owned(), hint.to_owned());
        }
    };
    let said = reason.as_ref().map_or_else(
        || "closed with its post-mortem".to_owned(),
        |reason| format!("closed without a post-mortem: {reason}"),
    );
    after.status = IncidentStatus::Closed;
    after.response.closed = Some(Closing { at, without_postmortem: reason });
    Ok(Some((TimelineKind::Milestone, said)))
}

/// A time that a person set outweighs the one that telemetry shows.
fn state(incident: &mut Incident, milestone: Milestone, at: Timestamp) {
    incident.response.stated.put(milestone, Some(at));
    incident.times.put(milestone, Some(at));
}

fn words(what: &'static str, text: &str) -> Result<String> {
    crate::runner::checked(what, text, WORDS_CHARS_MAX)
}

fn refuse<T>(id: IncidentId, what: String, hint: String) -> Result<T> {
    Err(Error::Refused { id, what, hint })
}

#[cfg(test)]
mod tests;
