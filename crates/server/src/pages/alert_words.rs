//! How alerts read on every page: states, labels, values, times, and where a rule's page is.

use hindsight_model::{AlertState, Labels, Outcome};
use hindsight_postmortem::chart::{Unit, exact, people_duration, shorten};
use jiff::Timestamp;
use url::Url;

use super::range::Range;

/// Characters of a label's name or value that are printed; the rest is on hover.
const LABEL_CHARS_MAX: usize = 80;
/// Characters of a label on hover.
const LABEL_TITLE_CHARS_MAX: usize = 600;

/// One label, ready to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chip {
    pub(crate) text: String,
    pub(crate) title: String,
}

/// An instant as text, how long ago it was, and for machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) text: String,
    pub(crate) ago: String,
    pub(crate) iso: String,
}

/// A number with three digits, and with all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) text: String,
    pub(crate) exact: String,
}

/// The class of a state; red is for firing only.
pub(crate) fn state_class(state: AlertState) -> &'static str {
    match state {
        AlertState::Inactive => "ok",
        AlertState::Pending | AlertState::Recovering => "warn",
        AlertState::Firing => "bad",
    }
}

/// What people call an outcome.
pub(crate) fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Value(_) => "value",
        Outcome::Missing => "missing",
        Outcome::NoData => "no data",
        Outcome::Error(_) => "error",
        Outcome::Unobserved => "unobserved",
    }
}

pub(crate) fn chips(labels: &Labels) -> Vec<Chip> {
    let chip = |(name, value): (&String, &String)| Chip {
        text: format!("{}={}", shorten(name, LABEL_CHARS_MAX), shorten(value, LABEL_CHARS_MAX)),
        title: shorten(&format!("{name}={value}"), LABEL_TITLE_CHARS_MAX),
    };
    labels.iter().map(chip).collect()
}

/// `service_name=checkout, pool=main`, at most so many characters.
pub(crate) fn labels_text(labels: &Labels, limit: usize) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            format!("{}={}", shorten(name, LABEL_CHARS_MAX), shorten(value, LABEL_CHARS_MAX))
        })
        .collect();
    shorten(&pairs.join(", "), limit)
}

/// The time of day, with the date when it is not today's; always with its zone.
pub(crate) fn moment(at: Timestamp, now: Timestamp, range: &Range) -> Moment {
    let local = at.to_zoned(range.tz.clone());
    let today = now.to_zoned(range.tz.clone()).date();
    let format = if local.date() == today { "%H:%M:%S %Z" } else { "%Y-%m-%d %H:%M:%S %Z" };
    let seconds = now.duration_since(at).as_secs_f64();
    let ago = if seconds < 0.0 {
        format!("in {}", people_duration(whole(-seconds)))
    } else {
        format!("{} ago", people_duration(whole(seconds)))
    };
    Moment { text: local.strftime(format).to_string(), ago, iso: at.to_string() }
}

/// Nobody counts the milliseconds since an alert began.
fn whole(seconds: f64) -> f64 {
    if seconds < 1.0 { 0.0 } else { seconds.floor() }
}

/// A value without a unit; unknown is a word, not a zero.
pub(crate) fn number(value: Option<f64>) -> Number {
    match value.filter(|value| value.is_finite()) {
        Some(value) => Number { text: Unit::None.format(value), exact: exact(value) },
        None => Number { text: "unknown".to_owned(), exact: "no value was read".to_owned() },
    }
}

/// `fires above 0.9`.
pub(crate) fn fires_words(op: &str, fire: f64) -> String {
    let side = match op {
        ">" => "above",
        ">=" => "at or above",
        "<" => "below",
        _ => "at or below",
    };
    format!("fires {side} {}", exact(fire))
}

/// `recovers at or below 0.75`: where the comparison no longer holds.
pub(crate) fn recovers_words(op: &str, recover: f64) -> String {
    let side = match op {
        ">" => "at or below",
        ">=" => "below",
        "<" => "at or above",
        _ => "above",
    };
    format!("recovers {side} {}", exact(recover))
}

/// The page of a rule id: a rule's own, an SLO's for its tiers, the watched rule's for a meta-alert.
pub(crate) fn rule_path(id: &str) -> String {
    let id = id.strip_prefix("meta/").unwrap_or(id);
    if let Some((name, _)) = id.strip_prefix("slo/").and_then(|rest| rest.rsplit_once('/')) {
        return slo_path(name);
    }
    path(std::iter::once("alerts").chain(id.split('/')))
}

pub(crate) fn slo_path(name: &str) -> String {
    path(["slos"].into_iter().chain(name.split('/')))
}

fn path<'a>(segments: impl Iterator<Item = &'a str>) -> String {
    let mut url = Url::parse("http://localhost").expect("a fixed address");
    url.path_segments_mut().expect("http addresses have paths").extend(segments);
    url.path().to_owned()
}

/// The text as part of an address's query.
pub(crate) fn query_text(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The text as a SQL literal.
pub(crate) fn sql_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::range::RangeQuery;

    #[test]
    fn a_rule_has_one_address_whatever_its_name() {
        for (id, path) in [
            ("checkout-db/DbPoolSaturated", "/alerts/checkout-db/DbPoolSaturated"),
            ("meta/checkout-db/DbPoolSaturated", "/alerts/checkout-db/DbPoolSaturated"),
            ("slo/checkout-availability/page-1h", "/slos/checkout-availability"),
            ("my group/<b>?#100%", "/alerts/my%20group/%3Cb%3E%3F%23100%"),
        ] {
            assert_eq!(rule_path(id), path.replace("100%", "100%25"), "{id}");
        }
    }

    #[test]
    fn thresholds_and_times_read_as_people_say_them() {
        assert_eq!(fires_words(">", 0.9), "fires above 0.9");
        assert_eq!(recovers_words(">", 0.75), "recovers at or below 0.75");
        assert_eq!(recovers_words("<=", 5.0), "recovers above 5");
        let now: Timestamp = "2026-05-04T22:00:00Z".parse().unwrap();
        let range = Range::parse(&RangeQuery::default(), now).unwrap();
        let since = moment("2026-05-04T21:38:30Z".parse().unwrap(), now, &range);
        assert_eq!((since.text.as_str(), since.ago.as_str()), ("21:38:30 UTC", "21 min 30 s ago"));
        let next = moment("2026-05-05T00:00:00Z".parse().unwrap(), now, &range);
        assert_eq!((next.text.as_str(), next.ago.as_str()), ("2026-05-05 00:00:00 UTC", "in 2 h"));
        assert_eq!(number(Some(f64::NAN)).text, "unknown");
    }
}
