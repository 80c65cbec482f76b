use hindsight_model::{Reason, Suspect};
use jiff::Timestamp;

use super::anomaly::{Anomaly, SCORE_MAX, Symptom};
use super::{FanOut, REASONS_MAX, calls};
use crate::changes::Change;
use crate::series::minutes_between;
use crate::statistics::p_value;
use crate::{Blame, format};

/// Weight of a full anomaly that nothing below explains.
const ANOMALY_WEIGHT: f64 = 1.0;
/// Weight of all evidence of single observations.
const BLAME_WEIGHT: f64 = 2.0;
/// Evidence from which a service counts as anomalous, and from which it is worth naming.
const BLAMED: f64 = 0.2;
const BLAME_MIN: f64 = 0.01;
/// Reasons from single observations, so that some room is left for the rest.
const BLAME_REASONS: usize = 3;
/// Weight of a change on an anomalous service; more than a full anomaly, so that a deployment outranks the
/// saturation it caused further down.
const CHANGE_WEIGHT: f64 = 1.5;
/// Weight of a change on a service that shows nothing itself.
const QUIET_CHANGE_WEIGHT: f64 = 0.3;
/// Weight of sending callees many more calls than before.
const FAN_OUT_WEIGHT: f64 = 0.6;
/// Least weight of a change that makes it the trigger.
const TRIGGER_WEIGHT_MIN: f64 = 0.15;

/// One service under suspicion, with all that speaks for it.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) service: &'a str,
    /// Calls between the violated entry and it.
    pub(crate) hops: usize,
    pub(crate) anomaly: Anomaly,
    /// Share of its symptoms that its callees do not explain, 0.1 to 1.
    pub(crate) own_share: f64,
    pub(crate) fan_out: Option<&'a FanOut>,
    /// What single observations say; `None` where they were not asked for.
    pub(crate) blame: Option<&'a Blame>,
    /// Its best change with that change's weight, 0 to 1.
    pub(crate) change: Option<(&'a Change, f64)>,
}

impl<'a> Candidate<'a> {
    pub(crate) fn new(service: &'a str, hops: usize, anomaly: Anomaly) -> Self {
        Self { service, hops, anomaly, own_share: 1.0, fan_out: None, blame: None, change: None }
    }

    /// Whether anything at all speaks for it.
    pub(crate) fn is_worth_naming(&self) -> bool {
        self.is_anomalous() || self.change.is_some() || self.blame.is_some_and(|b| b.score >= BLAME_MIN)
    }

    fn is_anomalous(&self) -> bool {
        if let Some(blame) = self.blame {
            return blame.score >= BLAMED;
        }
        self.anomaly.findings.iter().any(|f| f.symptom != Symptom::Load) || self.fan_out.is_some()
    }

    /// Sum of what speaks for it. Where only minutes are known, a little less with every hop from the violated
    /// entry: single observations tell by themselves where a fault lies.
    pub(crate) fn score(&self) -> f64 {
        let change = self.change.map_or(0.0, |(_, weight)| {
            weight * if self.is_anomalous() { CHANGE_WEIGHT } else { QUIET_CHANGE_WEIGHT }
        });
        if let Some(blame) = self.blame {
            return BLAME_WEIGHT * blame.score + change;
        }
        #[expect(clippy::cast_precision_loss, reason = "hops in a service graph")]
        let nearness = 1.0 / (1.0 + 0.03 * self.hops as f64);
        let anomaly = ANOMALY_WEIGHT * self.anomaly.strength() * (0.3 + 0.7 * self.own_share);
        let fan_out =
            self.fan_out.map_or(0.0, |f| FAN_OUT_WEIGHT * (f.factor().log2() / 3.0).clamp(0.2, 1.0));
        (anomaly + change + fan_out) * nearness
    }

    /// The change, when it is a fair candidate for what set the incident off: a trigger does not come late.
    pub(crate) fn trigger(&self, onset: Timestamp) -> Option<&'a Change> {
        let (change, weight) = self.change?;
        (self.is_anomalous() && weight >= TRIGGER_WEIGHT_MIN && change.at <= onset).then_some(change)
    }

    /// The suspect with its reasons, strongest first.
    pub(crate) fn suspect(&self, onset: Timestamp) -> Suspect {
        let mut reasons = Vec::new();
        if let Some((change, _)) = self.change {
            reasons.extend(change_reasons(change, onset));
        }
        if let Some(blame) = self.blame {
            reasons.extend(blame.reasons.iter().take(BLAME_REASONS).cloned());
        }
        if let Some(fan_out) = self.fan_out {
            let text = format!(
                "{} sends {} {} per request, {} before",
                fan_out.caller,
                fan_out.callee,
                calls(fan_out.after),
                format::number(fan_out.before)
            );
            reasons.push(Reason { text, sql: Some(fan_out.sql.clone()) });
        }
        reasons.extend(self.anomaly.findings.iter().map(|finding| {
            let over = if finding.score >= SCORE_MAX { "over " } else { "" };
            let text = format!(
                "{} {}, {over}{} times its usual range",
                self.service,
                finding.text,
                format::number(finding.score)
            );
            Reason { text, sql: Some(finding.sql.clone()) }
        }));
        reasons.extend(self.position().map(|text| Reason { text, sql: None }));
        reasons.truncate(REASONS_MAX);
        Suspect {
            service: self.service.to_owned(),
            score: (self.score() * 1_000.0).round() / 1_000.0,
            reasons,
            change: self.change.map(|(change, _)| change.what.clone()),
            changed_at: self.change.map(|(change, _)| change.at),
            templates: self.blame.map_or_else(Vec::new, |blame| blame.templates.clone()),
        }
    }

    fn position(&self) -> Option<String> {
        let has_symptom =
            self.anomaly.findings.iter().any(|f| matches!(f.symptom, Symptom::Errors | Symptom::Latency));
        if !has_symptom {
            return None;
        }
        if self.own_share >= 0.9 {
            Some("no service it calls shows the same".to_owned())
        } else {
            let explained = format::percent(((1.0 - self.own_share) * 20.0).round() / 20.0);
            Some(format!("up to {explained} of it is explained by a service it calls"))
        }
    }
}

/// When it came, and how old and new differ when they surely do.
fn change_reasons(change: &Change, onset: Timestamp) -> Vec<Reason> {
    let lead = minutes_between(change.at, onset);
    let when = match lead {
        0 => "in the minute of the onset".to_owned(),
        1.. => format!("{lead} min before the onset"),
        _ => format!("{} min after the onset", -lead),
    };
    let text = format!("{} {} {when}", change.service, change.what);
    let mut reasons = vec![Reason { text, sql: Some(change.sql.clone()) }];
    if let (Some(old), Some(new)) = (change.old_error_share, change.new_error_share)
        && change.z >= 3.0
    {
        let (new_name, old_name) = match &change.flag {
            Some(flag) => (format!("{} with {flag} = {}", change.service, change.new), &change.old),
            None => (change.new.clone(), &change.old),
        };
        let text = format!(
            "{new_name} fails {} of {} requests, {old_name} {} of {} ({})",
            format::percent(new),
            format::number(change.new_requests),
            format::percent(old),
            format::number(change.old_requests),
            format::p_value(p_value(change.z))
        );
        reasons.push(Reason { text, sql: Some(change.comparison_sql.clone()) });
    }
    reasons
}
