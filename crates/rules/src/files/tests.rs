use std::path::Path;

use hindsight_model::IncidentSeverity;

use super::{Level, Loaded, fingerprint, load};
use crate::rule::{Absence, OnMissing};
use crate::slo::{Part, Source};
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
    check(promql, 5, &["`A`: PromQL is not supported yet", "as `sql:`"]);
    check(
        "groups:\n- name: g\n  rules:\n  - record: a:b\n    expr: up\n",
        4,
        &["recording rules are not supported yet"],
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

const SLI: &str = "
apiVersion: openslo/v1
kind: SLI
metadata: {name: errors}
spec:
  ratioMetric:
    counter: true
    good: {metricSource: {type: hindsight, spec: {from: spans, where: status_code <> 'error'}}}
    total: {metricSource: {spec: {sql: 'SELECT minute, value FROM t'}}}
";

fn slo(target: &str, indicator: &str, rest: &str) -> String {
    format!(
        "apiVersion: openslo/v1\nkind: SLO\nmetadata:\n  name: s\n  annotations: {{hindsight.dev/burn-policy: google-30d}}\nspec:\n  service: checkout\n  timeWindow: [{{duration: 30d, isRolling: true}}]\n  budgetingMethod: Occurrences\n  objectives: [{{{target}}}]\n  {indicator}\n{rest}"
    )
}

const OTHERS: &str = "
apiVersion: openslo/v1
kind: Service
metadata: {name: checkout, displayName: Checkout, labels: {tier: [gold, eu]}}
spec: {description: takes the money}
---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: here}
spec: {type: hindsight, connectionDetails: {anything: [goes, here]}}
---
apiVersion: openslo/v1
kind: AlertNotificationTarget
metadata: {name: oncall}
spec: {target: webhook, description: the phone}
---
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: fast}
spec:
  severity: page
  condition: {kind: burnrate, op: gt, threshold: 14.4, lookbackWindow: 1h, alertAfter: 5m}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: budget, displayName: Budget is burning}
spec:
  alertWhenBreaching: true
  conditions: [{conditionRef: fast}]
  notificationTargets: [{targetRef: oncall}]
";

#[test]
fn every_openslo_kind_loads_and_references_are_followed() {
    let slo = slo("targetPercent: 99.9", "indicatorRef: errors", "  alertPolicies: [budget]\n");
    let loaded = loaded(&[("slos/1.yaml", &slo), ("slos/2.yaml", SLI), ("slos/3.yaml", OTHERS)]);
    assert_eq!(loaded.problems, []);
    let slo = &loaded.rules.slos[0];
    assert!((slo.objective - 0.999).abs() < 1e-12);
    assert_eq!(
        (slo.alert.as_str(), slo.service.as_str(), slo.tiers.len()),
        ("Budget is burning", "checkout", 4)
    );
    assert_eq!(slo.indicator.part, Part::Good);
    assert_eq!(slo.indicator.part_source, Source::Spans { condition: "status_code <> 'error'".to_owned() });
    assert_eq!(slo.indicator.total_source, Source::Sql("SELECT minute, value FROM t".to_owned()));
}

fn check_slo(text: &str, words: &[&str]) {
    let loaded = loaded(&[("slos/1.yaml", text), ("slos/2.yaml", SLI), ("slos/3.yaml", OTHERS)]);
    assert!(loaded.rules.slos.is_empty(), "{:?}", loaded.problems);
    let problem = loaded.problems.first().expect("a problem");
    let shown = problem.to_string();
    assert!(problem.line > 0, "{shown}");
    for word in words {
        assert!(shown.contains(word), "`{word}` is not in `{shown}`");
    }
}

#[test]
fn slos_that_cannot_work_are_refused_with_a_reason() {
    let by_ref = "indicatorRef: errors";
    let good = slo("target: 0.999", by_ref, "");
    check_slo(&slo("target: 0.9", by_ref, ""), &["above 14.4 can never be reached", "burns at 10.0"]);
    check_slo(&slo("target: 99.9", by_ref, ""), &["`target` cannot be 99.9", "between 0 and 1"]);
    check_slo(&slo("target: 1", by_ref, ""), &["no budget"]);
    check_slo(&slo("target: 0.999, op: lte", by_ref, ""), &["`op` of an objective is not supported yet"]);
    check_slo(&slo("target: 0.999", "indicatorRef: eror", ""), &["no usable SLI `eror`"]);
    check_slo(&good.replace("google-30d", "google"), &["no burn policy `google`", "write `google-30d`"]);
    check_slo(&good.replace("Occurrences", "Timeslices"), &["`Timeslices` is not supported yet"]);
    check_slo(
        &good.replace("isRolling: true", "isRolling: false"),
        &["calendar windows are not supported yet"],
    );
    check_slo(&good.replace("30d, is", "2d, is"), &["shorter than the 72 h"]);
    check_slo(&good.replace("openslo/v1", "openslo/v2"), &["only `openslo/v1`"]);
    check_slo(&good.replace("service:", "servce:"), &["did you mean `service`?"]);
    check_slo(&good.replace("kind: SLO", "kind: SL"), &["`kind` cannot be `SL`"]);
    let threshold = "indicator: {spec: {thresholdMetric: {metricSource: {}}}}";
    check_slo(&slo("target: 0.999", threshold, ""), &["`thresholdMetric` is not supported yet"]);
    let metrics = "indicator: {spec: {ratioMetric: {bad: {metricSource: {spec: {from: metrics}}}, total: {metricSource: {spec: {sql: x}}}}}}";
    check_slo(&slo("target: 0.999", metrics, ""), &["`from: metrics` is not supported yet"]);
    let policy = |condition: &str| {
        let policies = format!(
            "  alertPolicies:\n  - apiVersion: openslo/v1\n    kind: AlertPolicy\n    metadata: {{name: p}}\n    spec: {{conditions: [{{kind: AlertCondition, metadata: {{name: c}}, spec: {{condition: {condition}}}}}]}}\n"
        );
        slo("target: 0.999", by_ref, &policies)
    };
    check_slo(&policy("{kind: burnrate, op: lte, threshold: 2}"), &["good news", "write `op: gt`"]);
    check_slo(&policy("{kind: burnrate, op: gt, threshold: 1500}"), &["can never be reached"]);
}

#[test]
fn alert_policies_without_a_burn_policy_are_a_warning() {
    let slo = slo("target: 0.999", "indicatorRef: errors", "  alertPolicies: [{alertPolicyRef: budget}]\n");
    let slo = slo.replace("annotations: {hindsight.dev/burn-policy: google-30d}", "labels: {}");
    let loaded = loaded(&[("slos/1.yaml", &slo), ("slos/2.yaml", SLI), ("slos/3.yaml", OTHERS)]);
    assert_eq!(loaded.rules.slos[0].tiers, []);
    assert_eq!(loaded.problems[0].level, Level::Warning);
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
