//! Words from telemetry made safe for Markdown, and times and numbers as the draft says them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::chart::{exact, shorten};

/// Longest piece of telemetry text in a sentence.
const MAX_TEXT: usize = 240;

/// Text from outside as plain Markdown text on one line: nothing in it is markup, a citation or a mark of ours.
pub(super) fn plain(text: &str) -> String {
    escaped(&shorten(text.trim(), MAX_TEXT))
}

/// The same for a sentence of ours that quotes telemetry between “ ” or backticks: the quotation becomes code, so that
/// it is read, and linted, as what a machine wrote.
pub(super) fn quoting(text: &str) -> String {
    let text = shorten(text.trim(), MAX_TEXT);
    let mut out = String::with_capacity(text.len());
    let mut rest: &str = &text;
    while let Some((before, after)) = rest.split_once(['“', '`']) {
        let Some((quoted, behind)) = after.split_once(['”', '`']) else { break };
        out.push_str(&escaped(before));
        // Brackets would cite evidence, also in code.
        out.push_str(&code(&quoted.replace('[', "(").replace(']', ")")));
        rest = behind;
    }
    out + &escaped(rest)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_inside = before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        before = c;
        match c {
            // Inside a word an underscore is no markup, and `pending_requests` is how the metric is called.
            '_' if is_inside => out.push(c),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '|' | '~' => out.extend(['\\', c]),
            '[' => out.push_str("&#91;"),
            ']' => out.push_str("&#93;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A name as code; backticks and breaks in it are dropped.
pub(super) fn code(text: &str) -> String {
    let name: String =
        shorten(text.trim(), 100).chars().filter(|c| *c != '`' && *c != '|' && !c.is_control()).collect();
    if name.is_empty() {
        "(empty)".to_owned()
    } else {
        format!("`{}`", name.replace('<', "‹").replace('>', "›"))
    }
}

/// Time of day in the zone, with seconds where there are any.
pub(super) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    let local = at.to_zoned(zone.clone());
    let format = if local.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    local.strftime(format).to_string()
}

/// Time of day to the minute with the zone's name.
pub(super) fn minute(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M %Z").to_string()
}

/// Time of day to the minute.
pub(super) fn short_clock(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M").to_string()
}

/// The calendar day in the zone.
pub(super) fn day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d").to_string()
}

/// Whole minutes between two instants as people say them, at least one (`44 min`, `1 h 5 min`).
pub(crate) fn minutes_between(from: Timestamp, to: Timestamp) -> String {
    let seconds = (to.as_second() - from.as_second()).max(0);
    let minutes = ((seconds + 30) / 60).max(1);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// A whole number with its thousands apart.
pub(super) fn count(value: f64) -> String {
    exact(value.round()).replace('\u{202f}', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_they_are_called_and_markup_stays_text() {
        assert_eq!(plain("db.pending_requests of a_b_c"), "db.pending_requests of a_b_c");
        assert_eq!(plain("_init_ or __x"), "\\_init\\_ or \\_\\_x");
        let quoted = quoting("a_b logs “pool <*> of [E1] FULL” twice, `x`, “open");
        assert_eq!(quoted, "a_b logs `pool ‹*› of (E1) FULL` twice, `x`, “open");
        assert_eq!(plain("*a* `b` [E1] <c>"), "\\*a\\* \\`b\\` &#91;E1&#93; &lt;c&gt;");
    }
}
