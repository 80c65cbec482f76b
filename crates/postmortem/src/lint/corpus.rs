//! How well the word lists read real prose: documents in the style of many trades, labelled with what a person would
//! want to be told, in `fixtures/lint/corpus`. The rules were tuned on `tuned`; `unseen` was written before it was
//! first run and no rule was changed for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::*;

/// Rules that look for words.
const RULES: [&str; 8] = ["T2", "I1", "TL5", "W3", "L2", "A3", "A4", "G1"];

const HEAD: &str = "---
schema: hindsight/postmortem/v1
id: PM-2026-001
incidents: [INC-1]
status: published
severity: SEV2
timezone: UTC
times: {trigger: 2026-05-04T08:00:00Z, impact_start: 2026-05-04T08:00:00Z}
detection: internal
comms: \"n/a: a corpus\"
";

/// Findings: the document, the rule and the line.
type Found = BTreeSet<(String, &'static str, usize)>;

#[derive(Default)]
struct Score {
    right: usize,
    wrong: usize,
    missed: usize,
}

impl Score {
    fn precision(&self) -> f64 {
        self.right as f64 / (self.right + self.wrong).max(1) as f64
    }

    fn recall(&self) -> f64 {
        self.right as f64 / (self.right + self.missed).max(1) as f64
    }
}

#[test]
fn word_lists_are_right_as_often_as_the_docs_say() {
    let documents = fs::read_to_string(docs()).unwrap();
    let (mut report, mut current) = (String::new(), true);
    for (folder, number, precision, recall) in FLOORS {
        let (wanted, found, documents_read) = read(folder);
        assert!(documents_read >= number, "{folder}: {documents_read} documents");
        let mut scores: BTreeMap<&str, Score> = RULES.iter().map(|rule| (*rule, Score::default())).collect();
        let mut all = Score::default();
        for finding in wanted.union(&found) {
            let score = scores.get_mut(finding.1).unwrap();
            let (was_wanted, was_found) = (wanted.contains(finding), found.contains(finding));
            for score in [score, &mut all] {
                score.right += usize::from(was_wanted && was_found);
                score.wrong += usize::from(was_found && !was_wanted);
                score.missed += usize::from(was_wanted && !was_found);
            }
            if was_wanted != was_found {
                report.push_str(&format!(
                    "{} {}:{} {}\n",
                    if was_found { "wrong " } else { "missed" },
                    finding.0,
                    finding.2,
                    finding.1
                ));
            }
        }
        let line = table_row(&format!("**{folder}**, {documents_read} documents"), &all);
        report.push_str(&format!("{line}\n"));
        let lines: Vec<String> = RULES.iter().map(|rule| table_row(rule, &scores[rule])).collect();
        report.push_str(&lines.join("\n"));
        report.push('\n');
        assert!(all.precision() >= precision, "precision fell to {:.3}:\n{report}", all.precision());
        assert!(all.recall() >= recall, "recall fell to {:.3}:\n{report}", all.recall());
        let stated = |line: &&String| documents.contains(line.as_str());
        current &= lines.iter().chain([&line]).all(|line| stated(&line));
    }
    assert!(current, "docs/postmortem-lint.md does not state what is measured:\n{report}");
}

/// Folder, how many documents at least, and what precision and recall may not fall below.
const FLOORS: [(&str, usize, f64, f64); 2] = [("tuned", 24, 0.987, 0.99), ("unseen", 12, 0.99, 0.84)];

fn table_row(what: &str, score: &Score) -> String {
    format!(
        "| {what} | {} | {} | {} | {:.0} % | {:.0} % |",
        score.right,
        score.wrong,
        score.missed,
        score.precision() * 100.0,
        score.recall() * 100.0
    )
}

fn docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/postmortem-lint.md")
}

fn read(folder: &str) -> (Found, Found, usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lint/corpus").join(folder);
    let (mut wanted, mut found, mut number) = (Found::new(), Found::new(), 0);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (document, labels) = document(&fs::read_to_string(&path).unwrap(), &path);
        number += 1;
        wanted.extend(labels.into_iter().map(|(rule, line)| (name.clone(), rule, line)));
        let findings = lint_document(&document, &EvidenceSet::default());
        let mine = findings.into_iter().filter(|finding| RULES.contains(&finding.rule));
        found.extend(mine.map(|finding| (name.clone(), finding.rule, finding.line)));
    }
    (wanted, found, number)
}

/// A document of the short form: `HH:MM human words` under the timeline, `A1. words` under the actions, labels in
/// `{{RULE RULE}}` at the end of a line.
fn document(text: &str, path: &Path) -> (Document, Vec<(&'static str, usize)>) {
    let mut out = HEAD.to_owned();
    let (mut labels, mut section, mut in_front) = (Vec::new(), String::new(), true);
    for line in text.lines() {
        let (words, wanted) = line.split_once("{{").unwrap_or((line, ""));
        let words = words.trim_end();
        if let Some(heading) = words.strip_prefix("## ") {
            if in_front {
                out.push_str("---\n");
                in_front = false;
            }
            heading.clone_into(&mut section);
        }
        if words == "## Action items" {
            out.push_str(
                "## Action items\n\n| id | action | owner | due | priority |\n|---|---|---|---|---|\n",
            );
        } else if in_front && words.starts_with("title: ") {
            out.push_str(&format!("title: {:?}\n", &words["title: ".len()..]));
        } else if section == "Timeline" && words.starts_with(|c: char| c.is_ascii_digit()) {
            let mut parts = words.splitn(3, ' ');
            let [time, source, rest] = std::array::from_fn(|_| parts.next().unwrap());
            out.push_str(&format!("- {time} `note` `{source}` {rest}\n"));
        } else if section == "Action items" {
            let (id, rest) = words.split_once(". ").unwrap();
            out.push_str(&format!("| {id} | {rest} | nobody.x | 2026-06-01 | low |\n"));
        } else {
            out.push_str(&format!("{words}\n"));
        }
        let at = out.lines().count();
        for rule in wanted.trim_end_matches('}').split_whitespace() {
            let rule = RULES.iter().find(|known| **known == rule);
            labels.push((*rule.unwrap_or_else(|| panic!("{}: label {wanted}", path.display())), at));
        }
    }
    (Document::parse(&out, path).unwrap(), labels)
}
