use std::fs;

use super::*;
use crate::document::parse_instant;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lint")
}

fn good(status: &str) -> Document {
    let text = fs::read_to_string(folder().join("good.md")).unwrap();
    let text = text.replace("status: closed", &format!("status: {status}   # as the page says"));
    Document::parse(&text, Path::new("x.md")).unwrap()
}

fn step(to: Status, by: &str) -> Step<'_> {
    Step { to, by, reason: None, now: parse_instant("2026-05-09T12:00:00-07:00").unwrap() }
}

fn take(document: &Document, step: Step<'_>) -> std::result::Result<Moved, Refusal> {
    let evidence = EvidenceSet::read(&folder()).unwrap();
    transition(document, &evidence, &Knowledge::default(), step, Path::new("x.md")).unwrap()
}

fn refused(document: &Document, step: Step<'_>, words: &str) {
    let refusal = take(document, step).unwrap_err();
    let told: Vec<String> = refusal.obstacles.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|what| what.contains(words)), "{told:?} lacks {words}");
}

fn changed(document: &Document, from: &str, to: &str) -> Document {
    let text = document.write();
    assert!(text.contains(from), "{from}");
    Document::parse(&text.replace(from, to), Path::new("x.md")).unwrap()
}

#[test]
fn a_good_document_goes_all_the_way_and_keeps_every_byte_but_status_and_stages() {
    let mut document = good("draft");
    for (to, by) in [
        (Status::InReview, "dana.k"),
        (Status::Approved, "lee.o"),
        (Status::Published, "dana.k"),
        (Status::Closed, "lee.o"),
    ] {
        let mut step = step(to, by);
        if to >= Status::Published {
            step.now = parse_instant("2026-05-11T12:00:00-07:00").unwrap();
        }
        let moved = take(&document, step).unwrap();
        assert_eq!(moved.open, []);
        document = moved.document;
        assert_eq!(document.front.status, to);
        assert_eq!(*document.front.stages.at(to), Some(step.now));
    }
    let rest = |document: &Document| -> Vec<String> {
        let lines = document.write();
        let kept = lines.lines().filter(|line| !line.starts_with("status:") && !line.starts_with("stages:"));
        kept.map(str::to_owned).collect()
    };
    assert_eq!(rest(&document), rest(&good("draft")));
    assert!(document.front_text().contains("status: closed   # as the page says\n"));
}

#[test]
fn review_needs_two_people_of_two_teams_and_an_end() {
    let draft = good("draft");
    let to = step(Status::InReview, "dana.k");
    refused(
        &changed(&draft, "reviewer: {person: lee.o, team: search}\n", ""),
        to,
        "`reviewer:` names a person",
    );
    refused(&changed(&draft, "team: search", "team: payments"), to, "another team");
    refused(&changed(&draft, "  resolved: 2026-05-04T15:20:00-07:00\n", ""), to, "`resolved`");
    refused(&draft, step(Status::InReview, " "), "who asks");
    refused(&draft, step(Status::Published, "dana.k"), "goes to in_review first");
    refused(&draft, step(Status::Draft, "dana.k"), "already");
}

#[test]
fn review_questions_are_added_once_and_open_errors_are_told() {
    let draft = good("draft");
    let at = draft.write().find("## Review").unwrap();
    let without = Document::parse(&draft.write()[..at], Path::new("x.md")).unwrap();
    let moved = take(&without, step(Status::InReview, "dana.k")).unwrap();
    assert_eq!(moved.document.review().len(), 5);
    assert!(moved.document.write().contains(&without.body()[..200]));
    assert!(
        moved.open.len() == 5 && moved.open.iter().all(|finding| finding.rule == "P2"),
        "{:?}",
        moved.open
    );
    assert_eq!(moved.document.body().matches("## Review").count(), 1);
}

#[test]
fn only_the_reviewer_approves_and_only_with_answers() {
    let document = good("in_review");
    refused(&document, step(Status::Approved, "dana.k"), "who is lee.o");
    let silent = changed(&document, "Yes, 1.6 ends at the test data.", "");
    refused(&silent, step(Status::Approved, "lee.o"), "Q3 is not answered");
    assert!(take(&document, step(Status::Approved, "lee.o")).is_ok());
}

#[test]
fn an_error_blocks_publishing_a_warning_does_not() {
    let document = good("approved");
    refused(&document, step(Status::Published, "sam.w"), "owner or reviewer");
    let named = changed(&document, "The incident commander asks", "dana.k asks");
    refused(&named, step(Status::Published, "dana.k"), "TL5");
    let warned = changed(&document, "**14:39** `detected`", "14:39 `detected`");
    assert!(take(&warned, step(Status::Published, "dana.k")).is_ok());
    let mut early = step(Status::Published, "dana.k");
    early.now = parse_instant("2026-05-06T12:00:00-07:00").unwrap();
    refused(&document, early, "it had not come to approved yet");
    let quick = changed(&document, "approved: 2026-05-08T10", "approved: 2026-05-06T11");
    refused(&quick, early, "in review for 2 h");
}

#[test]
fn an_open_action_blocks_closing() {
    let document = good("published");
    let open = changed(&document, "| done |", "| in_progress |");
    refused(&open, step(Status::Closed, "dana.k"), "A2 is in_progress");
}

#[test]
fn a_step_back_says_why_and_forgets_what_came_after() {
    let document = good("published");
    let mut back = step(Status::InReview, "sam.w");
    refused(&document, back, "needs a reason");
    back.reason = Some("the impact was\ncounted twice");
    let moved = take(&document, back).unwrap().document;
    assert_eq!(moved.front.stages.published, None);
    assert_eq!(moved.front.stages.draft, document.front.stages.draft);
    let comment = "published → in_review by sam.w: the impact was counted twice\n";
    assert!(moved.front_text().contains(comment), "{}", moved.front_text());
}
