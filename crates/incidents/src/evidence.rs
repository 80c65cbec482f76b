//! Which service the evidence points to: every signal compared before and after a moment that is known roughly.
//!
//! A moment may be late by minutes, and the last minutes before it may be tainted already. So the comparison is made
//! for several splits around it and two lengths after each, and a service's score is the mean of its two best.
//! What is compared knows no system: time of its own in spans, time lost between services, calls left unanswered,
//! failures that no callee explains, steps that are left out or new, log templates, and any metric against its own
//! past and against what the same metric does elsewhere. See docs/adr/0015.

mod log_evidence;
mod metric_evidence;
mod observed;
mod shown;
mod span_evidence;
pub(crate) mod templates;

use std::collections::{BTreeMap, BTreeSet};

use hindsight_model::Reason;
pub use metric_evidence::Meaning;
pub use observed::{LogEvent, MetricPoints, MetricSource, Names, Observations, ObservedSpan, Reading};

use log_evidence::LogView;
use metric_evidence::MetricView;
pub(crate) use shown::pattern as template_pattern;
use shown::{Shown, Shows};
use span_evidence::SpanView;

/// Where the split may lie, in seconds from the moment: a time that is given may be late by two or three minutes.
const SPLITS_S: [f64; 7] = [-180.0, -150.0, -120.0, -90.0, -60.0, -30.0, 0.0];
/// How long after the split is compared, in seconds: short faults drown in long windows, slow ones show late.
const AFTER_S: [f64; 2] = [120.0, 300.0];
/// How many of the best windows make the score.
const BEST_WINDOWS: usize = 2;
/// What one kind of evidence can reach alone: nothing is certain.
const KIND_MAX: f64 = 0.9;
/// Share of a caller's metrics and logs that a callee explains whose spans show more.
const EXPLAINED: f64 = 0.7;
/// Least weight of a finding that is told.
const TOLD_MIN: f64 = 0.05;
/// Most reasons kept of one service.
const REASONS_MAX: usize = 4;
/// Most log templates kept of one service.
const TEMPLATES_MAX: usize = 4;

/// A split in time and how long is looked after it, in seconds from the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) split: f64,
    pub(crate) end: f64,
}

/// Kinds of evidence; each counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Metric,
    Latency,
    Unanswered,
    Failures,
    Steps,
    Load,
    Logs,
}

/// What one window says against one service.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// 0 to 1.
    pub(crate) weight: f64,
    /// A sentence without its full stop.
    pub(crate) text: String,
    /// What the sentence is about.
    pub(crate) shown: Shown,
}

/// Findings by service.
pub(crate) type Findings = BTreeMap<String, Vec<Finding>>;

/// How much speaks against one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blame {
    /// 0 (nothing) to 1.
    pub score: f64,
    /// Why, strongest first, each with the SQL that shows its two levels where one query can.
    pub reasons: Vec<Reason>,
    /// Templates of log lines that came, went or grew.
    pub templates: Vec<String>,
}

/// How much the observations speak against each service of which anything was seen. Services without any evidence
/// have a score of 0. Pure: the same observations give the same answer.
///
/// The measures and where they come from: docs/adr/0015.
pub fn blame(observations: &Observations) -> BTreeMap<String, Blame> {
    let spans = SpanView::new(observations);
    let metrics = MetricView::new(observations);
    let logs = LogView::new(observations, &spans);
    let callees = observations.callees();
    let mut scores: BTreeMap<String, Vec<(f64, Window, Vec<Finding>)>> = BTreeMap::new();
    for split in SPLITS_S {
        for after in AFTER_S {
            let window = Window { split, end: split + after };
            let mut found = metrics.findings(window);
            for (service, more) in spans.findings(window).into_iter().chain(logs.findings(window)) {
                found.entry(service).or_default().extend(more);
            }
            explain_callers(&callees, &mut found);
            for (service, findings) in found {
                scores.entry(service).or_default().push((score(&findings), window, findings));
            }
        }
    }
    let mut all: BTreeMap<String, Blame> =
        observations.services().into_iter().map(|name| (name.to_owned(), Blame::default())).collect();
    for (service, mut windows) in scores {
        windows.sort_by(|a, b| b.0.total_cmp(&a.0));
        let best: f64 = windows.iter().take(BEST_WINDOWS).map(|(score, ..)| score).sum();
        #[expect(clippy::cast_precision_loss, reason = "a handful of windows")]
        let score = best / BEST_WINDOWS as f64;
        let mut blame = Blame { score, ..Blame::default() };
        if let Some((_, window, findings)) = windows.into_iter().next() {
            blame.templates = templates(observations, &findings);
            let shows = Shows::new(observations, spans.answerers(), window);
            let reason = |found: Finding| Reason { sql: shows.sql(found.shown), text: found.text };
            blame.reasons = strongest(findings).into_iter().map(reason).collect();
        }
        all.insert(service, blame);
    }
    all
}

/// What a callee's spans show explains the metrics and logs of its callers, as far as their own spans show less: a
/// caller waits, fails and complains because of it.
fn explain_callers(callees: &BTreeMap<&str, BTreeSet<&str>>, found: &mut Findings) {
    let of_spans = |findings: &Vec<Finding>| -> f64 {
        let of_kind = |finding: &&Finding| !matches!(finding.kind, Kind::Metric | Kind::Logs);
        findings.iter().filter(of_kind).map(|finding| finding.weight.min(1.0)).fold(0.0, f64::max)
    };
    let strength: BTreeMap<String, f64> =
        found.iter().map(|(service, findings)| (service.clone(), of_spans(findings))).collect();
    for (caller, findings) in found.iter_mut() {
        let own = strength.get(caller).copied().unwrap_or(0.0);
        let below = callees.get(caller.as_str()).into_iter().flatten();
        let strongest = below.filter_map(|callee| strength.get(*callee)).copied().fold(0.0, f64::max);
        if strongest > own {
            let symptoms = |finding: &&mut Finding| matches!(finding.kind, Kind::Metric | Kind::Logs);
            for finding in findings.iter_mut().filter(symptoms) {
                finding.weight *= 1.0 - EXPLAINED * (strongest - own);
            }
        }
    }
}

/// Independent kinds of evidence add up as chances do: what one leaves open, the next may close.
fn score(findings: &[Finding]) -> f64 {
    let mut by_kind: BTreeMap<Kind, f64> = BTreeMap::new();
    for finding in findings {
        let best = by_kind.entry(finding.kind).or_default();
        *best = best.max(finding.weight.clamp(0.0, 1.0));
    }
    1.0 - by_kind.values().map(|weight| 1.0 - KIND_MAX * weight).product::<f64>()
}

/// The findings that are told.
fn strongest(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.retain(|finding| finding.weight >= TOLD_MIN);
    findings.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.text.cmp(&b.text)));
    let mut seen: BTreeMap<Kind, usize> = BTreeMap::new();
    findings.retain(|finding| {
        let count = seen.entry(finding.kind).or_default();
        *count += 1;
        *count <= 2
    });
    findings.truncate(REASONS_MAX);
    findings
}

fn templates(observations: &Observations, findings: &[Finding]) -> Vec<String> {
    let mut found: Vec<(f64, &str)> = findings
        .iter()
        .filter(|finding| finding.weight >= TOLD_MIN)
        .filter_map(|finding| match finding.shown {
            Shown::Log { template, .. } => Some((finding.weight, observations.template(template))),
            _ => None,
        })
        .filter(|(_, text)| !text.is_empty())
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    found.truncate(TEMPLATES_MAX);
    found.into_iter().map(|(_, text)| text.to_owned()).collect()
}

#[cfg(test)]
mod tests;
