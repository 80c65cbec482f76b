//! Reads `fixtures/lint/rules/ID.case`: small edits of `good.md`, each with the lines at which the rule must speak.

use std::collections::BTreeMap;

use super::*;

pub(super) struct Case {
    pub(super) bad: bool,
    pub(super) name: String,
    pub(super) document: Document,
    pub(super) evidence: EvidenceSet,
    pub(super) knowledge: Knowledge,
    /// Where findings are due.
    pub(super) lines: BTreeSet<usize>,
    /// The first of them that the case adds.
    added: Option<usize>,
}

impl Case {
    /// What is wrong in it: its name, and the line it adds where that fits into a table.
    pub(super) fn example(&self) -> String {
        let text = self.document.write();
        let added = self.added.and_then(|line| text.lines().nth(line - 1));
        // Of an action only what is to be done.
        let added = added.map(|line| match line.strip_prefix('|') {
            Some(row) => row.split('|').nth(1).unwrap_or_default().trim(),
            None => line,
        });
        match added.filter(|line| !line.contains(['|', '`'])) {
            Some(line) => format!("{}: `{}`", self.name, crate::chart::shorten(line, 90)),
            None => self.name.clone(),
        }
    }
}

pub(super) fn of(id: &str) -> Vec<Case> {
    let path = fixtures().join("rules").join(format!("{id}.case"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split("=== ").skip(1).map(|text| read(id, text)).collect()
}

fn read(id: &str, text: &str) -> Case {
    let (head, edits) = text.split_once('\n').unwrap();
    let (kind, name) = head.split_once(": ").unwrap();
    assert!(matches!(kind, "bad" | "good"), "{id}: {head}");
    let mut lines: Vec<(String, bool)> = fs::read_to_string(fixtures().join("good.md"))
        .unwrap()
        .lines()
        .map(|line| (line.to_owned(), false))
        .collect();
    let (mut evidence, mut knowledge) = (evidence(), Knowledge::default());
    let (mut place, mut unchanged, mut expected) = (0, Vec::new(), BTreeSet::new());
    for edit in edits.lines() {
        let find = |lines: &[(String, bool)], wanted: &str| {
            lines
                .iter()
                .position(|(line, _)| line == wanted)
                .unwrap_or_else(|| panic!("{id} {name}: no line {wanted}"))
        };
        match edit.split_at(edit.chars().next().map_or(0, char::len_utf8)) {
            ("-", line) => {
                place = find(&lines, line);
                lines.remove(place);
            }
            (" ", line) => place = find(&lines, line) + 1,
            (mark @ ("+" | "!"), line) => {
                lines.insert(place, (line.to_owned(), mark == "!"));
                place += 1;
            }
            ("=", line) => unchanged.push(line),
            ("@", line) => drop(expected.insert(line.parse().unwrap())),
            ("~", line) => {
                let (old, new) = line.split_once(" =>").unwrap();
                let line = lines.iter_mut().find(|(line, _)| line.contains(old));
                let line = line.unwrap_or_else(|| panic!("{id} {name}: nowhere {old}"));
                line.0 = line.0.replacen(old, new.strip_prefix(' ').unwrap_or(new), 1);
            }
            _ => match edit.strip_prefix("with: ") {
                Some(setup) => set_up(setup, &mut evidence, &mut knowledge),
                None => panic!("{id} {name}: {edit}"),
            },
        }
    }
    for line in unchanged {
        expected.insert(
            1 + lines
                .iter()
                .position(|(text, _)| text == line)
                .unwrap_or_else(|| panic!("{id} {name}: no line {line}")),
        );
    }
    let added = lines.iter().position(|line| line.1).map(|index| index + 1);
    expected.extend(lines.iter().enumerate().filter(|(_, line)| line.1).map(|(index, _)| index + 1));
    let text: String = lines.into_iter().map(|(line, _)| line + "\n").collect();
    let document =
        Document::parse(&text, Path::new("case.md")).unwrap_or_else(|error| panic!("{id} {name}: {error}"));
    Case { bad: kind == "bad", name: name.to_owned(), document, evidence, knowledge, lines: expected, added }
}

/// What a case knows besides the document, by the words in its file.
fn set_up(words: &str, evidence: &mut EvidenceSet, knowledge: &mut Knowledge) {
    match words {
        "nine charts more" => more_charts(evidence, 9),
        "two charts more" => more_charts(evidence, 2),
        "no chart of E5" => item(evidence, "E5").chart = None,
        "no chart of E7" => item(evidence, "E7").chart = None,
        "no chart of E11" => item(evidence, "E11").chart = None,
        "no baselines" => {
            evidence
                .items
                .iter_mut()
                .filter_map(|item| item.chart.as_mut())
                .for_each(|chart| chart.baseline = None);
        }
        "no events in E2" => item(evidence, "E2").chart.as_mut().unwrap().events.clear(),
        "no events in E11" => item(evidence, "E11").chart.as_mut().unwrap().events.clear(),
        "no unit in E7" => item(evidence, "E7").chart.as_mut().unwrap().unit = crate::chart::Unit::None,
        "E2 starts later" => {
            let item = item(evidence, "E2");
            item.from = parse_instant("2026-05-04T21:10:00Z").unwrap();
            item.sha256 = resealed(item);
        }
        "E2 says little" => item(evidence, "E2").caption = "Traffic.".to_owned(),
        "E2 says it otherwise" => {
            item(evidence, "E2").caption =
                "Customers came as on any other day, so load is no reason.".to_owned();
        }
        "E14 was altered" => item(evidence, "E14").rows[0][0] = serde_json::json!(2),
        "E3 run again has a tenth more" => rerun(evidence, knowledge, 1.1),
        "E3 run again has a two-hundredth more" => rerun(evidence, knowledge, 1.005),
        "E3 cannot be run again" => {
            knowledge.reruns.insert("E3".to_owned(), Err("the data has expired".to_owned()));
        }
        "the rollback was seen at 15:12:30" => knowledge.observed.push(seen("2026-05-04T22:12:30Z")),
        "the rollback was seen at 15:10:50" => knowledge.observed.push(seen("2026-05-04T22:10:50Z")),
        "orders-db is ours" => knowledge.own_services.push("orders-db".to_owned()),
        "it is three weeks later" => knowledge.now = parse_instant("2026-05-25T22:20:00Z"),
        "kim.r is of payments" => {
            knowledge.teams = BTreeMap::from([("kim.r".to_owned(), "payments".to_owned())]);
        }
        "the lessons are exported" => {
            knowledge.lessons_file = Some(crate::document::lessons_export(&document("good.md")));
        }
        "one other of slow-rollback" => others(knowledge, &[101], "done"),
        "two others of slow-rollback" => others(knowledge, &[101, 102], "done"),
        "one other of slow-rollback, with A1 open" => others(knowledge, &[101], "in_progress"),
        other => panic!("nothing is set up by `{other}`"),
    }
}

fn item<'a>(evidence: &'a mut EvidenceSet, id: &str) -> &'a mut crate::Evidence {
    evidence.items.iter_mut().find(|item| item.id == id).unwrap()
}

fn more_charts(evidence: &mut EvidenceSet, number: u32) {
    let chart = evidence.get("E1").unwrap().clone();
    evidence.items.extend(
        (20..20 + number).map(|number| crate::Evidence { id: format!("E{number}"), ..chart.clone() }),
    );
}

/// The checksum that the evidence should state now.
fn resealed(item: &crate::Evidence) -> String {
    match crate::evidence::verify(item) {
        crate::evidence::Verdict::Altered { found, .. } => found,
        crate::evidence::Verdict::Intact => item.sha256.clone(),
    }
}

fn rerun(evidence: &EvidenceSet, knowledge: &mut Knowledge, times: f64) {
    let mut fresh = evidence.get("E3").unwrap().clone();
    for cell in fresh.rows.iter_mut().flatten() {
        if let Some(number) = cell.as_f64() {
            *cell = serde_json::json!(number * times);
        }
    }
    knowledge.reruns.insert("E3".to_owned(), Ok(fresh));
}

fn seen(at: &str) -> Observed {
    let at = parse_instant(at).unwrap();
    Observed { at, kind: ObservedKind::Change, name: "4.1.9".to_owned(), state: String::new() }
}

/// Earlier post-mortems of `checkout`, tagged slow-rollback.
fn others(knowledge: &mut Knowledge, numbers: &[u32], a1: &str) {
    let good = fs::read_to_string(fixtures().join("good.md")).unwrap();
    for number in numbers {
        let text = good
            .replace("PM-2026-001", &format!("PM-2026-{number}"))
            .replace("impact_start: 2026-05-04", "impact_start: 2026-04-04")
            .replace("patterns: []", "patterns: [slow-rollback]")
            .replace("| verified |", &format!("| {a1} |"));
        knowledge.others.push(Arc::new(Document::parse(&text, Path::new("other.md")).unwrap()));
    }
}
