/// The word for an OTLP severity number (1–24), or `None` for 0 and for numbers outside the ranges.
///
/// Source: OpenTelemetry Logs Data Model, "Field: `SeverityNumber`".
pub fn severity_word(number: i32) -> Option<&'static str> {
    match number {
        1..=4 => Some("trace"),
        5..=8 => Some("debug"),
        9..=12 => Some("info"),
        13..=16 => Some("warn"),
        17..=20 => Some("error"),
        21..=24 => Some("fatal"),
        _ => None,
    }
}
