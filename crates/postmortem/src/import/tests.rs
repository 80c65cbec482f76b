use proptest::prelude::*;

use super::*;
use crate::document::{ActionStatus, Priority, parse_instant};

const THEIRS: &str = r#"---
title: "Checkout down for everyone"
authors: [ann, bo]
---
Date: 2026-03-02 · Severity: SEV-2

# Incident 4711

Some words before anything.

## Executive Summary

Checkout was down.

## Customer impact

4,000 orders.

### By country

Mostly DE | AT.

## Timeline (UTC)

All times UTC.

- 14:32 - Deploy of 4.2.0
* **14:40 UTC**: Pager goes off
| 15:02 | Rollback starts | done |
2026-03-03 00:05 It is over
- 99:99 not a time

## 5 Whys

1. Why did checkout fail? The pool was full.
2. **Why was it full?**
   Nobody knows.

## Resolution

Rolled back.

## What went well?

Nothing.

## Lessons Learned

* Watch the pool
* Test with real data

## Follow-ups

Agreed on Tuesday.

- [x] Add an alert on the pool (@ann) due 2026-04-01 OPS-12
- [ ] Write a | runbook, by 2026-04-15, owner: bo

| Action | Owner | Due | Priority | Team |
|---|---|---|---|---|
| Mask production data | cy | next quarter | P1 | data |

## Recurrence

```
# not a heading
14:00 not a row
```
"#;

fn input(text: &str) -> ImportInput<'_> {
    ImportInput {
        text,
        incidents: &[IncidentId(7)],
        timezone: "UTC",
        now: parse_instant("2026-03-09T12:00:00Z").unwrap(),
    }
}

#[test]
fn a_foreign_post_mortem_finds_its_place() {
    let imported = import(&input(THEIRS), "PM-2026-009").unwrap();
    let document = &imported.document;
    assert_eq!(document.front.title, "Checkout down for everyone");
    assert_eq!((document.front.severity, document.front.status), (IncidentSeverity::Sev2, Status::Draft));
    assert_eq!(document.section_text("Summary").trim(), "Checkout was down.");
    assert_eq!(document.section_text("Impact").trim(), "4,000 orders.\n\n**By country**\n\nMostly DE | AT.");
    let rows: Vec<(String, String)> =
        document.timeline().into_iter().map(|row| (row.time, row.text)).collect();
    let expected = [
        ("14:32", "Deploy of 4.2.0"),
        ("14:40", "Pager goes off (UTC)"),
        ("15:02", "Rollback starts · done"),
        ("2026-03-03 00:05", "It is over"),
    ];
    assert_eq!(rows, expected.map(|(time, text)| (time.to_owned(), text.to_owned())));
    assert!(document.section_text("Timeline").contains("All times UTC.\n"));
    assert!(document.section_text("Timeline").contains("- 99:99 not a time\n"));
    let whys = document.whys().nodes;
    assert_eq!(whys[0].answer.as_deref(), Some("The pool was full."));
    assert_eq!((whys[1].number.as_str(), whys[1].question.as_str()), ("1.2", "Why was it full?"));
    assert!(document.section_text("Mitigation").starts_with("\nRolled back."));
    let lessons: Vec<String> = document.lessons().into_iter().map(|lesson| lesson.text).collect();
    assert_eq!(lessons, ["Watch the pool", "Test with real data"]);
    assert!(document.section_text("Recurrence").contains("# not a heading\n14:00 not a row\n"));
    assert!(document.section_text("Imported").contains("authors: [ann, bo]"));
    let unmapped = ["Incident 4711", "Before the first heading", "Recurrence"];
    assert_eq!(imported.unmapped, unmapped);
    assert!(imported.mapped.contains(&("Resolution".to_owned(), "Mitigation")));
}

#[test]
fn actions_are_read_out_of_lists_and_tables_and_lose_nothing() {
    let document = import(&input(THEIRS), "PM-2026-009").unwrap().document;
    let items = document.actions().unwrap().items;
    let brief: Vec<(&str, &str, &str, ActionStatus)> = items
        .iter()
        .map(|item| (item.action.as_str(), item.owner.as_str(), item.tracker.as_str(), item.status))
        .collect();
    assert_eq!(
        brief,
        [
            ("Add an alert on the pool", "ann", "OPS-12", ActionStatus::Done),
            ("Write a | runbook", "bo", "", ActionStatus::Proposed),
            ("Mask production data (due: next quarter; team: data)", "cy", "", ActionStatus::Proposed),
        ]
    );
    assert_eq!(items[0].due, "2026-04-01".parse().ok());
    assert_eq!((items[1].due, items[2].priority), ("2026-04-15".parse().ok(), Some(Priority::High)));
    assert!(document.section_text("Action items").contains("Agreed on Tuesday."));
}

#[test]
fn what_the_text_does_not_say_is_asked() {
    let imported = import(&input("We broke it.\n"), "PM-2026-009").unwrap();
    assert!(imported.questions[0].starts_with("title:"), "{:?}", imported.questions);
    assert!(imported.questions.iter().any(|question| question.starts_with("severity:")));
    for question in &imported.questions {
        assert!(imported.document.front_text().contains(&format!("# question: {question}\n")), "{question}");
    }
    assert!(imported.document.body().contains("We broke it."));
    assert!(import(&input(" \n"), "PM-2026-009").unwrap_err().to_string().contains("empty"));
    let far = ImportInput { timezone: "Mars/Phobos", ..input("x") };
    assert!(matches!(import(&far, "PM-2026-009"), Err(Error::Timezone { .. })));
}

#[test]
fn an_import_takes_the_next_number_of_the_workspace() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("old.md");
    std::fs::write(&file, THEIRS).unwrap();
    let first = import_file(&file, dir.path(), &input("")).unwrap();
    assert!(first.path.ends_with("postmortems/PM-2026-001-checkout-down-for-everyone/postmortem.md"));
    let read = Document::read(&first.path).unwrap();
    assert_eq!((read.front.id.as_str(), &read), ("PM-2026-001", &first.imported.document));
    assert_eq!(import_file(&file, dir.path(), &input("")).unwrap().imported.document.front.id, "PM-2026-002");
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "#{1,4} [a-zA-Z ]{1,15}",
        Just("## Timeline".to_owned()),
        Just("## Root cause".to_owned()),
        Just("# Action items".to_owned()),
        Just("Lessons learned\n---".to_owned()),
        "[-*] [0-9]{1,2}:[0-9]{2} [a-z]{1,8}",
        "- \\[[ x]\\] [a-z]{2,8} @[a-z]{2,5} by 2026-0[1-9]-1[0-9]",
        "\\| [a-z]{1,6} \\| [a-z]{1,6} \\|",
        "Why [a-z]{1,6}\\? [a-z]{1,6}",
        "[a-zA-Z`|*<>\\[\\]()! -]{0,30}",
        Just("```".to_owned()),
        any::<String>().prop_map(|text| text.replace(['\n', '\r'], " ")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever the text, the import is readable and holds every word of it.
    #[test]
    fn no_word_of_a_foreign_text_is_lost(lines in prop::collection::vec(line(), 1..25)) {
        let text = lines.join("\n");
        let Ok(imported) = import(&input(&text), "PM-2026-009") else {
            prop_assert!(text.trim().is_empty());
            return Ok(());
        };
        let written = imported.document.write().to_lowercase();
        let words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 2);
        let headings: std::collections::BTreeSet<String> =
            imported.mapped.iter().flat_map(|(heading, _)| words_of(heading)).collect();
        // Names of columns become our own where we have them; headings where they mean ours.
        let columns: Vec<String> = lines.iter().filter(|line| line.trim_start().starts_with('|')).flat_map(|line| words_of(line)).collect();
        for word in words.map(str::to_lowercase).filter(|word| !headings.contains(word) && !columns.contains(word)) {
            prop_assert!(written.contains(&word), "`{word}` is lost of\n{text}\n---\n{written}");
        }
        prop_assert_eq!(Document::parse(&imported.document.write(), Path::new("x.md")).unwrap(), imported.document);
    }
}

fn words_of(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_alphabetic()).map(str::to_lowercase).collect()
}

#[test]
fn a_fence_left_open_swallows_nothing_of_ours() {
    let text = "```\n||||A\n```\n# Action items\n```\n| never | closed |\n";
    let document = import(&input(text), "PM-2026-009").unwrap().document;
    assert_eq!(document.actions().unwrap().items.len(), 0);
    assert!(document.section_text("Imported").contains("||||A"));
}
