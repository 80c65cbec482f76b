//! A log as a line.

use serde_json::{Map, Value};

use crate::sql::layout::one_line;

/// Before each further line of a body.
const INDENT: &str = "    ";

/// Whether severities have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    Yes,
    No,
}

/// `TIME SEVERITY service  body`, with its end. A body with several lines goes on below, further in; nothing in it
/// controls the terminal.
pub(crate) fn text(log: &Map<String, Value>, colours: Colours) -> String {
    let word = |name: &str| log.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let severity = word("severity").or_else(|| word("severity_text")).unwrap_or("-");
    let body = match log.get("body") {
        Some(Value::String(body)) if !body.is_empty() => body.clone(),
        None | Some(Value::Null | Value::String(_)) => word("event_name").unwrap_or("").to_owned(),
        Some(other) => other.to_string(),
    };
    let mut lines = body.trim_end().split('\n').map(|line| one_line(line.trim_end_matches('\r')));
    let mut out = format!(
        "{} {} {}  {}\n",
        milliseconds(word("timestamp").unwrap_or("-")),
        coloured(&one_line(severity).to_uppercase(), colours),
        one_line(word("service_name").unwrap_or("-")),
        lines.next().unwrap_or_default(),
    );
    for line in lines {
        out.extend([INDENT, &line, "\n"]);
    }
    out
}

/// A log with all its columns as one line of JSON, with its end.
pub(crate) fn json(log: Map<String, Value>) -> String {
    Value::Object(log).to_string() + "\n"
}

/// An RFC 3339 instant with fewer digits.
fn milliseconds(at: &str) -> String {
    at.parse::<jiff::Timestamp>().map_or_else(|_| at.to_owned(), |at| format!("{at:.3}"))
}

/// Five places wide, in the colour of its severity.
fn coloured(severity: &str, colours: Colours) -> String {
    let padded = format!("{severity:<5}");
    let colour = match severity {
        "TRACE" | "DEBUG" => "2",
        "INFO" => "32",
        "WARN" => "33",
        "ERROR" => "31",
        "FATAL" => "1;31",
        _ => return padded,
    };
    if colours == Colours::Yes { format!("\x1b[{colour}m{padded}\x1b[0m") } else { padded }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn line(log: &Value, colours: Colours) -> String {
        text(log.as_object().unwrap(), colours)
    }

    #[test]
    fn a_log_is_time_severity_service_and_body() {
        let log = json!({"timestamp": "2026-05-04T21:32:00.123456Z", "severity": "warn",
                         "service_name": "cart", "body": "slow\r\n  at x\n"});
        let plain = "2026-05-04T21:32:00.123Z WARN  cart  slow\n      at x\n";
        assert_eq!(line(&log, Colours::No), plain);
        assert_eq!(line(&log, Colours::Yes), plain.replace("WARN ", "\x1b[33mWARN \x1b[0m"));
        let event = json!({"timestamp": "2026-05-04T21:32:00Z", "severity": null, "severity_text": "Notice",
                           "service_name": null, "body": null, "event_name": "deploy"});
        assert_eq!(line(&event, Colours::Yes), "2026-05-04T21:32:00.000Z NOTICE -  deploy\n");
    }

    proptest! {
        #[test]
        fn nothing_that_was_logged_controls_the_terminal(body in any::<String>(), service in any::<String>()) {
            let log = json!({"timestamp": "2026-05-04T21:32:00Z", "service_name": service, "body": body,
                             "severity_text": body});
            let shown = line(&log, Colours::No);
            prop_assert!(shown.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
