use hindsight_model::{AlertState, Incident, IncidentTimes, Suspect, TimelineRow, Transition};
use jiff::Timestamp;

use crate::affected::{Affected, affected};
use crate::changes::{Change, changes};
use crate::life::is_tier;
use crate::{Impact, Onset, Telemetry, impact, onset, suspects, timeline};

/// What the telemetry says about one incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// When customers began to be hurt; `None` when no indicator shows it.
    pub onset: Option<Onset>,
    /// The change that best goes with the onset; a candidate, not "the cause".
    pub trigger: Option<Change>,
    /// The incident's times with what was learned; `acknowledged` and `cause_identified` as they were.
    pub times: IncidentTimes,
    /// Rows in order of time, all from the system.
    pub timeline: Vec<TimelineRow>,
    /// Ranked hypotheses, best first.
    pub suspects: Vec<Suspect>,
    /// How much was lost.
    pub impact: Impact,
    /// Who was affected more than others.
    pub affected: Vec<Affected>,
}

/// Analyses one incident from its alerts' transitions and the telemetry around it. Pure: the same input gives the
/// same answer, whenever it is asked. Transitions of other incidents are passed over, those after `now` too.
pub fn analyse(
    incident: &Incident,
    transitions: &[Transition],
    telemetry: &Telemetry,
    now: Timestamp,
) -> Analysis {
    let transitions: Vec<Transition> = transitions
        .iter()
        .filter(|t| t.at <= now && t.tenant == incident.tenant && incident.alerts.contains_key(&t.episode))
        .cloned()
        .collect();
    let onset = onset::find(telemetry, incident);
    let mitigated = onset.as_ref().and_then(|onset| onset::mitigated_at(telemetry, onset));
    let changes = changes(telemetry);
    let ranking =
        suspects::rank(telemetry, incident, onset.as_ref(), mitigated, &changes, suspects::SUSPECTS_MAX);
    let times = times(incident, &transitions, onset.as_ref(), ranking.trigger.as_ref(), mitigated);
    let timeline = timeline::build(&timeline::Inputs {
        incident,
        transitions: &transitions,
        telemetry,
        onset: onset.as_ref(),
        trigger: ranking.trigger.as_ref(),
        changes: &changes,
        suspects: &ranking.suspects,
        affected: &ranking.affected,
        mitigated,
        resolved: times.resolved,
    });
    let mut impact = onset.as_ref().map_or_else(Impact::default, |o| impact::of(telemetry, o, mitigated));
    impact.services = ranking.affected;
    Analysis {
        onset,
        trigger: ranking.trigger,
        times,
        timeline,
        suspects: ranking.suspects,
        impact,
        affected: affected(telemetry),
    }
}

/// Fills in the milestones. Without an onset, impact began when the first alert's breach did.
fn times(
    incident: &Incident,
    transitions: &[Transition],
    onset: Option<&Onset>,
    trigger: Option<&Change>,
    mitigated: Option<Timestamp>,
) -> IncidentTimes {
    let breach_began = transitions.iter().filter_map(|t| t.active_at).min();
    let impact_start = onset.map(|o| o.at).or(breach_began).or(incident.times.impact_start);
    let resolved = resolved(incident, transitions, mitigated);
    IncidentTimes {
        trigger: trigger.map(|t| t.at).or(incident.times.trigger),
        impact_start,
        detected: incident.times.detected,
        acknowledged: incident.times.acknowledged,
        cause_identified: incident.times.cause_identified,
        // Never after the end: alerts may be quicker than minutes.
        mitigated: match (mitigated.or(incident.times.mitigated), resolved) {
            (Some(mitigated), Some(resolved)) => Some(mitigated.min(resolved)),
            (mitigated, _) => mitigated,
        },
        resolved,
    }
}

/// When it was over. An end that a person set stays. One that alerts brought lies later than what it tells of: they
/// look back over a window and are kept firing for a while. Then it was over when customers were well by telemetry,
/// or, where telemetry does not say so, when the breach of the last alert ended.
fn resolved(
    incident: &Incident,
    transitions: &[Transition],
    mitigated: Option<Timestamp>,
) -> Option<Timestamp> {
    let stored = incident.times.resolved?;
    let Some((ended, breach_ended)) = last_end(transitions) else { return Some(stored) };
    let by_alerts = stored == ended || stored == breach_ended || incident.times.mitigated == Some(stored);
    if !by_alerts {
        return Some(stored);
    }
    Some(mitigated.filter(|well| *well <= ended).unwrap_or(breach_ended))
}

/// When the last of the alerts that hold the incident ended, and when the breach of that kind last stood. Burn-rate
/// tiers count only where there is nothing else.
fn last_end(transitions: &[Transition]) -> Option<(Timestamp, Timestamp)> {
    let any_other = transitions.iter().any(|t| !is_tier(t));
    let holds = |t: &&Transition| !any_other || !is_tier(t);
    let ends = transitions.iter().filter(holds).filter(|t| t.to == AlertState::Inactive);
    ends.map(|end| {
        let kept_since = transitions
            .iter()
            .filter(|t| t.episode == end.episode && t.to == AlertState::Recovering && t.at <= end.at)
            .map(|t| t.at)
            .max();
        (end.at, if end.reason == "recovered" { kept_since.unwrap_or(end.at) } else { end.at })
    })
    .reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
}
