//! Changes of the whys in the text: each touches the lines it is about and no other byte (PM-2).

use std::collections::BTreeSet;
use std::ops::Range;

use super::whys::{FROM, LINE, MAX_WHYS, step_before};
use super::{Document, Standing, Why, WhyTree};
use crate::{Error, Result};

const HEADING: &str = "Five whys";

/// Why a chain does not go on where it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadEnd {
    /// The why (`1.5`).
    pub number: String,
    /// Its line in the file, from 1.
    pub line: usize,
    /// What is missing there.
    pub reason: &'static str,
}

impl Document {
    /// Adds a why. Under a parent it takes the next number of the parent's chain, with `(from parent)` where the
    /// number alone does not say so; without a parent it starts a branch. Returns the document and the number.
    ///
    /// # Errors
    /// [`Error::Whys`] when there is no such parent, the question is empty, or there are too many whys.
    pub fn with_why(
        &self,
        parent: Option<&str>,
        question: &str,
        answer: Option<&str>,
    ) -> Result<(Self, String)> {
        let tree = self.whys();
        if tree.nodes.len() >= MAX_WHYS {
            return Err(refused(format!("there are {MAX_WHYS} whys already, which is the limit")));
        }
        let question = one_line(question);
        if question.is_empty() {
            return Err(refused("the question is empty; ask why something happened"));
        }
        let (number, after) = match parent {
            Some(parent) => next_in_chain(&tree, find(&tree, parent)?),
            None => (next_branch(&tree), tree.nodes.last()),
        };
        let from = match parent {
            Some(parent) if step_before(&number).as_deref() != Some(parent) => format!(" (from {parent})"),
            _ => String::new(),
        };
        let answer = answer.map(one_line).filter(|answer| !answer.is_empty());
        let answer = answer.map_or_else(String::new, |answer| format!(" → {answer}"));
        let line = format!("{number}. {question}{from}{answer}\n");
        Ok((self.with_lines_after(after, &line), number))
    }

    /// Answers a why, citing evidence; a former answer is replaced.
    ///
    /// # Errors
    /// [`Error::Whys`] when there is no such why, the answer is empty, or an evidence id is none.
    pub fn with_answer(
        &self,
        number: &str,
        answer: &str,
        evidence: &[String],
        hypothesis: bool,
    ) -> Result<Self> {
        let tree = self.whys();
        let why = find(&tree, number)?;
        let answer = one_line(answer);
        if answer.is_empty() {
            return Err(refused("the answer is empty"));
        }
        let mark = if hypothesis { " (hypothesis)" } else { "" };
        let text = format!("{answer}{mark}{}", citations(evidence)?);
        self.with_why_text(why, |old| {
            let question = old.split_once('→').map_or(old, |(question, _)| question);
            format!("{} → {text}", question.trim_end())
        })
    }

    /// Judges a hypothesis: confirmed or refuted, by the evidence that says so.
    ///
    /// # Errors
    /// [`Error::Whys`] when there is no such why, it is no hypothesis, or no evidence is given.
    pub fn with_judgement(&self, number: &str, confirmed: bool, evidence: &[String]) -> Result<Self> {
        let tree = self.whys();
        let why = find(&tree, number)?;
        if why.standing == Standing::Stated {
            return Err(refused(format!("{number} is no hypothesis; only a hypothesis is judged")));
        }
        if evidence.is_empty() {
            return Err(refused(format!("a judgement of {number} cites what shows it, as E4")));
        }
        let word = if confirmed { "confirmed" } else { "refuted" };
        let cited: Vec<String> = evidence.iter().filter(|id| !why.evidence.contains(id)).cloned().collect();
        citations(evidence)?;
        let new = citations(&cited)?;
        self.with_why_text(why, |old| {
            let old = old.trim_end();
            let Some(found) = super::whys::STANDING.find_iter(old).last() else { return old.to_owned() };
            format!("{}hypothesis {word}{}{new}", &old[..found.start()], &old[found.end()..])
        })
    }

    /// Lets a why, and all that follows from it, follow from another.
    ///
    /// # Errors
    /// [`Error::Whys`] when one of the two does not exist, or the new parent follows from the why itself.
    pub fn with_why_moved(&self, number: &str, parent: &str) -> Result<Self> {
        let tree = self.whys();
        let why = find(&tree, number)?;
        find(&tree, parent)?;
        if below(&tree, number).contains(parent) {
            return Err(refused(format!("{parent} follows from {number}; that would be a circle")));
        }
        // Moving this one must not carry along those that follow from its number alone by habit: they are its children.
        let by_number = step_before(number).as_deref() == Some(parent);
        self.with_why_text(why, |old| {
            let bare = FROM.replace_all(old, "").into_owned();
            let bare = if bare == *old { bare } else { bare.replace("  ", " ") };
            if by_number {
                return bare.trim_end().to_owned();
            }
            match bare.split_once('→') {
                Some((question, answer)) => {
                    format!("{} (from {parent}) →{}", question.trim_end(), answer.trim_end())
                }
                None => format!("{} (from {parent})", bare.trim_end()),
            }
        })
    }

    /// Takes a why out; with `whole` also all that follows from it.
    ///
    /// # Errors
    /// [`Error::Whys`] when there is no such why, or others follow from it and `whole` is not set.
    pub fn without_why(&self, number: &str, whole: bool) -> Result<Self> {
        let tree = self.whys();
        find(&tree, number)?;
        let mut gone = below(&tree, number);
        if gone.len() > 1 && !whole {
            gone.remove(number);
            let names: Vec<&str> = gone.into_iter().collect();
            let message =
                format!("{} follow from {number}; move them first, or delete all", names.join(", "));
            return Err(refused(message));
        }
        let mut ranges: Vec<Range<usize>> = tree
            .nodes
            .iter()
            .filter(|why| gone.contains(why.number.as_str()))
            .map(|why| self.with_blank_after(self.why_range(why)))
            .collect();
        ranges.sort_by_key(|range| range.start);
        let mut body = self.body().to_owned();
        for range in ranges.into_iter().rev() {
            body.replace_range(range, "");
        }
        Ok(self.with_body(body))
    }

    /// Where chains stop short, in the order of the lines: no answer, or nothing that anybody does about it.
    pub fn dead_ends(&self) -> Vec<DeadEnd> {
        let tree = self.whys();
        let items = self.actions().map(|table| table.items).unwrap_or_default();
        let acted = |why: &Why| {
            items.iter().any(|item| item.whys.contains(&why.number) || why.actions.contains(&item.id))
        };
        let mut ends = Vec::new();
        for why in &tree.nodes {
            let live = tree.children(&why.number).filter(|child| !child.is_refuted()).count();
            let tried = tree.children(&why.number).count();
            let reason = match () {
                () if why.is_refuted() || why.accepted.is_some() || live > 0 => continue,
                () if tried > 0 => "every hypothesis below it is refuted; what else can it be?",
                () if why.answer.is_none() => "it has no answer",
                () if why.standing == Standing::Supposed => "it ends at a hypothesis that nobody has judged",
                () if !acted(why) => "it ends here, and no action answers it; ask on, or act",
                () => continue,
            };
            ends.push(DeadEnd { number: why.number.clone(), line: why.line, reason });
        }
        ends
    }

    /// The bytes of a why in the body: its line and the indented lines that go on with it.
    fn why_range(&self, why: &Why) -> Range<usize> {
        let start = self.offset_of(why.line);
        let mut end = start;
        for (index, line) in self.body()[start..].split_inclusive('\n').enumerate() {
            let goes_on =
                line.starts_with("   ") && !line.trim().is_empty() && !LINE.is_match(line.trim_end());
            if index > 0 && !goes_on {
                break;
            }
            end += line.len();
        }
        start..end
    }

    /// With the blank line after it, where one stands before it too: taking a paragraph out leaves one gap.
    fn with_blank_after(&self, range: Range<usize>) -> Range<usize> {
        let body = self.body();
        let after = body[range.end..].split_inclusive('\n').next();
        let blank = after.filter(|line| line.trim().is_empty());
        let before = body[..range.start].ends_with("\n\n") || body[..range.start].ends_with("\r\n\r\n");
        range.start..range.end + blank.filter(|_| before).map_or(0, str::len)
    }

    /// Replaces what stands after a why's number.
    fn with_why_text(&self, why: &Why, change: impl FnOnce(&str) -> String) -> Result<Self> {
        let range = self.why_range(why);
        let text = &self.body()[range.clone()];
        let line_end = if text.ends_with("\r\n") {
            "\r\n"
        } else if text.ends_with('\n') {
            "\n"
        } else {
            ""
        };
        let joined = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let head = LINE.captures(&joined).and_then(|found| Some(found.get(2)?.start()));
        let Some(head) = head else {
            return Err(refused(format!("{} is not found in the text", why.number)));
        };
        let indent = &text[..text.len() - text.trim_start().len()];
        let new = format!("{indent}{}{}{line_end}", &joined[..head], change(&joined[head..]));
        let mut body = self.body().to_owned();
        body.replace_range(range, &new);
        Ok(self.with_body(body))
    }

    /// Puts a line behind a why (or at the end of the section), apart by a blank line where whys are so here.
    fn with_lines_after(&self, after: Option<&Why>, line: &str) -> Self {
        let mut body = self.body().to_owned();
        let Some(why) = after else {
            match self.section(HEADING) {
                Some(section) => body.insert_str(section.range.start, &format!("\n{line}")),
                None => body.push_str(&format!("\n## {HEADING}\n\n{line}")),
            }
            return self.with_body(body);
        };
        let end = self.why_range(why).end;
        let start = self.why_range(why).start;
        let apart = body[..start].ends_with("\n\n");
        let open = if body[..end].ends_with('\n') { "" } else { "\n" };
        let gap = if apart { "\n" } else { "" };
        body.insert_str(end, &format!("{open}{gap}{line}"));
        self.with_body(body)
    }

    /// First byte of a line of the file in the body.
    fn offset_of(&self, line: usize) -> usize {
        let first = self.line_of(0);
        self.body().split_inclusive('\n').take(line.saturating_sub(first)).map(str::len).sum()
    }
}

fn find<'t>(tree: &'t WhyTree, number: &str) -> Result<&'t Why> {
    let mut named = tree.nodes.iter().filter(|why| why.number == number);
    match (named.next(), named.next()) {
        (Some(why), None) => Ok(why),
        (Some(_), Some(_)) => {
            Err(refused(format!("{number} is there twice; give each why its own number first")))
        }
        (None, _) => {
            let numbers: Vec<&str> = tree.nodes.iter().take(30).map(|why| why.number.as_str()).collect();
            Err(refused(format!("there is no why {number}; there are {}", numbers.join(", "))))
        }
    }
}

/// The next free number beside the parent, and the why that it is written behind: the last of that chain.
fn next_in_chain<'t>(tree: &'t WhyTree, parent: &'t Why) -> (String, Option<&'t Why>) {
    let above = parent.number.rsplit_once('.').map_or("", |(above, _)| above);
    let beside = |why: &&Why| why.number.rsplit_once('.').map(|(head, _)| head) == Some(above);
    let step = |why: &Why| why.number.rsplit_once('.').and_then(|(_, step)| step.parse::<u64>().ok());
    let last = tree.nodes.iter().filter(beside).max_by_key(|why| step(why));
    let next = last.and_then(step).unwrap_or(0).saturating_add(1);
    (format!("{above}.{next}"), last)
}

fn next_branch(tree: &WhyTree) -> String {
    let branch = |why: &Why| WhyTree::branch_of(&why.number).parse::<u64>().unwrap_or(0);
    format!("{}.1", tree.nodes.iter().map(branch).max().unwrap_or(0).saturating_add(1))
}

/// A why and all that follows from it.
fn below<'t>(tree: &'t WhyTree, number: &'t str) -> BTreeSet<&'t str> {
    let mut found = BTreeSet::from([number]);
    let mut open = vec![number];
    while let Some(parent) = open.pop() {
        for child in tree.children(parent) {
            if found.insert(&child.number) {
                open.push(&child.number);
            }
        }
    }
    found
}

fn citations(evidence: &[String]) -> Result<String> {
    let mut out = String::new();
    for id in evidence {
        let is_id =
            id.strip_prefix('E').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if !is_id {
            return Err(refused(format!("`{id}` is no evidence; its id is like E4")));
        }
        out.push_str(&format!(" [{id}]"));
    }
    Ok(out)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn refused(message: impl Into<String>) -> Error {
    Error::Whys { message: message.into() }
}

#[cfg(test)]
mod tests;
