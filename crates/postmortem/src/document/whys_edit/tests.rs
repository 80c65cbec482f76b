use std::path::Path;

use proptest::prelude::*;

use super::*;

fn good() -> Document {
    Document::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lint/good.md")).unwrap()
}

/// The lines that differ: those gone, those new.
fn difference(before: &Document, after: &Document) -> (Vec<String>, Vec<String>) {
    let (old, new) = (before.write(), after.write());
    let head = old.lines().zip(new.lines()).take_while(|(a, b)| a == b).count();
    let tail = old.lines().rev().zip(new.lines().rev()).take_while(|(a, b)| a == b).count();
    let cut = |text: &str| -> Vec<String> {
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.len().saturating_sub(tail).max(head.min(lines.len()));
        lines[head.min(end)..end]
            .iter()
            .filter(|line| !line.is_empty())
            .map(|line| (*line).to_owned())
            .collect()
    };
    (cut(&old), cut(&new))
}

#[test]
fn a_why_is_added_at_the_end_of_its_chain_and_says_where_it_comes_from_when_its_number_does_not() {
    let document = good();
    let (next, number) = document.with_why(Some("2.2"), "Why only\nerror rates?", None).unwrap();
    assert_eq!(number, "2.3");
    assert_eq!(difference(&document, &next), (vec![], vec!["2.3. Why only error rates?".to_owned()]));
    let (fork, number) = next.with_why(Some("1.2"), "Why 2 s?", Some("It is the default")).unwrap();
    assert_eq!(number, "1.7");
    assert_eq!(difference(&next, &fork).1, ["1.7. Why 2 s? (from 1.2) → It is the default"]);
    let (branch, number) = fork.with_why(None, "Why were partners not told?", None).unwrap();
    assert_eq!(number, "4.1");
    assert_eq!(branch.whys().faults, []);
    let parent =
        |number: &str| branch.whys().nodes.iter().find(|why| why.number == number).unwrap().parent.clone();
    assert_eq!((parent("2.3"), parent("1.7"), parent("4.1")), (Some("2.2".into()), Some("1.2".into()), None));
    assert!(branch.body().contains("\n\n4.1. Why were partners not told?\n\n## Incident response"));
}

#[test]
fn the_first_why_makes_its_section() {
    let front = good().front_text().to_owned();
    let empty = Document::parse(&format!("{front}## Summary\n"), Path::new("x.md")).unwrap();
    let (one, number) = empty.with_why(None, "Why did requests fail?", None).unwrap();
    assert_eq!(
        (number.as_str(), one.body()),
        ("1.1", "## Summary\n\n## Five whys\n\n1.1. Why did requests fail?\n")
    );
    let (two, _) = one.with_why(Some("1.1"), "Why errors?", None).unwrap();
    assert!(two.body().ends_with("1.1. Why did requests fail?\n\n1.2. Why errors?\n"), "{}", two.body());
}

#[test]
fn an_answer_replaces_the_one_before_and_cites() {
    let document = good();
    let ids = ["E9".to_owned(), "E1".to_owned()];
    let answered = document.with_answer("2.2", "Nobody owned the pool", &ids, true).unwrap();
    let why = answered.whys().nodes.into_iter().find(|why| why.number == "2.2").unwrap();
    assert_eq!(why.answer.as_deref(), Some("Nobody owned the pool (hypothesis) [E9] [E1]"));
    assert_eq!((why.standing, why.evidence), (Standing::Supposed, vec!["E9".to_owned(), "E1".to_owned()]));
    let (gone, new) = difference(&document, &answered);
    assert_eq!((gone.len(), new.len()), (1, 1));
}

#[test]
fn a_hypothesis_is_judged_by_evidence() {
    let document = good();
    let ids = ["E7".to_owned()];
    let confirmed = document.with_judgement("1.3", true, &ids).unwrap();
    let line = &difference(&document, &confirmed).1[0];
    assert!(line.ends_with("(hypothesis confirmed: it is what the requests waited for) [E5] [E7]"), "{line}");
    let refuted = confirmed.with_judgement("1.3", false, &ids).unwrap();
    let why = refuted.whys().nodes.into_iter().find(|why| why.number == "1.3").unwrap();
    assert!(why.is_refuted());
    assert_eq!(why.answer.unwrap().matches("[E7]").count(), 1);
    let check = |number: &str, evidence: &[String], words: &str| {
        let error = document.with_judgement(number, true, evidence).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    check("1.1", &ids, "no hypothesis");
    check("1.3", &[], "cites what shows it");
    check("1.3", &["E".to_owned()], "no evidence");
    check("7.1", &ids, "there is no why 7.1; there are 1.1, 1.2");
}

#[test]
fn a_why_moves_with_all_that_follows_but_not_below_itself() {
    let document = good();
    let moved = document.with_why_moved("2.2", "1.4").unwrap();
    assert!(difference(&document, &moved).1[0].contains("hurt? (from 1.4) → Alerts watched"));
    assert_eq!(moved.whys().faults, []);
    let back = moved.with_why_moved("2.2", "2.1").unwrap();
    assert_eq!(back.write(), document.write());
    let error = document.with_why_moved("1.2", "1.5").unwrap_err().to_string();
    assert!(error.contains("circle"), "{error}");
}

#[test]
fn a_why_is_taken_out_alone_or_with_all_that_follows() {
    let document = good();
    let error = document.without_why("1.4", false).unwrap_err().to_string();
    assert!(error.contains("1.5, 1.6 follow from 1.4"), "{error}");
    let cut = document.without_why("1.5", true).unwrap();
    let (gone, new) = difference(&document, &cut);
    assert_eq!((gone.len(), new.len()), (2, 0));
    assert!(cut.body().contains("(hypothesis: nearest change) [E6]\n\n2.1. Why"));
    let leaf = document.without_why("3.2", false).unwrap();
    assert!(leaf.body().contains("at 15:18 [E1]\n\n## Incident response"));
}

#[test]
fn dead_ends_are_told_with_what_is_missing() {
    assert_eq!(good().dead_ends(), []);
    let text = good().write();
    let ends = |from: &str, to: &str| -> Vec<(String, &'static str)> {
        assert!(text.contains(from), "{from}");
        let document = Document::parse(&text.replace(from, to), Path::new("x.md")).unwrap();
        document.dead_ends().into_iter().map(|end| (end.number, &end.reason[..12])).collect()
    };
    let one = |number: &str, reason: &'static str| vec![(number.to_owned(), reason)];
    assert_eq!(ends(" → Alerts watched error rates only [E9]", ""), one("2.2", "it has no an"));
    assert_eq!(ends("| 2.2 |", "| |"), one("2.2", "it ends here"));
    assert_eq!(ends("hypothesis confirmed by its authors", "a hypothesis"), one("1.6", "it ends at a"));
    assert_eq!(ends("hypothesis confirmed by its authors", "hypothesis refuted"), one("1.5", "every hypoth"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is done to the whys, the rest of the document stays as it was, and they stay a tree.
    #[test]
    fn edits_of_whys_touch_the_whys_only(steps in prop::collection::vec((0usize..5, 0usize..20, 0usize..20), 1..12)) {
        let mut document = good();
        let outside = |document: &Document| {
            let range = document.section("Five whys").unwrap().range;
            let body = document.body();
            format!("{}{}{}", document.front_text(), &body[..range.start], &body[range.end..])
        };
        let before = outside(&document);
        for (what, one, other) in steps {
            let numbers: Vec<String> = document.whys().nodes.into_iter().map(|why| why.number).collect();
            if numbers.is_empty() {
                break;
            }
            let (one, other) = (&numbers[one % numbers.len()], &numbers[other % numbers.len()]);
            let evidence = ["E3".to_owned()];
            let changed = match what {
                0 => document.with_why(Some(one), "Why so?", Some("Because")).map(|(document, _)| document),
                1 => document.with_answer(one, "Another answer", &evidence, true),
                2 => document.with_judgement(one, true, &evidence),
                3 => document.with_why_moved(one, other),
                _ => document.without_why(one, true),
            };
            let Ok(changed) = changed else { continue };
            prop_assert_eq!(outside(&changed), before.clone());
            prop_assert_eq!(changed.whys().faults, vec![], "{}", changed.section_text("Five whys"));
            document = changed;
        }
    }
}
