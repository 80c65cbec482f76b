use std::sync::LazyLock;

use regex::Regex;

static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:(\d+(?:\.\d+)?)[\s-]*(?:hours?|hrs?|h)\b)?(?:\s*(?:and\s+)?(\d+(?:\.\d+)?)[\s-]*(?:minutes?|mins?|m)\b)?",
    )
    .expect("the pattern is constant")
});

/// Durations said in a text, in minutes: `44 minutes`, `1 h 5 min`, `2 hours`.
pub(super) fn said_in(text: &str) -> Vec<f64> {
    DURATION
        .captures_iter(text)
        .filter_map(|found| {
            let part = |index: usize| found.get(index).and_then(|m| m.as_str().parse::<f64>().ok());
            match (part(1), part(2)) {
                (None, None) => None,
                (hours, minutes) => Some(hours.unwrap_or(0.0) * 60.0 + minutes.unwrap_or(0.0)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(said_in("for 44 minutes in us-west-2"), [44.0]);
        assert_eq!(said_in("a 23-minute outage"), [23.0]);
        assert_eq!(said_in("1 h 5 min, then 2 hours"), [65.0, 120.0]);
        assert_eq!(said_in("14 % of 20 requests at 14:32"), Vec::<f64>::new());
    }
}
