use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lint")
}

fn evidence() -> EvidenceSet {
    EvidenceSet::read(&fixtures()).unwrap()
}

fn document(name: &str) -> Document {
    Document::read(&fixtures().join(name)).unwrap()
}

fn found(document: &Document, evidence: &EvidenceSet) -> BTreeSet<&'static str> {
    lint_document(document, evidence).into_iter().map(|finding| finding.rule).collect()
}

/// A rule's id and what breaks it.
type Mistake = (&'static str, fn(&mut EvidenceSet));

/// Rules about charts see evidence, so their bad fixtures are mistakes made in the good evidence.
const EVIDENCE_MISTAKES: [Mistake; 4] = [
    ("M2", |set| {
        let chart = set.get("E1").unwrap().clone();
        set.items
            .extend((20..29).map(|number| crate::Evidence { id: format!("E{number}"), ..chart.clone() }));
    }),
    ("M3", |set| set.items[1].chart.as_mut().unwrap().events.clear()),
    ("M4", |set| set.items[0].caption = "Errors.".to_owned()),
    ("G2", |set| set.items.retain(|item| !item.title.starts_with("Services"))),
];

#[test]
fn the_good_fixture_passes_every_rule_although_it_is_closed() {
    assert_eq!(lint_document(&document("good.md"), &evidence()), []);
}

#[test]
fn every_rule_finds_its_bad_fixture() {
    for rule in rules() {
        let mistake = EVIDENCE_MISTAKES.iter().find(|(id, _)| *id == rule.id);
        let mut evidence = evidence();
        let document = match mistake {
            Some((_, make)) => {
                make(&mut evidence);
                document("good.md")
            }
            None => document(&format!("bad-{}.md", rule.id)),
        };
        let findings = lint_document(&document, &evidence);
        let mine: Vec<&Finding> = findings.iter().filter(|finding| finding.rule == rule.id).collect();
        assert!(!mine.is_empty(), "{} found nothing; others found {findings:?}", rule.id);
        assert!(mine.iter().all(|finding| finding.line >= 1 && !finding.message.is_empty()));
        assert!(mine.iter().all(|finding| finding.level <= rule.level), "{}", rule.id);
    }
}

#[test]
fn every_bad_fixture_belongs_to_a_rule() {
    for entry in fs::read_dir(fixtures()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if let Some(id) = name.strip_prefix("bad-").and_then(|rest| rest.strip_suffix(".md")) {
            assert!(rules().iter().any(|rule| rule.id == id), "{name}");
        }
    }
}

#[test]
fn the_guides_own_example_contradicts_itself() {
    let findings = lint_document(&document("guide-example.md"), &EvidenceSet::default());
    let told: Vec<&str> = findings.iter().filter(|f| f.rule == "T3").map(|f| f.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "the title says 23 min, impact_start to resolved is 44 min",
            "the title says us-east, the document says us-west-2"
        ]
    );
    assert_eq!(findings.iter().find(|f| f.rule == "T3").unwrap().line, 5);
}

#[test]
fn findings_name_the_line_they_are_about() {
    let line = |name: &str, rule: &str| {
        let document = document(name);
        let findings = lint_document(&document, &evidence());
        let finding = findings.into_iter().find(|finding| finding.rule == rule).unwrap();
        document.write().lines().nth(finding.line - 1).unwrap().to_owned()
    };
    assert!(line("bad-T1.md", "T1").starts_with("title:"));
    assert!(line("bad-TL5.md", "TL5").contains("dana.k asks"));
    assert!(line("bad-W3.md", "W3").starts_with("1.6."));
    assert!(line("bad-A3.md", "A3").starts_with("| A2 |"));
    assert!(line("bad-I1.md", "I1").contains("Many customers"));
}

#[test]
fn a_rule_is_silenced_with_a_reason_only() {
    let text = fs::read_to_string(fixtures().join("bad-TL5.md")).unwrap();
    let check = |mark: &str, silenced: bool| {
        let text = text.replace("## Impact\n", &format!("{mark}\n\n## Impact\n"));
        let document = Document::parse(&text, Path::new("x.md")).unwrap();
        assert_eq!(!found(&document, &evidence()).contains("TL5"), silenced, "{mark}");
    };
    check("<!-- lint-ignore: TL5 the owner asked to be named -->", true);
    check("<!-- lint-ignore: TL5 -->", false);
    check("<!-- lint-ignore: TL6 another rule -->", false);
    check("lint-ignore: TL5 said in prose", false);
    let front =
        text.replace("severity: SEV1", "severity: SEV1\n# lint-ignore: TL5 the owner asked to be named");
    let document = Document::parse(&front, Path::new("x.md")).unwrap();
    assert!(!found(&document, &evidence()).contains("TL5"));
}

#[test]
fn what_only_people_can_write_is_not_asked_of_a_draft() {
    let text = fs::read_to_string(fixtures().join("bad-C1.md")).unwrap();
    let at = |status: &str| {
        let text = text.replace("status: closed", &format!("status: {status}"));
        found(&Document::parse(&text, Path::new("x.md")).unwrap(), &evidence()).contains("C1")
    };
    assert!(!at("draft"));
    assert!(at("in_review") && at("published"));
}

#[test]
fn the_rules_are_listed_once_each_with_a_hint() {
    let ids: BTreeSet<&str> = rules().iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), rules().len());
    assert!(rules().len() >= 40);
    assert!(rules().iter().all(|rule| !rule.hint.is_empty() && !rule.asks.is_empty()));
    let json = serde_json::to_value(rules()).unwrap();
    assert_eq!(json[0]["id"], "T1");
    assert_eq!(json[0]["from"], "draft");
}
