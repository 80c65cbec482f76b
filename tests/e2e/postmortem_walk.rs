//! From the recorded outage to a published post-mortem by an editor and the command line alone: the outage's own draft,
//! what people type into its file, lint until nothing is left, and the steps.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::answers;
use crate::binary;
use crate::demo;
use crate::server::text;

const DRAFTED: &str = "2026-05-04T23:00:00Z";
const REVIEWED: &str = "2026-05-05T10:00:00Z";
const APPROVED: &str = "2026-05-06T09:00:00Z";
const PUBLISHED: &str = "2026-05-06T15:00:00Z";

/// A person at a prompt, with one document.
struct Prompt {
    document: String,
}

impl Prompt {
    /// `hindsight postmortem WORD DOCUMENT …` that succeeds.
    fn well(&self, word: &str, more: &[&str]) -> anyhow::Result<String> {
        binary::run_well(&[&["postmortem", word, &self.document], more].concat())
    }

    /// The same that does not: all that it says.
    fn refused(&self, word: &str, more: &[&str]) -> anyhow::Result<String> {
        let output = binary::run(&[&["postmortem", word, &self.document], more].concat())?;
        ensure!(!output.status.success(), "{word} {more:?} succeeded");
        Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }

    fn step(&self, to: &str, by: &str, at: &str) -> anyhow::Result<String> {
        self.well("status", &["--to", to, "--by", by, "--at", at])
    }

    /// Rules with errors against it as of a time, were it published, each once.
    fn errors(&self, at: &str) -> anyhow::Result<Vec<String>> {
        let output =
            binary::run(&["postmortem", "lint", &self.document, "--as", "published", "--at", at, "--json"])?;
        let found: Value = serde_json::from_slice(&output.stdout)?;
        let found = found.as_array().context("a list of findings")?.iter().filter(|one| one["level"] == "E");
        let mut rules: Vec<String> =
            found.filter_map(|one| one["rule"].as_str()).map(str::to_owned).collect();
        rules.sort();
        rules.dedup();
        ensure!(output.status.success() == rules.is_empty(), "the exit code says something else: {rules:?}");
        Ok(rules)
    }

    /// What an editor does to the file.
    fn edit(&self, change: impl FnOnce(&str) -> anyhow::Result<String>) -> anyhow::Result<()> {
        let file = Path::new(&self.document).join("postmortem.md");
        let changed = change(&std::fs::read_to_string(&file)?)?;
        Ok(std::fs::write(file, changed)?)
    }
}

#[test]
fn the_outages_own_draft_is_published_by_an_editor_and_the_command_line_alone() -> anyhow::Result<()> {
    let home = demo::home_without_draft()?;
    let workspace = home.workspace();
    {
        let server = home.serve_with(&["--logical-clock", DRAFTED])?;
        let url = format!("http://{}", server.web);
        let draft = ["postmortem", "draft", "INC-1", "--url", &url, "--workspace", text(&workspace)];
        let said = binary::run_well(&draft)?;
        ensure!(said.starts_with("PM-2026-001 "), "{said}");
    }
    let prompt = Prompt { document: text(&demo::document(&workspace)?).to_owned() };

    // What is there says what is missing, and how to write it.
    ensure!(prompt.well("lint", &["--at", DRAFTED])?.is_empty(), "a fresh draft has no findings of a draft");
    let status = prompt.well("status", &[])?;
    ensure!(status.contains("reviewer: {person: lee.o, team: search}"), "{status}");
    let said = prompt.refused("status", &["--to", "in_review", "--by", "dana.k", "--at", REVIEWED])?;
    ensure!(said.contains("`owner:` names a person and a team"), "{said}");
    let before = prompt.errors(DRAFTED)?;
    for rule in ["C1", "P2", "P5", "R1", "TL4", "W4"] {
        ensure!(before.iter().any(|found| found == rule), "{rule} asks nothing of a fresh draft: {before:?}");
    }

    prompt.edit(answers::answered)?;
    assert_eq!(prompt.errors(REVIEWED)?, ["P2"], "only the review is missing");
    ensure!(prompt.well("status", &[])?.contains("--to in_review --by dana.k"), "the next step is named");
    let early =
        prompt.refused("status", &["--to", "in_review", "--by", "dana.k", "--at", "2026-05-04T22:59:00Z"])?;
    ensure!(early.contains("it had not come to draft yet"), "{early}");
    prompt.step("in_review", "dana.k", REVIEWED)?;
    let said = prompt.refused("status", &["--to", "approved", "--by", "lee.o", "--at", APPROVED])?;
    ensure!(said.contains("review question Q1 is not answered"), "{said}");
    prompt.edit(|document| Ok(answers::reviewed(document)))?;
    prompt.step("approved", "lee.o", APPROVED)?;
    let early =
        prompt.refused("status", &["--to", "published", "--by", "dana.k", "--at", "2026-05-06T09:30:00Z"])?;
    ensure!(early.contains("P1") && early.contains("less than 24 h"), "a review takes a day: {early}");
    prompt.step("published", "dana.k", PUBLISHED)?;

    ensure!(prompt.well("lint", &["--at", PUBLISHED])?.is_empty(), "it is lint-clean");
    let verified: Value = serde_json::from_str(&prompt.well("verify", &["--json"])?)?;
    assert_eq!(verified["troubles"], 0, "{verified}");
    let report = std::fs::read_to_string(prompt.well("render", &[])?.trim())?;
    ensure!(
        report.contains("published") && report.contains("Tests should carry data"),
        "the report has it all"
    );
    let status: Value = serde_json::from_str(&prompt.well("status", &["--json"])?)?;
    assert_eq!((&status["status"], &status["next"]), (&"published".into(), &"closed".into()));
    let open = status["obstacles"].to_string();
    ensure!(open.contains("A9"), "its actions are still to be done: {open}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_that_lack_a_post_mortem_are_named_until_they_have_one() -> anyhow::Result<()> {
    let home = demo::home_without_draft()?;
    let (data_dir, workspace) = (home.data_dir(), home.workspace());
    let here = ["postmortem", "status", "--data-dir", text(&data_dir), "--workspace", text(&workspace)];
    let said = binary::run_well(&here)?;
    ensure!(said.starts_with("no post-mortem yet"), "{said}");
    ensure!(said.contains("P3: customers were hurt; hindsight postmortem draft INC-1"), "{said}");
    let json: Value = serde_json::from_str(&binary::run_well(&[&here[..], &["--json"]].concat())?)?;
    let one = &json["lacking"][0];
    assert_eq!((&one["incident"], &one["is_late"]), (&"INC-1".into(), &true.into()), "{json}");
    assert_eq!(json["postmortems"].as_array().map(Vec::len), Some(0));

    let server = home.serve_with(&["--logical-clock", DRAFTED])?;
    let client = reqwest::Client::new();
    let review = async || -> anyhow::Result<String> {
        Ok(client.get(format!("http://{}/review", server.web)).send().await?.text().await?)
    };
    let shown = review().await?;
    ensure!(shown.contains("1 incident without the post-mortem that is due."), "{shown}");
    ensure!(shown.contains("customers were hurt") && !shown.contains(">late<"), "{shown}");
    let url = format!("http://{}", server.web);
    binary::run_well(&["postmortem", "draft", "INC-1", "--url", &url, "--workspace", text(&workspace)])?;
    let shown = review().await?;
    ensure!(shown.contains("Every incident that is over has its post-mortem"), "{shown}");
    let said = binary::run_well(&["postmortem", "status", "--url", &url])?;
    ensure!(said.contains("PM-2026-001  draft  SEV1  INC-1") && said.contains("every incident"), "{said}");
    Ok(())
}
