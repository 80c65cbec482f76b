use std::collections::BTreeSet;
use std::sync::LazyLock;

use hindsight_model::TimelineSource;
use jiff::Timestamp;
use regex::Regex;

use super::{Context, Level, has_word, names};
use crate::document::{Status, TimelineEntry};

const SILENCE_WARN_S: i64 = 10 * 60;
const SILENCE_ERROR_S: i64 = 15 * 60;
/// Kinds that are milestones of the response.
const MILESTONES: [&str; 8] = [
    "trigger",
    "impact_start",
    "onset",
    "detected",
    "acknowledged",
    "cause_identified",
    "mitigated",
    "resolved",
];

static ZONED_ROW: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^\s*[-*]\s+\**(?:\d{4}-\d{2}-\d{2}[ T])?\d{1,2}:\d{2}(?::\d{2})?\s*([A-Z]{2,5}|[+-]\d{2}:\d{2})\b",
    )
    .expect("the pattern is constant")
});

pub(super) fn check(context: &mut Context<'_>) {
    let rows = context.document.timeline();
    one_trigger_first(context, &rows);
    sorted_in_one_zone(context, &rows);
    silences(context, &rows);
    milestones_agree(context, &rows);
    roles_not_names(context, &rows);
    for row in &rows {
        if MILESTONES.contains(&row.kind.as_str()) && !row.milestone {
            context.report("TL6", row.line, format!("the milestone `{}` is not bold", row.kind));
        }
        if row.source == Some(TimelineSource::System) && row.evidence.is_empty() {
            context.report("TL8", row.line, format!("the system row at {} cites no evidence", row.time));
        }
    }
    let has = |source: TimelineSource| rows.iter().any(|row| row.source == Some(source));
    if !has(TimelineSource::System) || !has(TimelineSource::Human) {
        let line = context.line_of_section("Timeline");
        context.report("TL7", line, "the timeline has rows of one source only");
    }
}

fn one_trigger_first(context: &mut Context<'_>, rows: &[TimelineEntry]) {
    let section = context.line_of_section("Timeline");
    let triggers: Vec<&TimelineEntry> = rows.iter().filter(|row| row.kind == "trigger").collect();
    match triggers[..] {
        [] => context.report("TL1", section, "the timeline has no `trigger` row"),
        [one] => {
            if let Some(earlier) = rows.iter().find(|row| row.at < one.at && row.at.is_some()) {
                let message = format!("the row at {} is before the trigger at {}", earlier.time, one.time);
                context.report("TL1", earlier.line, message);
            }
        }
        [_, second, ..] => {
            let message = format!("{} rows are `trigger`; there is one", triggers.len());
            context.report("TL1", second.line, message);
        }
    }
    let times = &context.document.front.times;
    let line = context.document.front_line("times");
    if times.trigger.zip(times.impact_start).is_some_and(|(trigger, impact)| trigger > impact) {
        context.report("TL1", line, "the trigger is after the start of impact");
    }
    if times.impact_start.zip(times.detected).is_some_and(|(impact, detected)| impact > detected) {
        context.report("TL1", line, "detection is before the start of impact");
    }
}

fn sorted_in_one_zone(context: &mut Context<'_>, rows: &[TimelineEntry]) {
    for pair in rows.windows(2) {
        if let [before, after] = pair
            && after.at.zip(before.at).is_some_and(|(after, before)| after < before)
        {
            context.report("TL2", after.line, format!("{} stands after {}", after.time, before.time));
        }
    }
    let document = context.document;
    let mut zones = BTreeSet::new();
    for (_, text) in document.lines() {
        zones.extend(ZONED_ROW.captures(text).map(|found| found[1].to_owned()));
    }
    if zones.len() > 1 {
        let names: Vec<String> = zones.into_iter().collect();
        let line = context.line_of_section("Timeline");
        context.report("TL2", line, format!("rows are in several zones: {}", names.join(", ")));
    }
}

fn silences(context: &mut Context<'_>, rows: &[TimelineEntry]) {
    for pair in rows.windows(2) {
        let [before, after] = pair else { continue };
        let Some((start, end)) = before.at.zip(after.at) else { continue };
        let silent = end.as_second() - start.as_second();
        if silent <= SILENCE_WARN_S || before.kind == "gap" || after.kind == "gap" {
            continue;
        }
        let level = if silent > SILENCE_ERROR_S { Level::E } else { Level::W };
        let message = format!("nothing for {} min after {}", silent / 60, before.time);
        context.report_as(level, "TL3", after.line, message);
    }
}

fn milestones_agree(context: &mut Context<'_>, rows: &[TimelineEntry]) {
    let section = context.line_of_section("Timeline");
    for (name, at) in context.document.front.times.named() {
        let row = rows.iter().find(|row| row.kind == name || (name == "impact_start" && row.kind == "onset"));
        match (row, at) {
            (Some(row), Some(at)) if !same(row, at) => {
                let message = format!("`{name}` is at {} here and at {at} in the front matter", row.time);
                context.report("TL4", row.line, message);
            }
            (None, Some(_)) => {
                context.report("TL4", section, format!("`{name}` of the front matter has no row"));
            }
            _ => {}
        }
    }
    if !context.from(Status::InReview) {
        return;
    }
    for name in ["detected", "cause_identified", "mitigated", "resolved"] {
        if !rows.iter().any(|row| row.kind == name) {
            context.report("TL4", section, format!("there is no `{name}` row"));
        }
    }
    if !rows.iter().any(|row| matches!(row.kind.as_str(), "escalated" | "severity")) {
        context.report("TL4", section, "there is no `escalated` or `severity` row");
    }
}

/// Equal to the second, or to the minute where only that is written.
fn same(row: &TimelineEntry, at: Timestamp) -> bool {
    let unit = if row.to_the_minute { 60 } else { 1 };
    row.at.is_none_or(|here| here.as_second().div_euclid(unit) == at.as_second().div_euclid(unit))
}

fn roles_not_names(context: &mut Context<'_>, rows: &[TimelineEntry]) {
    let front = &context.document.front;
    let mut people: BTreeSet<String> =
        [&front.owner, &front.reviewer].into_iter().flatten().filter_map(|who| who.person.clone()).collect();
    let items = context.document.actions().map(|table| table.items).unwrap_or_default();
    people.extend(items.into_iter().map(|item| item.owner).filter(|owner| !owner.is_empty()));
    for row in rows {
        let text = row.text.to_lowercase();
        let named = people.iter().find(|name| has_word(&text, &name.to_lowercase()));
        if let Some(name) = named.cloned().or_else(|| names::person_in(&row.text)) {
            context.report("TL5", row.line, format!("the row names a person: {name}"));
        }
    }
}
