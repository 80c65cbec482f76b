use std::sync::LazyLock;

use regex::Regex;

use super::Context;
use super::durations::said_in;
use crate::document::Communications;

const MAX_WORDS: usize = 200;

static CLOCK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b\d{1,2}:\d{2}(?::\d{2})?(?:\s*(?:–|-|to)\s*\d{1,2}:\d{2}(?::\d{2})?)?\s*(?:[A-Z]{2,5}\b|[+-]\d{2}(?::\d{2})?)")
        .expect("the pattern is constant")
});
static CAUSE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(cause[ds]?|because|trigger(?:ed|s)?|led to|due to|after (?:a|the) (?:change|deploy\w*|rollout|release)|from a bug)\b")
        .expect("the pattern is constant")
});
static RESOLUTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(resolved|mitigated|returned|recovered|restored|rolled back|reverted|fixed|ended)\b")
        .expect("the pattern is constant")
});
static COMMS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(status[- ]page|customers were (?:told|informed)|announced|notified|e-?mail|communicat\w*|posted)\b")
        .expect("the pattern is constant")
});

pub(super) fn check(context: &mut Context<'_>) {
    let document = context.document;
    let text = prose(document.section_text("Summary"));
    let line = context.line_of_section("Summary");
    if text.trim().is_empty() {
        context.report("S1", line, "there is no summary");
        return;
    }
    let words = text.split_whitespace().count();
    if words > MAX_WORDS {
        context.report("S1", line, format!("the summary has {words} words, more than {MAX_WORDS}"));
    }
    let impacts = &document.front.impact;
    let number_said = impacts.iter().any(|impact| says_number(&text, impact.value));
    let told = matches!(&document.front.comms, Communications::Sent(sent) if !sent.is_empty());
    for (missing, what) in [
        (!CLOCK.is_match(&text), "a time with its zone"),
        (!number_said, "a number from the impact in the front matter"),
        (said_in(&text).is_empty(), "the duration"),
        (!CAUSE.is_match(&text), "the cause, or that it is not known"),
        (!RESOLUTION.is_match(&text), "how it ended"),
        (told && !COMMS.is_match(&text), "what customers were told"),
    ] {
        if missing {
            context.report("S1", line, format!("the summary lacks {what}"));
        }
    }
}

/// The text without comments.
fn prose(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// Whether a text has this number, however its thousands are set apart (`23,000`, `23 000`, `23k`).
fn says_number(text: &str, value: f64) -> bool {
    let compact: String =
        text.chars().filter(|c| !matches!(c, ',' | ' ' | '\u{202f}' | '\u{a0}' | '\'')).collect();
    let whole = format!("{value}");
    let thousands = value / 1_000.0;
    compact.contains(&whole) || (value >= 1_000.0 && compact.contains(&format!("{thousands}k")))
}
