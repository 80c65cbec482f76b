use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use hindsight_postmortem::document::{Document, cited_evidence};
use hindsight_postmortem::evidence::EvidenceSet;
use serde_json::json;

use super::folder;
use crate::say;

/// Exit code when the document cannot be read at all.
const UNREADABLE: u8 = 2;

/// `hindsight postmortem verify`: the document opens, what it cites is there, and question and answer of every piece
/// of evidence are as they were frozen. Needs the folder alone: no server, no data directory.
pub(super) fn run(path: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let document = match Document::read(path).with_context(|| format!("read {}", path.display())) {
        Ok(document) => document,
        Err(error) => {
            say::problem(&format!("error: {error:#}"));
            return Ok(ExitCode::from(UNREADABLE));
        }
    };
    let set = EvidenceSet::read(folder(path))?;
    let cited: BTreeSet<String> = cited_evidence(&document.write()).into_iter().collect();
    let present = set.items.iter().map(|evidence| evidence.id.clone()).chain(set.unreadable.keys().cloned());
    let mut ids: Vec<String> = cited.iter().cloned().chain(present).collect();
    ids.sort_by_key(|id| (id.get(1..).and_then(|number| number.parse::<u32>().ok()), id.clone()));
    ids.dedup();
    let verdicts: Vec<(String, Option<String>)> = ids
        .into_iter()
        .map(|id| {
            let trouble = set.trouble(&id);
            (id, trouble)
        })
        .collect();
    let troubles = verdicts.iter().filter(|(_, trouble)| trouble.is_some()).count();
    if as_json {
        let evidence: Vec<_> = verdicts
            .iter()
            .map(|(id, trouble)| {
                let sha256 = set.get(id).map(|evidence| &evidence.sha256);
                json!({"id": id, "cited": cited.contains(id), "sha256": sha256, "trouble": trouble})
            })
            .collect();
        let all = json!({
            "id": document.front.id, "hash": document.content_hash(), "troubles": troubles, "evidence": evidence
        });
        say::line(&serde_json::to_string_pretty(&all)?)?;
    } else {
        for (id, trouble) in &verdicts {
            match (trouble, set.get(id)) {
                (Some(trouble), _) => say::line(trouble)?,
                (None, Some(evidence)) => {
                    let aside = if cited.contains(id) { "" } else { ", not cited" };
                    say::line(&format!("{id}: intact{aside}: {}", evidence.title))?;
                }
                (None, None) => {}
            }
        }
        let (id, count) = (&document.front.id, verdicts.len());
        say::problem(&format!("{id}: {count} pieces of evidence, {troubles} in trouble"));
    }
    Ok(if troubles > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
