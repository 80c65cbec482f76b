//! Which telemetry an incident keeps from being deleted, and until when (POSTMORTEM §1, BLK-3).

use hindsight_model::{Incident, IncidentId, IncidentStatus};
use jiff::{SignedDuration, Timestamp};

/// How much before the impact is kept: a day, so that "as always" can be shown beside it.
const BEFORE_IMPACT: SignedDuration = SignedDuration::from_hours(24);
/// How much after the end is kept.
const AFTER_END: SignedDuration = SignedDuration::from_hours(2);
/// Longest chain of merged incidents that is followed.
const MERGES_MAX: usize = 100;

/// What has to be known of a post-mortem: whose it is, and whether the work on it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostmortemFact {
    /// `PM-2026-014`.
    pub id: String,
    /// The incidents that it is about.
    pub incidents: Vec<IncidentId>,
    /// Whether it is closed.
    pub is_closed: bool,
}

/// Telemetry that must not be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedHold {
    /// For which incident.
    pub incident: IncidentId,
    /// The first instant kept.
    pub from: Timestamp,
    /// The last instant kept; [`Timestamp::MAX`] while the incident is not over.
    pub to: Timestamp,
}

/// What these incidents keep: each one from a day before its impact to two hours after its end, until it is closed
/// and every post-mortem about it is. A merged incident is kept by the one that it is part of.
pub fn wanted_holds(incidents: &[Incident], postmortems: &[PostmortemFact]) -> Vec<WantedHold> {
    let roots = incidents.iter().filter(|incident| incident.status != IncidentStatus::Merged);
    roots
        .filter_map(|root| {
            let members: Vec<&Incident> =
                incidents.iter().filter(|incident| root_of(incidents, incident) == root.id).collect();
            let is_open = |fact: &PostmortemFact| {
                !fact.is_closed && members.iter().any(|member| fact.incidents.contains(&member.id))
            };
            let is_held = root.status != IncidentStatus::Closed || postmortems.iter().any(is_open);
            let (from, to) = members.iter().map(|member| window(member, root)).reduce(wider)?;
            is_held.then_some(WantedHold { incident: root.id, from, to })
        })
        .collect()
}

/// What belongs to an incident: from a day before its first sign to two hours after its end, those that were merged
/// into it included, whether it is still held or not. `None` when there is no such incident, or it is part of another
/// one.
pub fn window_of(incidents: &[Incident], id: IncidentId) -> Option<WantedHold> {
    let root = incidents.iter().find(|incident| incident.id == id)?;
    if root_of(incidents, root) != id {
        return None;
    }
    let members = incidents.iter().filter(|incident| root_of(incidents, incident) == id);
    let (from, to) = members.map(|member| window(member, root)).reduce(wider)?;
    Some(WantedHold { incident: id, from, to })
}

/// Whether the incident is over and so is the work on every post-mortem about it, of which there is at least one.
pub fn ends_with_its_postmortem(incident: &Incident, postmortems: &[PostmortemFact]) -> bool {
    let mut about = postmortems.iter().filter(|fact| fact.incidents.contains(&incident.id)).peekable();
    incident.status == IncidentStatus::Resolved && about.peek().is_some() && about.all(|fact| fact.is_closed)
}

/// The incident that this one is part of at last; itself when it is part of none.
fn root_of(incidents: &[Incident], incident: &Incident) -> IncidentId {
    let mut root = incident;
    for _ in 0..MERGES_MAX {
        let Some(into) = root.response.duplicate_of else { break };
        let Some(next) = incidents.iter().find(|other| other.id == into) else { break };
        root = next;
    }
    root.id
}

fn window(member: &Incident, root: &Incident) -> (Timestamp, Timestamp) {
    let times = &member.times;
    let known = [times.trigger, times.impact_start, times.detected, Some(member.opened_at)];
    let began = known.into_iter().flatten().min().unwrap_or(member.opened_at);
    let ended = if root.status.is_live() { None } else { times.resolved.max(root.times.resolved) };
    let from = began.checked_sub(BEFORE_IMPACT).unwrap_or(Timestamp::MIN);
    (from, ended.and_then(|at| at.checked_add(AFTER_END).ok()).unwrap_or(Timestamp::MAX))
}

fn wider(a: (Timestamp, Timestamp), b: (Timestamp, Timestamp)) -> (Timestamp, Timestamp) {
    (a.0.min(b.0), a.1.max(b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bare, minute};

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn resolved(id: u64) -> Incident {
        let mut incident = bare(id);
        incident.status = IncidentStatus::Resolved;
        incident.times.impact_start = Some(minute(10));
        incident.times.detected = Some(minute(12));
        incident.times.resolved = Some(minute(60));
        incident
    }

    fn postmortem(about: u64, is_closed: bool) -> PostmortemFact {
        PostmortemFact { id: format!("PM-2026-{about:03}"), incidents: vec![IncidentId(about)], is_closed }
    }

    fn ids(holds: &[WantedHold]) -> Vec<u64> {
        holds.iter().map(|hold| hold.incident.0).collect()
    }

    #[test]
    fn a_day_before_the_impact_and_two_hours_after_the_end_are_kept() {
        let mut incident = resolved(1);
        let holds = wanted_holds(std::slice::from_ref(&incident), &[]);
        let expected =
            WantedHold { incident: incident.id, from: minute(10) - 24 * HOUR, to: minute(60) + 2 * HOUR };
        assert_eq!(holds, [expected]);
        incident.status = IncidentStatus::Reopened;
        let holds = wanted_holds(&[incident], &[]);
        assert_eq!(holds[0].to, Timestamp::MAX, "it is not over");
    }

    #[test]
    fn an_incident_is_held_until_it_and_its_post_mortem_are_closed() {
        let mut closed = resolved(1);
        closed.status = IncidentStatus::Closed;
        let open = resolved(2);
        assert_eq!(ids(&wanted_holds(&[closed.clone(), open], &[postmortem(2, true)])), [2]);
        let closed = std::slice::from_ref(&closed);
        assert_eq!(ids(&wanted_holds(closed, &[postmortem(1, false), postmortem(1, true)])), [1]);
        assert_eq!(ids(&wanted_holds(closed, &[postmortem(1, true)])), [0; 0]);
    }

    #[test]
    fn a_merged_incident_is_kept_by_the_one_that_it_is_part_of() {
        let (mut first, mut middle, mut root) = (resolved(1), resolved(2), resolved(3));
        first.times.impact_start = Some(minute(1));
        first.status = IncidentStatus::Merged;
        first.response.duplicate_of = Some(middle.id);
        middle.status = IncidentStatus::Merged;
        middle.response.duplicate_of = Some(root.id);
        root.status = IncidentStatus::Closed;
        let all = [first, middle, root];
        let holds = wanted_holds(&all, &[postmortem(1, false)]);
        assert_eq!(ids(&holds), [3], "its post-mortem is about the first, and is open");
        assert_eq!(holds[0].from, minute(1) - 24 * HOUR);
        assert_eq!(wanted_holds(&all, &[postmortem(1, true)]), []);
    }

    #[test]
    fn a_window_is_that_of_the_hold_and_outlives_it() {
        let (mut part, mut root) = (resolved(1), resolved(3));
        part.times.impact_start = Some(minute(1));
        part.status = IncidentStatus::Merged;
        part.response.duplicate_of = Some(root.id);
        let held = wanted_holds(&[part.clone(), root.clone()], &[]).remove(0);
        root.status = IncidentStatus::Closed;
        let all = [part, root];
        assert_eq!(wanted_holds(&all, &[]), []);
        assert_eq!(window_of(&all, IncidentId(3)), Some(held));
        assert_eq!(window_of(&all, IncidentId(1)), None, "it is part of another one");
        assert_eq!(window_of(&all, IncidentId(2)), None);
    }

    #[test]
    fn an_incident_ends_with_its_last_post_mortem() {
        let incident = resolved(1);
        assert!(!ends_with_its_postmortem(&incident, &[postmortem(2, true)]));
        assert!(!ends_with_its_postmortem(&incident, &[postmortem(1, true), postmortem(1, false)]));
        assert!(ends_with_its_postmortem(&incident, &[postmortem(1, true)]));
        let live = Incident { status: IncidentStatus::Reopened, ..incident };
        assert!(!ends_with_its_postmortem(&live, &[postmortem(1, true)]));
    }
}
