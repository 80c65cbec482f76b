use std::path::Path;

use serde_json::{Value as Json, json};

use super::read;
use crate::Result;
use crate::evidence::{EvidenceSet, Verdict, verify};

/// The post-mortem as JSON: front matter, sections, timeline, whys, lessons, actions, evidence with verdicts.
///
/// # Errors
/// As [`super::render`].
pub fn to_json(path: &Path) -> Result<Json> {
    let (document, evidence) = read(path)?;
    let actions = document.actions().map(|table| table.items).unwrap_or_default();
    let tree = document.whys();
    let sections = document.sections();
    Ok(json!({
        "front": document.front,
        "sections": sections.iter().map(|section| json!({
            "heading": section.heading,
            "level": section.level,
            "line": section.line,
            "markdown": &document.body()[section.range.clone()],
        })).collect::<Vec<_>>(),
        "timeline": document.timeline().iter().map(|row| json!({
            "line": row.line, "at": row.at, "time": row.time, "milestone": row.milestone, "kind": row.kind,
            "source": row.source, "text": row.text, "evidence": row.evidence,
        })).collect::<Vec<_>>(),
        "whys": tree.nodes.iter().map(|why| json!({
            "line": why.line, "number": why.number, "parent": why.parent, "question": why.question,
            "answer": why.answer, "evidence": why.evidence, "hypothesis": why.hypothesis, "accepted": why.accepted,
        })).collect::<Vec<_>>(),
        "lessons": document.lessons().iter().map(|lesson| json!({
            "line": lesson.line, "id": lesson.id, "text": lesson.text, "actions": lesson.actions,
        })).collect::<Vec<_>>(),
        "actions": actions.iter().map(|item| json!({
            "line": item.line, "id": item.id, "action": item.action, "owner": item.owner,
            "due": item.due.map(|due| due.to_string()), "priority": item.priority, "lessons": item.lessons,
            "whys": item.whys, "tracker": item.tracker, "verify": item.verify, "status": item.status,
        })).collect::<Vec<_>>(),
        "evidence": evidence_json(&evidence),
    }))
}

fn evidence_json(evidence: &EvidenceSet) -> Vec<Json> {
    let readable = evidence.items.iter().map(|item| {
        let verdict = if verify(item) == Verdict::Intact { "intact" } else { "altered" };
        let mut value = json!(item);
        value["verdict"] = json!(verdict);
        value
    });
    let unreadable = evidence
        .unreadable
        .iter()
        .map(|(id, reason)| json!({ "id": id, "verdict": "unreadable", "reason": reason }));
    readable.chain(unreadable).collect()
}
