use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Context;
use crate::document::{ActionItem, ActionStatus, Document, pattern};

/// A pattern this often, counting this document, is systemic.
const OFTEN: usize = 3;
const WITHIN: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Shared patterns and services make an incident a repeat of an earlier one within this time.
const REPEATS_WITHIN: SignedDuration = SignedDuration::from_hours(365 * 24);

pub(super) fn check(context: &mut Context<'_>) {
    systemic(context);
    repeats(context);
}

/// X1.
fn systemic(context: &mut Context<'_>) {
    let document = context.document;
    let line = document.front_line("patterns");
    let notice = document.section_text("Systemic notice").to_lowercase();
    for tag in &document.front.patterns {
        if pattern(tag).is_none() {
            context.report("X1", line, format!("`{tag}` is not on the list of patterns"));
            continue;
        }
        let before: Vec<&Document> =
            earlier(context, WITHIN).filter(|d| d.front.patterns.contains(tag)).collect();
        if before.len() + 1 < OFTEN || notice.contains(tag.as_str()) {
            continue;
        }
        let ids: Vec<&str> = before.iter().map(|other| other.front.id.as_str()).collect();
        let message = format!(
            "`{tag}` is systemic: {} times in 90 days, before in {}; say so under `## Systemic notice`",
            before.len() + 1,
            ids.join(", ")
        );
        context.report("X1", line, message);
    }
}

/// X2.
fn repeats(context: &mut Context<'_>) {
    let document = context.document;
    let line = document.front_line("patterns");
    let text = document.write();
    let mut messages = Vec::new();
    for other in earlier(context, REPEATS_WITHIN).filter(|other| is_repeat(document, other)) {
        let id = &other.front.id;
        let items = other.actions().map(|table| table.items).unwrap_or_default();
        for item in items.iter().filter(|item| is_open(item)) {
            if !text.contains(&format!("{id} {}", item.id)) {
                messages.push(format!(
                    "it repeats {id}, whose {} is not done: {} ({})",
                    item.id,
                    item.action,
                    item.status.as_str()
                ));
            }
        }
    }
    for message in messages {
        context.report("X2", line, message);
    }
}

fn is_open(item: &ActionItem) -> bool {
    !matches!(item.status, ActionStatus::Done | ActionStatus::Verified | ActionStatus::WontDo)
}

/// Named in `repeats`, or alike: a service and a pattern in common.
fn is_repeat(document: &Document, other: &Document) -> bool {
    let (mine, theirs) = (&document.front, &other.front);
    let shares = |a: &[String], b: &[String]| a.iter().any(|name| b.contains(name));
    mine.repeats.contains(&theirs.id)
        || (shares(&mine.services, &theirs.services) && shares(&mine.patterns, &theirs.patterns))
}

/// The other documents whose incident began before this one's, by at most this long.
fn earlier<'a>(context: &Context<'a>, within: SignedDuration) -> impl Iterator<Item = &'a Document> {
    let document = context.document;
    let began = began(document);
    let knowledge = context.knowledge;
    knowledge.others.iter().map(Arc::as_ref).filter(move |other| {
        let gap = began.zip(self::began(other)).map(|(mine, theirs)| mine.duration_since(theirs));
        other.front.id != document.front.id && gap.is_some_and(|gap| !gap.is_negative() && gap <= within)
    })
}

fn began(document: &Document) -> Option<Timestamp> {
    let times = document.front.times;
    times.impact_start.or(times.detected).or(times.resolved)
}
