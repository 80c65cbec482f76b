use hindsight_model::SqlSource;

use super::DraftInput;
use crate::Result;
use crate::document::cited_evidence;
use crate::evidence::{Evidence, EvidenceSet, EvidenceSpec, FreezeContext, MAX_EVIDENCE, freeze};

/// Gives evidence its ids. On a regeneration a question keeps the id it had, unless text that stays cites that id
/// and the answer is another one now: then the new answer gets a new id and the old file stays (PM-1).
pub(super) struct Book {
    context: FreezeContext,
    pinned: Vec<String>,
    before: EvidenceSet,
    items: Vec<Evidence>,
}

impl Book {
    pub(super) fn new(input: &DraftInput<'_>, kept_text: Option<String>) -> Self {
        let context = FreezeContext {
            tenant: input.incident.tenant.clone(),
            watermark: input.watermark,
            engine: input.engine.to_owned(),
            now: input.now,
        };
        let kept = kept_text.unwrap_or_default();
        // Front matter cites as `evidence: E3`, prose as `[E3]`.
        let mut pinned = cited_evidence(&kept);
        let after_key = |rest: &str| rest.trim().chars().take_while(char::is_ascii_alphanumeric).collect();
        pinned.extend(
            kept.match_indices("evidence: E").map(|(at, _)| after_key(&kept[at + "evidence: ".len()..])),
        );
        Self { context, pinned, before: EvidenceSet::default(), items: Vec::new() }
    }

    pub(super) fn remember(&mut self, before: EvidenceSet) {
        self.before = before;
    }

    /// Runs the question and keeps the answer; the id in the spec is ignored. Returns where it is kept.
    pub(super) async fn ask(&mut self, sql: &dyn SqlSource, spec: EvidenceSpec) -> Result<Evidence> {
        freeze(sql, spec, &self.context).await
    }

    /// Gives the answer its id and keeps it. `None` when the book is full.
    pub(super) fn keep(&mut self, mut evidence: Evidence) -> Option<Evidence> {
        if self.items.len() >= MAX_EVIDENCE {
            tracing::warn!(title = %evidence.title, limit = MAX_EVIDENCE, "left evidence out of the draft");
            return None;
        }
        if let Some(same) =
            self.items.iter().find(|item| item.sql == evidence.sql && item.params == evidence.params)
        {
            return Some(same.clone());
        }
        let former =
            self.before.items.iter().find(|old| old.title == evidence.title && !self.is_used(&old.id));
        evidence.id = match former {
            Some(old) if old.sha256 == evidence.sha256 || !self.pinned.contains(&old.id) => old.id.clone(),
            _ => self.fresh_id(),
        };
        self.items.push(evidence.clone());
        Some(evidence)
    }

    fn is_used(&self, id: &str) -> bool {
        self.items.iter().any(|item| item.id == id)
    }

    /// The lowest number that neither this draft nor the one before uses.
    fn fresh_id(&self) -> String {
        let taken = |id: &String| {
            self.is_used(id)
                || self.pinned.contains(id)
                || self.before.get(id).is_some()
                || self.before.unreadable.contains_key(id)
        };
        let mut number = 1;
        loop {
            let id = format!("E{number}");
            if !taken(&id) {
                return id;
            }
            number += 1;
        }
    }

    pub(super) fn into_items(self) -> Vec<Evidence> {
        self.items
    }
}
