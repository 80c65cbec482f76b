//! What comes again: patterns, services and kinds of trigger over the last 30, 90 and 365 days.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::document::{Document, pattern};

/// The lengths that are counted, in days.
pub const DAYS: [i64; 3] = [30, 90, 365];
/// So often within 90 days is systemic (POSTMORTEM §6, X1).
const SYSTEMIC: usize = 3;

/// What came again, most often first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recurrence {
    /// By tag of `patterns:`.
    pub patterns: Vec<Recurring>,
    /// By service.
    pub services: Vec<Recurring>,
    /// By kind of what set it off.
    pub triggers: Vec<Recurring>,
    /// Documents that count at all: those that began in the longest length.
    pub documents: usize,
}

/// One thing that came again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurring {
    /// Its name.
    pub name: String,
    /// Documents that began within each of [`DAYS`].
    pub counts: [usize; 3],
    /// When the last of them began.
    pub last: Timestamp,
    /// Their ids, latest first.
    pub documents: Vec<String>,
    /// What it says about the organisation, for patterns of the controlled list.
    pub means: Option<&'static str>,
}

impl Recurring {
    /// Whether it is too often to be chance: three times within 90 days.
    pub fn is_systemic(&self) -> bool {
        self.counts[1] >= SYSTEMIC
    }
}

/// Counts documents by when their impact began. Pure: the same documents and `now` give the same answer.
pub fn recurrence(documents: &[Arc<Document>], now: Timestamp) -> Recurrence {
    let longest = SignedDuration::from_hours(24 * DAYS[2]);
    let mut counted: Vec<(Timestamp, &Document)> = documents
        .iter()
        .filter_map(|document| Some((began(document)?, document.as_ref())))
        .filter(|(at, _)| *at <= now && now.duration_since(*at) <= longest)
        .collect();
    counted.sort_by_key(|(at, document)| (std::cmp::Reverse(*at), document.front.id.clone()));
    let by = |names: &dyn Fn(&Document) -> Vec<String>| {
        let mut found: BTreeMap<String, Recurring> = BTreeMap::new();
        for (at, document) in &counted {
            let mut names = names(document);
            names.sort();
            names.dedup();
            for name in names {
                let entry = found.entry(name.clone()).or_insert_with(|| Recurring {
                    means: pattern(&name).map(|pattern| pattern.means),
                    name,
                    counts: [0; 3],
                    last: *at,
                    documents: Vec::new(),
                });
                for (count, days) in entry.counts.iter_mut().zip(DAYS) {
                    *count += usize::from(now.duration_since(*at) <= SignedDuration::from_hours(24 * days));
                }
                entry.documents.push(document.front.id.clone());
            }
        }
        let mut found: Vec<Recurring> = found.into_values().collect();
        found.sort_by(|a, b| (b.counts[1], b.counts[2], &a.name).cmp(&(a.counts[1], a.counts[2], &b.name)));
        found
    };
    Recurrence {
        patterns: by(&|document| document.front.patterns.clone()),
        services: by(&|document| document.front.services.clone()),
        triggers: by(&|document| vec![trigger_kind(document).to_owned()]),
        documents: counted.len(),
    }
}

/// When the impact of a document's incident began, or the nearest time that is known.
fn began(document: &Document) -> Option<Timestamp> {
    let times = document.front.times;
    times.impact_start.or(times.detected).or(times.trigger).or(times.resolved)
}

/// What set it off, by the words of the timeline's trigger row.
fn trigger_kind(document: &Document) -> &'static str {
    const KINDS: [(&str, &[&str]); 5] = [
        ("feature flag", &["flag", "variant"]),
        ("deployment", &["first seen", "deploy", "release", "rollout", "version"]),
        ("configuration", &["config", "setting", "parameter"]),
        ("traffic", &["traffic", "load", "surge", "campaign"]),
        ("dependency", &["provider", "third party", "upstream", "dependency"]),
    ];
    let Some(trigger) = document.timeline().into_iter().find(|row| row.kind == "trigger") else {
        return "not known";
    };
    let text = trigger.text.to_lowercase();
    KINDS
        .iter()
        .find(|(_, words)| words.iter().any(|word| text.contains(word)))
        .map_or("something else", |(kind, _)| kind)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const NOW: &str = "2026-11-01T00:00:00Z";

    fn document(id: &str, began: &str, patterns: &str, services: &str, trigger: &str) -> Arc<Document> {
        let text = format!(
            "---\nschema: hindsight/postmortem/v1\nid: {id}\nincidents: [INC-1]\ntitle: t\nstatus: draft\n\
             severity: SEV2\ntimezone: UTC\ntimes: {{impact_start: {began}}}\nservices: [{services}]\n\
             patterns: [{patterns}]\n---\n\n## Timeline\n\n{trigger}\n"
        );
        Arc::new(Document::parse(&text, Path::new("postmortem.md")).unwrap())
    }

    #[test]
    fn each_document_counts_once_in_every_length_it_lies_in() {
        let deployed = "- **10:00** `trigger` `system` checkout 4.2.0 first seen [E1]";
        let documents = [
            document("PM-2026-001", "2026-10-20T10:00:00Z", "capacity, capacity", "checkout", deployed),
            document("PM-2026-002", "2026-09-01T10:00:00Z", "capacity", "checkout, orders", deployed),
            document("PM-2026-003", "2026-08-10T10:00:00Z", "capacity, expiry", "orders", ""),
            document(
                "PM-2026-004",
                "2025-12-01T10:00:00Z",
                "expiry",
                "",
                "- **10:00** `trigger` `human` flag on",
            ),
            document("PM-2025-001", "2025-10-01T10:00:00Z", "expiry", "orders", deployed),
            document("PM-2026-005", "2026-11-02T10:00:00Z", "expiry", "orders", deployed),
        ];
        let found = recurrence(&documents, NOW.parse().unwrap());
        let row = |recurring: &Recurring| {
            (recurring.name.clone(), recurring.counts, recurring.is_systemic(), recurring.documents.clone())
        };
        let ids = |ids: &[&str]| ids.iter().map(|id| format!("PM-2026-{id}")).collect::<Vec<_>>();
        assert_eq!(found.documents, 4, "neither the one long past nor the one to come");
        assert_eq!(
            found.patterns.iter().map(row).collect::<Vec<_>>(),
            [
                ("capacity".to_owned(), [1, 3, 3], true, ids(&["001", "002", "003"])),
                ("expiry".to_owned(), [0, 1, 2], false, ids(&["003", "004"])),
            ]
        );
        assert!(found.patterns.iter().all(|recurring| recurring.means.is_some()));
        assert_eq!(
            found.services.iter().map(row).collect::<Vec<_>>(),
            [
                ("checkout".to_owned(), [1, 2, 2], false, ids(&["001", "002"])),
                ("orders".to_owned(), [0, 2, 2], false, ids(&["002", "003"])),
            ]
        );
        let triggers: Vec<_> = found.triggers.iter().map(|one| (one.name.as_str(), one.counts[2])).collect();
        assert_eq!(triggers, [("deployment", 2), ("not known", 1), ("feature flag", 1)]);
    }

    #[test]
    fn nothing_recurs_in_an_empty_workspace() {
        assert_eq!(recurrence(&[], NOW.parse().unwrap()), Recurrence::default());
    }
}
