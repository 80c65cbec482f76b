//! The forms that an incident's page offers, by where the incident stands.

use hindsight_model::{Incident, IncidentRole, IncidentStatus, Milestone};

/// A form for one step.
pub(crate) struct StepForm {
    pub(crate) change: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) fields: Vec<Field>,
}

/// A field of it: a line of text, or a choice.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: Option<&'static str>,
    pub(crate) is_required: bool,
    pub(crate) choices: Vec<&'static str>,
}

/// The steps that can be taken as the incident stands, the likeliest first.
pub(crate) fn steps(incident: &Incident) -> Vec<StepForm> {
    let status = incident.status;
    if status == IncidentStatus::Merged {
        return Vec::new();
    }
    let at = || optional("at", "When, in UTC; now if empty", Some("2026-05-04 14:32"));
    let reason = || needed("reason", "Why");
    let mut steps = Vec::new();
    if matches!(status, IncidentStatus::Open | IncidentStatus::Reopened) {
        steps.push(form("acknowledge", "Acknowledge", vec![at()]));
    }
    if status.is_live() {
        let done = optional("text", "What was done", Some("rolled back 4.2.0"));
        steps.push(form("mitigate", "Mitigated: customers are well", vec![done, at()]));
    }
    if status != IncidentStatus::Closed {
        steps.push(form("cause", "The cause is known", vec![needed("text", "What it was"), at()]));
    }
    if status.is_live() {
        steps.push(form("resolve", "Resolve: it is over", vec![at()]));
    } else {
        steps.push(form("reopen", "Reopen", vec![reason()]));
    }
    if status == IncidentStatus::Resolved {
        let why = optional("without_postmortem", "Why there is no post-mortem, when there is none", None);
        steps.push(form("close", "Close", vec![why]));
    }
    if status != IncidentStatus::Closed {
        let severities = choice("severity", "To", vec!["SEV1", "SEV2", "SEV3", "SEV4"]);
        let roles = IncidentRole::ALL.into_iter().map(IncidentRole::words).collect();
        let person = optional("person", "Who; empty gives it up", None);
        let milestones = Milestone::ALL.into_iter().map(Milestone::as_str).collect();
        let when = optional("at", "When, in UTC; empty leaves it to telemetry", Some("2026-05-04 14:32"));
        steps.push(form("severity", "Change the severity", vec![severities, reason()]));
        steps.push(form("role", "Take a role", vec![choice("role", "Role", roles), person]));
        steps.push(form("time", "Set a time", vec![choice("milestone", "Of", milestones), when]));
        steps.push(form(
            "merge",
            "Merge into another incident",
            vec![needed("into", "Into (INC-…)"), reason()],
        ));
    }
    steps
}

fn form(change: &'static str, summary: &'static str, fields: Vec<Field>) -> StepForm {
    StepForm { change, summary, fields }
}

fn needed(name: &'static str, label: &'static str) -> Field {
    Field { name, label, hint: None, is_required: true, choices: Vec::new() }
}

fn optional(name: &'static str, label: &'static str, hint: Option<&'static str>) -> Field {
    Field { name, label, hint, is_required: false, choices: Vec::new() }
}

fn choice(name: &'static str, label: &'static str, choices: Vec<&'static str>) -> Field {
    Field { name, label, hint: None, is_required: false, choices }
}
