//! Incidents that are over and have no post-mortem (P3).

use std::collections::BTreeSet;

use hindsight_model::{Incident, IncidentId, IncidentSeverity, IncidentStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lint::{CUSTOMERS_HURT, DRAFTED_WITHIN};

/// An incident that lacks its post-mortem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// `INC-7`.
    pub incident: IncidentId,
    /// What it was.
    pub title: String,
    /// How bad it was.
    pub severity: IncidentSeverity,
    /// Resolved or closed.
    pub status: IncidentStatus,
    /// When it was over.
    pub resolved_at: Timestamp,
    /// Why it needs a post-mortem. Empty: it may be closed with a reason instead.
    pub because: Vec<String>,
    /// The reason with which somebody closed it, which is not enough for this one.
    pub closed_without: Option<String>,
    /// Whether a day has gone by since its end, within which a draft is due (P1).
    pub is_late: bool,
}

/// The incidents that are over, are named by none of the documents, and need one or a reason for having none; the
/// worst first, then those that have waited longest. What an incident does not know of itself (a breached objective,
/// security, a full outage, other teams) is not among its reasons; a document's `skip` is judged by all of them.
pub fn lacking(incidents: &[Incident], documented: &BTreeSet<IncidentId>, now: Timestamp) -> Vec<Lacking> {
    let documented = with_their_roots(incidents, documented);
    let mut found: Vec<Lacking> = incidents
        .iter()
        .filter(|incident| !documented.contains(&incident.id))
        .filter_map(|incident| of(incident, now))
        .collect();
    found.sort_by_key(|one| (one.because.is_empty(), one.severity, one.resolved_at));
    found
}

fn of(incident: &Incident, now: Timestamp) -> Option<Lacking> {
    let closed = incident.response.closed.as_ref();
    let because: Vec<String> = if incident.severity <= IncidentSeverity::Sev2 {
        vec![CUSTOMERS_HURT.to_owned()]
    } else {
        Vec::new()
    };
    let lacks = match incident.status {
        IncidentStatus::Resolved => true,
        IncidentStatus::Closed => !because.is_empty(),
        _ => false,
    };
    let resolved_at = incident.times.resolved.or(closed.map(|closed| closed.at)).filter(|_| lacks)?;
    Some(Lacking {
        incident: incident.id,
        title: incident.title.clone(),
        severity: incident.severity,
        status: incident.status,
        resolved_at,
        because,
        closed_without: closed.and_then(|closed| closed.without_postmortem.clone()),
        is_late: now.duration_since(resolved_at) > DRAFTED_WITHIN,
    })
}

/// A document about an incident that turned out to be another one's is about that one.
fn with_their_roots(incidents: &[Incident], documented: &BTreeSet<IncidentId>) -> BTreeSet<IncidentId> {
    let mut all = documented.clone();
    let mut fresh: Vec<IncidentId> = documented.iter().copied().collect();
    while let Some(id) = fresh.pop() {
        let found = incidents.iter().find(|incident| incident.id == id);
        let root = found.and_then(|incident| incident.response.duplicate_of);
        fresh.extend(root.filter(|root| all.insert(*root)));
    }
    all
}

#[cfg(test)]
mod tests {
    use hindsight_model::Closing;

    use super::*;
    use crate::testing::incident;

    fn over(id: u64, severity: IncidentSeverity, status: IncidentStatus) -> Incident {
        let mut incident = incident();
        (incident.id, incident.severity, incident.status) = (IncidentId(id), severity, status);
        incident.times.resolved = Some("2026-05-04T22:00:00Z".parse().unwrap());
        incident
    }

    fn ids(found: &[Lacking]) -> Vec<u64> {
        found.iter().map(|one| one.incident.0).collect()
    }

    #[test]
    fn what_is_over_and_named_by_no_document_is_listed_the_worst_first() {
        use IncidentSeverity::{Sev1, Sev2, Sev3};
        use IncidentStatus::{Closed, Merged, Mitigated, Resolved};
        let closed = |mut incident: Incident, reason: &str| {
            let at = "2026-05-05T00:00:00Z".parse().unwrap();
            incident.response.closed = Some(Closing { at, without_postmortem: Some(reason.to_owned()) });
            incident
        };
        let mut duplicate = over(6, Sev1, Merged);
        duplicate.response.duplicate_of = Some(IncidentId(7));
        let all = [
            over(1, Sev3, Resolved),
            over(2, Sev2, Resolved),
            over(3, Sev1, Mitigated),
            closed(over(4, Sev3, Closed), "a drill"),
            closed(over(5, Sev1, Closed), "nobody has time"),
            duplicate,
            over(7, Sev1, Resolved),
            over(8, Sev1, Resolved),
        ];
        let now = "2026-05-05T12:00:00Z".parse().unwrap();
        let documented = BTreeSet::from([IncidentId(6), IncidentId(8)]);
        let found = lacking(&all, &documented, now);
        assert_eq!(ids(&found), [5, 2, 1]);
        assert_eq!(found[0].closed_without.as_deref(), Some("nobody has time"));
        assert_eq!(found[1].because, [CUSTOMERS_HURT]);
        assert!(found[2].because.is_empty() && !found[2].is_late);
        let later = lacking(&all, &documented, "2026-05-06T12:00:00Z".parse().unwrap());
        assert!(later.iter().all(|one| one.is_late));
    }
}
