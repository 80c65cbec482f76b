//! What a rule saw: its evaluations in the range, and the rows that explain the last of them.

use std::collections::BTreeSet;

use hindsight_model::{AlertState, Evaluation, Labels, Outcome, Tenant};
use hindsight_postmortem::chart::people_duration;
use hindsight_rules::{GroupView, RuleView};
use hindsight_state::PAGE_MAX;
use jiff::{SignedDuration, Timestamp};

use super::super::alert_words::{Moment, Number, moment, number, outcome_word, state_class};
use super::super::frame::{PageError, sql_link};
use super::super::range::Range;
use crate::app::App;

/// Evaluations listed, the newest.
const ROWS_MAX: usize = 24;
/// How far back the range of an evaluation's SQL begins.
const DOOR_LENGTH: SignedDuration = SignedDuration::from_hours(1);

/// Evaluations of some instances and of the rule as a whole, each in order of time.
pub(super) struct Seen {
    /// In the order of the labels that were asked for.
    pub(super) instances: Vec<Vec<Evaluation>>,
    /// Ticks without any instance: nothing returned, failed or not observed.
    pub(super) whole: Vec<Evaluation>,
}

/// One line of the list.
pub(super) struct EvaluationRow {
    pub(super) at: Moment,
    pub(super) who: String,
    pub(super) outcome: &'static str,
    pub(super) value: Option<Number>,
    /// `None` for the rule as a whole, which has no state.
    pub(super) state: Option<(AlertState, &'static str)>,
    pub(super) watermark: Option<Moment>,
    pub(super) duration: String,
    pub(super) error: Option<String>,
    pub(super) door: Option<String>,
}

pub(super) async fn read(
    app: &App,
    rule: &RuleView,
    shown: &[Labels],
    range: &Range,
) -> Result<Seen, PageError> {
    let tenant = Tenant::default();
    let ask = async |labels: &Labels| {
        app.state.evaluations(&tenant, &rule.id, Some(labels), range.from, range.to).await
    };
    let mut instances = Vec::new();
    for labels in shown {
        instances.push(ask(labels).await?);
    }
    let mut whole = ask(&Labels::new()).await?;
    // A rule without any label has one instance that is named as the rule as a whole is: by no labels.
    if shown.iter().any(Labels::is_empty) {
        whole.clear();
    }
    Ok(Seen { instances, whole })
}

impl Seen {
    /// The newest evaluation of anything.
    pub(super) fn last_outcome(&self) -> Option<&Evaluation> {
        self.instances.iter().chain([&self.whole]).filter_map(|list| list.last()).max_by_key(|e| e.at)
    }

    /// What was left out of the drawing.
    pub(super) fn notes(&self, range: &Range) -> Vec<String> {
        let is_cut = |list: &Vec<Evaluation>| list.len() >= PAGE_MAX as usize;
        let first = self.instances.iter().chain([&self.whole]).filter(|list| is_cut(list));
        let first = first.filter_map(|list| list.first().map(|e| e.at)).max();
        first.map_or(Vec::new(), |at| {
            let at = at.to_zoned(range.tz.clone()).strftime("%Y-%m-%d %H:%M:%S %Z");
            vec![format!(
                "Only the newest {PAGE_MAX} evaluations are drawn, from {at} on; choose a shorter range."
            )]
        })
    }
}

/// The newest evaluations, newest first. The rule as a whole speaks where no instance does.
pub(super) fn rows(
    rule: &RuleView,
    group: &GroupView,
    seen: &Seen,
    names: &[String],
    range: &Range,
) -> Vec<EvaluationRow> {
    let mut all: Vec<(Option<&str>, &Evaluation)> = Vec::new();
    for (name, list) in names.iter().zip(&seen.instances) {
        all.extend(list.iter().rev().take(ROWS_MAX).map(|evaluation| (Some(name.as_str()), evaluation)));
    }
    let told: BTreeSet<Timestamp> = all.iter().map(|(_, evaluation)| evaluation.at).collect();
    let whole = seen.whole.iter().rev().filter(|evaluation| !told.contains(&evaluation.at));
    all.extend(whole.take(ROWS_MAX).map(|evaluation| (None, evaluation)));
    all.sort_by(|a, b| b.1.at.cmp(&a.1.at).then_with(|| a.0.cmp(&b.0)));
    let mut rows: Vec<EvaluationRow> = Vec::new();
    let mut last_error: Option<String> = None;
    for (who, evaluation) in all.into_iter().take(ROWS_MAX) {
        let mut row = row(rule, group, who, evaluation, range);
        // A query that fails all night fails for one reason: it is said once.
        if row.error.is_some() && row.error == last_error {
            row.error = Some("as above".to_owned());
        } else {
            last_error.clone_from(&row.error);
        }
        rows.push(row);
    }
    rows
}

fn row(
    rule: &RuleView,
    group: &GroupView,
    who: Option<&str>,
    evaluation: &Evaluation,
    range: &Range,
) -> EvaluationRow {
    let now = range.to;
    let is_instance = who.is_some();
    EvaluationRow {
        at: moment(evaluation.at, now, range),
        who: who.unwrap_or("the rule").to_owned(),
        outcome: outcome_word(&evaluation.outcome),
        value: match evaluation.outcome {
            Outcome::Value(value) => Some(number(Some(value))),
            _ => None,
        },
        state: is_instance.then(|| (evaluation.state, state_class(evaluation.state))),
        watermark: evaluation.watermark.map(|at| moment(at, now, range)),
        duration: people_duration(evaluation.duration.as_secs_f64()),
        error: match &evaluation.outcome {
            Outcome::Error(error) => Some(hindsight_postmortem::chart::shorten(error, 400)),
            _ => None,
        },
        door: (!group.built_in).then(|| door(rule, group, evaluation.at, range)),
    }
}

/// The rule's query as it was asked at this tick: `$now` is the end of its window.
fn door(rule: &RuleView, group: &GroupView, tick: Timestamp, range: &Range) -> String {
    let offset = SignedDuration::try_from_secs_f64(group.query_offset_seconds).unwrap_or_default();
    let to = tick.checked_sub(offset).unwrap_or(tick);
    let from = to.checked_sub(DOOR_LENGTH).unwrap_or(to);
    sql_link(rule.sql.trim(), &Range { from, to, tz: range.tz.clone(), choice: None })
}
