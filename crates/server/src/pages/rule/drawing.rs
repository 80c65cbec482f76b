//! The evaluation strip: values against both thresholds, states and absences below, what happened across.

use std::collections::BTreeSet;

use hindsight_model::{AlertState, Evaluation, Labels, Outcome, Transition};
use hindsight_postmortem::chart::{
    EventLine, LineChart, Series, Stretch, Strip, StripLook, Threshold, Unit, line_chart,
};
use hindsight_rules::RuleView;
use jiff::{SignedDuration, Timestamp};

use super::super::alert_words::{fires_words, labels_text, recovers_words};
use super::super::range::Range;
use super::evidence::Seen;

/// Characters of a strip's name.
const NAME_CHARS_MAX: usize = 60;

/// Everything the strip shows.
pub(super) struct Drawing<'a> {
    pub(super) rule: &'a RuleView,
    pub(super) interval: SignedDuration,
    pub(super) shown: &'a [Labels],
    pub(super) names: &'a [String],
    pub(super) seen: &'a Seen,
    pub(super) transitions: &'a [Transition],
    pub(super) deploys: Vec<EventLine>,
    pub(super) range: &'a Range,
    pub(super) sql_link: &'a str,
}

impl Drawing<'_> {
    pub(super) fn chart(self) -> String {
        let range = self.range;
        let mut chart = LineChart::new("evaluations", "Evaluations", Unit::None, range.from, range.to);
        chart.caption = caption(self.rule);
        chart.timezone = range.tz.clone();
        chart.links = vec![("as SQL".to_owned(), self.sql_link.to_owned())];
        for (name, evaluations) in self.names.iter().zip(&self.seen.instances) {
            chart.series.push(Series { name: name.clone(), points: points(evaluations, self.interval) });
            chart.strips.push(Strip { name: name.clone(), stretches: stretches(evaluations, self.interval) });
        }
        let alone = self.seen.instances.iter().all(Vec::is_empty);
        if !self.seen.whole.is_empty() && (alone || speaks_alone(self.seen)) {
            let stretches = absences(&self.seen.whole, self.interval);
            chart.strips.push(Strip { name: "the rule".to_owned(), stretches });
        }
        if let (Some(op), Some(fire), Some(recover)) = (self.rule.op, self.rule.fire, self.rule.recover) {
            chart.thresholds.push(Threshold { value: fire, label: fires_words(op, fire) });
            if (recover - fire).abs() > 0.0 {
                chart.thresholds.push(Threshold { value: recover, label: recovers_words(op, recover) });
            }
        }
        chart.events = self.deploys;
        let drawn = self.transitions.iter().filter(|transition| self.shown.contains(&transition.labels));
        chart.events.extend(drawn.filter_map(|transition| event(transition, self.rule)));
        chart.events.retain(|event| event.at >= range.from && event.at <= range.to);
        line_chart(&chart)
    }
}

fn caption(rule: &RuleView) -> String {
    let what = if rule.fire.is_some() { "The values that the rule read" } else { "What the rule read" };
    format!(
        "{what}, and below them each instance's state; a mark above the state says why no value was read."
    )
}

/// Whether the rule as a whole says something that no instance shown says.
fn speaks_alone(seen: &Seen) -> bool {
    let told: BTreeSet<Timestamp> = seen.instances.iter().flatten().map(|e| e.at).collect();
    seen.whole.iter().any(|evaluation| !told.contains(&evaluation.at))
}

fn event(transition: &Transition, rule: &RuleView) -> Option<EventLine> {
    let (kind, words) = match (transition.from, transition.to) {
        (AlertState::Recovering, AlertState::Firing) => ("firing", "fires again"),
        (_, AlertState::Firing) => ("firing", "fires"),
        (AlertState::Firing | AlertState::Recovering, AlertState::Inactive) => ("resolved", "resolved"),
        _ => return None,
    };
    let labels = labels_text(&transition.labels, 100);
    let label = format!("{} {words}: {labels} ({})", rule.alert, transition.reason.replace('_', " "));
    Some(EventLine { at: transition.at, kind: kind.to_owned(), label })
}

/// What tells the instances apart, as a name each.
pub(super) fn strip_names(shown: &[Labels], alert: &str) -> Vec<String> {
    let names: BTreeSet<&String> = shown.iter().flat_map(Labels::keys).collect();
    let differs = |name: &&&String| shown.iter().any(|labels| labels.get(**name) != shown[0].get(**name));
    let telling: Vec<&&String> = names.iter().filter(differs).collect();
    let name = |labels: &Labels| {
        let parts: Vec<&str> =
            telling.iter().map(|name| labels.get(**name).map_or("–", String::as_str)).collect();
        let alone = || labels.get("service_name").map_or(alert, String::as_str).to_owned();
        let text = if parts.is_empty() { alone() } else { parts.join(" · ") };
        hindsight_postmortem::chart::shorten(&text, NAME_CHARS_MAX)
    };
    shown.iter().map(name).collect()
}

/// The values; an absence, and a time in which nothing was evaluated, are gaps.
fn points(evaluations: &[Evaluation], interval: SignedDuration) -> Vec<(Timestamp, Option<f64>)> {
    let mut points = Vec::with_capacity(evaluations.len());
    let mut last: Option<Timestamp> = None;
    for evaluation in evaluations {
        if let Some(last) = last
            && evaluation.at.duration_since(last) > interval * 2
        {
            points.push((end_of(last, interval), None));
        }
        let value = match evaluation.outcome {
            Outcome::Value(value) => Some(value),
            _ => None,
        };
        points.push((evaluation.at, value));
        last = Some(evaluation.at);
    }
    points
}

/// The states, and the absences over them.
fn stretches(evaluations: &[Evaluation], interval: SignedDuration) -> Vec<Stretch> {
    let mut stretches = runs(evaluations, interval, |evaluation| Some(state_look(evaluation.state)));
    stretches.extend(absences(evaluations, interval));
    stretches.sort_by_key(|stretch| (stretch.from, stretch.look));
    stretches
}

fn absences(evaluations: &[Evaluation], interval: SignedDuration) -> Vec<Stretch> {
    runs(evaluations, interval, |evaluation| match evaluation.outcome {
        Outcome::Value(_) => None,
        Outcome::Missing => Some(StripLook::Missing),
        Outcome::NoData => Some(StripLook::NoData),
        Outcome::Error(_) => Some(StripLook::Error),
        Outcome::Unobserved => Some(StripLook::Unobserved),
    })
}

fn state_look(state: AlertState) -> StripLook {
    match state {
        AlertState::Inactive => StripLook::Inactive,
        AlertState::Pending => StripLook::Pending,
        AlertState::Firing => StripLook::Firing,
        AlertState::Recovering => StripLook::Recovering,
    }
}

/// Neighbouring evaluations of one look as one stretch. Each stands for the time until the next one, at most twice
/// its interval: beyond that nothing was evaluated.
fn runs(
    evaluations: &[Evaluation],
    interval: SignedDuration,
    look: impl Fn(&Evaluation) -> Option<StripLook>,
) -> Vec<Stretch> {
    let mut runs: Vec<Stretch> = Vec::new();
    for (index, evaluation) in evaluations.iter().enumerate() {
        let Some(look) = look(evaluation) else { continue };
        let next = evaluations.get(index + 1).map(|next| next.at);
        let is_near = |next: &Timestamp| next.duration_since(evaluation.at) <= interval * 2;
        let to = next.filter(is_near).unwrap_or_else(|| end_of(evaluation.at, interval));
        match runs.last_mut() {
            Some(last) if last.look == look && last.to == evaluation.at => last.to = to,
            _ => runs.push(Stretch { from: evaluation.at, to, look }),
        }
    }
    runs
}

fn end_of(tick: Timestamp, interval: SignedDuration) -> Timestamp {
    tick.checked_add(interval).unwrap_or(tick)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hindsight_model::Tenant;

    use super::*;

    const INTERVAL: SignedDuration = SignedDuration::from_secs(30);

    fn at(tick: i64) -> Timestamp {
        Timestamp::from_second(1_777_903_200 + 30 * tick).unwrap()
    }

    fn evaluation(tick: i64, outcome: Outcome, state: AlertState) -> Evaluation {
        Evaluation {
            at: at(tick),
            tenant: Tenant::default(),
            rule: "g/A".to_owned(),
            labels: Labels::new(),
            outcome,
            state,
            watermark: None,
            duration: Duration::from_millis(2),
        }
    }

    #[test]
    fn absences_lie_over_the_state_that_they_froze_and_a_stop_is_blank() {
        use AlertState::{Firing, Pending};
        let seen = [
            evaluation(0, Outcome::Value(0.95), Pending),
            evaluation(1, Outcome::Value(0.96), Firing),
            evaluation(2, Outcome::NoData, Firing),
            evaluation(3, Outcome::Error("no such table".to_owned()), Firing),
            // The server was away for ten ticks.
            evaluation(14, Outcome::Value(0.97), Firing),
        ];
        let stretch = |from: i64, to: i64, look| Stretch { from: at(from), to: at(to), look };
        assert_eq!(
            stretches(&seen, INTERVAL),
            [
                stretch(0, 1, StripLook::Pending),
                stretch(1, 4, StripLook::Firing),
                stretch(2, 3, StripLook::NoData),
                stretch(3, 4, StripLook::Error),
                stretch(14, 15, StripLook::Firing),
            ]
        );
        let points = points(&seen, INTERVAL);
        let gaps: Vec<_> = points.iter().filter(|(_, value)| value.is_none()).map(|(at, _)| *at).collect();
        assert_eq!(gaps, [at(2), at(3), at(4)], "an absence is no value, and neither is a stop");
    }

    #[test]
    fn instances_are_named_by_what_tells_them_apart() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let main = labels(&[("service_name", "checkout"), ("pool", "main"), ("team", "payments")]);
        let spare = labels(&[("service_name", "checkout"), ("pool", "spare"), ("team", "payments")]);
        assert_eq!(strip_names(&[main.clone(), spare], "A"), ["main", "spare"]);
        assert_eq!(strip_names(&[main], "A"), ["checkout"]);
        assert_eq!(strip_names(&[labels(&[])], "A"), ["A"]);
        assert!(strip_names(&[], "A").is_empty());
    }
}
