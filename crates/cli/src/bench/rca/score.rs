//! AC@k (the share of cases whose true service is among the first k) and Avg@5 (the mean of AC@1 to AC@5), beside what
//! chance would give.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

const DEPTH: usize = 5;

/// How one case came out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) case: String,
    pub(super) fault_type: String,
    pub(super) service: String,
    pub(super) first: Option<String>,
    /// Place of the true service, from 1; `None` when nothing speaks against it.
    pub(super) rank: Option<usize>,
    /// Services of which anything was seen.
    pub(super) candidates: usize,
    pub(super) seconds: f64,
}

/// Scores of a group of cases.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Score {
    cases: usize,
    /// Hits among the first 1 to 5.
    hits: [usize; DEPTH],
    chance: [f64; DEPTH],
}

/// Scores of all cases and of each fault type.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scores {
    all: Score,
    by_fault: BTreeMap<String, Score>,
}

impl Scores {
    pub(super) fn of(outcomes: &[Outcome]) -> Self {
        let mut scores = Self { all: Score::default(), by_fault: BTreeMap::new() };
        for outcome in outcomes {
            scores.all.add(outcome);
            scores.by_fault.entry(outcome.fault_type.clone()).or_default().add(outcome);
        }
        scores
    }

    pub(super) fn to_text(&self, outcomes: &[Outcome]) -> String {
        let width = outcomes.iter().map(|outcome| outcome.case.len()).max().unwrap_or(0);
        let mut text = String::new();
        for outcome in outcomes {
            let place = outcome.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string());
            let _ = writeln!(
                text,
                "{:width$}  {place:>3} of {:<3} {:>6.2} s  {} in {}, first {}",
                outcome.case,
                outcome.candidates,
                outcome.seconds,
                outcome.fault_type,
                outcome.service,
                outcome.first.as_deref().unwrap_or("nobody"),
            );
        }
        let widest = self.by_fault.keys().map(String::len).max().unwrap_or(0).max(12);
        let _ = writeln!(
            text,
            "\n{:widest$}  cases   AC@1         AC@3         AC@5         Avg@5 (by chance)",
            "fault type"
        );
        let groups = self.by_fault.iter().map(|(name, score)| (name.as_str(), score));
        for (name, score) in groups.chain([("all", &self.all)]) {
            let _ = writeln!(text, "{name:widest$}  {}", score.line());
        }
        text
    }

    pub(super) fn to_json(&self, outcomes: &[Outcome]) -> Value {
        let cases: Vec<Value> = outcomes
            .iter()
            .map(|o| {
                json!({
                    "case": o.case, "fault_type": o.fault_type, "service": o.service, "first": o.first,
                    "rank": o.rank, "candidates": o.candidates, "seconds": o.seconds,
                })
            })
            .collect();
        let by_fault: BTreeMap<&str, Value> =
            self.by_fault.iter().map(|(name, score)| (name.as_str(), score.to_json())).collect();
        json!({"schema": "hindsight/bench-rca/v1", "all": self.all.to_json(), "by_fault_type": by_fault, "cases": cases})
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of cases and services")]
impl Score {
    fn add(&mut self, outcome: &Outcome) {
        self.cases += 1;
        for depth in 1..=DEPTH {
            self.hits[depth - 1] += usize::from(outcome.rank.is_some_and(|rank| rank <= depth));
            let chance = depth as f64 / outcome.candidates.max(1) as f64;
            self.chance[depth - 1] += chance.min(1.0);
        }
    }

    fn accuracy(&self, depth: usize) -> f64 {
        self.hits[depth - 1] as f64 / self.cases.max(1) as f64
    }

    fn chance(&self, depth: usize) -> f64 {
        self.chance[depth - 1] / self.cases.max(1) as f64
    }

    fn average(&self, of: impl Fn(usize) -> f64) -> f64 {
        (1..=DEPTH).map(of).sum::<f64>() / DEPTH as f64
    }

    fn line(&self) -> String {
        let mut line = format!("{:>5} ", self.cases);
        for depth in [1, 3, 5] {
            let _ = write!(line, "  {:.3} ({:.3})", self.accuracy(depth), self.chance(depth));
        }
        let (average, chance) = (self.average(|k| self.accuracy(k)), self.average(|k| self.chance(k)));
        let _ = write!(line, "  {average:.3} ({chance:.3})");
        line
    }

    fn to_json(&self) -> Value {
        json!({
            "cases": self.cases,
            "first": self.hits[0], "first_three": self.hits[2], "first_five": self.hits[4],
            "ac_1": self.accuracy(1), "ac_3": self.accuracy(3), "ac_5": self.accuracy(5),
            "avg_5": self.average(|k| self.accuracy(k)),
            "chance": {
                "ac_1": self.chance(1), "ac_3": self.chance(3), "ac_5": self.chance(5),
                "avg_5": self.average(|k| self.chance(k)),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(fault_type: &str, rank: Option<usize>, candidates: usize) -> Outcome {
        Outcome {
            case: "c".to_owned(),
            fault_type: fault_type.to_owned(),
            service: "s".to_owned(),
            first: None,
            rank,
            candidates,
            seconds: 0.0,
        }
    }

    #[test]
    fn a_service_that_is_not_named_is_a_miss_and_chance_is_at_most_certain() {
        let scores =
            Scores::of(&[outcome("cpu", Some(1), 10), outcome("cpu", Some(4), 2), outcome("net", None, 10)]);
        let all = scores.to_json(&[])["all"].clone();
        assert_eq!(
            (&all["first"], &all["first_three"], &all["first_five"]),
            (&json!(1), &json!(1), &json!(2))
        );
        assert!((scores.all.chance(1) - (0.1 + 0.5 + 0.1) / 3.0).abs() < 1e-12);
        assert!((scores.all.chance(5) - (0.5 + 1.0 + 0.5) / 3.0).abs() < 1e-12);
        assert!((scores.all.average(|k| scores.all.accuracy(k)) - (3.0 + 2.0 * 2.0) / 15.0).abs() < 1e-12);
        assert_eq!(scores.by_fault["net"].cases, 1);
    }
}
