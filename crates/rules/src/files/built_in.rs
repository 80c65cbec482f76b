//! The rules by which the program watches itself; written as people write theirs, but measured from within.

use std::path::Path;

use super::rule_file;
use super::sink::Sink;
use crate::rule::{Measure, RuleGroup};

/// Name of the built-in group; no file may use it.
pub(crate) const GROUP: &str = "hindsight";

const TEXT: &str = include_str!("built_in.yaml");
const MEASURES: [(&str, Measure); 3] = [
    ("RuleLagging", Measure::RuleLag),
    ("NotificationsFailing", Measure::DeadNotifications),
    ("ActionOverdue", Measure::OverdueActions),
];

/// The built-in group.
pub(crate) fn groups() -> Vec<RuleGroup> {
    let mut sink = Sink::default();
    let mut groups = rule_file::read_built_in(Path::new("(built in)"), TEXT, &mut sink);
    for rule in groups.iter_mut().flat_map(|group| &mut group.rules) {
        if let Some((_, measure)) = MEASURES.iter().find(|(alert, _)| *alert == rule.alert) {
            rule.measure = *measure;
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_rule_is_read_and_measured() {
        let groups = groups();
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].name, GROUP);
        assert_eq!(groups[0].rules.len(), MEASURES.len());
        assert!(groups[0].rules.iter().all(|rule| rule.measure != Measure::Sql && rule.condition.is_none()));
    }
}
