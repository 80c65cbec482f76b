//! `hindsight postmortem` without a server: a document is linted, edited, moved from draft to closed, imported.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::binary;
use crate::server::text;

const FIXTURES: &str = "../crates/postmortem/fixtures/lint";

/// A post-mortem's folder made of a fixture and the evidence beside it.
fn folder(name: &str, change: impl Fn(String) -> String) -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let fixture = Path::new(FIXTURES).join(name);
    let document = std::fs::read_to_string(&fixture).with_context(|| fixture.display().to_string())?;
    std::fs::write(folder.path().join("postmortem.md"), change(document))?;
    std::fs::create_dir(folder.path().join("evidence"))?;
    for entry in std::fs::read_dir(Path::new(FIXTURES).join("evidence"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), folder.path().join("evidence").join(entry.file_name()))?;
    }
    Ok(folder)
}

fn postmortem(arguments: &[&str]) -> anyhow::Result<String> {
    binary::run_well(&[&["postmortem"], arguments].concat())
}

/// What a command that is refused says.
fn refused(arguments: &[&str]) -> anyhow::Result<String> {
    let output = binary::run(&[&["postmortem"], arguments].concat())?;
    ensure!(!output.status.success(), "{arguments:?} succeeded");
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_guides_own_example_is_refused_with_file_and_line() -> anyhow::Result<()> {
    let example = folder("guide-example.md", |document| {
        document.replace("timezone:", "# lint-ignore: P1 an example of years ago\ntimezone:")
    })?;
    let file = example.path().join("postmortem.md");
    let said = refused(&["lint", text(example.path())])?;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    let at = format!("{}:5: T3 E the title says", text(&file));
    assert!(lines[0].starts_with(&format!("{at} 23 min")), "{said}");
    assert!(lines[1].starts_with(&format!("{at} us-east, the document says us-west-2")), "{said}");
    let json: Value = serde_json::from_str(&refused(&["lint", "--json", text(&file)])?)?;
    assert_eq!(json.as_array().map(Vec::len), Some(2));
    assert_eq!((&json[0]["rule"], &json[0]["line"]), (&Value::from("T3"), &Value::from(5)));
    assert_eq!(json[0]["file"].as_str(), Some(text(&file)));
    let rules: Value = serde_json::from_str(&postmortem(&["rules", "--json"])?)?;
    assert_eq!(rules.as_array().map(Vec::len), Some(54));
    Ok(())
}

#[test]
fn a_document_goes_from_draft_to_closed_by_the_command_line_alone() -> anyhow::Result<()> {
    let folder = folder("good.md", |document| {
        let document = document.replace("status: closed", "status: draft");
        let review = document.find("\n## Review").unwrap_or(document.len());
        document[..review].replace("timezone:", "# lint-ignore: P1 a test may be late\ntimezone:")
    })?;
    let path = text(folder.path());
    let hash = |said: &str| said.split_whitespace().last().unwrap_or_default().to_owned();

    let said = postmortem(&["status", path])?;
    let first = hash(said.lines().next().unwrap_or_default());
    assert!(said.starts_with("PM-2026-001 draft "), "{said}");
    let added = postmortem(&["why", "add", path, "Why one row?", "--under", "1.6", "--expect", &first])?;
    assert!(added.starts_with("1.7 "), "{added}");
    let late = refused(&["why", "delete", path, "1.7", "--expect", &first])?;
    assert!(late.contains("changed meanwhile"), "{late}");
    let ends = refused(&["why", "check", path])?;
    assert!(ends.contains("1.7 it has no answer"), "{ends}");
    postmortem(&["why", "answer", path, "1.7", "It is filled by hand (owned by payments)", "--hypothesis"])?;
    assert!(refused(&["why", "check", path])?.contains("nobody has judged"));
    postmortem(&["why", "confirm", path, "1.7", "--evidence", "E6"])?;
    postmortem(&["why", "move", path, "1.7", "--under", "1.5"])?;
    postmortem(&["why", "delete", path, "1.7"])?;
    postmortem(&["why", "check", path])?;
    postmortem(&["tag", path, "test-env-drift"])?;
    assert!(refused(&["tag", path, "bad-luck"])?.contains("not on the list"));

    let said = postmortem(&["status", path, "--to", "in_review", "--by", "dana.k"])?;
    assert!(said.starts_with("PM-2026-001 in_review "), "{said}");
    let said = refused(&["status", path, "--to", "approved", "--by", "lee.o"])?;
    assert!(said.contains("review question Q1 is not answered"), "{said}");
    let file = folder.path().join("postmortem.md");
    let document = std::fs::read_to_string(&file)?;
    let answered: String = document
        .lines()
        .map(|line| if line.starts_with('Q') { format!("{line} Yes.\n") } else { format!("{line}\n") })
        .collect();
    std::fs::write(&file, &answered)?;
    assert!(refused(&["status", path, "--to", "approved", "--by", "dana.k"])?.contains("who is lee.o"));
    for (to, by) in [("approved", "lee.o"), ("published", "dana.k"), ("closed", "lee.o")] {
        postmortem(&["status", path, "--to", to, "--by", by])?;
    }
    postmortem(&["lint", path])?;
    let closed = std::fs::read_to_string(&file)?;
    let kept = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("status:") && !line.starts_with("stages:"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(kept(&closed), kept(&answered), "only status and stages changed on the way");
    assert!(refused(&["status", path, "--to", "draft", "--by", "lee.o"])?.contains("needs a reason"));
    Ok(())
}

#[test]
fn an_old_post_mortem_is_imported_and_lessons_are_exported() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let old = folder.path().join("old.md");
    std::fs::write(
        &old,
        "# Checkout down\n\n## Overview\n\nIt was down.\n\n## Lessons learned\n\n- Mind `orders-db`\n\n## Weather\n\nFine.\n",
    )?;
    let workspace = text(folder.path());
    let said = postmortem(&["import", text(&old), "--incident", "INC-7", "--workspace", workspace])?;
    let (id, path) = said.trim().split_once(' ').context("prints id and path")?;
    assert!(id.starts_with("PM-") && path.ends_with("-checkout-down/postmortem.md"), "{said}");
    let document = std::fs::read_to_string(path)?;
    assert!(
        document.contains("incidents: [INC-7]") && document.contains("### Weather\n\nFine.\n"),
        "{document}"
    );
    let lessons = postmortem(&["export-lessons", path])?;
    let lessons = std::fs::read_to_string(lessons.trim())?;
    assert!(lessons.contains("L1. Mind [redacted]") && !lessons.contains("orders-db"), "{lessons}");
    assert!(refused(&["lint", path])?.contains("TL1"));
    Ok(())
}
