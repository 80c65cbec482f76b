//! `postmortem.md`: front matter, sections, and the structured lines inside them.
//!
//! A [`Document`] keeps the text it was read from; what is structured (timeline rows, whys, lessons, actions,
//! generated regions) is read out of that text on demand with line numbers. So writing a document that was read
//! gives the same bytes, and prose that the program did not generate is never touched (PM-2).

mod actions;
mod dates;
mod front;
mod front_edit;
mod front_write;
mod lessons;
mod patterns;
mod redact;
mod regions;
mod review;
mod timeline;
mod whys;
mod whys_edit;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;

pub use actions::{ActionItem, ActionStatus, ActionTable, Priority};
pub use dates::parse_instant;
pub(crate) use dates::zone_or_utc;
pub use front::{
    Communication, Communications, Detection, FrontMatter, Impact, Outage, Person, SCHEMA, SloImpact, Stages,
    Status, Times, Visibility,
};
pub use lessons::Lesson;
pub use patterns::{PATTERNS, Pattern, pattern};
pub use redact::lessons_export;
pub use regions::{Region, merge_regions, region};
pub use review::{REVIEW_QUESTIONS, ReviewAnswer, review_section};
pub use timeline::{MAX_ROWS, TimelineEntry};
pub use whys::{Standing, Why, WhyTree};
pub use whys_edit::DeadEnd;

use hindsight_model::Clearance;
use sha2::{Digest as _, Sha256};

use crate::files::{MAX_DOCUMENT_BYTES, read_text};
use crate::{Error, Result};

/// A post-mortem as read or drafted.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The facts of the front matter.
    pub front: FrontMatter,
    front_text: String,
    body: String,
}

/// A heading and what stands under it, up to the next heading of the same or a higher level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The heading without its `#`.
    pub heading: String,
    /// Number of `#`.
    pub level: usize,
    /// Line of the heading in the file, from 1.
    pub line: usize,
    /// The text under it, sub-sections included, as bytes of the body.
    pub range: Range<usize>,
}

impl Document {
    /// A new document; the front matter is written in our form, the body is taken as it is.
    pub fn new(front: FrontMatter, body: impl Into<String>) -> Self {
        let front_text = front_write::write(&front);
        Self { front, front_text, body: body.into() }
    }

    /// Reads the text of a post-mortem; `path` is only for messages.
    ///
    /// # Errors
    /// [`Error::Document`] with the line when the front matter is missing, has an unknown key or a wrong value.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let at = |line: usize, message: String| Error::Document { path: path.to_owned(), line, message };
        let missing = "a post-mortem starts with front matter between two lines of `---`";
        let rest = text
            .strip_prefix("---\n")
            .or_else(|| text.strip_prefix("---\r\n"))
            .ok_or_else(|| at(1, missing.to_owned()))?;
        let end = front_end(rest).ok_or_else(|| at(1, format!("{missing}; the second one is missing")))?;
        let front_text = &text[..text.len() - rest.len() + end.end];
        let front = front::parse(&rest[..end.start]).map_err(|(line, message)| at(line + 1, message))?;
        let document = Self { front, front_text: front_text.to_owned(), body: rest[end.end..].to_owned() };
        document.actions().map_err(|(line, message)| at(line, message))?;
        Ok(document)
    }

    /// Reads `postmortem.md` in a directory, or the file itself.
    ///
    /// # Errors
    /// As [`Document::parse`], and when the file cannot be read or is too large.
    pub fn read(path: &Path) -> Result<Self> {
        let file = file_of(path);
        Self::parse(&read_text(&file, MAX_DOCUMENT_BYTES)?, &file)
    }

    /// The file's text: for a document that was read, byte for byte what was read.
    pub fn write(&self) -> String {
        format!("{}{}", self.front_text, self.body)
    }

    /// Whether a reader may see it.
    pub fn is_visible(&self, clearance: Clearance) -> bool {
        clearance == Clearance::Restricted || self.front.visibility != Visibility::Restricted
    }

    /// Everything after the front matter.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The front matter as it stands in the file, fences included.
    pub fn front_text(&self) -> &str {
        &self.front_text
    }

    /// Line of a front matter key, from 1; the first line when it is absent.
    pub fn front_line(&self, key: &str) -> usize {
        let is_key = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        self.front_text.lines().position(is_key).map_or(1, |index| index + 1)
    }

    /// Line of an entry of a list in the front matter, by its place from 0; the key's own line when it is all on one.
    pub fn front_item_line(&self, key: &str, index: usize) -> usize {
        let start = self.front_line(key);
        let block = self.front_text.lines().enumerate().skip(start);
        let block = block.take_while(|(_, line)| !front_edit::is_key_line(line));
        let mut items = block.filter(|(_, line)| line.trim_start().starts_with("- "));
        items.nth(index).map_or(start, |(line, _)| line + 1)
    }

    /// Line in the file of a byte of the body, from 1.
    pub fn line_of(&self, offset: usize) -> usize {
        self.first_body_line() + self.body[..offset.min(self.body.len())].matches('\n').count()
    }

    fn first_body_line(&self) -> usize {
        1 + self.front_text.matches('\n').count()
    }

    /// Every line of the body with its line number in the file.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let first = self.first_body_line();
        self.body.lines().enumerate().map(move |(index, line)| (first + index, line))
    }

    /// The headings, in order; none inside code fences or comments.
    pub fn sections(&self) -> Vec<Section> {
        let mut heads: Vec<(usize, String, usize, usize)> = Vec::new();
        let mut offset = 0;
        let mut fenced = false;
        let mut commented = false;
        for (index, line) in self.body.split_inclusive('\n').enumerate() {
            let seen = outside_comments(line, &mut commented);
            fenced ^= seen.trim_start().starts_with("```");
            let level = seen.bytes().take_while(|b| *b == b'#').count();
            if !fenced && (1..=6).contains(&level) && seen[level..].starts_with(' ') {
                let heading = seen[level..].trim().trim_end_matches('#').trim().to_owned();
                heads.push((level, heading, self.first_body_line() + index, offset + line.len()));
            }
            offset += line.len();
        }
        let start_of = |index: usize| line_start(&self.body, heads[index].3);
        (0..heads.len())
            .map(|index| {
                let (level, heading, line, start) = heads[index].clone();
                let next = (index + 1..heads.len()).find(|next| heads[*next].0 <= level);
                let end = next.map_or(self.body.len(), start_of);
                Section { heading, level, line, range: start..end.max(start) }
            })
            .collect()
    }

    /// The section with this heading, whatever its case and level.
    pub fn section(&self, heading: &str) -> Option<Section> {
        self.sections().into_iter().find(|section| section.heading.eq_ignore_ascii_case(heading))
    }

    /// The text of a section without its heading; empty when there is none.
    pub fn section_text(&self, heading: &str) -> &str {
        self.section(heading).map_or("", |section| &self.body[section.range])
    }

    /// Lines of a section with their numbers in the file, without what stands in comments over several lines.
    fn section_lines(&self, heading: &str) -> Vec<(usize, &str)> {
        let Some(section) = self.section(heading) else { return Vec::new() };
        let first = self.line_of(section.range.start);
        let mut commented = false;
        let lines = self.body[section.range].lines().map(|line| outside_comments(line, &mut commented));
        lines.enumerate().map(|(index, line)| (first + index, line)).collect()
    }

    /// The rows of `## Timeline`, in the order written; at most [`MAX_ROWS`].
    pub fn timeline(&self) -> Vec<TimelineEntry> {
        timeline::parse(&self.section_lines("Timeline"), &self.front)
    }

    /// The whys of `## Five whys`, in the order written.
    pub fn whys(&self) -> WhyTree {
        whys::parse(&self.section_lines("Five whys"))
    }

    /// The lessons of `## Lessons`, in the order written.
    pub fn lessons(&self) -> Vec<Lesson> {
        lessons::parse(&self.section_lines("Lessons"))
    }

    /// The answers of `## Review`, in the order written.
    pub fn review(&self) -> Vec<ReviewAnswer> {
        review::parse(&self.section_lines("Review"))
    }

    /// The table of `## Action items`; empty when there is none.
    ///
    /// # Errors
    /// The line and what is wrong, for an unknown column or a date that is none. A document that was read by
    /// [`Document::parse`] has no such error.
    pub fn actions(&self) -> std::result::Result<ActionTable, (usize, String)> {
        actions::parse(&self.section_lines("Action items"))
    }

    /// SHA-256 of the file's text, lower-case hex: what an edit says it was made against.
    pub fn content_hash(&self) -> String {
        hex::encode(Sha256::digest(self.write().as_bytes()))
    }

    /// The document with one key of its front matter set to a YAML value, or without the key; every other byte is as
    /// it was (PM-2).
    ///
    /// # Errors
    /// [`Error::Document`] when the front matter is not readable with that value.
    pub fn with_key(&self, key: &str, value: Option<&str>, path: &Path) -> Result<Self> {
        let front_text = match value {
            Some(value) => front_edit::set(&self.front_text, key, value),
            None => front_edit::remove(&self.front_text, key),
        };
        Self::parse(&format!("{front_text}{}", self.body), path)
    }

    /// The document at a status, with when it came to each.
    ///
    /// # Errors
    /// As [`Document::with_key`].
    pub fn with_status(&self, status: Status, stages: &Stages, path: &Path) -> Result<Self> {
        let zone = zone_or_utc(&self.front.timezone);
        self.with_key("status", Some(status.as_str()), path)?.with_key(
            "stages",
            front_write::stages(stages, &zone).as_deref(),
            path,
        )
    }

    /// The document tagged with further patterns of the list, and no longer with others.
    ///
    /// # Errors
    /// [`Error::Document`] for a pattern that is not on the list, and as [`Document::with_key`].
    pub fn with_patterns(&self, add: &[String], remove: &[String], path: &Path) -> Result<Self> {
        if let Some(unknown) = add.iter().find(|tag| pattern(tag).is_none()) {
            let all: Vec<&str> = PATTERNS.iter().map(|pattern| pattern.id).collect();
            let message = format!("`{unknown}` is not on the list of patterns: {}", all.join(", "));
            return Err(Error::Document {
                path: path.to_owned(),
                line: self.front_line("patterns"),
                message,
            });
        }
        let mut tags: Vec<&String> = self.front.patterns.iter().filter(|tag| !remove.contains(tag)).collect();
        for tag in add {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        let tags: Vec<String> = tags.into_iter().map(|tag| front_write::scalar(tag)).collect();
        self.with_key("patterns", Some(&format!("[{}]", tags.join(", "))), path)
    }

    /// The document with a comment added at the end of its front matter.
    ///
    /// # Errors
    /// As [`Document::with_key`].
    pub fn with_comment(&self, comment: &str, path: &Path) -> Result<Self> {
        let comment: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let front_text = front_edit::append(&self.front_text, &format!("# {comment}"));
        Self::parse(&format!("{front_text}{}", self.body), path)
    }

    /// The same front matter over another body.
    #[must_use]
    pub fn with_body(&self, body: impl Into<String>) -> Self {
        Self { front: self.front.clone(), front_text: self.front_text.clone(), body: body.into() }
    }

    /// The generated regions, in order.
    pub fn regions(&self) -> Vec<Region> {
        regions::find(&self.body)
    }

    /// Takes over from a fresh draft what nobody edited here: generated regions whose checksum still holds, and the
    /// front matter if it carries its own checksum and that holds. Everything else stays byte for byte (PM-2).
    #[must_use]
    pub fn regenerated(&self, fresh: &Self) -> Self {
        let keep_front = !front_write::is_untouched(&self.front_text);
        let (front, front_text) = if keep_front {
            (self.front.clone(), self.front_text.clone())
        } else {
            (fresh.front.clone(), fresh.front_text.clone())
        };
        Self { front, front_text, body: merge_regions(&self.body, &fresh.body) }
    }

    /// The text that a regeneration would keep: edited regions, prose, and the front matter unless it is untouched.
    pub fn kept_text(&self) -> String {
        let mut out = String::new();
        if !front_write::is_untouched(&self.front_text) {
            out.push_str(&self.front_text);
        }
        let mut from = 0;
        for region in self.regions().iter().filter(|region| !region.edited) {
            out.push_str(&self.body[from..region.inner.start]);
            from = region.inner.end;
        }
        out.push_str(&self.body[from..]);
        out
    }
}

/// `postmortem.md` for a directory, the path itself for a file.
pub(crate) fn file_of(path: &Path) -> std::path::PathBuf {
    if path.is_dir() { path.join("postmortem.md") } else { path.to_owned() }
}

/// Ids of evidence cited as `[E1]`, in order, each once.
pub fn cited_evidence(text: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for (start, _) in text.match_indices("[E") {
        let digits: String = text[start + 2..].chars().take_while(char::is_ascii_digit).collect();
        let id = format!("E{digits}");
        if !digits.is_empty() && text[start + 2 + digits.len()..].starts_with(']') && !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// The part of a line outside of comments that began on a line before or go on to the next; `commented` says whether
/// one is open. A comment within the line stays.
fn outside_comments<'l>(line: &'l str, commented: &mut bool) -> &'l str {
    let mut seen = line;
    if *commented {
        let Some((_, after)) = line.split_once("-->") else { return "" };
        *commented = false;
        seen = after;
    }
    match seen.rfind("<!--") {
        Some(start) if !seen[start..].contains("-->") => {
            *commented = true;
            &seen[..start]
        }
        _ => seen,
    }
}

/// Where the closing fence stands: its first byte and the byte after its line.
fn front_end(rest: &str) -> Option<Range<usize>> {
    let mut offset = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some(offset..offset + line.len());
        }
        offset += line.len();
    }
    None
}

/// First byte of the line that ends just before `end`.
fn line_start(text: &str, end: usize) -> usize {
    text[..end].trim_end_matches('\n').rfind('\n').map_or(0, |index| index + 1)
}
