use super::section::Section;
use super::sink::Sink;
use super::yaml::Node;
use crate::slo::{Part, Ratio, Source};

pub(super) const SPEC_KEYS: [&str; 3] = ["description", "thresholdMetric", "ratioMetric"];
const RATIO_KEYS: [&str; 6] = ["counter", "good", "bad", "total", "raw", "rawType"];
const EXAMPLE: &str =
    "write `metricSource: {spec: {from: spans, where: \"…\"}}`, or `{sql: \"SELECT minute, value …\"}`";

/// The ratio of an SLI's `spec`.
pub(super) fn read(spec: &Node, sink: &mut Sink) -> Option<Ratio> {
    let section = Section::read(spec, "`spec` of an SLI", &SPEC_KEYS, sink)?;
    if section.get("thresholdMetric").is_some() {
        let place = section.place_of("thresholdMetric");
        sink.error(
            place,
            "`thresholdMetric` is not supported yet",
            "write a `ratioMetric` of good and total",
        );
        return None;
    }
    let Some(node) = section.get("ratioMetric") else {
        sink.error(section.place, "the SLI has no `ratioMetric`", "add `ratioMetric: {good: …, total: …}`");
        return None;
    };
    let section = Section::read(node, "`ratioMetric`", &RATIO_KEYS, sink)?;
    if section.get("raw").is_some() {
        let place = section.place_of("raw");
        sink.error(
            place,
            "a `raw` ratio is not supported yet",
            "write `good` and `total`, or `bad` and `total`",
        );
        return None;
    }
    // Counts come from SQL over a time range, so whether the sender's counter is cumulative changes nothing.
    section.flag("counter", sink);
    let (part, key) = match (section.get("good"), section.get("bad")) {
        (Some(_), None) => (Part::Good, "good"),
        (None, Some(_)) => (Part::Bad, "bad"),
        (Some(_), Some(_)) => {
            let place = section.place_of("bad");
            sink.error(place, "`ratioMetric` has `good` and `bad`", "keep one of them, beside `total`");
            return None;
        }
        (None, None) => {
            sink.error(
                section.place,
                "`ratioMetric` has neither `good` nor `bad`",
                "add one, beside `total`",
            );
            return None;
        }
    };
    let part_source = source(&section, key, sink);
    let total_source = source(&section, "total", sink);
    Some(Ratio { part, part_source: part_source?, total_source: total_source? })
}

fn source(section: &Section<'_>, key: &str, sink: &mut Sink) -> Option<Source> {
    let Some(node) = section.get(key) else {
        sink.error(
            section.place,
            format!("`ratioMetric` has no `{key}`"),
            format!("add `{key}:`; {EXAMPLE}"),
        );
        return None;
    };
    let section = Section::read(node, &format!("`{key}`"), &["metricSource"], sink)?;
    let Some(node) = section.get("metricSource") else {
        sink.error(section.place, format!("`{key}` has no `metricSource`"), EXAMPLE);
        return None;
    };
    let section = Section::read(node, "`metricSource`", &["metricSourceRef", "type", "spec"], sink)?;
    let Some(node) = section.get("spec") else {
        sink.error(section.place, "`metricSource` has no `spec`", EXAMPLE);
        return None;
    };
    spec(node, sink)
}

fn spec(node: &Node, sink: &mut Sink) -> Option<Source> {
    let known = ["from", "where", "sql"];
    let section = Section::read(node, "`spec` of a `metricSource`", &known, sink)?;
    if let Some(sql) = section.text("sql", sink) {
        for key in ["from", "where"] {
            if section.get(key).is_some() {
                sink.error(section.place_of(key), format!("`{key}` beside `sql`"), "keep either one");
            }
        }
        return Some(Source::Sql(sql));
    }
    let from = section.required_text("from", "`spec` of a `metricSource`", sink)?;
    if from != "spans" {
        let place = section.place_of("from");
        sink.error(place, format!("`from: {from}` is not supported yet"), EXAMPLE);
        return None;
    }
    Some(Source::Spans { condition: section.required_text("where", "`from: spans`", sink)? })
}
