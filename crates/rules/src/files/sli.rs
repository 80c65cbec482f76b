use super::metric_source::{self, Role};
use super::openslo::Document;
use super::section::Section;
use super::sink::Sink;
use super::yaml::{Node, Place};
use crate::condition::Op;
use crate::slo::{Indicator, Part, Ratio, Source};

pub(super) const SPEC_KEYS: [&str; 3] = ["description", "thresholdMetric", "ratioMetric"];
const RATIO_KEYS: [&str; 6] = ["counter", "good", "bad", "total", "raw", "rawType"];

/// An SLI's `spec`: an indicator, or the points of one that the objective completes.
#[derive(Clone, Debug)]
pub(super) enum Sli {
    Whole(Indicator),
    Points(Source),
}

impl Sli {
    /// The indicator of an objective with this comparison.
    pub(super) fn indicator(
        &self,
        comparison: (Option<Op>, Option<f64>),
        place: Place,
        sink: &mut Sink,
    ) -> Option<Indicator> {
        match (self, comparison) {
            (Self::Points(source), (Some(op), Some(value))) => {
                Some(Indicator::Threshold { source: source.clone(), op, value })
            }
            (Self::Points(_), _) => {
                let hint = "write what is good, as `op: lte` and `value: 0.3`";
                sink.error(place, "a `thresholdMetric` needs `op` and `value` in the objective", hint);
                None
            }
            (Self::Whole(indicator), (None, None)) => Some(indicator.clone()),
            (Self::Whole(indicator), _) => {
                let message = "`op` and `value` have no effect on a `ratioMetric`";
                sink.warning(place, message, "leave them out, or write a `thresholdMetric`");
                Some(indicator.clone())
            }
        }
    }
}

/// Reads the `spec` of an SLI.
pub(super) fn read(spec: &Node, all: &[Document<'_>], sink: &mut Sink) -> Option<Sli> {
    let section = Section::read(spec, "`spec` of an SLI", &SPEC_KEYS, sink)?;
    match (section.get("thresholdMetric"), section.get("ratioMetric")) {
        (Some(_), None) => {
            let source = metric_source::read(&section, "thresholdMetric", Role::Points, None, all, sink)?;
            Some(Sli::Points(source))
        }
        (None, Some(node)) => ratio(node, all, sink).map(Sli::Whole),
        (Some(_), Some(_)) => {
            let place = section.place_of("thresholdMetric");
            sink.error(place, "the SLI has `thresholdMetric` and `ratioMetric`", "keep one of them");
            None
        }
        (None, None) => {
            let hint = "add `ratioMetric: {good: …, total: …}`";
            sink.error(section.place, "the SLI has neither `ratioMetric` nor `thresholdMetric`", hint);
            None
        }
    }
}

fn ratio(node: &Node, all: &[Document<'_>], sink: &mut Sink) -> Option<Indicator> {
    let section = Section::read(node, "`ratioMetric`", &RATIO_KEYS, sink)?;
    let counter = section.flag("counter", sink);
    let has = |key: &str| section.get(key).is_some();
    if has("raw") {
        return raw(&section, all, sink);
    }
    if has("rawType") {
        sink.error(section.place_of("rawType"), "`rawType` without `raw`", "add `raw:`, or leave it out");
    }
    let (part, key) = match (has("good"), has("bad")) {
        (true, false) => (Part::Good, "good"),
        (false, true) => (Part::Bad, "bad"),
        (true, true) => {
            let place = section.place_of("bad");
            sink.error(place, "`ratioMetric` has `good` and `bad`", "keep one of them, beside `total`");
            return None;
        }
        (false, false) => {
            let message = "`ratioMetric` has neither `good` nor `bad`";
            sink.error(section.place, message, "add one, beside `total`");
            return None;
        }
    };
    let part_source = metric_source::read(&section, key, Role::Part, counter, all, sink);
    let total_source = metric_source::read(&section, "total", Role::Total, counter, all, sink);
    Some(Indicator::Ratio(Ratio { part, part_source: part_source?, total_source: total_source? }))
}

fn raw(section: &Section<'_>, all: &[Document<'_>], sink: &mut Sink) -> Option<Indicator> {
    for key in ["good", "bad", "total"] {
        if section.get(key).is_some() {
            sink.error(section.place_of(key), format!("`{key}` beside `raw`"), "keep either one");
            return None;
        }
    }
    if section.get("rawType").is_none() {
        let hint = "add `rawType: success` when it is good by total, `failure` when it is bad by total";
        sink.error(section.place_of("raw"), "`raw` has no `rawType`", hint);
        return None;
    }
    let part = section.word("rawType", &[("success", Part::Good), ("failure", Part::Bad)], sink);
    let source = metric_source::read(section, "raw", Role::Raw, None, all, sink);
    Some(Indicator::Raw { source: source?, part: part? })
}
