//! An existing Markdown post-mortem brought into our form: headings mapped, lists read where they can be, the rest kept.

mod actions;
mod lists;
mod sections;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use hindsight_model::{IncidentId, IncidentSeverity};
use jiff::Timestamp;
use regex::Regex;

use crate::document::{Document, FrontMatter, SCHEMA, Stages, Status, Visibility, zone_or_utc};
use crate::draft::reserve;
use crate::files::{MAX_DOCUMENT_BYTES, read_text, write_atomically};
use crate::{Error, Result};
use sections::Part;

/// What an import is made from.
#[derive(Clone, Copy, Debug)]
pub struct ImportInput<'a> {
    /// The Markdown as it is.
    pub text: &'a str,
    /// The incidents it is about, if they are known here.
    pub incidents: &'a [IncidentId],
    /// IANA name of the zone of its times.
    pub timezone: &'a str,
    /// The present instant.
    pub now: Timestamp,
}

/// A document made of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The document, a draft.
    pub document: Document,
    /// Headings that were mapped: theirs and ours.
    pub mapped: Vec<(String, &'static str)>,
    /// Headings that were not; their text stands under `## Imported`.
    pub unmapped: Vec<String>,
    /// What the text does not say and a person must; also comments of the front matter.
    pub questions: Vec<String>,
}

/// Where an import was written.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedFile {
    /// Its `postmortem.md`.
    pub path: PathBuf,
    /// What it says.
    pub imported: Imported,
}

static SEVERITY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?im)\b(?:sev(?:erity)?|priority|prio)\W{0,6}(?:sev|p)?-?\s?([1-4])\b|\bSEV-?([1-4])\b")
        .expect("the pattern is constant")
});
static FENCED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)\A---\r?\n(.*?)\r?\n---\r?\n").expect("the pattern is constant"));
static FRONT_TITLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?m)^title:\s*["']?(.+?)["']?\s*$"#).expect("the pattern is constant"));

/// Reads a Markdown file and writes it as a new post-mortem of the workspace. Durable on return.
///
/// # Errors
/// When a file cannot be read or written, and as [`import`].
pub fn import_file(file: &Path, workspace: &Path, input: &ImportInput<'_>) -> Result<ImportedFile> {
    let text = read_text(file, MAX_DOCUMENT_BYTES)?;
    let input = ImportInput { text: &text, ..*input };
    // Read it first: a number is taken only for what can be written.
    let title = import(&input, "PM-0000-000")?.document.front.title;
    let (id, dir) = reserve(workspace, input.now, &zone_or_utc(input.timezone), &slug(&title))?;
    let imported = import(&input, &id)?;
    let path = dir.join("postmortem.md");
    write_atomically(&path, imported.document.write().as_bytes())?;
    Ok(ImportedFile { path, imported })
}

/// The document that a Markdown text becomes. No word of the text is lost: what has no place of ours stands under
/// `## Imported`. Nothing is invented: what the text does not say is a question.
///
/// # Errors
/// [`Error::Document`] when the text is empty or would be too long; [`Error::Timezone`] for an unknown zone.
pub fn import(input: &ImportInput<'_>, id: &str) -> Result<Imported> {
    let refused =
        |message: &str| Error::Document { path: PathBuf::from(id), line: 1, message: message.to_owned() };
    if input.text.trim().is_empty() {
        return Err(refused("there is nothing to import; the file is empty"));
    }
    crate::draft::time_zone(input.timezone)?;
    let (front, body) = match FENCED.captures(input.text) {
        Some(found) => (found.get(1).map_or("", |m| m.as_str()), &input.text[found[0].len()..]),
        None => ("", input.text),
    };
    let mut read = sections::read(body);
    let title = match (FRONT_TITLE.captures(front), read.title) {
        (Some(found), heading) => {
            read.parts.splice(0..0, heading.map(Part::bare));
            Some(found[1].to_owned())
        }
        (None, heading) => heading,
    };
    let mut questions = questions(&title, input);
    let severity = SEVERITY.captures(input.text).and_then(|found| {
        let digit = found.get(1).or_else(|| found.get(2))?;
        severity_of(digit.as_str())
    });
    if severity.is_none() {
        questions.push("severity: how bad was it, SEV1 to SEV4? SEV3 stands here until you say".to_owned());
    }
    let front_matter = FrontMatter {
        schema: SCHEMA.to_owned(),
        id: id.to_owned(),
        incidents: input.incidents.to_vec(),
        title: title.unwrap_or_else(|| "An imported post-mortem without a title".to_owned()),
        status: Status::Draft,
        severity: severity.unwrap_or(IncidentSeverity::Sev3),
        visibility: Visibility::Internal,
        tenant: None,
        owner: None,
        reviewer: None,
        timezone: input.timezone.to_owned(),
        times: Default::default(),
        detection: None,
        services: Vec::new(),
        impact: Vec::new(),
        slo: Vec::new(),
        comms: Default::default(),
        patterns: Vec::new(),
        glossary: Default::default(),
        security: false,
        outage: None,
        teams: Vec::new(),
        repeats: Vec::new(),
        skip: None,
        stages: Stages::default(),
    };
    let body = sections::compose(&read.parts, front);
    let mut document = Document::new(front_matter, body);
    for question in &questions {
        document = document.with_comment(&format!("question: {question}"), Path::new(id))?;
    }
    if document.write().len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(refused("it is too long for a post-mortem; move long material out of it first"));
    }
    // What was read out of foreign tables must be readable in ours.
    let document = Document::parse(&document.write(), Path::new(id))?;
    let mapped = |part: &Part| part.ours.map(|ours| (part.heading.clone(), ours));
    Ok(Imported {
        mapped: read.parts.iter().filter_map(mapped).collect(),
        unmapped: read
            .parts
            .iter()
            .filter(|part| part.ours.is_none())
            .map(|part| part.heading.clone())
            .collect(),
        document,
        questions,
    })
}

fn severity_of(digit: &str) -> Option<IncidentSeverity> {
    Some(match digit {
        "1" => IncidentSeverity::Sev1,
        "2" => IncidentSeverity::Sev2,
        "3" => IncidentSeverity::Sev3,
        "4" => IncidentSeverity::Sev4,
        _ => return None,
    })
}

fn questions(title: &Option<String>, input: &ImportInput<'_>) -> Vec<String> {
    let mut questions = vec![
        "times: when were trigger, impact_start, detected, acknowledged, cause_identified, mitigated, resolved? \
         Write them as 2026-05-04T14:32:00-07:00"
            .to_owned(),
        "owner, reviewer: who, of which team? The reviewer is of another".to_owned(),
        "services: which were hurt, the customer-facing one first?".to_owned(),
        "impact: what was lost, in numbers with units?".to_owned(),
        "detection: alert, customer, internal or accident?".to_owned(),
        "comms: what were customers told, or n/a: reason?".to_owned(),
        "patterns: which of the list does it show?".to_owned(),
    ];
    if title.is_none() {
        questions.insert(0, "title: who saw what, for how long?".to_owned());
    }
    if input.incidents.is_empty() {
        questions.push("incidents: which incidents of this system is it about, if any?".to_owned());
    }
    questions
}

/// The first words of a title, fit for a folder's name.
fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.take(6).map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
    let slug: String = slug.chars().take(60).collect();
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "imported".to_owned() } else { slug.to_owned() }
}
