use std::collections::BTreeSet;

use super::{Context, names};

/// Share of the shorter text's words that the other has too, from which on they say the same.
const SAME: f64 = 0.75;

pub(super) fn check(context: &mut Context<'_>) {
    let document = context.document;
    let lessons = document.lessons();
    let items = document.actions().map(|table| table.items).unwrap_or_default();
    let section = context.line_of_section("Lessons");
    if lessons.is_empty() {
        context.report("L1", section, "there are no numbered lessons");
    }
    for lesson in &lessons {
        if lesson.actions.is_empty() {
            context.report("L1", lesson.line, format!("{} leads to no action", lesson.id));
        }
        for action in &lesson.actions {
            match items.iter().find(|item| item.id == *action) {
                None => context.report(
                    "L1",
                    lesson.line,
                    format!("{} names {action}, which is not in the table", lesson.id),
                ),
                Some(item) if !item.lessons.contains(&lesson.id) => {
                    let message =
                        format!("{} names {action}, but {action} does not name {}", lesson.id, lesson.id);
                    context.report("L1", item.line, message);
                }
                Some(_) => {}
            }
        }
        let own = document.front.services.iter().chain(&context.knowledge.own_services);
        if let Some(service) = own.into_iter().find(|service| names::says_service(&lesson.text, service)) {
            context.report("L2", lesson.line, format!("{} names our service `{service}`", lesson.id));
        }
        for item in items.iter().filter(|item| lesson.actions.contains(&item.id)) {
            if restates(&lesson.text, &item.action) {
                context.report("L3", lesson.line, format!("{} says what {} says", lesson.id, item.id));
            }
        }
    }
    for item in &items {
        for name in item.lessons.iter().filter(|name| !lessons.iter().any(|lesson| lesson.id == **name)) {
            context.report(
                "L1",
                item.line,
                format!("{} names {name}, which is not among the lessons", item.id),
            );
        }
        for lesson in lessons.iter().filter(|lesson| item.lessons.contains(&lesson.id)) {
            if !lesson.actions.contains(&item.id) {
                let message =
                    format!("{} names {}, but {} does not name {}", item.id, lesson.id, lesson.id, item.id);
                context.report("L1", lesson.line, message);
            }
        }
    }
}

/// Whether two sentences have nearly the same words, however they are bent.
fn restates(lesson: &str, action: &str) -> bool {
    let (a, b) = (stems(lesson), stems(action));
    let shorter = a.len().min(b.len());
    shorter >= 3 && a.intersection(&b).count() as f64 >= SAME * shorter as f64
}

/// First letters of the words that carry meaning.
fn stems(text: &str) -> BTreeSet<String> {
    const LETTERS: usize = 5;
    const EMPTY: [&str; 22] = [
        "should", "must", "when", "that", "with", "from", "have", "this", "than", "each", "every", "any",
        "the", "and", "for", "not", "are", "our", "its", "all", "needs", "need",
    ];
    text.split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| word.chars().count() >= 3 && !EMPTY.contains(&word.as_str()))
        .map(|word| word.chars().take(LETTERS).collect())
        .collect()
}
