//! What people would type into the outage's draft: `fixtures/postmortem/answers.json`, written where it belongs.

use anyhow::Context as _;
use serde::Deserialize;

const ANSWERS: &str = include_str!("../fixtures/postmortem/answers.json");

/// Words of the draft and what a person writes there.
#[derive(Deserialize)]
struct Written {
    find: String,
    write: String,
}

/// The draft with every answer.
pub(crate) fn answered(draft: &str) -> anyhow::Result<String> {
    let written: Vec<Written> = serde_json::from_str(ANSWERS)?;
    let mut answered = draft.to_owned();
    for Written { find, write } in &written {
        // An answer may repeat its question: the next one is the next that has none.
        let place = answered.match_indices(find.as_str()).map(|(at, _)| at);
        let open = place
            .into_iter()
            .find(|at| !find.ends_with('?') || answered[at + find.len()..].starts_with('\n'));
        let at = open.with_context(|| format!("`{find}` is not in the draft"))?;
        answered.replace_range(at..at + find.len(), write);
    }
    Ok(answered)
}

/// The document with every question of the review answered.
pub(crate) fn reviewed(document: &str) -> String {
    let mut reviewed = String::with_capacity(document.len());
    for line in document.lines() {
        reviewed.push_str(line);
        if line.starts_with('Q') && line.ends_with('→') {
            reviewed.push_str(" Yes.");
        }
        reviewed.push('\n');
    }
    reviewed
}

/// A document whose timeline has forty rows: what people said meanwhile, where the draft had a gap.
pub(crate) fn many_rows(answered: &str) -> anyhow::Result<String> {
    const WANTED: usize = 40;
    let body = answered.split_once("## Timeline").context("there is a timeline")?.1;
    let body = body.split_once("\n## ").context("a section follows")?.0;
    let present = body.lines().filter(|line| line.starts_with("- ")).count();
    let after = "decides to roll back\n";
    let at = answered.find(after).context("people decided to roll back")? + after.len();
    let rows: String = (present..WANTED)
        .map(|row| {
            let second = 60 * (row - present) / (WANTED - present);
            format!("- 22:02:{second:02} `note` `human` communications answers customer no. {row} that [E1] is being worked on\n")
        })
        .collect();
    let mut document = answered.to_owned();
    document.insert_str(at, &rows);
    Ok(document)
}
