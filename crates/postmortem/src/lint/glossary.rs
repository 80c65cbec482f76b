use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::Context;
use crate::document::zone_or_utc;

/// Acronyms looked at in one document; further ones are let be.
const MAX_ACRONYMS: usize = 300;

/// What every reader of a post-mortem knows, and codes that are not acronyms.
const KNOWN: &[&str] = &[
    "AM", "API", "AWS", "CDN", "CI", "CD", "CEO", "CLI", "CPU", "CSV", "CTO", "DB", "DNS", "EST", "EU",
    "EUR", "FAQ", "GB", "GBP", "GET", "GIB", "GPU", "HTML", "HTTP", "HTTPS", "ID", "IO", "IT", "IP", "JSON",
    "KB", "MB", "NA", "OK", "OS", "PDF", "PM", "POST", "PUT", "RAM", "SMS", "SQL", "SSD", "SSH", "TB", "TLS",
    "TTL", "UI", "UK", "URL", "US", "USA", "USB", "USD", "UTC", "UUID", "VM", "XML", "YAML", "DELETE",
    "PATCH", "SELECT", "AND", "OR", "NOT", "WARN", "ERROR", "INFO", "TODO", "README",
];

static ACRONYM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[A-Za-z0-9_./:-]*[A-Z][A-Za-z0-9_./:-]*").expect("the pattern is constant")
});
static SHAPE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[A-Z]{2,6}s?$").expect("the pattern is constant"));
static NOT_PROSE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)```.*?```|`[^`]*`|<!--.*?-->|\]\([^)]*\)|\bsql:[^|\n]*")
        .expect("the pattern is constant")
});

/// G1: an acronym in prose is in the glossary, written out beside it, or one that everybody knows.
pub(super) fn check(context: &mut Context<'_>) {
    let document = context.document;
    let zone = zone_or_utc(&document.front.timezone);
    let zones: BTreeSet<String> = document
        .front
        .times
        .named()
        .into_iter()
        .filter_map(|(_, at)| Some(at?.to_zoned(zone.clone()).strftime("%Z").to_string()))
        .collect();
    let prose = without(&NOT_PROSE, document.body());
    let first_line = document.line_of(0);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (index, line) in prose.lines().enumerate() {
        if is_shouting(line) {
            continue;
        }
        for word in ACRONYM.find_iter(line) {
            let word = word.as_str().trim_end_matches([':', '.', '/', '-']);
            if !SHAPE.is_match(word) {
                continue;
            }
            let bare = word.trim_end_matches('s');
            if is_time_zone_after_clock(line, word) || !seen.insert(bare.to_owned()) {
                continue;
            }
            if seen.len() > MAX_ACRONYMS {
                return;
            }
            let known = KNOWN.contains(&bare)
                || zones.contains(bare)
                || ["SEV", "INC"].contains(&bare)
                || document.front.glossary.keys().any(|key| key == bare || key == word)
                || is_written_out(&prose, bare);
            if !known {
                let message = format!("{bare} is not explained");
                context.report("G1", first_line + index, message);
            }
        }
    }
}

/// The text with what matches blanked out, line for line.
fn without(pattern: &Regex, text: &str) -> String {
    pattern
        .replace_all(text, |found: &regex::Captures<'_>| {
            found[0].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect::<String>()
        })
        .into_owned()
}

/// A heading or a line in capitals is not made of acronyms.
fn is_shouting(line: &str) -> bool {
    let letters = line.chars().filter(|c| c.is_alphabetic()).count();
    let capitals = line.chars().filter(|c| c.is_uppercase()).count();
    letters > 12 && capitals * 10 > letters * 7
}

/// `14:36 CEST`: another zone than the document's is TL2's.
fn is_time_zone_after_clock(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].strip_suffix(' ').unwrap_or(&line[..at]);
        before.ends_with(|c: char| c.is_ascii_digit())
            && before.rsplit(' ').next().is_some_and(|w| w.contains(':'))
    })
}

/// `Relational Database Service (RDS)`, or `RDS (Relational Database Service)`.
fn is_written_out(prose: &str, acronym: &str) -> bool {
    let after = format!("({acronym})");
    let before = format!("{acronym} (");
    prose.match_indices(&after).any(|(at, _)| ends_in_initials(&prose[..at], acronym))
        || prose.match_indices(&before).any(|(at, _)| {
            let inside = prose[at + before.len()..].split(')').next().unwrap_or_default();
            let first = acronym.chars().next().map(|c| c.to_ascii_lowercase());
            inside.split_whitespace().count() >= 2
                && inside.chars().next().map(|c| c.to_ascii_lowercase()) == first
        })
}

/// Whether the words just before stand for the letters: one of them begins with the first letter.
fn ends_in_initials(before: &str, acronym: &str) -> bool {
    let Some(first) = acronym.chars().next() else { return false };
    let line = before.rsplit('\n').next().unwrap_or(before);
    let words = line.split(|c: char| !c.is_alphanumeric()).rev().filter(|word| !word.is_empty());
    let mut near = words.take(acronym.chars().count() + 1);
    near.any(|word| word.len() > 1 && word.chars().next().is_some_and(|c| c.eq_ignore_ascii_case(&first)))
}
