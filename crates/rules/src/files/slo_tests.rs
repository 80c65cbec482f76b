use super::{Level, Loaded, load};
use crate::slo::{BudgetWindow, Budgeting, Indicator, Part, Ratio, Severity, Source};
use crate::{Op, short_window};

fn loaded(files: &[(&str, &str)]) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("slos")).unwrap();
    for (path, text) in files {
        std::fs::write(folder.path().join(path), text).unwrap();
    }
    load(folder.path()).unwrap()
}

fn spans(condition: &str) -> Source {
    Source::Spans { condition: condition.to_owned(), threshold: None, value: None }
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
    let ratio = Ratio {
        part: Part::Good,
        part_source: spans("status_code <> 'error'"),
        total_source: Source::Sql("SELECT minute, value FROM t".to_owned()),
    };
    assert_eq!(slo.indicator, Indicator::Ratio(ratio));
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
    check_slo(&slo("target: 0.999, compositeWeight: 2", by_ref, ""), &["composite SLOs are not supported"]);
    check_slo(&slo("target: 0.999", "indicatorRef: eror", ""), &["no usable SLI `eror`", "`errors`?"]);
    check_slo(&slo("target: 0.999", "", ""), &["no indicator"]);
    check_slo(&good.replace("google-30d", "google"), &["no burn policy `google`", "write `google-30d`"]);
    check_slo(&good.replace("Occurrences", "Timeslice"), &["did you mean `Timeslices`?"]);
    check_slo(&good.replace("Occurrences", "Timeslices"), &["no `timeSliceWindow`"]);
    check_slo(&good.replace("isRolling: true", "isRolling: false"), &["neither rolling", "`calendar`"]);
    check_slo(&good.replace("30d, is", "2d, is"), &["shorter than the 72 h"]);
    check_slo(&good.replace("30d, is", "12h, is"), &["shorter than a day"]);
    check_slo(&good.replace("30d, is", "2Y, is"), &["longer than minutes are kept"]);
    check_slo(&good.replace("openslo/v1", "openslo/v2"), &["only `openslo/v1`"]);
    check_slo(&good.replace("service:", "servce:"), &["did you mean `service`?"]);
    check_slo(&good.replace("kind: SLO", "kind: SL"), &["`kind` cannot be `SL`"]);
}

#[test]
fn time_slices_and_calendars_say_what_they_lack() {
    let by_ref = "indicatorRef: errors";
    let sliced =
        |rest: &str| slo(&format!("target: 0.999{rest}"), by_ref, "").replace("Occurrences", "Timeslices");
    check_slo(&sliced(", timeSliceWindow: 5m"), &["no `timeSliceTarget`"]);
    check_slo(&sliced(", timeSliceWindow: 30s, timeSliceTarget: 0.9"), &["kept by the minute", "5m"]);
    check_slo(&sliced(", timeSliceWindow: 2d, timeSliceTarget: 0.9"), &["longer than a day"]);
    check_slo(&sliced(", timeSliceWindow: 5m, timeSliceTarget: 90"), &["`timeSliceTarget` cannot be 90"]);
    let calendar =
        |window: &str| slo("target: 0.999", by_ref, "").replace("{duration: 30d, isRolling: true}", window);
    check_slo(
        &calendar("{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlim}}"),
        &["no time zone `Europe/Berlim`", "IANA"],
    );
    check_slo(
        &calendar("{duration: 1M, calendar: {startTime: soon, timeZone: UTC}}"),
        &["`startTime` cannot be `soon`"],
    );
    check_slo(
        &calendar("{duration: 30m, calendar: {startTime: 2026-01-01 00:00:00, timeZone: UTC}}"),
        &["`30m` is not the length of a calendar period", "1M"],
    );
    check_slo(
        &calendar(
            "{duration: 1M, isRolling: true, calendar: {startTime: 2026-01-01 00:00:00, timeZone: UTC}}",
        ),
        &["rolling and has a `calendar`"],
    );
}

/// An SLO whose inline indicator is this.
fn of(indicator: &str) -> String {
    slo("target: 0.999", &format!("indicator: {{spec: {indicator}}}"), "")
}

#[test]
fn sources_that_cannot_be_read_say_what_to_write() {
    let bad = |spec: &str| {
        of(&format!(
            "{{ratioMetric: {{bad: {{metricSource: {{spec: {spec}}}}}, total: {{metricSource: {{spec: {{sql: x}}}}}}}}}}"
        ))
    };
    check_slo(&bad("{from: metrics}"), &["`from: metrics` has no `metric`"]);
    check_slo(&bad("{from: metric_histogram, metric: a}"), &["did you mean `metric_histograms`?"]);
    check_slo(&bad("{from: spans}"), &["`from: spans` has no `where`"]);
    check_slo(&bad("{from: spans, where: x, threshold: fast}"), &["is not a duration"]);
    check_slo(&bad("{from: metrics, metric: a, threshold: 1}"), &["`threshold` beside `from: metrics`"]);
    check_slo(&bad("{sql: x, where: y}"), &["`where` beside `sql`"]);
    check_slo(&bad("{query: up}"), &["no key `query`"]);
    let foreign = of("{thresholdMetric: {metricSource: {type: Prometheus, spec: {query: up}}}}");
    check_slo(&foreign, &["numbers of `Prometheus` cannot be read", "write `type: hindsight`"]);
    let unknown = of("{thresholdMetric: {metricSource: {metricSourceRef: ther, spec: {sql: x}}}}");
    check_slo(&unknown, &["no usable DataSource `ther`", "did you mean `here`?"]);
    check_slo(&of("{thresholdMetric: {metricSource: {spec: {sql: x}}}}"), &["needs `op` and `value`"]);
    let total = "{ratioMetric: {good: {metricSource: {spec: {sql: x}}}, total: {metricSource: {spec: {from: spans, where: x, threshold: 1s}}}}}";
    check_slo(&of(total), &["`threshold` has no meaning here", "under `good` or `bad`"]);
    check_slo(&of("{ratioMetric: {raw: {metricSource: {spec: {sql: x}}}}}"), &["no `rawType`", "success"]);
    check_slo(&of("{}"), &["neither `ratioMetric` nor `thresholdMetric`"]);
}

/// An SLO with one inline policy of one inline condition.
fn with_condition(condition: &str) -> String {
    let policies = format!(
        "  alertPolicies:\n  - kind: AlertPolicy\n    metadata: {{name: p}}\n    spec:\n      conditions: [{{kind: AlertCondition, metadata: {{name: c}}, spec: {{severity: page, condition: {condition}}}}}]\n"
    );
    slo("target: 0.999", "indicatorRef: errors", &policies)
        .replace("annotations: {hindsight.dev/burn-policy: google-30d}", "labels: {}")
}

#[test]
fn conditions_that_cannot_alert_are_refused() {
    let condition = |text: &str| with_condition(&format!("{{kind: burnrate, {text}}}"));
    check_slo(&condition("op: lte, threshold: 2, lookbackWindow: 1h"), &["good news", "write `op: gt`"]);
    check_slo(&condition("op: gt, threshold: 1500, lookbackWindow: 1h"), &["can never be reached"]);
    check_slo(&condition("op: gt, threshold: 2"), &["no `lookbackWindow`"]);
    check_slo(&condition("op: gt, lookbackWindow: 1h"), &["no `threshold`"]);
    check_slo(&condition("op: gt, threshold: 2, lookbackWindow: 90s"), &["kept by the minute"]);
    let refers = |key: &str, text: &str| {
        let policies = "  alertPolicies:\n  - metadata: {name: p}\n    spec: {conditions: [{conditionRef: fast}], notificationTargets: [{targetRef: oncall}]}\n";
        slo("target: 0.999", "indicatorRef: errors", &policies.replace(key, text))
    };
    check_slo(&refers("fast", "fats"), &["no usable AlertCondition `fats`", "did you mean `fast`?"]);
    check_slo(&refers("oncall", "oncal"), &["no usable AlertNotificationTarget `oncal`", "`oncall`?"]);
    check_slo(
        &slo("target: 0.999", "indicatorRef: errors", "  alertPolicies: [budgets]\n"),
        &["no usable AlertPolicy `budgets`", "did you mean `budget`?"],
    );
}

/// The SLOs of one file beside the others, which must load without a word.
fn good(text: &str) -> Vec<crate::Slo> {
    let loaded = loaded(&[("slos/1.yaml", text), ("slos/2.yaml", SLI), ("slos/3.yaml", OTHERS)]);
    assert_eq!(loaded.problems, [], "{text}");
    loaded.rules.slos
}

#[test]
fn a_condition_is_a_tier_whose_short_window_is_a_twelfth_of_the_long() {
    let text = "{kind: burnrate, op: gte, threshold: 6, lookbackWindow: 6h, alertAfter: 3m}";
    let slo = &good(&with_condition(text))[0];
    let [tier] = slo.tiers.as_slice() else { panic!("{:?}", slo.tiers) };
    assert_eq!((tier.name.as_str(), tier.severity, tier.op), ("c", Severity::Page, Op::Gte));
    assert_eq!((tier.long.as_secs(), tier.short.as_secs()), (6 * 3_600, 30 * 60));
    assert_eq!((tier.factor, tier.alert_after.as_secs()), (6.0, 180));
    assert_eq!(slo.tier_id(tier), "slo/s/c");
    assert_eq!(short_window(std::time::Duration::from_secs(300)).as_secs(), 60);
    // A named policy spells its condition out in another document.
    let named = slo_without_burn_policy("  alertPolicies: [{alertPolicyRef: budget}]\n");
    let tiers = &good(&named)[0].tiers;
    assert_eq!((tiers.len(), tiers[0].name.as_str(), tiers[0].factor), (1, "fast", 14.4));
}

fn slo_without_burn_policy(rest: &str) -> String {
    slo("target: 0.999", "indicatorRef: errors", rest)
        .replace("annotations: {hindsight.dev/burn-policy: google-30d}", "labels: {}")
}

#[test]
fn budgeting_methods_and_windows_are_read() {
    let text = slo("target: 0.999, timeSliceWindow: 5, timeSliceTarget: 0.95", "indicatorRef: errors", "");
    let slo = &good(&text.replace("Occurrences", "Timeslices"))[0];
    assert_eq!(slo.budgeting, Budgeting::Timeslices { minutes: 5, target: 0.95 });
    let text = text.replace(", timeSliceTarget: 0.95", "").replace("Occurrences", "RatioTimeslices");
    let text = text.replace(
        "{duration: 30d, isRolling: true}",
        "{duration: 1Q, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlin}}",
    );
    let slo = &good(&text)[0];
    assert_eq!(slo.budgeting, Budgeting::RatioTimeslices { minutes: 5 });
    assert!(matches!(&slo.window, BudgetWindow::Calendar(calendar) if calendar.count == 1));
    assert_eq!(slo.window.nominal().as_secs(), 90 * 86_400);
    let month = text.replace("RatioTimeslices", "Occurrences").replace(", timeSliceWindow: 5", "");
    let rolling = month.replace(
        "{duration: 1Q, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Europe/Berlin}}",
        "{duration: 4w, isRolling: true}",
    );
    assert_eq!(good(&rolling)[0].window.nominal().as_secs(), 28 * 86_400);
}

#[test]
fn an_slo_of_several_objectives_is_several_slos() {
    let text = slo("target: 0.999, displayName: Most of all", "indicatorRef: errors", "");
    let text = text.replace("}]\n  indicatorRef", "}, {targetPercent: 99.5}]\n  indicatorRef");
    let slos = good(&text);
    let names: Vec<_> = slos.iter().map(|slo| (slo.name.as_str(), slo.objective)).collect();
    assert_eq!(names, [("s.2", 0.995), ("s.most-of-all", 0.999)]);
    let twice = text.replace("{targetPercent: 99.5}", "{target: 0.99, displayName: most-of-all}");
    check_slo(&twice, &["two objectives `most-of-all`"]);
}

#[test]
fn objectives_may_have_their_own_indicators() {
    let text = slo("target: 0.999, indicatorRef: errors", "", "");
    assert!(matches!(good(&text)[0].indicator, Indicator::Ratio(_)));
}

#[test]
fn threshold_and_raw_metrics_are_read() {
    let points = "{thresholdMetric: {metricSource: {spec: {from: metrics, metric: queue.length}}}}";
    let text = of(points).replace("target: 0.999", "op: lte, value: 100, target: 0.999");
    let source = Source::Metric { metric: "queue.length".to_owned(), condition: None, counter: None };
    assert_eq!(good(&text)[0].indicator, Indicator::Threshold { source, op: Op::Lte, value: 100.0 });
    let raw =
        "{ratioMetric: {rawType: failure, raw: {metricSource: {metricSourceRef: here, spec: {sql: q}}}}}";
    let source = Source::Sql("q".to_owned());
    assert_eq!(good(&of(raw))[0].indicator, Indicator::Raw { source, part: Part::Bad });
}

#[test]
fn a_service_that_no_document_describes_is_a_warning() {
    let text =
        slo("target: 0.999", "indicatorRef: errors", "").replace("service: checkout", "service: chekout");
    let loaded = loaded(&[("slos/1.yaml", &text), ("slos/2.yaml", SLI), ("slos/3.yaml", OTHERS)]);
    assert_eq!(loaded.rules.slos.len(), 1);
    let problem = &loaded.problems[0];
    assert_eq!(problem.level, Level::Warning);
    assert!(problem.to_string().contains("no Service `chekout`; did you mean `checkout`?"), "{problem}");
}

#[test]
fn the_mistakes_of_documents_that_nothing_uses_are_told_too() {
    let policy = "apiVersion: openslo/v1\nkind: AlertPolicy\nmetadata: {name: p}\nspec: {conditions: [{conditionRef: nothing}]}\n";
    let sli = "apiVersion: openslo/v1\nkind: SLI\nmetadata: {name: i}\nspec: {ratioMetric: {good: {metricSource: {spec: {from: logs}}}}}\n";
    for (text, words) in [(policy, "no usable AlertCondition `nothing`"), (sli, "`from` cannot be `logs`")] {
        let loaded = loaded(&[("slos/1.yaml", text)]);
        assert!(
            loaded.problems.iter().any(|problem| problem.to_string().contains(words)),
            "{:?}",
            loaded.problems
        );
    }
}

#[test]
fn an_alert_policy_without_a_condition_or_a_burn_policy_is_a_warning() {
    let slo = slo("target: 0.999", "indicatorRef: errors", "  alertPolicies: [{alertPolicyRef: budget}]\n");
    let slo = slo.replace("annotations: {hindsight.dev/burn-policy: google-30d}", "labels: {}");
    let others = OTHERS.replace("conditions: [{conditionRef: fast}]", "conditions: []");
    let loaded = loaded(&[("slos/1.yaml", &slo), ("slos/2.yaml", SLI), ("slos/3.yaml", &others)]);
    assert_eq!(loaded.rules.slos[0].tiers, []);
    assert_eq!(loaded.problems[0].level, Level::Warning);
    assert!(loaded.problems[0].message.contains("no effect"), "{:?}", loaded.problems);
}

#[test]
fn every_example_of_the_page_loads_without_a_word() {
    let page = include_str!("../../../../docs/slos.md");
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 10, "{} examples", blocks.len());
    let names: Vec<String> = (0..blocks.len()).map(|number| format!("slos/{number}.yaml")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(blocks).collect();
    let loaded = loaded(&files);
    assert_eq!(loaded.problems, []);
    let names: Vec<_> = loaded.rules.slos.iter().map(|slo| slo.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "answers-by-the-minute",
            "answers-on-average",
            "checkout-availability",
            "monthly",
            "queue-short",
            "shop"
        ]
    );
    let shop = loaded.rules.slos.iter().find(|slo| slo.name == "shop").unwrap();
    assert_eq!((shop.alert.as_str(), shop.tiers.len()), ("The shop loses its budget", 1));
}
