use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::alerting_rule::{self, GroupDefaults};
use super::built_in;
use super::section::Section;
use super::sink::Sink;
use super::yaml::{self, Node};
use crate::rule::RuleGroup;

/// Time between ticks of a group that names none.
const INTERVAL: Duration = Duration::from_secs(60);
/// Shortest time between ticks: catching up on a day of shorter ones would take longer than the day.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Instances that a rule may return in a group that names no limit.
const LIMIT: u32 = 1_000;
/// Highest limit a group may name.
const LIMIT_MAX: u32 = 10_000;

pub(super) const GROUP_KEYS: [&str; 6] = ["name", "interval", "query_offset", "limit", "labels", "rules"];
/// Group names that would make ids of rules, meta-alerts and SLOs collide.
const RESERVED: [&str; 3] = ["slo", "meta", built_in::GROUP];

/// The groups of one file that can be in force.
pub(super) fn read(workspace: &Path, file: &Path, text: &str, sink: &mut Sink) -> Vec<RuleGroup> {
    read_with(workspace, file, text, &RESERVED, sink)
}

/// The same for the program's own rules, which have the group name that is kept for them.
pub(super) fn read_built_in(file: &Path, text: &str, sink: &mut Sink) -> Vec<RuleGroup> {
    read_with(Path::new(""), file, text, &[], sink)
}

fn read_with(
    workspace: &Path,
    file: &Path,
    text: &str,
    reserved: &[&str],
    sink: &mut Sink,
) -> Vec<RuleGroup> {
    sink.enter(file);
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => {
            sink.error(error.place, error.message, "correct the YAML; until then the file is not in force");
            return Vec::new();
        }
    };
    let mut groups: Vec<RuleGroup> = Vec::new();
    for document in &documents {
        let Some(section) = Section::read(document, "a rule file", &["groups"], sink) else {
            continue;
        };
        for node in section.list("groups", sink) {
            sink.about(None);
            groups.extend(group(workspace, file, node, reserved, sink));
        }
    }
    sink.about(None);
    groups
}

fn group(
    workspace: &Path,
    file: &Path,
    node: &Node,
    reserved: &[&str],
    sink: &mut Sink,
) -> Option<RuleGroup> {
    let before = sink.errors();
    let section = Section::read(node, "a rule group", &GROUP_KEYS, sink)?;
    let name = section.required_text("name", "a rule group", sink)?;
    sink.about(Some(name.clone()));
    check_name(&section, &name, reserved, sink);
    let interval = section.duration("interval", sink).unwrap_or(INTERVAL);
    if interval < INTERVAL_MIN {
        let message = "`interval` must be above zero, and at least one second";
        sink.error(section.place_of("interval"), message, "for example `interval: 30s`");
    }
    let query_offset = section.duration("query_offset", sink).unwrap_or_default();
    // Zero means "no limit" to Prometheus; here it means the default one.
    let limit = section.count("limit", 0, LIMIT_MAX, sink).filter(|limit| *limit > 0).unwrap_or(LIMIT);
    let labels = alerting_rule::labels(&section, sink);
    if sink.errors() > before {
        return None;
    }
    let defaults = GroupDefaults { workspace, group: &name, labels };
    let mut seen = BTreeSet::new();
    let mut rules = Vec::new();
    for node in section.list("rules", sink) {
        let Some(rule) = alerting_rule::read(&defaults, node, sink) else {
            continue;
        };
        if seen.insert(rule.alert.clone()) {
            rules.push(rule);
        } else {
            let message = format!("group `{name}` already has an alert `{}`", rule.alert);
            sink.error(node.place, message, "give one of them another name");
        }
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Some(RuleGroup {
        name,
        file: file.to_owned(),
        line: node.place.line,
        interval,
        query_offset,
        limit,
        rules,
    })
}

fn check_name(section: &Section<'_>, name: &str, reserved: &[&str], sink: &mut Sink) {
    let place = section.place_of("name");
    if name.contains('/') {
        sink.error(place, format!("group name `{name}` has a `/`"), "the slash parts group and alert in ids");
    }
    if reserved.contains(&name) {
        sink.error(place, format!("group name `{name}` is reserved"), "give the group another name");
    }
}
