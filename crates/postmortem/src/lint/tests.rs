use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::document::parse_instant;

mod cases;

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

#[test]
fn the_good_fixture_passes_every_rule_although_it_is_closed() {
    assert_eq!(lint_document(&document("good.md"), &evidence()), []);
}

/// The cases of every rule (`fixtures/lint/rules/ID.case`, see the README there): what is bad gives exactly this rule
/// at exactly the marked lines, what is good gives nothing.
#[test]
fn every_rule_finds_its_bad_cases_where_they_are_and_lets_its_good_cases_pass() {
    let mut wrong = Vec::new();
    for rule in rules() {
        let cases = cases::of(rule.id);
        for bad in [true, false] {
            assert!(cases.iter().any(|case| case.bad == bad), "{} lacks a case that is bad: {bad}", rule.id);
        }
        for case in cases {
            let findings = lint_knowing(&case.document, &case.evidence, &case.knowledge);
            let found: BTreeSet<(&str, usize)> = findings.iter().map(|f| (f.rule, f.line)).collect();
            let expected: BTreeSet<(&str, usize)> = case.lines.iter().map(|line| (rule.id, *line)).collect();
            if found != expected || case.bad == expected.is_empty() {
                wrong.push(format!("{} {}: expected {expected:?}, found {findings:#?}", rule.id, case.name));
            }
            assert!(findings.iter().all(|f| f.level <= rule.level && !f.message.is_empty()), "{}", rule.id);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_of_cases_belongs_to_a_rule() {
    for entry in fs::read_dir(fixtures().join("rules")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let id = name.strip_suffix(".case");
        assert!(name == "README.md" || rules().iter().any(|rule| Some(rule.id) == id), "{name}");
    }
}

/// POSTMORTEM §6: its title says 23 min in US-EAST, its timeline 44 min in us-west-2.
#[test]
fn the_guides_own_example_is_refused_because_it_contradicts_itself_and_for_nothing_else() {
    let document = document("guide-example.md");
    let findings = lint_document(&document, &evidence());
    let told: Vec<(&str, Level, usize, &str)> =
        findings.iter().map(|f| (f.rule, f.level, f.line, f.message.as_str())).collect();
    let title = document.front_line("title");
    assert_eq!(
        told,
        [
            ("T3", Level::E, title, "the title says 23 min, impact_start to resolved is 44 min"),
            ("T3", Level::E, title, "the title says us-east, the document says us-west-2")
        ]
    );
    let honest = document.write().replace("23 minutes in US-EAST", "44 minutes in us-west-2");
    let honest = Document::parse(&honest, Path::new("x.md")).unwrap();
    assert_eq!(lint_document(&honest, &evidence()), []);
}

#[test]
fn a_rule_is_silenced_with_a_reason_only() {
    let good = fs::read_to_string(fixtures().join("good.md")).unwrap();
    let text = good.replace("The incident commander asks", "dana.k asks");
    let check = |mark: &str, expected: &[&str]| {
        let text = text.replace("## Impact\n", &format!("{mark}\n\n## Impact\n"));
        let document = Document::parse(&text, Path::new("x.md")).unwrap();
        let found: Vec<&str> = found(&document, &evidence()).into_iter().collect();
        assert_eq!(found, expected, "{mark}");
    };
    check("<!-- lint-ignore: TL5 the owner asked to be named -->", &[]);
    check("<!-- lint-ignore: TL5 -->", &["LI1", "TL5"]);
    check("<!-- lint-ignore: TL6 another rule -->", &["TL5"]);
    check("lint-ignore: TL5 said in prose", &["TL5"]);
    check("<!-- lint-ignore: LI1 no reason -->\n<!-- lint-ignore: TL5 -->", &["LI1", "TL5"]);
}

#[test]
fn what_only_people_can_write_is_not_asked_of_a_draft() {
    let text = fs::read_to_string(fixtures().join("good.md"))
        .unwrap()
        .replace("comms:\n- {", "comms: n/a\nx-was: {");
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
    assert_eq!(rules().len(), 54);
    assert!(
        rules().iter().all(|rule| !rule.hint.is_empty() && !rule.asks.is_empty() && !rule.why.is_empty())
    );
    let json = serde_json::to_value(rules()).unwrap();
    assert_eq!(json[0]["id"], "T1");
    assert_eq!(json[0]["from"], "draft");
}

/// `docs/postmortem-lint.md` lists every rule as it is here, with the first bad case as the example.
#[test]
fn the_docs_list_the_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/postmortem-lint.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut rows = String::new();
    for rule in rules() {
        let case = cases::of(rule.id).into_iter().find(|case| case.bad).unwrap();
        let from = rule.from.as_str();
        let (id, level) = (rule.id, rule.level);
        rows.push_str(&format!(
            "| {id} | {level:?} | {from} | {} | {} | {} | {} |\n",
            rule.asks,
            rule.why,
            rule.hint,
            case.example()
        ));
    }
    assert!(text.contains(&rows), "docs/postmortem-lint.md does not have these rows:\n{rows}");
}

/// What could be told endlessly is told so often and no more.
#[test]
fn a_long_document_full_of_findings_is_told_of_in_bounds() {
    let good = fs::read_to_string(fixtures().join("good.md")).unwrap();
    let lines = "- some of many customers of the ABCD saw [E1] [E3], human error by Maria\n".repeat(2_000);
    let letter = |n: u32| char::from_u32(u32::from(b'A') + n % 26).unwrap();
    let acronyms: String =
        (0..2_000).map(|n| format!("Q{}{}{} ", letter(n), letter(n / 26), letter(n / 676))).collect();
    let text = good.replace("## Impact\n", &format!("## Impact\n{lines}\nwords {acronyms}\n"));
    let document = Document::parse(&text, Path::new("x.md")).unwrap();
    let findings = lint_document(&document, &evidence());
    let of = |rule: &str| findings.iter().filter(|finding| finding.rule == rule).count();
    assert_eq!((of("I1"), findings.len() < 400), (50, true), "{}", findings.len());
}
