use std::collections::BTreeSet;
use std::path::Path;

use hindsight_model::{IncidentId, IncidentSeverity, TimelineSource};
use proptest::prelude::*;

use super::*;

const CONTRACT: &str = "---
schema: hindsight/postmortem/v1
id: PM-2026-014
incidents: [INC-231]
title: Users unable to complete checkout for 44 minutes in us-west-2
status: draft                  # draft | in_review
severity: SEV1
visibility: internal
owner: {person: dana.k, team: payments}
reviewer: {person: lee.o, team: search}
timezone: America/Los_Angeles
times: {trigger: 2026-05-04T14:32-07:00, impact_start: 2026-05-04T14:36-07:00, detected: 2026-05-04T14:39:00-07:00}
detection: alert
services: [checkout, orders-db]
impact:
- {what: failed checkouts, value: 23000, unit: requests, evidence: E1}
- {what: failed revenue, value: 89000, unit: USD, estimate: true, why: mean basket value}
slo: [{name: checkout-availability, budget_spent: 0.61, evidence: E2}]
comms: [{at: 2026-05-04T14:55-07:00, channel: status-page, ref: status/118}]
patterns: [monitoring-gap]
glossary: {RDS: Relational Database Service}
---
## Summary

Words,  with two spaces.\t
## Timeline
- **14:32** `trigger` `system` Deployment 4.2.0 begins [E3]
- 14:40:10 `note` `human` The on-call engineer reads the logs
- **00:05** `resolved` `system` It was over [E1] [E2]
## Five whys
1.1. Why did checkouts fail? → Servers returned 500 [E1]
1.2. Why 500? → No database connection, pool at 100 % [E4]
1.3. Why was the pool full? → hypothesis: ten times the queries → A1
2.1. Why did detection take 3 minutes? → Only error rates were watched [E5]
2.2. Why so? (from 1.2) accepted: it will be replaced
## Lessons
L1. Services should watch every constrained resource → A1, A2
## Action items
| id | action | owner | due | priority | lesson | why | tracker | verify |
|----|:------|-------|-----|----------|--------|-----|---------|--------|
| A1 | Alert on pool use above 90 % | dana.k | 2026-06-01 | high | L1 | 1.3 | JIRA-1 | alert: Pool fires on INC-231 |
| A2 | Cache a\\|b | lee.o | | | L1 | | | |
";

fn parse(text: &str) -> Result<Document> {
    Document::parse(text, Path::new("postmortem.md"))
}

#[test]
fn the_contract_example_reads_back_byte_for_byte() {
    let document = parse(CONTRACT).unwrap();
    assert_eq!(document.write(), CONTRACT);
    assert_eq!(document.front.times.trigger, parse_instant("2026-05-04T21:32:00Z"));
    assert_eq!(document.front.owner.as_ref().unwrap().team.as_deref(), Some("payments"));
    assert!(
        matches!(&document.front.comms, Communications::Sent(sent) if sent[0].reference.as_deref() == Some("status/118"))
    );
    assert_eq!(document.front_line("services"), 14);
    let headings: Vec<String> = document.sections().into_iter().map(|s| s.heading).collect();
    assert_eq!(headings, ["Summary", "Timeline", "Five whys", "Lessons", "Action items"]);
    assert_eq!(document.section_text("Summary"), "\nWords,  with two spaces.\t\n");
}

#[test]
fn rows_whys_lessons_and_actions_carry_their_lines() {
    let document = parse(CONTRACT).unwrap();
    let rows = document.timeline();
    assert_eq!(rows.len(), 3);
    assert_eq!((rows[0].line, rows[0].milestone, rows[0].kind.as_str()), (27, true, "trigger"));
    assert_eq!(rows[0].at, parse_instant("2026-05-04T14:32-07:00"));
    assert_eq!((rows[1].source, rows[1].to_the_minute), (Some(TimelineSource::Human), false));
    assert_eq!(rows[2].at, parse_instant("2026-05-05T00:05-07:00"), "past midnight is the next day");
    assert_eq!(rows[2].evidence, ["E1", "E2"]);
    let whys = document.whys();
    assert_eq!(whys.faults, []);
    let parents: Vec<Option<&str>> = whys.nodes.iter().map(|why| why.parent.as_deref()).collect();
    assert_eq!(parents, [None, Some("1.1"), Some("1.2"), None, Some("1.2")]);
    assert_eq!(whys.nodes[2].actions, ["A1"]);
    assert!(whys.nodes[2].hypothesis);
    assert_eq!(whys.nodes[4].accepted.as_deref(), Some("it will be replaced"));
    let leaves: Vec<&str> = whys.leaves().map(|why| why.number.as_str()).collect();
    assert_eq!(leaves, ["1.3", "2.1", "2.2"]);
    assert_eq!(document.lessons()[0].actions, ["A1", "A2"]);
    let actions = document.actions().unwrap().items;
    assert_eq!(actions[0].priority, Some(Priority::High));
    assert_eq!((actions[1].action.as_str(), actions[1].line), ("Cache a|b", 42));
}

#[test]
fn a_tree_that_is_none_is_told() {
    let check = |lines: &str, fault: &str| {
        let front = CONTRACT.split("## Summary").next().unwrap();
        let document = parse(&format!("{front}## Five whys\n{lines}\n")).unwrap();
        let faults = document.whys().faults;
        assert!(faults.iter().any(|(_, text)| text.contains(fault)), "{faults:?}");
    };
    check("1.1. a\n1.1. b", "numbered twice");
    check("1.1. a\n1.3. b", "does not exist");
    check("1.1. a (from 1.2)\n1.2. b (from 1.1)", "follows from itself");
}

/// Limits keep a long document from costing more than its length.
#[test]
fn more_whys_rows_and_actions_than_the_limits_are_told_or_left_out() {
    let front = CONTRACT.split("## Summary").next().unwrap();
    let whys: String = (1..=1_200).map(|step| format!("1.{step}. Why?\n")).collect();
    let rows = "- 14:32 `note` `human` words\n".repeat(MAX_ROWS + 10);
    let document = parse(&format!("{front}## Five whys\n{whys}## Timeline\n{rows}")).unwrap();
    let tree = document.whys();
    assert_eq!((tree.nodes.len(), tree.leaves().count(), document.timeline().len()), (1_000, 1, MAX_ROWS));
    assert!(tree.faults[0].1.contains("more than 1000 whys"), "{:?}", tree.faults);
    let items = "| A1 | words |\n".repeat(1_001);
    let error = parse(&format!("{front}## Action items\n| id | action |\n|--|--|\n{items}")).unwrap_err();
    assert!(error.to_string().contains("more than 1000"), "{error}");
}

#[test]
fn mistakes_are_told_with_file_and_line() {
    let check = |from: &str, to: &str, line: &str, what: &str| {
        let text = CONTRACT.replacen(from, to, 1);
        assert_ne!(text, CONTRACT);
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("postmortem.md:{line}")), "{error}");
        assert!(error.contains(what), "{error}");
    };
    check("severity: SEV1", "severity: SEV9", "7", "SEV9");
    check("detection: alert", "detektion: alert", "13", "detektion");
    check("trigger: 2026-05-04T14:32-07:00", "trigger: yesterday", "12", "is not a time");
    check("hindsight/postmortem/v1", "hindsight/postmortem/v9", "2", "v9");
    check("| tracker |", "| trakker |", "39", "trakker");
    check("2026-06-01", "soon", "41", "is not a date");
    check("| high |", "| urgent |", "41", "high, medium, low");
    check("---\n## Summary", "## Summary", "1", "the second one is missing");
}

#[test]
fn a_line_is_told_once_as_the_files() {
    for wrong in ["detektion: alert", "detection: [alert", "detection:", "detection: Alert"] {
        let error = parse(&CONTRACT.replacen("detection: alert", wrong, 1));
        let Err(error) = error else { continue };
        let error = error.to_string();
        assert!(error.starts_with("postmortem.md:") && !error.contains("at line"), "{error}");
    }
}

/// The draft explains itself in comments, examples included.
#[test]
fn what_stands_in_a_comment_is_not_read() {
    let front = CONTRACT.split("## Summary").next().unwrap();
    let text = format!(
        "{front}## Lessons\n<!-- One a line:\nL1. An example → A1\n## Action items\nL2. Another -->\nL3. True <!-- so -->\n\
         ## Five whys\n<!--\n1.1. Why?\n--> \n2.1. Why not? <!-- open\n2.2. hidden"
    );
    let document = parse(&text).unwrap();
    let lessons: Vec<(String, String)> =
        document.lessons().into_iter().map(|lesson| (lesson.id, lesson.text)).collect();
    assert_eq!(lessons, [("L3".to_owned(), "True <!-- so -->".to_owned())]);
    let headings: Vec<String> = document.sections().into_iter().map(|section| section.heading).collect();
    assert_eq!(headings, ["Lessons", "Five whys"]);
    let whys: Vec<String> = document.whys().nodes.into_iter().map(|why| why.question).collect();
    assert_eq!(whys, ["Why not?"]);
    assert_eq!(
        document.lessons()[0].line,
        document.write().lines().position(|l| l.starts_with("L3")).unwrap() + 1
    );
}

#[test]
fn an_untouched_region_is_replaced_and_an_edited_one_stays() {
    let old = format!("A\n{}B\n{}C\n", region("one", "first"), region("two", "second"));
    let edited = old.replace("second", "second, in our words");
    let fresh = format!("{}{}", region("one", "new first"), region("two", "new second"));
    let merged = merge_regions(&edited, &fresh);
    assert_eq!(merged, edited.replace(region("one", "first").as_str(), &region("one", "new first")));
    assert!(merged.contains("in our words"));
    assert_eq!(merge_regions("prose <!-- hindsight:generated x", &fresh), "prose <!-- hindsight:generated x");
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z -]{0,20}", any::<String>(), Just("yes".to_owned()), Just("- 1: {x}\n#".to_owned())]
}

fn fronts() -> impl Strategy<Value = FrontMatter> {
    let times = prop::option::of(-2_000_000_000_i64..4_000_000_000);
    let texts = (words(), words(), words(), words());
    let lists = (prop::collection::vec(words(), 0..3), prop::collection::btree_map(words(), words(), 0..3));
    (texts, times, lists, any::<u64>(), prop::num::f64::NORMAL, any::<bool>()).prop_map(
        |((title, what, unit, why), at, (services, glossary), number, value, flag)| FrontMatter {
            schema: SCHEMA.into(),
            id: "PM-2026-001".into(),
            incidents: vec![IncidentId(number)],
            title,
            status: Status::InReview,
            severity: IncidentSeverity::Sev3,
            visibility: Visibility::Restricted,
            tenant: flag.then(|| "team-1".to_owned()),
            owner: Some(Person { person: Some(why.clone()), team: flag.then(|| what.clone()) }),
            reviewer: None,
            timezone: "America/Los_Angeles".into(),
            times: Times {
                impact_start: at.and_then(|s| jiff::Timestamp::from_second(s).ok()),
                ..Times::default()
            },
            detection: Some(Detection::Customer),
            services,
            impact: vec![Impact {
                what: what.clone(),
                value,
                unit: unit.clone(),
                evidence: None,
                estimate: flag,
                why: Some(why),
            }],
            slo: vec![SloImpact { name: unit, budget_spent: value, evidence: Some("E2".into()) }],
            comms: if flag {
                Communications::NotNeeded(what)
            } else {
                Communications::Sent(vec![Communication { at: None, channel: what, reference: None }])
            },
            patterns: Vec::new(),
            glossary,
            security: flag,
            outage: flag.then_some(Outage::Partial),
            teams: vec!["payments".into()],
            repeats: Vec::new(),
            skip: at.map(|_| "needs none: \"small\"".to_owned()),
            stages: Stages {
                draft: at.and_then(|at| jiff::Timestamp::from_second(at).ok()),
                ..Stages::default()
            },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_what_is_read(front in fronts(), body in any::<String>()) {
        let document = Document::new(front, body);
        let text = document.write();
        prop_assert_eq!(&parse(&text).unwrap(), &document);
    }

    #[test]
    fn no_text_makes_the_reader_panic(body in "(?s)(#{1,3} (Timeline|Five whys|Lessons|Action items)\n)?([|`*. :→0-9AEL\\[\\]a-z<!>-]|\n){0,200}") {
        let front = CONTRACT.split("## Summary").next().unwrap();
        if let Ok(document) = parse(&format!("{front}{body}")) {
            let tree = document.whys();
            prop_assert!(document.timeline().len() + tree.nodes.len() < 1_000);
            let evidence = crate::evidence::EvidenceSet::default();
            crate::lint_document(&document, &evidence);
            crate::render_document(&document, &evidence).unwrap();
        }
    }
}

#[test]
fn only_patterns_of_the_list_are_added() {
    let document = parse(CONTRACT).unwrap();
    let tag = |add: &[&str], remove: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        document.with_patterns(&names(add), &names(remove), Path::new("x.md"))
    };
    let tagged = tag(&["slow-rollback", "monitoring-gap"], &[]).unwrap();
    assert_eq!(tagged.front.patterns, ["monitoring-gap", "slow-rollback"]);
    assert_eq!(tag(&[], &["monitoring-gap"]).unwrap().front.patterns, Vec::<String>::new());
    let error = tag(&["bad-luck"], &[]).unwrap_err().to_string();
    assert!(error.starts_with("x.md:20: `bad-luck` is not on the list"), "{error}");
}

/// The lessons of a restricted document say nothing of whose they are.
#[test]
fn exported_lessons_name_nobody_and_nothing() {
    let text = CONTRACT.replace(
        "L1. Services should watch every constrained resource → A1, A2",
        "L1. The pool of checkout (see `orders-db`) was full; dana.k of payments told lee.o at 10.0.0.7, \
         https://wiki.example/x, ops@shop.example, INC-231 and JIRA-12 [E4] → A1\nL2. Watch what runs out → A2",
    );
    let export = lessons_export(&parse(&text).unwrap());
    assert_eq!(
        export,
        "# Lessons of an incident\n\nNames and places are taken out.\n\nPatterns: monitoring-gap\n\n\
         L1. The pool of a service (see [redacted]) was full; somebody of a team told somebody at [redacted], \
         [redacted] [redacted], [redacted] and [redacted]\n\nL2. Watch what runs out\n"
    );
}

#[test]
fn a_key_ends_where_the_next_begins_however_that_is_written() {
    let text = CONTRACT.replace("detection: alert\n", "\"detection\": alert   # quoted\n").replace(
        "slo: [{name: checkout-availability, budget_spent: 0.61, evidence: E2}]\n",
        "slo: [\n  {name: a, budget_spent: 1}\n]\n",
    );
    let document = parse(&text).unwrap();
    let set =
        |key: &str, value: Option<&str>| document.with_key(key, value, Path::new("x.md")).unwrap().write();
    let times = text.lines().find(|line| line.starts_with("times:")).unwrap();
    assert_eq!(set("times", Some("{}")), text.replace(times, "times: {}"));
    assert_eq!(set("slo", None), text.replace("slo: [\n  {name: a, budget_spent: 1}\n]\n", ""));
}

/// The front matter of the contract, block by block: a key and its lines.
fn front_blocks() -> Vec<(String, String)> {
    let front = CONTRACT.strip_prefix("---\n").unwrap().split("---\n").next().unwrap();
    let mut blocks: Vec<(String, String)> = Vec::new();
    for line in front.split_inclusive('\n') {
        match blocks.last_mut() {
            Some(block) if line.starts_with(['-', ' ']) => block.1.push_str(line),
            _ => blocks.push((line.split(':').next().unwrap().to_owned(), line.to_owned())),
        }
    }
    blocks
}

fn between() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("# a comment: with a colon\n".to_owned()),
        Just("\n".to_owned()),
        "[a-z ]{0,12}".prop_map(|words| format!("# {words}\n")),
        "[a-z]{1,6}"
            .prop_map(|name| format!("x-{name}-{}: {{kept: [as, it], is: true}}   # theirs\n", name.len())),
        "[a-z]{1,6}"
            .prop_map(|name| format!("x-list-{name}:\n- one\n-   two\n  # inside\n  status: not a key\n")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// PM-2: whatever stands around a key of the front matter, setting it changes its own lines and nothing else.
    #[test]
    fn setting_a_key_leaves_every_other_byte(
        order in Just(front_blocks()).prop_shuffle(),
        gaps in prop::collection::vec(between(), 20),
        body in any::<String>(),
        which in 0usize..5,
    ) {
        let (key, value) = [
            ("status", "published"),
            ("patterns", "[slow-rollback]"),
            ("impact", "[]"),
            ("security", "true"),
            ("comms", "\"n/a: nobody was hurt\""),
        ][which];
        let (mut text, mut expected, mut seen) = ("---\n".to_owned(), "---\n".to_owned(), BTreeSet::new());
        let mut found = false;
        for (index, (name, block)) in order.iter().enumerate() {
            // The same x- key twice would not be readable.
            let gap = &gaps[index % gaps.len()];
            if gap.starts_with('#') || gap.trim().is_empty() || seen.insert(gap.clone()) {
                text.push_str(gap);
                expected.push_str(gap);
            }
            text.push_str(block);
            if name == key {
                found = true;
                let comment = if key == "status" { "                  # draft | in_review" } else { "" };
                expected.push_str(&format!("{key}: {value}{comment}\n"));
            } else {
                expected.push_str(block);
            }
        }
        if !found {
            expected.push_str(&format!("{key}: {value}\n"));
        }
        for text in [&mut text, &mut expected] {
            text.push_str("---\n## Notes\n");
            text.push_str(&body);
        }
        let document = parse(&text).unwrap();
        prop_assert_eq!(document.write(), text);
        let edited = document.with_key(key, Some(value), Path::new("x.md")).unwrap();
        prop_assert_eq!(edited.write(), expected);
        let without = edited.with_key("glossary", None, Path::new("x.md")).unwrap();
        prop_assert_eq!(without.write(), edited.write().replace("glossary: {RDS: Relational Database Service}\n", ""));
    }

    /// PM-2: a regeneration changes untouched regions that the fresh draft has, and no other byte.
    #[test]
    fn regenerating_an_edited_document_leaves_prose_and_edited_regions(
        pieces in prop::collection::vec(("[a-zA-Z#|*\\- \n]{0,40}", 0usize..4, "[a-z \n]{0,20}"), 1..8),
    ) {
        let front = CONTRACT.split("## Summary").next().unwrap();
        let (mut old, mut expected, mut fresh) = (String::new(), String::new(), String::new());
        for (index, (prose, kind, words)) in pieces.iter().enumerate() {
            let name = format!("part-{index}");
            let generated = region(&name, words);
            let regenerated = region(&name, &format!("fresh {words}"));
            for text in [&mut old, &mut expected] {
                text.push_str(prose);
                text.push('\n');
            }
            let edited = generated.replacen("-->\n", "-->\nour own words\n", 1);
            let (before, after) = match kind {
                // Nobody touched it.
                0 => (&generated, &regenerated),
                // Somebody did.
                1 => (&edited, &edited),
                // The fresh draft no longer has it.
                2 => (&generated, &generated),
                // The old document no longer has it.
                _ => (&String::new(), &String::new()),
            };
            old.push_str(before);
            expected.push_str(after);
            if *kind != 2 {
                fresh.push_str(&regenerated);
            }
        }
        let old = parse(&format!("{front}{old}")).unwrap();
        let fresh = Document::new(old.front.clone(), fresh);
        let merged = old.regenerated(&fresh);
        prop_assert_eq!(merged.body(), expected.as_str());
        prop_assert_eq!(merged.front_text(), old.front_text());
    }
}
