//! The first draft: facts from frozen evidence, questions where evidence is silent. It invents no answers.

mod baseline;
mod book;
mod facts;
mod gather;
mod numbering;
mod prose;
mod queries;
mod timeline;
mod whys;
mod words;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use hindsight_model::{Incident, SqlSource, TimelineRow};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::document::{Document, FrontMatter, Stages};
use crate::evidence::{Evidence, EvidenceSet, write_evidence};
use crate::files::{in_background, write_atomically};
use crate::{Error, Result, Similar};
use book::Book;
use facts::Facts;
pub(crate) use numbering::reserve;

/// What a draft is made from. Everything else is asked by SQL.
#[derive(Clone, Copy, Debug)]
pub struct DraftInput<'a> {
    /// The incident; its `times.impact_start` must be known.
    pub incident: &'a Incident,
    /// Its timeline; dismissed rows are left out.
    pub timeline: &'a [TimelineRow],
    /// The workspace; the document goes to `postmortems/` in it.
    pub workspace: &'a Path,
    /// The present instant.
    pub now: Timestamp,
    /// How far the telemetry reaches, if known.
    pub watermark: Option<Timestamp>,
    /// Name and version of the SQL engine, for the record.
    pub engine: &'a str,
    /// Past incidents that looked alike, the likest first.
    pub similar: &'a [Similar],
    /// IANA name of the zone of the document's times.
    pub timezone: &'a str,
}

/// Where the draft is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drafted {
    /// `PM-2026-001`.
    pub id: String,
    /// The post-mortem's directory.
    pub dir: PathBuf,
    /// Its `postmortem.md`.
    pub path: PathBuf,
    /// Whether there was no post-mortem of this incident before.
    pub created: bool,
}

/// Drafts the post-mortem of an incident, or regenerates the one that exists: then only generated regions that
/// nobody edited change, and evidence that kept text cites stays as it was (PM-1, PM-2). Files are durable on return.
///
/// # Errors
/// [`Error::Incomplete`] before the impact's start is known, [`Error::Query`] when the error rate cannot be asked,
/// [`Error::Settled`] for a document past review, and when files cannot be read or written.
pub async fn draft(input: DraftInput<'_>, sql: &dyn SqlSource) -> Result<Drafted> {
    let zone = time_zone(input.timezone)?;
    let existing = find_existing(&input).await?;
    if let Some((path, document)) = &existing
        && document.front.status > crate::document::Status::InReview
    {
        return Err(Error::Settled { path: path.clone(), status: document.front.status.as_str() });
    }
    let mut book = Book::new(&input, existing.as_ref().map(|(_, document)| document.kept_text()));
    if let Some((path, _)) = &existing {
        book.remember(EvidenceSet::read(path.parent().unwrap_or(Path::new(".")))?);
    }
    // Boxed: the chain of questions is a future of many kilobytes.
    let facts = Box::pin(gather::gather(&input, &zone, sql, &mut book)).await?;
    let created = existing.is_none();
    let (path, document) = match existing {
        Some((path, old)) => {
            let fresh = compose(&input, &facts, &old.front.id, Some(old.front.stages));
            (path, old.regenerated(&fresh))
        }
        None => {
            let (id, dir) = numbering::reserve(input.workspace, input.now, &zone, &facts.slug())?;
            (dir.join("postmortem.md"), compose(&input, &facts, &id, None))
        }
    };
    let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
    let drafted = Drafted { id: document.front.id.clone(), dir: dir.clone(), path: path.clone(), created };
    let evidence = book.into_items();
    in_background(move || save(&dir, &path, &document, &evidence, &zone)).await?;
    Ok(drafted)
}

/// Evidence first: a document never cites a file that is not there yet.
fn save(dir: &Path, path: &Path, document: &Document, evidence: &[Evidence], zone: &TimeZone) -> Result<()> {
    for item in evidence {
        write_evidence(dir, item, zone)?;
    }
    write_atomically(path, document.write().as_bytes())
}

/// A fresh document; one that was drafted before keeps when it came to its stages.
fn compose(input: &DraftInput<'_>, facts: &Facts, id: &str, stages: Option<Stages>) -> Document {
    let mut front: FrontMatter = prose::front(input, facts, id);
    front.stages = stages.unwrap_or(front.stages);
    Document::new(front, prose::body(input, facts))
}

pub(crate) fn time_zone(name: &str) -> Result<TimeZone> {
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| Error::Timezone { name: name.chars().take(80).collect() })
}

/// The document of this incident and tenant, if there is one already.
async fn find_existing(input: &DraftInput<'_>) -> Result<Option<(PathBuf, Document)>> {
    let (workspace, incident) = (input.workspace.to_owned(), input.incident.id);
    let tenant = input.incident.tenant.clone();
    in_background(move || {
        for path in crate::workspace::documents(&workspace)? {
            match Document::read(&path) {
                Ok(document) => {
                    if document.front.incidents.contains(&incident)
                        && crate::workspace::is_of(&document, &tenant)
                    {
                        return Ok(Some((path, document)));
                    }
                }
                Err(error) => tracing::warn!(path = %path.display(), error = %error, "skipped a post-mortem"),
            }
        }
        Ok(None)
    })
    .await
}

/// Makes a directory durable, parents included.
fn create_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io("create", path))
}
