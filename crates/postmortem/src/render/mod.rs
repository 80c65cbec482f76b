//! A post-mortem as one self-contained HTML file, as an article for a page, and as JSON.
//!
//! Nothing is fetched and nothing runs: charts are drawn into the file, and a strict content policy says so. Every
//! text is escaped; evidence that is missing or altered is named at the top and where it stands (PM-1).

mod appendix;
mod article;
mod json;
mod key_facts;
mod markdown;
mod parts;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use askama::Template;

pub use json::to_json;
pub use markdown::markdown_html;

use crate::chart;
use crate::document::{Document, file_of};
use crate::evidence::EvidenceSet;
use crate::{Error, Result};

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage<'a> {
    title: &'a str,
    tokens: &'a str,
    styles: &'a str,
    article: &'a str,
}

/// The report of the post-mortem in a directory: one HTML file that needs no network and no script.
///
/// # Errors
/// When `postmortem.md` cannot be read; evidence that cannot be read is shown in the report instead.
pub fn render(path: &Path) -> Result<String> {
    let (document, evidence) = read(path)?;
    render_document(&document, &evidence).map_err(|source| Error::Render { path: path.to_owned(), source })
}

/// The same for a document and evidence at hand.
///
/// # Errors
/// When the template cannot be filled, which only a failing formatter can cause.
pub fn render_document(document: &Document, evidence: &EvidenceSet) -> Result<String, askama::Error> {
    let article = article::article(document, evidence)?;
    let title = format!("{} {}", document.front.id, document.front.title);
    ReportPage { title: &title, tokens: chart::stylesheet(), styles: report_stylesheet(), article: &article }
        .render()
}

/// The report without its frame: the inside of `<main>` for a page that already has [`chart::stylesheet`] and
/// [`report_stylesheet`]. It starts with the `<h1>`.
///
/// # Errors
/// As [`render`].
pub fn render_article(path: &Path) -> Result<String> {
    let (document, evidence) = read(path)?;
    article::article(&document, &evidence).map_err(|source| Error::Render { path: path.to_owned(), source })
}

/// Styles of the article beyond the shared stylesheet.
pub fn report_stylesheet() -> &'static str {
    include_str!("report.css")
}

fn read(path: &Path) -> Result<(Document, EvidenceSet)> {
    let file = file_of(path);
    let document = Document::read(&file)?;
    let evidence = EvidenceSet::read(&parent(&file))?;
    Ok((document, evidence))
}

/// The directory a document lies in.
pub(crate) fn parent(file: &Path) -> PathBuf {
    file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
