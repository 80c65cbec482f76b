use super::alert_policy;
use super::openslo::{Document, Kind};
use super::reference::{find, suggestion};
use super::section::Section;
use super::sink::Sink;
use super::sli::{self, Sli};
use super::time_window::{self, whole_minutes};
use super::yaml::{Node, Place};
use crate::condition::Op;
use crate::slo::{Budgeting, Indicator, SLICE, Slo};

pub(super) const SPEC_KEYS: [&str; 8] = [
    "description",
    "service",
    "indicator",
    "indicatorRef",
    "timeWindow",
    "budgetingMethod",
    "objectives",
    "alertPolicies",
];
const OBJECTIVE_KEYS: [&str; 10] = [
    "displayName",
    "op",
    "value",
    "target",
    "targetPercent",
    "timeSliceTarget",
    "timeSliceWindow",
    "indicator",
    "indicatorRef",
    "compositeWeight",
];
const OPS: [(&str, Op); 4] = [("lt", Op::Lt), ("lte", Op::Lte), ("gt", Op::Gt), ("gte", Op::Gte)];
/// Longest time slice: a day.
const TIME_SLICE_MINUTES_MAX: u64 = 1_440;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Occurrences,
    Timeslices,
    RatioTimeslices,
}

/// Reads an `SLO` document: one SLO for each of its objectives, none when it cannot be in force.
pub(super) fn read(slo: &Document<'_>, all: &[Document<'_>], sink: &mut Sink) -> Vec<Slo> {
    let before = sink.errors();
    let slos = read_all(slo, all, sink).unwrap_or_default();
    if sink.errors() == before { slos } else { Vec::new() }
}

fn read_all(slo: &Document<'_>, all: &[Document<'_>], sink: &mut Sink) -> Option<Vec<Slo>> {
    let section = Section::read(slo.spec, "`spec` of SLO", &SPEC_KEYS, sink)?;
    let service = section.required_text("service", "an SLO", sink);
    check_service(service.as_deref(), &section, all, sink);
    let method = method(&section, sink);
    let shared = shared_sli(&section, all, sink);
    let window = time_window::read(&section, sink)?;
    let alerting = alert_policy::read(slo, &section, &window, all, sink);
    let objectives = section.list("objectives", sink);
    if objectives.is_empty() {
        let hint = "for example `objectives: [{target: 0.999}]`";
        sink.error(section.place_of("objectives"), "the SLO has no objectives", hint);
    }
    let service = service?;
    let display_name = slo.display_name.clone().unwrap_or_else(|| slo.name.clone());
    let mut slos: Vec<Slo> = Vec::new();
    for (index, node) in objectives.iter().enumerate() {
        let Some(objective) = objective(node, method, shared.as_ref(), all, sink) else { continue };
        alerting.check(1.0 - objective.target, objective.place, sink);
        let mut checked = Slo {
            name: slo.name.clone(),
            display_name: display_name.clone(),
            description: section.text("description", sink).unwrap_or_default(),
            file: slo.file.clone(),
            line: slo.node.place.line,
            service: service.clone(),
            objective: objective.target,
            window: window.clone(),
            budgeting: objective.budgeting,
            indicator: objective.indicator,
            alert: alerting.alert.clone().unwrap_or_else(|| format!("{display_name} budget burn")),
            labels: slo.labels.clone(),
            tiers: alerting.tiers.clone(),
            guard: alerting.guard,
            keep_firing_for: alerting.keep_firing_for,
        };
        if objectives.len() > 1 {
            let title = objective.display_name.unwrap_or_else(|| (index + 1).to_string());
            checked.name = format!("{}.{}", slo.name, slug(&title));
            checked.display_name = format!("{display_name}: {title}");
            checked.alert = format!("{} ({title})", checked.alert);
            if slos.iter().any(|known| known.name == checked.name) {
                let message = format!("the SLO has two objectives `{title}`");
                sink.error(objective.place, message, "give each a `displayName` of its own");
            }
        }
        slos.push(checked);
    }
    Some(slos)
}

/// A title as a part of a name: letters and digits, with dashes between.
fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

/// Where a workspace has Service documents, one should say what the SLO speaks for.
fn check_service(service: Option<&str>, section: &Section<'_>, all: &[Document<'_>], sink: &mut Sink) {
    let Some(service) = service else { return };
    let mut services = all.iter().filter(|document| document.kind == Kind::Service).peekable();
    if services.peek().is_some() && !services.any(|document| document.name == service) {
        let message = format!("there is no Service `{service}`");
        sink.warning(section.place_of("service"), message, suggestion(all, Kind::Service, service));
    }
}

fn method(section: &Section<'_>, sink: &mut Sink) -> Option<Method> {
    if section.get("budgetingMethod").is_none() {
        return Some(Method::Occurrences);
    }
    let words = [
        ("Occurrences", Method::Occurrences),
        ("Timeslices", Method::Timeslices),
        ("RatioTimeslices", Method::RatioTimeslices),
    ];
    section.word("budgetingMethod", &words, sink)
}

/// The indicator of the SLO itself; objectives may have their own.
fn shared_sli(section: &Section<'_>, all: &[Document<'_>], sink: &mut Sink) -> Option<Sli> {
    let own = |node: &Node| match Section::read(node, "an objective", &OBJECTIVE_KEYS, &mut Sink::default()) {
        Some(objective) => objective.get("indicator").or(objective.get("indicatorRef")).is_some(),
        None => false,
    };
    let objectives = section.list("objectives", &mut Sink::default());
    let nobody_asks = !objectives.is_empty() && objectives.iter().all(own);
    let found = sli_of(section, all, sink);
    if found.is_none() && !nobody_asks && section.get("indicator").or(section.get("indicatorRef")).is_none() {
        sink.error(section.place, "the SLO has no indicator", "add `indicator:` or `indicatorRef:`");
    }
    found
}

/// What `indicator` or `indicatorRef` say; `None` without a word when there is neither.
fn sli_of(section: &Section<'_>, all: &[Document<'_>], sink: &mut Sink) -> Option<Sli> {
    match (section.get("indicator"), section.text("indicatorRef", sink)) {
        (Some(node), None) => {
            let keys = ["apiVersion", "kind", "metadata", "spec"];
            let inline = Section::read(node, "`indicator`", &keys, sink)?;
            let Some(spec) = inline.get("spec") else {
                sink.error(inline.place, "`indicator` has no `spec`", "add `spec: {ratioMetric: …}`");
                return None;
            };
            sli::read(spec, all, sink)
        }
        (None, Some(name)) => {
            let referenced = find(all, Kind::Sli, &name, section.place_of("indicatorRef"), sink)?;
            // Its mistakes are told where it stands; here it is enough that there are some.
            let mut quiet = Sink::default();
            let read = sli::read(referenced.spec, all, &mut quiet);
            if read.is_none() || quiet.errors() > 0 {
                let message = format!("the SLI `{name}` has errors");
                sink.error(section.place_of("indicatorRef"), message, "correct them in its document");
                return None;
            }
            read
        }
        (Some(_), Some(_)) => {
            let place = section.place_of("indicatorRef");
            sink.error(place, "both `indicator` and `indicatorRef` are given", "keep one of them");
            None
        }
        (None, None) => None,
    }
}

struct Objective {
    display_name: Option<String>,
    target: f64,
    /// Where the target stands.
    place: Place,
    indicator: Indicator,
    budgeting: Budgeting,
}

fn objective(
    node: &Node,
    method: Option<Method>,
    shared: Option<&Sli>,
    all: &[Document<'_>],
    sink: &mut Sink,
) -> Option<Objective> {
    let section = Section::read(node, "an objective", &OBJECTIVE_KEYS, sink)?;
    if section.get("compositeWeight").is_some() {
        let place = section.place_of("compositeWeight");
        let hint = "leave it out: each objective is an SLO of its own";
        sink.error(place, "composite SLOs are not supported: objectives are not weighed together", hint);
    }
    let own = sli_of(&section, all, sink);
    let sli = own.as_ref().or(shared);
    let comparison = (section.word_if_any("op", &OPS, sink), section.number("value", sink));
    let place = ["op", "value"].into_iter().find(|key| section.get(key).is_some());
    let place = place.map_or(node.place, |key| section.place_of(key));
    let indicator = sli.and_then(|sli| sli.indicator(comparison, place, sink));
    let (target, place) = target(&section, node.place, sink)?;
    let budgeting = budgeting(&section, method?, sink)?;
    let display_name = section.text("displayName", sink);
    Some(Objective { display_name, target, place, indicator: indicator?, budgeting })
}

fn target(section: &Section<'_>, at: Place, sink: &mut Sink) -> Option<(f64, Place)> {
    let (key, target) = match (section.number("target", sink), section.number("targetPercent", sink)) {
        (Some(target), None) => ("target", target),
        (None, Some(percent)) => ("targetPercent", percent / 100.0),
        (Some(_), Some(_)) => {
            sink.error(at, "the objective has `target` and `targetPercent`", "keep one of them");
            return None;
        }
        (None, None) => {
            sink.error(at, "the objective has no `target`", "for example `target: 0.999`");
            return None;
        }
    };
    let place = section.get(key).map_or(at, |node| node.place);
    if !(target > 0.0 && target < 1.0) {
        let hint = "write a ratio between 0 and 1, as `target: 0.999`; at 1 there is no budget to spend";
        let shown = if key == "target" { target } else { target * 100.0 };
        sink.error(place, format!("`{key}` cannot be {shown}"), hint);
        return None;
    }
    Some((target, place))
}

fn budgeting(section: &Section<'_>, method: Method, sink: &mut Sink) -> Option<Budgeting> {
    let target = section.number("timeSliceTarget", sink);
    if method != Method::Timeslices && target.is_some() {
        let message = "`timeSliceTarget` has an effect with `budgetingMethod: Timeslices` alone";
        sink.warning(section.place_of("timeSliceTarget"), message, "leave it out, or change the method");
    }
    if method == Method::Occurrences {
        if section.get("timeSliceWindow").is_some() {
            let message = "`timeSliceWindow` has no effect with `budgetingMethod: Occurrences`";
            sink.warning(section.place_of("timeSliceWindow"), message, "leave it out, or change the method");
        }
        return Some(Budgeting::Occurrences);
    }
    if section.get("timeSliceWindow").is_none() {
        sink.error(
            section.place,
            "the objective has no `timeSliceWindow`",
            "for example `timeSliceWindow: 1m`",
        );
        return None;
    }
    let window = whole_minutes(section, "timeSliceWindow", sink)?;
    let minutes = window.as_secs() / SLICE.as_secs();
    if minutes > TIME_SLICE_MINUTES_MAX {
        let place = section.place_of("timeSliceWindow");
        sink.error(place, "`timeSliceWindow` is longer than a day", "for example `timeSliceWindow: 5m`");
        return None;
    }
    let minutes = u32::try_from(minutes).unwrap_or(1);
    if method == Method::RatioTimeslices {
        return Some(Budgeting::RatioTimeslices { minutes });
    }
    let Some(target) = target else {
        let hint = "write the share of good events that makes a slice good, as `timeSliceTarget: 0.95`";
        sink.error(section.place, "the objective has no `timeSliceTarget`", hint);
        return None;
    };
    if !(target > 0.0 && target <= 1.0) {
        let place = section.place_of("timeSliceTarget");
        sink.error(place, format!("`timeSliceTarget` cannot be {target}"), "write a ratio up to 1, as 0.95");
        return None;
    }
    Some(Budgeting::Timeslices { minutes, target })
}
