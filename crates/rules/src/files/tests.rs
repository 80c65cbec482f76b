use std::path::Path;

use hindsight_model::IncidentSeverity;

use super::{Level, Loaded, fingerprint, load};
use crate::rule::{Absence, OnMissing};
use crate::{Condition, Op};

fn workspace(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn loaded(files: &[(&str, &str)]) -> Loaded {
    load(workspace(files).path()).unwrap()
}

const GOOD: &str = "
groups:
- name: good
  rules:
  - {alert: Fine, sql: SELECT 1 AS value, condition: {op: gt, fire: 1}}
";

/// Loads one rule file beside a good one, and checks that the good one is in force and that this is the first
/// problem: `line:column: message; hint`.
fn check(text: &str, line: u64, words: &[&str]) {
    let loaded = loaded(&[("rules/bad.yaml", text), ("rules/good.yaml", GOOD)]);
    assert!(loaded.rules.groups.iter().any(|group| group.name == "good"), "the other file is in force");
    let problem = loaded.problems.first().unwrap_or_else(|| panic!("no problem in {text}"));
    assert_eq!(problem.file, Path::new("rules/bad.yaml"));
    let shown = problem.to_string();
    for word in words {
        assert!(shown.contains(word), "`{word}` is not in `{shown}`");
    }
    assert_eq!(problem.line, line, "{shown}");
}

fn rule(lines: &str) -> String {
    format!("groups:\n- name: g\n  rules:\n  - alert: A\n    sql: SELECT 1 AS value\n{lines}\n")
}

#[test]
fn the_rule_of_the_contract_loads_without_a_word() {
    let text = crate::engine::tests::POOL_RULES;
    let loaded = loaded(&[
        ("rules/checkout-db.yaml", text),
        ("runbooks/checkout.md", "# Checkout\n## Pool exhausted\n"),
    ]);
    assert_eq!(loaded.problems, []);
    let group = &loaded.rules.groups[0];
    assert_eq!((group.interval.as_secs(), group.query_offset.as_secs(), group.limit), (30, 30, 50));
    let rule = &group.rules[0];
    assert_eq!(rule.id, "checkout-db/DbPoolSaturated");
    assert_eq!(rule.condition, Some(Condition { op: Op::Gt, fire: 0.9, recover: 0.75 }));
    assert_eq!((rule.policy.for_.as_secs(), rule.policy.keep_firing_for.as_secs()), (120, 300));
    assert_eq!(rule.policy.on_missing, OnMissing { after: 2, then: Absence::Resolve });
    assert_eq!(rule.labels.keys().collect::<Vec<_>>(), ["severity", "team"]);
    assert_eq!(rule.incident.as_ref().unwrap().severity, IncidentSeverity::Sev2);
}

#[test]
fn unknown_keys_are_refused_with_the_key_that_was_meant() {
    check(
        &rule("    keep_fireing_for: 5m"),
        6,
        &["bad.yaml:6:5", "no key `keep_fireing_for`", "`keep_firing_for`?"],
    );
    check(
        "groups:\n- name: g\n  intervall: 5s\n  rules: []\n",
        3,
        &["`intervall`", "did you mean `interval`?"],
    );
    check("group: []\n", 1, &["no key `group`", "did you mean `groups`?"]);
    check(&rule("    condition: {op: gt, fire: 1, recovr: 0}"), 6, &["`recovr`", "`recover`?"]);
}

#[test]
fn values_are_refused_with_what_to_write() {
    check(&rule("    condition: {op: gt, fire: 0.75, recover: 0.9}"), 6, &["above `fire`", "or below"]);
    check(&rule("    condition: {op: lt, fire: 10, recover: 5}"), 6, &["below `fire`", "or above"]);
    check(&rule("    condition: {op: above, fire: 10}"), 6, &["`op` cannot be `above`", "gt, gte, lt, lte"]);
    check(&rule("    condition: {op: gt}"), 6, &["no `fire`"]);
    check(&rule("    condition: {op: gt, fire: high}"), 6, &["must be a number, not `high`"]);
    check(&rule("    for: 5 minutes"), 6, &["`5 minutes` is not a duration", "for: 5m"]);
    check(&rule("    for: -5m"), 6, &["is not a duration"]);
    check(&rule("    on_no_data: kep"), 6, &["did you mean `keep`?"]);
    check(&rule("    on_missing: {after: 0}"), 6, &["from 1 to"]);
    check(&rule("    flapping: {high: 5, low: 20}"), 6, &["low < high"]);
    check(&rule("    flapping: {window: 99}"), 6, &["from 3 to 32"]);
    check(&rule("    labels: {9lives: x}"), 6, &["not a label name"]);
    check(&rule("    labels: {severity: '{{ value }}'}"), 6, &["reads `value`", "annotation"]);
    check(&rule("    annotations: {summary: '{{ labels.x | percnt }}'}"), 6, &["column 15", "`percnt`"]);
    check(&rule("    incident: {severity: SEV9}"), 6, &["`SEV9`", "did you mean `SEV1`?"]);
    check(&rule("    incident: {severity: SEV1, key: []}"), 6, &["`incident.key` is empty"]);
    check("groups:\n- name: g\n  interval: 0s\n  rules: []\n", 3, &["above zero"]);
    check("groups:\n- name: g\n  interval: 10ms\n  rules: []\n", 3, &["at least one second"]);
    check("groups:\n- name: slo\n  rules: []\n", 2, &["reserved"]);
    check("groups:\n- name: g\n  rules:\n  - sql: SELECT 1\n", 4, &["no `alert`"]);
    check("groups:\n- name: g\n  rules:\n  - alert: A\n", 4, &["no `sql`"]);
}

#[test]
fn what_is_not_supported_yet_says_so() {
    let promql = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up == 0\n    for: 5m\n";
    check(promql, 5, &["unsupported: `A`: not supported yet: PromQL", "as `sql:`"]);
    check(
        "groups:\n- name: g\n  rules:\n  - record: a:b\n    expr: up\n",
        4,
        &["unsupported: `a:b`: not supported yet: recording rules"],
    );
}

#[test]
fn a_file_that_is_not_yaml_names_the_line() {
    check(
        "groups:\n- name: g\n  rules: [\n",
        3,
        &["bad.yaml:3:10: error: unclosed bracket '['; correct the YAML"],
    );
    check("groups:\n- name: g\n  name: h\n", 3, &["name"]);
}

#[test]
fn a_bad_rule_leaves_its_neighbours_in_force() {
    let text = "
groups:
- name: g
  rules:
  - {alert: First, sql: SELECT 1 AS value}
  - {alert: Second, sql: SELECT 1 AS value, for: soon}
  - {alert: Third, sql: SELECT 1 AS value}
  - {alert: First, sql: SELECT 2 AS value}
";
    let loaded = loaded(&[("rules/a.yaml", text)]);
    let alerts: Vec<_> = loaded.rules.groups[0].rules.iter().map(|rule| rule.alert.as_str()).collect();
    assert_eq!(alerts, ["First", "Third"]);
    let shown: Vec<_> =
        loaded.problems.iter().map(|problem| (problem.line, problem.rule.clone().unwrap())).collect();
    assert_eq!(shown, [(6, "g/Second".to_owned()), (8, "g/First".to_owned())]);
}

#[test]
fn of_two_groups_with_one_name_the_later_file_is_refused() {
    let loaded = loaded(&[("rules/a.yaml", GOOD), ("rules/b.yml", GOOD)]);
    assert_eq!(loaded.rules.groups.len(), 1);
    assert_eq!(loaded.problems[0].file, Path::new("rules/b.yml"));
    assert!(loaded.problems[0].message.contains("already group `good` in rules/a.yaml"));
}

#[test]
fn a_runbook_that_is_not_there_is_a_warning_and_the_rule_is_in_force() {
    for (runbook, words) in [
        ("runbooks/checkout.md#pool-exausted", "did you mean `#pool-exhausted`?"),
        ("runbooks/chekout.md", "cannot be read"),
        ("../secret.md", "outside the workspace"),
        ("/etc/passwd", "outside the workspace"),
    ] {
        let loaded = loaded(&[
            ("rules/a.yaml", &rule(&format!("    annotations: {{runbook: '{runbook}'}}"))),
            ("runbooks/checkout.md", "# Checkout\n## Pool exhausted\n"),
        ]);
        assert_eq!(loaded.rules.groups[0].rules.len(), 1);
        let problem = &loaded.problems[0];
        assert_eq!((problem.level, problem.line), (Level::Warning, 6));
        assert!(problem.to_string().contains(words), "{problem}");
    }
    let loaded = loaded(&[("rules/a.yaml", &rule("    annotations: {runbook: 'https://wiki/x#y'}"))]);
    assert_eq!(loaded.problems, []);
}

#[test]
fn without_a_condition_a_row_that_is_gone_is_a_breach_that_is_over() {
    let loaded = loaded(&[("rules/a.yaml", &rule(""))]);
    let policy = &loaded.rules.groups[0].rules[0].policy;
    assert_eq!(policy.on_no_data, Absence::NoBreach);
    assert_eq!(policy.on_missing, OnMissing { after: 1, then: Absence::NoBreach });
}

#[test]
fn the_workspace_of_the_sample_data_loads_without_a_word() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sample-data/checkout-outage/workspace");
    let loaded = load(&sample).unwrap();
    assert_eq!(loaded.problems, []);
    assert!(loaded.rules.groups.len() > 1 && loaded.rules.slos.len() == 1);
}

#[test]
fn a_workspace_without_rules_has_neither_rules_nor_problems() {
    let loaded = loaded(&[("hindsight.toml", "")]);
    assert!(loaded.rules.groups.is_empty() && loaded.rules.slos.is_empty() && loaded.problems.is_empty());
}

#[test]
fn a_fingerprint_changes_with_any_file_and_with_nothing_else() {
    let folder = workspace(&[("rules/a.yaml", GOOD), ("slos/b.yaml", ""), ("README.md", "x")]);
    let before = fingerprint(folder.path()).unwrap();
    std::fs::write(folder.path().join("README.md"), "y").unwrap();
    assert_eq!(fingerprint(folder.path()).unwrap(), before);
    std::fs::write(folder.path().join("slos/b.yaml"), "# c").unwrap();
    assert_ne!(fingerprint(folder.path()).unwrap(), before);
}

#[test]
fn no_bytes_make_loading_panic() {
    for bytes in [
        &b"\xff\xfe"[..],
        b"- - - [",
        b"&a [*a]",
        b"groups: &x {a: *x}",
        b"\0",
        b"!!binary x",
        b"? [a]: b",
        b"---\n---\n",
    ] {
        let folder = workspace(&[]);
        for path in ["rules", "slos"] {
            std::fs::create_dir(folder.path().join(path)).unwrap();
            std::fs::write(folder.path().join(path).join("x.yaml"), bytes).unwrap();
        }
        let loaded = load(folder.path()).unwrap();
        assert!(loaded.rules.groups.is_empty());
    }
}

/// Every file of `mistakes/` begins with a comment, `# LINE: words`: where the first problem is said to be, and what
/// it says.
#[test]
fn every_documented_mistake_has_a_message_of_its_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/files/mistakes");
    let mut said = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = text.lines().next().unwrap().trim_start_matches("# ");
        let (line, words) =
            expected.split_once(": ").unwrap_or_else(|| panic!("{name} says what it expects"));
        let loaded = loaded(&[
            ("rules/bad.yaml", text.as_str()),
            ("runbooks/checkout.md", "# Checkout\n## Pool exhausted\n"),
        ]);
        let problem = loaded.problems.first().unwrap_or_else(|| panic!("{name} is not found out"));
        let shown = problem.to_string();
        assert_eq!(problem.line.to_string(), line, "{name}: {shown}");
        assert!(shown.contains(words), "{name}: `{words}` is not in `{shown}`");
        assert!(problem.column > 0, "{name}: {shown}");
        assert!(problem.hint.is_some() || name == "not_yaml" || name == "a_key_twice", "{name}: {shown}");
        let message = problem.message.clone();
        if let Some(other) = said.insert(message.clone(), name.clone()) {
            panic!("{name} and {other} say the same: {message}");
        }
    }
    assert!(said.len() >= 45, "there are only {} mistakes", said.len());
}
