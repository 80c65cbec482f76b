use jiff::Timestamp;

use super::knowledge::{Observed, ObservedKind};
use super::{Context, has_word};
use crate::document::{Detection, TimelineEntry};
use crate::evidence::Evidence;

/// A row may differ from telemetry by this much.
const NEAR_S: i64 = 60;
/// Stored and fresh numbers may differ by this share.
const NEAR_SHARE: f64 = 0.01;

pub(super) fn check(context: &mut Context<'_>) {
    times_agree(context);
    numbers_are_shown(context);
    numbers_hold(context);
}

/// TL9: against what the edge asked of telemetry now, and against the alert history that was frozen.
fn times_agree(context: &mut Context<'_>) {
    let observed = context.knowledge.observed.clone();
    let frozen: Vec<Observed> = context.evidence.items.iter().flat_map(frozen_observations).collect();
    for row in context.document.timeline() {
        let Some(at) = row.at else { continue };
        let mut mine = about(context, &row, &observed);
        // A frozen history holds the first sight of a version only, so it tells of the trigger and no other change.
        if mine.is_empty() && (row.kind == "trigger" || is_alert_row(&row)) {
            mine = about(context, &row, &frozen);
        }
        let slack = if row.to_the_minute { NEAR_S + 59 } else { NEAR_S };
        let nearest = mine.into_iter().min_by_key(|seen| distance(seen.at, at));
        if let Some(seen) = nearest
            && distance(seen.at, at) > slack
        {
            let message = format!("{} is at {} here and at {} in telemetry", seen.name, row.time, seen.at);
            context.report("TL9", row.line, message);
        }
    }
}

fn distance(a: Timestamp, b: Timestamp) -> i64 {
    (a.as_second() - b.as_second()).abs()
}

fn is_alert_row(row: &TimelineEntry) -> bool {
    matches!(row.kind.as_str(), "alert" | "detected")
}

/// The observations a row tells of: those whose name it says, in the state it says.
fn about<'o>(context: &Context<'_>, row: &TimelineEntry, observed: &'o [Observed]) -> Vec<&'o Observed> {
    // `4.2.0 first seen (before: 4.1.9)` tells of the first version only.
    let text = row.text.split("(before").next().unwrap_or_default().to_lowercase();
    let is_change = matches!(row.kind.as_str(), "trigger" | "change" | "deploy" | "deployment");
    let kind = match () {
        () if is_alert_row(row) => ObservedKind::Alert,
        () if is_change => ObservedKind::Change,
        () => return Vec::new(),
    };
    let of_kind: Vec<&Observed> = observed.iter().filter(|seen| seen.kind == kind).collect();
    let mut named: Vec<&Observed> =
        of_kind.iter().copied().filter(|seen| has_word(&text, &seen.name.to_lowercase())).collect();
    let by_alert = context.document.front.detection == Some(Detection::Alert);
    if named.is_empty() && row.kind == "detected" && by_alert {
        named = of_kind;
    }
    let state = match () {
        () if row.kind == "detected" || text.contains("fires") || text.contains("firing") => "firing",
        () if text.contains("pending") => "pending",
        () => return named,
    };
    named.retain(|seen| seen.state.is_empty() || seen.state == state);
    named
}

/// Alert transitions and first sights of versions that a piece of evidence holds.
fn frozen_observations(evidence: &Evidence) -> Vec<Observed> {
    let rows = 0..evidence.rows.len();
    let alert = |row: usize| {
        Some(Observed {
            at: evidence.time(row, "timestamp")?,
            kind: ObservedKind::Alert,
            name: evidence.text(row, "alert")?,
            state: evidence.text(row, "to_state").unwrap_or_default(),
        })
    };
    let change = |row: usize| {
        Some(Observed {
            at: evidence.time(row, "first_seen")?,
            kind: ObservedKind::Change,
            name: evidence.text(row, "version")?,
            state: String::new(),
        })
    };
    rows.filter_map(|row| alert(row).or_else(|| change(row))).collect()
}

/// I3 without a fresh answer: the number is one that its own evidence shows.
fn numbers_are_shown(context: &mut Context<'_>) {
    let document = context.document;
    for (index, impact) in document.front.impact.iter().enumerate().filter(|(_, impact)| !impact.estimate) {
        let evidence = impact.evidence.as_ref().and_then(|id| context.evidence.get(id));
        let Some(evidence) = evidence.filter(|evidence| !shows(evidence, impact.value)) else { continue };
        let message = format!("{} says {}, which {} does not show", impact.what, impact.value, evidence.id);
        context.report("I3", document.front_item_line("impact", index), message);
    }
    for (index, slo) in document.front.slo.iter().enumerate() {
        let evidence = slo.evidence.as_ref().and_then(|id| context.evidence.get(id));
        let Some(evidence) = evidence.filter(|evidence| !shows(evidence, slo.budget_spent)) else { continue };
        let message = format!("{} says {}, which {} does not show", slo.name, slo.budget_spent, evidence.id);
        context.report("I3", document.front_item_line("slo", index), message);
    }
}

/// Whether a cell, the sum of a column or the number of rows is this number, ± 1 %.
fn shows(evidence: &Evidence, value: f64) -> bool {
    let sums = evidence.columns.iter().map(|column| {
        (0..evidence.rows.len()).filter_map(|row| evidence.number(row, &column.name)).sum::<f64>()
    });
    let cells = evidence.rows.iter().flatten().filter_map(serde_json::Value::as_f64);
    cells.chain(sums).chain([evidence.rows.len() as f64]).any(|number| near(number, value))
}

/// I3 with a fresh answer: the same question gives the same numbers.
fn numbers_hold(context: &mut Context<'_>) {
    for (id, rerun) in context.knowledge.reruns.clone() {
        let Some(stored) = context.evidence.get(&id) else { continue };
        let difference = match &rerun {
            Err(why) => Some(format!("{id} could not be run again: {why}")),
            Ok(fresh) => first_difference(stored, fresh),
        };
        if let Some(message) = difference {
            let line = cited_line(context, &id);
            context.report("I3", line, message);
        }
    }
}

fn first_difference(stored: &Evidence, fresh: &Evidence) -> Option<String> {
    let id = &stored.id;
    if stored.rows.len() != fresh.rows.len() {
        return Some(format!("{id} held {} rows, now there are {}", stored.rows.len(), fresh.rows.len()));
    }
    for row in 0..stored.rows.len() {
        for column in &stored.columns {
            let (then, now) = (stored.number(row, &column.name), fresh.number(row, &column.name));
            if let (Some(then), Some(now)) = (then, now)
                && !near(now, then)
            {
                return Some(format!(
                    "{id} held {then} for {} in row {}, now it is {now}",
                    column.name,
                    row + 1
                ));
            }
        }
    }
    None
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= NEAR_SHARE * b.abs().max(f64::MIN_POSITIVE)
}

/// Where the front matter or the text first names a piece of evidence.
fn cited_line(context: &Context<'_>, id: &str) -> usize {
    let document = context.document;
    let impact = document.front.impact.iter().position(|impact| impact.evidence.as_deref() == Some(id));
    if let Some(index) = impact {
        return document.front_item_line("impact", index);
    }
    let mark = format!("[{id}]");
    document.lines().find(|(_, text)| text.contains(&mark)).map_or(1, |(line, _)| line)
}
