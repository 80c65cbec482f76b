use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::chart::EventLine;
use crate::document::Times;
use crate::evidence::Evidence;

/// The stretches of time a draft looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Start of every chart: at least a quarter of the axis lies before the incident.
    pub(super) from: Timestamp,
    /// End of every chart, as far after it.
    pub(super) to: Timestamp,
    /// End of the data on the charts: the last whole minute known.
    pub(super) until: Timestamp,
    /// Start of the incident: trigger or impact, whichever is first.
    pub(super) start: Timestamp,
    /// When customers began to be hurt.
    pub(super) impact_start: Timestamp,
    /// Resolution, or how far the data reaches while it goes on.
    pub(super) impact_end: Timestamp,
}

/// The resource whose level changed most.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) metric: String,
    pub(super) service: String,
    pub(super) before: f64,
    pub(super) peak: f64,
    pub(super) unit: crate::chart::Unit,
    pub(super) evidence: Evidence,
}

/// What one version of the suspect did per request.
#[derive(Clone, Debug)]
pub(super) struct VersionWork {
    pub(super) version: String,
    pub(super) first_seen: Option<Timestamp>,
    pub(super) error_rate: Option<f64>,
    pub(super) calls: Option<f64>,
    pub(super) database_calls: Option<f64>,
}

/// What a bad trace shows beside a good one.
#[derive(Clone, Debug)]
pub(super) struct Traces {
    pub(super) service: String,
    pub(super) operation: String,
    /// Whether the bad one failed, or was slow.
    pub(super) failed: bool,
    /// Sentences without full stops, as Markdown.
    pub(super) differences: Vec<String>,
    pub(super) evidence: String,
}

/// A row of the timeline to be written.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) at: Timestamp,
    pub(super) kind: String,
    pub(super) milestone: bool,
    pub(super) human: bool,
    pub(super) text: String,
    pub(super) evidence: Option<String>,
}

/// Everything a draft says, each number from evidence.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) zone: TimeZone,
    pub(super) window: Window,
    pub(super) times: Times,
    /// The customer-facing service of the incident's alerts.
    pub(super) primary: String,
    /// Services that failed more than before, the primary one first.
    pub(super) affected: Vec<String>,
    pub(super) requests: f64,
    pub(super) failed: f64,
    pub(super) suspect: Option<String>,
    pub(super) change: Option<(String, Option<Timestamp>)>,
    /// Why the first suspect is one: sentences, with the evidence that shows their figures.
    pub(super) reasons: Vec<(String, Option<String>)>,
    /// A bad trace beside a good one.
    pub(super) traces: Option<Traces>,
    pub(super) returned_at: Option<Timestamp>,
    pub(super) error_rate: Evidence,
    pub(super) request_rate: Option<Evidence>,
    pub(super) blast: Evidence,
    pub(super) latency: Option<Evidence>,
    pub(super) resource: Option<Resource>,
    pub(super) by_version: Option<Evidence>,
    pub(super) work: Option<(Evidence, Vec<VersionWork>)>,
    pub(super) errors: Option<Evidence>,
    pub(super) alerts: Option<Evidence>,
    pub(super) slo: Option<Evidence>,
    pub(super) map: Option<Evidence>,
    pub(super) entries: Vec<Entry>,
}

impl Facts {
    /// Share of the primary service's requests that failed during the impact.
    pub(super) fn failed_share(&self) -> f64 {
        if self.requests > 0.0 { self.failed / self.requests } else { 0.0 }
    }

    /// The evidence that shows the change: what each version did, or, for anything else, what its own reason shows.
    pub(super) fn change_evidence(&self) -> &str {
        let is_version =
            self.change.as_ref().is_some_and(|(change, _)| change.starts_with("service.version"));
        let own = self.reasons.iter().find_map(|(_, evidence)| evidence.as_deref());
        match &self.work {
            Some((evidence, _)) if is_version || own.is_none() => &evidence.id,
            _ => own.unwrap_or(&self.error_rate.id),
        }
    }

    /// The part of the directory's name that a person recognises: `checkout-requests-failed`.
    pub(super) fn slug(&self) -> String {
        let word = if self.failed > 0.0 { "requests-failed" } else { "degraded" };
        let service: String = self.primary.to_ascii_lowercase().chars().take(40).collect();
        let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let slug: String = format!("{service}-{word}").chars().map(safe).collect();
        slug.trim_matches('-').to_owned()
    }

    /// The milestones as event lines, the same on every chart.
    pub(super) fn events(times: &Times) -> Vec<EventLine> {
        let words = [
            ("trigger", times.trigger, "first change before the impact"),
            ("onset", times.impact_start, "impact starts"),
            ("detected", times.detected, "first alert fires"),
            ("mitigated", times.mitigated, "impact ends for customers"),
            ("resolved", times.resolved, "incident resolved"),
        ];
        let line = |(kind, at, label): (&str, Option<Timestamp>, &str)| {
            Some(EventLine { at: at?, kind: kind.to_owned(), label: label.to_owned() })
        };
        words.into_iter().filter_map(line).collect()
    }
}
