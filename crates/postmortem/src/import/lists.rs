use std::sync::LazyLock;

use regex::Regex;

/// `- 14:32 UTC - text`, `**14:32** text`, `| 2026-05-04 14:32 | text |`, `14:32:10: text`.
static ROW: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^\s*(?:[-*+]\s+|\|\s*)?(?:\*\*|`|\[)?(?:(\d{4}-\d{2}-\d{2})[ T,]+)?(\d{1,2}:\d{2}(?::\d{2})?)",
        r"(?:\s*\(?(UTC|GMT|Z|[A-Z]{3,4}|[+-]\d{2}:?\d{2})\)?)?(?:\*\*|`|\])?\s*(?:[-–—:|]+\s*)?(.*?)\s*\|?\s*$",
    ))
    .expect("the pattern is constant")
});
static OURS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^`[a-z_]+`\s+`(?:system|human)`").expect("the pattern is constant"));
static WHY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^\s*(?:[-*+]\s+|\d+[.)]\s+)?(?:\*\*)?((?:\d+[.)]\s*)?why\b[^?]*\?)(?:\*\*)?\s*(?:[-–—:>→]+\s*)?(.*)$")
        .expect("the pattern is constant")
});
static OWN_WHY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s*(?:\*\*)?\d+(?:\.\d+)+\.?\s").expect("the pattern is constant"));
static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:[-*+]\s+|\d+[.)]\s+|\*\*L?\d+\.?\*\*\s+|L\d+[.:]\s+)(.*\S)\s*$")
        .expect("the pattern is constant")
});

/// Rows that start with a time, in our form; each is a person's note until somebody says what it is. Other lines stay.
pub(super) fn timeline(text: &str) -> String {
    each_line(text, |line| {
        let found = ROW.captures(line)?;
        let part = |index: usize| found.get(index).map_or("", |m| m.as_str());
        let (date, time, zone, words) = (part(1), part(2), part(3), part(4).replace('|', "·"));
        let (hour, _) = time.split_once(':')?;
        if hour.parse::<u8>().ok()? > 23 || words.is_empty() {
            return None;
        }
        let time = if time.len() % 3 == 1 { format!("0{time}") } else { time.to_owned() };
        let date = if date.is_empty() { String::new() } else { format!("{date} ") };
        // The document has one zone; another that is said stays said.
        let zone = if zone.is_empty() { String::new() } else { format!(" ({zone})") };
        let kind = if OURS.is_match(&words) { "" } else { "`note` `human` " };
        Some(format!("- {date}{time} {kind}{words}{zone}"))
    })
}

/// Questions that start with `Why`, numbered as one chain, an answer behind or in the next line; the rest stays.
pub(super) fn whys(text: &str) -> String {
    if text.lines().any(|line| OWN_WHY.is_match(line)) {
        return text.to_owned();
    }
    let mut number = 0;
    each_line(text, |line| {
        let found = WHY.captures(line)?;
        number += 1;
        let question =
            found[1].trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ')' | ' '));
        let answer = found[2].trim_matches(|c: char| c == '*' || c.is_whitespace());
        let arrow = if answer.is_empty() { String::new() } else { format!(" → {answer}") };
        Some(format!("1.{number}. {question}{arrow}"))
    })
}

/// List items as numbered lessons; the rest stays.
pub(super) fn lessons(text: &str) -> String {
    let mut number = 0;
    each_line(text, |line| {
        let found = ITEM.captures(line)?;
        number += 1;
        Some(format!("L{number}. {}", &found[1]))
    })
}

/// Each line changed, or as it is; none inside code fences.
fn each_line(text: &str, mut change: impl FnMut(&str) -> Option<String>) -> String {
    let mut fenced = false;
    let mut out = String::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        match if fenced { None } else { change(line) } {
            Some(changed) => out.push_str(&changed),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}
