//! What the sentence of a finding is about, and the SQL that shows its two levels to a person.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::log_evidence::WARNING;
use super::span_evidence::Op;
use super::templates::{MASK, WORDS_MAX};
use super::{Observations, Window};
use crate::gather::moment_queries::BODY_CHARS;
use crate::gather::queries::Sample;
use crate::gather::reason_queries::{self, Answerers, Share, Stretch, Template};

/// The past that is read of spans and logs, in seconds; more where the hour before the moment was empty.
const PAST_S: f64 = 3_600.0;
/// Spans from which joins over them look at a part of the traces.
const SPANS_JOINED_MAX: usize = 200_000;

/// What a finding is about, by the numbers of the observations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shown {
    /// No single query shows it.
    Nothing,
    /// Own time of an operation.
    OwnTime(Op),
    /// Time lost between two services.
    OnTheWay { caller: u32, callee: u32 },
    /// Calls that a service leaves unanswered.
    Unanswered { callee: u32 },
    /// Failures that no callee explains.
    Failures { service: u32 },
    /// How often an operation takes a step.
    Step { op: Op, child: Op },
    /// Requests from outside.
    Load { service: u32 },
    /// Log lines, beside the requests of the service or beside all its lines.
    Log { service: u32, template: u32, complains: bool, of_requests: bool },
    /// A metric series: its place, and from when until when it was compared, in seconds from the moment.
    Metric { index: usize, from: f64, end: f64 },
}

/// The observations and the window that findings were made in.
pub(super) struct Shows<'a> {
    seen: &'a Observations,
    answerers: &'a HashMap<Op, u32>,
    window: Window,
}

impl<'a> Shows<'a> {
    pub(super) fn new(seen: &'a Observations, answerers: &'a HashMap<Op, u32>, window: Window) -> Self {
        Self { seen, answerers, window }
    }

    /// The SQL of a finding; `None` where no single query shows its levels.
    pub(super) fn sql(&self, shown: Shown) -> Option<String> {
        let name = |id: u32| self.seen.names.text(id);
        let stretch = self.stretch();
        Some(match shown {
            Shown::Nothing => return None,
            Shown::OwnTime(op) => {
                reason_queries::own_time(&stretch, name(op.0), name(op.1), self.answerers.contains_key(&op))
            }
            Shown::OnTheWay { caller, callee } => {
                let names = self.calls_of(|op, answerer| op.0 == caller && answerer == callee);
                reason_queries::on_the_way(&stretch, name(caller), name(callee), &names)
            }
            Shown::Unanswered { callee } => {
                let names = self.calls_of(|_, answerer| answerer == callee);
                reason_queries::unanswered(&stretch, name(callee), &names)
            }
            Shown::Failures { service } => {
                let names = self.calls_of(|op, _| op.0 == service);
                reason_queries::failures(&stretch, name(service), &names)
            }
            Shown::Step { op, child } => {
                reason_queries::step(&stretch, (name(op.0), name(op.1)), (name(child.0), name(child.1)))
            }
            Shown::Load { service } => reason_queries::load(&stretch, self.seen.at, name(service)),
            Shown::Log { service, template, complains, of_requests } => {
                let pattern = pattern(self.seen.template(template));
                let lines = Template {
                    service: name(service),
                    pattern: &pattern,
                    body_chars: BODY_CHARS,
                    complaints_from: WARNING,
                    complains,
                };
                let share = if of_requests { Share::OfRequests } else { Share::OfLines };
                reason_queries::log_lines(&stretch, &lines, share)
            }
            Shown::Metric { index, from, end } => {
                let source = self.seen.metrics.get(index)?.source.as_ref()?;
                let stretch = Stretch { from: self.time(from), end: self.time(end), ..stretch };
                reason_queries::metric(&stretch, source)
            }
        })
    }

    fn stretch(&self) -> Stretch {
        let oldest_span = self.seen.spans.iter().map(|span| span.at_s);
        let oldest = oldest_span.chain(self.seen.logs.iter().map(|log| log.at_s)).fold(-PAST_S, f64::min);
        let is_large = self.seen.spans.len() >= SPANS_JOINED_MAX;
        Stretch {
            from: self.time(oldest.floor()),
            split: self.time(self.window.split),
            end: self.time(self.window.end.min(self.seen.until_s.max(self.window.split))),
            until: self.time(self.seen.until_s),
            sample: if is_large { Sample::Eighth } else { Sample::All },
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "seconds around an incident")]
    fn time(&self, seconds: f64) -> Timestamp {
        let from_then = SignedDuration::from_micros((seconds * 1e6).round() as i64);
        self.seen.at.saturating_add(from_then).unwrap_or(self.seen.at)
    }

    /// Service and name of the calling operations that this is true of, in order.
    fn calls_of(&self, is_wanted: impl Fn(Op, u32) -> bool) -> Answerers<'a> {
        let mut names: Vec<(&str, &str)> = self
            .answerers
            .iter()
            .filter(|(op, answerer)| is_wanted(**op, **answerer))
            .map(|(op, _)| (self.seen.names.text(op.0), self.seen.names.text(op.1)))
            .collect();
        names.sort_unstable();
        names
    }
}

/// A regular expression for the lines of a template: data is any word, and what follows the words that were compared
/// is anything.
pub(crate) fn pattern(template: &str) -> String {
    let words: Vec<&str> = template.split_whitespace().collect();
    let each: Vec<String> =
        words.iter().map(|word| if *word == MASK { r"\S+".to_owned() } else { escaped(word) }).collect();
    let end = if words.len() >= WORDS_MAX { r"(\s|$)" } else { r"\s*$" };
    format!(r"^\s*{}{end}", each.join(r"\s+"))
}

fn escaped(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        if c.is_ascii_punctuation() {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_becomes_an_expression_that_holds_data_for_any_word() {
        assert_eq!(pattern("order <*> failed: no.pool"), r"^\s*order\s+\S+\s+failed\:\s+no\.pool\s*$");
        let long = vec!["a"; WORDS_MAX].join(" ");
        assert!(pattern(&long).ends_with(r"a(\s|$)"), "{}", pattern(&long));
    }

    #[test]
    fn times_are_counted_from_the_moment_and_an_older_past_is_read_too() {
        let at: Timestamp = "2026-05-04T10:00:00Z".parse().unwrap();
        let mut seen = Observations::empty(at);
        seen.until_s = 600.0;
        let window = Window { split: -30.0, end: 90.0 };
        let answerers = HashMap::new();
        let stretch = Shows::new(&seen, &answerers, window).stretch();
        let told = [stretch.from, stretch.split, stretch.end, stretch.until].map(|at| at.to_string());
        let times = ["09:00:00", "09:59:30", "10:01:30", "10:10:00"];
        assert_eq!(told, times.map(|time| format!("2026-05-04T{time}Z")));
        let service = seen.names.id("a");
        seen.logs.push(crate::LogEvent { service, template: 0, at_s: -7_200.5, severity: 9 });
        let older = Shows::new(&seen, &answerers, window).stretch();
        assert_eq!(older.from.to_string(), "2026-05-04T07:59:59Z");
    }
}
