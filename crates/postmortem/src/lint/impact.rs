use std::sync::LazyLock;

use regex::Regex;

use super::{Context, just_before};

/// Vague words told of in one stretch of text.
const MAX_VAGUE: usize = 50;

static VAGUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)\b(some|many|several|significant(?:ly)?|numerous|a few|lots of|a lot of|a number of|a handful of|a large number",
        r"|a small (?:number|subset|portion|fraction|percentage)|a large (?:share|portion|part|fraction)|most of|most (?:users|customers|requests|orders)",
        r"|the (?:vast )?majority of|considerabl[ey]|substantial(?:ly)?|countless|multiple (?:users|customers|requests|orders|services|tenants|regions|teams|people|clients|partners|accounts|merchants))\b",
    ))
    .expect("the pattern is constant")
});
/// Just before a vague word that is none: `how many`, `as many as 12 000`.
static ASKS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:how|as|too|so|that|not|statistically)\s+$").expect("the pattern is constant")
});
/// Just after one: the number itself, within the clause.
static COUNTED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:\s+as)?\s+(?:\([^)]*\d|(?:\w+\s+)?\d)|^\s+\w+(?:\s+\w+){0,4}\s+\([^)]*\d|^\s+(?:figures|digits?)\b")
        .expect("the pattern is constant")
});

pub(super) fn check(context: &mut Context<'_>) {
    let document = context.document;
    for heading in ["Impact", "Summary"] {
        let Some(section) = document.section(heading) else { continue };
        for found in vague_in(&document.body()[section.range.clone()]) {
            let at = document.line_of(section.range.start + found.start());
            context.report("I1", at, format!("`{}` is not a number", found.as_str()));
        }
    }
    for (index, impact) in document.front.impact.iter().enumerate() {
        let line = document.front_item_line("impact", index);
        if let Some(found) = vague_in(&impact.what).first() {
            context.report("I1", line, format!("`{}` is not a number", found.as_str()));
        }
        if impact.unit.trim().is_empty() || !impact.value.is_finite() {
            context.report("I2", line, format!("`{}` has no number with a unit", impact.what));
        }
        if impact.estimate && impact.why.as_deref().unwrap_or_default().trim().is_empty() {
            context.report("I2", line, format!("the estimate of `{}` does not say why", impact.what));
        }
    }
    if document.front.impact.is_empty() {
        context.report("I2", document.front_line("impact"), "there is no impact in numbers");
    }
}

/// The vague words of a text that no number makes exact, at most [`MAX_VAGUE`].
fn vague_in(text: &str) -> Vec<regex::Match<'_>> {
    let vague = |found: &regex::Match<'_>| {
        !ASKS.is_match(just_before(text, found.start())) && !COUNTED.is_match(&text[found.end()..])
    };
    VAGUE.find_iter(text).filter(vague).take(MAX_VAGUE).collect()
}
