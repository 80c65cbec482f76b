use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::cited_evidence;

/// Whys read from one document; further ones are a fault of the tree.
pub(super) const MAX_WHYS: usize = 1_000;

/// One why: `1.2. Why 500? → No database connection, pool at 100 % [E4]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Line in the file, from 1.
    pub line: usize,
    /// Its number (`1.2`).
    pub number: String,
    /// The question.
    pub question: String,
    /// The answer after `→`, if there is one yet.
    pub answer: Option<String>,
    /// Evidence cited.
    pub evidence: Vec<String>,
    /// Actions named (`→ A1`).
    pub actions: Vec<String>,
    /// Whether the answer is marked as a `hypothesis`, judged or not.
    pub hypothesis: bool,
    /// What is known of the answer.
    pub standing: Standing,
    /// Why nothing is done about it (`accepted: reason`).
    pub accepted: Option<String>,
    /// Number of the why it follows from, if any.
    pub parent: Option<String>,
}

/// What is known of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is told as a fact, or there is no answer yet.
    #[default]
    Stated,
    /// A `hypothesis` that nobody has judged.
    Supposed,
    /// A `hypothesis confirmed` by evidence.
    Confirmed,
    /// A `hypothesis refuted` by evidence: the chain does not go on here.
    Refuted,
}

/// The whys in the order written, with what joins them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhyTree {
    /// All of them.
    pub nodes: Vec<Why>,
    /// Where the tree is not one: line and sentence (a number twice, a parent that is missing, a circle).
    pub faults: Vec<(usize, String)>,
}

pub(super) static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:[-*]\s+)?(?:\*\*)?(\d+(?:\.\d+)+)\.?(?:\*\*)?\s+(.*)$")
        .expect("the pattern is constant")
});
pub(super) static FROM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\(from (\d+(?:\.\d+)+)\)").expect("the pattern is constant"));
pub(super) static STANDING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\bhypothesis(?::?\s+(confirmed|refuted)\b)?").expect("the pattern is constant")
});
static ACTION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bA\d+\b").expect("the pattern is constant"));

static OWNED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\(owned by ([^)]+)\)").expect("the pattern is constant"));

impl Why {
    /// Whether evidence spoke against the answer.
    pub fn is_refuted(&self) -> bool {
        self.standing == Standing::Refuted
    }

    /// The team that owns it, where the answer says `(owned by TEAM)`.
    pub fn owned_by(&self) -> Option<String> {
        let found = OWNED.captures(self.answer.as_deref().unwrap_or(&self.question))?;
        Some(found[1].trim().to_owned())
    }
}

impl WhyTree {
    /// The whys that follow from `number`, in order.
    pub fn children<'a>(&'a self, number: &'a str) -> impl Iterator<Item = &'a Why> {
        self.nodes.iter().filter(move |why| why.parent.as_deref() == Some(number))
    }

    /// The whys that follow from nothing, in order: the start of each branch.
    pub fn roots(&self) -> impl Iterator<Item = &Why> {
        self.nodes.iter().filter(|why| why.parent.is_none())
    }

    /// The whys that nothing follows from.
    pub fn leaves(&self) -> impl Iterator<Item = &Why> {
        let parents: BTreeSet<&str> = self.nodes.iter().filter_map(|why| why.parent.as_deref()).collect();
        self.nodes.iter().filter(move |why| !parents.contains(why.number.as_str()))
    }

    /// The number before the first dot (`1` of `1.2`).
    pub fn branch_of(number: &str) -> &str {
        number.split('.').next().unwrap_or(number)
    }
}

pub(super) fn parse(lines: &[(usize, &str)]) -> WhyTree {
    let mut nodes: Vec<Why> = Vec::new();
    for (line, text) in lines {
        if let Some(found) = LINE.captures(text) {
            nodes.push(read(*line, &found[1], &found[2]));
        } else if let Some(why) = nodes.last_mut()
            && text.starts_with("   ")
            && !text.trim().is_empty()
        {
            // An indented line goes on with the why above it.
            let whole =
                format!("{} → {} {}", why.question, why.answer.clone().unwrap_or_default(), text.trim());
            *why = read(why.line, &why.number.clone(), whole.trim());
        }
    }
    let further = nodes.get(MAX_WHYS).map(|why| why.line);
    nodes.truncate(MAX_WHYS);
    let mut faults = join(&mut nodes);
    faults.extend(
        further.map(|line| (line, format!("there are more than {MAX_WHYS} whys; the rest is not read"))),
    );
    WhyTree { nodes, faults }
}

fn read(line: usize, number: &str, text: &str) -> Why {
    let (question, answer) = match text.split_once('→') {
        Some((question, answer)) => (question.trim(), Some(answer.trim().to_owned())),
        None => (text.trim(), None),
    };
    let after = answer.clone().unwrap_or_default();
    let standing = standing_of(text);
    let accepted = text.find("accepted:").map(|at| text[at + "accepted:".len()..].trim().to_owned());
    Why {
        line,
        number: number.to_owned(),
        question: question.to_owned(),
        answer: answer.filter(|answer| !answer.is_empty()),
        evidence: cited_evidence(text),
        actions: ACTION.find_iter(&after).map(|m| m.as_str().to_owned()).collect(),
        hypothesis: standing != Standing::Stated,
        standing,
        accepted: accepted.filter(|reason| !reason.is_empty()),
        parent: FROM.captures(text).map(|found| found[1].to_owned()),
    }
}

/// The last word on it counts.
fn standing_of(text: &str) -> Standing {
    match STANDING.captures_iter(text).last() {
        None => Standing::Stated,
        Some(found) => match found.get(1).map(|word| word.as_str().to_ascii_lowercase()).as_deref() {
            Some("confirmed") => Standing::Confirmed,
            Some(_) => Standing::Refuted,
            None => Standing::Supposed,
        },
    }
}

/// Gives each why its parent: the one it names by `(from n.m)`, else the step before it, else the number above it.
fn join(nodes: &mut [Why]) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for why in nodes.iter() {
        if let Some(first) = lines.insert(why.number.clone(), why.line) {
            faults.push((why.line, format!("{} is numbered twice, first in line {first}", why.number)));
        }
    }
    for why in nodes.iter_mut() {
        let parent = why.parent.clone().or_else(|| step_before(&why.number));
        if let Some(parent) = &parent
            && !lines.contains_key(parent)
        {
            faults.push((why.line, format!("{} follows from {parent}, which does not exist", why.number)));
        }
        why.parent = parent.filter(|parent| lines.contains_key(parent));
    }
    break_circles(nodes, &mut faults);
    faults
}

/// `1.2` → `1.1`; `1.1` → none; `1.2.1` → `1.2`; `1.2.3` → `1.2.2`.
pub(super) fn step_before(number: &str) -> Option<String> {
    let (above, last) = number.rsplit_once('.')?;
    match last.parse::<u64>() {
        Ok(step) if step > 1 => Some(format!("{above}.{}", step - 1)),
        _ => above.contains('.').then(|| above.to_owned()),
    }
}

fn break_circles(nodes: &mut [Why], faults: &mut Vec<(usize, String)>) {
    let mut parents: BTreeMap<String, Option<String>> =
        nodes.iter().map(|why| (why.number.clone(), why.parent.clone())).collect();
    for why in nodes.iter_mut() {
        let mut seen = BTreeSet::from([why.number.clone()]);
        let mut above = why.parent.clone();
        while let Some(number) = above {
            above = parents.get(&number).cloned().flatten();
            if !seen.insert(number) {
                faults.push((why.line, format!("{} follows from itself", why.number)));
                parents.insert(why.number.clone(), None);
                why.parent = None;
                break;
            }
        }
    }
}
