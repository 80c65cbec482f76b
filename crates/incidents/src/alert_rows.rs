use std::collections::BTreeMap;

use hindsight_model::{AlertState, TimelineKind, TimelineRow, Transition};
use jiff::Timestamp;

use crate::format;
use crate::gather::queries;
use crate::life::{is_tier, service_of};
use crate::series::plus_minutes;
use crate::timeline::{Inputs, row};

/// Longest summary of an alert in a row.
const SUMMARY_CHARS_MAX: usize = 90;

/// Two rows per episode: that it fired, with how long its breach stood, and that its breach ended, with how long it
/// was kept. A burn-rate tier gets the first only: it looks back over hours, so its end tells of no moment.
pub(crate) fn alert_rows(inputs: &Inputs<'_>) -> Vec<TimelineRow> {
    let mut episodes: BTreeMap<&str, Vec<&Transition>> = BTreeMap::new();
    for t in inputs.transitions {
        let is_ours = inputs.incident.alerts.contains_key(&t.episode) && t.tenant == inputs.incident.tenant;
        if is_ours {
            episodes.entry(&t.episode).or_default().push(t);
        }
    }
    episodes.values().flat_map(|episode| of_episode(episode)).collect()
}

fn of_episode(episode: &[&Transition]) -> Vec<TimelineRow> {
    let mut rows = Vec::new();
    let mut recovering: Option<&Transition> = None;
    for t in episode {
        match t.to {
            AlertState::Firing if t.from == AlertState::Firing => {
                rows.push(told(t, "changes to and fro", ""));
            }
            AlertState::Firing => {
                // It came back before it was over: the end that was seen is an end all the same.
                rows.extend(recovering.take().map(|r| told(r, "recovers", "")));
                let since = if t.from == AlertState::Pending { t.active_at } else { None };
                rows.push(told(t, "fires", &after(since, t.at, " after its breach began")));
            }
            AlertState::Recovering => recovering = Some(t),
            AlertState::Inactive if t.from == AlertState::Pending => {}
            AlertState::Inactive => {
                let end = recovering.take();
                let how = if t.reason == "recovered" { "recovers" } else { "ends" };
                let more = match end {
                    Some(end) => format!(", resolved{}", after(Some(end.at), t.at, " later")),
                    None if t.reason == "recovered" => ", resolved".to_owned(),
                    None => format!(" ({})", t.reason),
                };
                rows.push(told(end.unwrap_or(t), how, &more));
            }
            AlertState::Pending => {}
        }
    }
    rows.extend(recovering.map(|r| told(r, "recovers", "")));
    let is_of_tier = episode.first().is_some_and(|t| is_tier(t));
    if is_of_tier {
        rows.truncate(1);
    }
    rows
}

/// ` 2 min after its breach began`; nothing when it took under half a minute.
fn after(since: Option<Timestamp>, at: Timestamp, words: &str) -> String {
    let seconds = since.map_or(0, |since| at.duration_since(since).as_secs());
    if seconds < 30 { String::new() } else { format!(" {} min{words}", ((seconds + 30) / 60).max(1)) }
}

fn told(t: &Transition, what: &str, more: &str) -> TimelineRow {
    let sql = queries::transitions(plus_minutes(t.at, -60), plus_minutes(t.at, 60), &t.rule);
    let text = format!("alert {} {what}{more}{}", t.alert, figure(t));
    row(t.at, TimelineKind::Alert, service_of(&t.labels), text, sql)
}

/// What the alert measured: a tier's burn rate, else its summary, which knows the unit, else the bare value.
fn figure(t: &Transition) -> String {
    let value = t.value.map(format::number);
    if is_tier(t) {
        return value.map(|v| format!(": burn rate {v}×")).unwrap_or_default();
    }
    let summary =
        t.annotations.get("summary").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    match summary.filter(|text| !text.is_empty()) {
        Some(text) if text.chars().count() > SUMMARY_CHARS_MAX => {
            format!(": {}…", text.chars().take(SUMMARY_CHARS_MAX - 1).collect::<String>().trim_end())
        }
        Some(text) => format!(": {text}"),
        None => value.map(|v| format!(": value {v}")).unwrap_or_default(),
    }
}
