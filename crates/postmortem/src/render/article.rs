use std::collections::BTreeSet;

use askama::Template;
use jiff::tz::TimeZone;

use super::key_facts::{Fact, key_facts};
use super::markdown::{heading_id, markdown_html, tied};
use super::{appendix, parts};
use crate::document::{Document, Section, cited_evidence, zone_or_utc};
use crate::evidence::{ChartKind, EvidenceSet};

/// Charts shown among the findings; further ones are named in the appendix only.
const MAX_CHARTS: usize = 12;

#[derive(Template)]
#[template(path = "article.html")]
struct Article<'a> {
    document: &'a Document,
    title: String,
    status: String,
    facts: Vec<Fact>,
    trouble: Vec<String>,
    parts: Vec<Part>,
    glossary: Vec<(&'a str, &'a str)>,
    appendix: String,
}

/// One section of the report.
struct Part {
    id: String,
    heading: String,
    html: String,
}

/// The inside of `<main>`.
pub(super) fn article(document: &Document, evidence: &EvidenceSet) -> Result<String, askama::Error> {
    let zone = zone_or_utc(&document.front.timezone);
    let cited = cited(document);
    let trouble: Vec<String> =
        all_ids(&cited, evidence).iter().filter_map(|id| evidence.trouble(id)).collect();
    let missing: Vec<String> =
        all_ids(&cited, evidence).into_iter().filter(|id| evidence.get(id).is_none()).collect();
    Article {
        document,
        title: tied(&document.front.title),
        status: document.front.status.as_str().replace('_', " "),
        facts: key_facts(&document.front),
        trouble,
        parts: report_parts(document, evidence, &zone),
        glossary: document.front.glossary.iter().map(|(word, text)| (word.as_str(), text.as_str())).collect(),
        appendix: appendix::appendix(evidence, &missing, &zone),
    }
    .render()
}

/// Ids cited in the front matter and the body.
pub(super) fn cited(document: &Document) -> Vec<String> {
    let mut ids = cited_evidence(document.body());
    let front = &document.front;
    let more = front.impact.iter().map(|i| &i.evidence).chain(front.slo.iter().map(|s| &s.evidence));
    for id in more.flatten() {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    ids
}

/// What is cited and what lies there.
fn all_ids(cited: &[String], evidence: &EvidenceSet) -> Vec<String> {
    let mut ids = cited.to_vec();
    let there = evidence.items.iter().map(|item| &item.id).chain(evidence.unreadable.keys());
    for id in there {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    ids
}

/// The document's sections in their order, with the charts after the timeline.
fn report_parts(document: &Document, evidence: &EvidenceSet, zone: &TimeZone) -> Vec<Part> {
    let mut parts = Vec::new();
    let charts = charts(evidence, zone);
    let mut charts = Some(charts).filter(|html| !html.is_empty());
    let sections = document.sections();
    let has_timeline = sections.iter().any(|section| section.heading.eq_ignore_ascii_case("Timeline"));
    for section in sections.iter().filter(|section| section.level <= 2) {
        let html = section_html(document, section);
        let html =
            if html.trim().is_empty() { "<p class=\"empty\">Not written yet.</p>".to_owned() } else { html };
        parts.push(Part { id: heading_id(&section.heading), heading: section.heading.clone(), html });
        let here = section.heading.eq_ignore_ascii_case(if has_timeline { "Timeline" } else { "Summary" });
        if here && let Some(html) = charts.take() {
            parts.push(Part { id: "charts".into(), heading: "What the telemetry shows".into(), html });
        }
    }
    if let Some(html) = charts.take() {
        parts.push(Part { id: "charts".into(), heading: "What the telemetry shows".into(), html });
    }
    parts
}

fn section_html(document: &Document, section: &Section) -> String {
    let name = section.heading.to_ascii_lowercase();
    let (drawn, html): (BTreeSet<usize>, String) = match name.as_str() {
        "timeline" => (document.timeline().iter().map(|row| row.line).collect(), parts::timeline(document)),
        "five whys" => {
            let tree = document.whys();
            (tree.nodes.iter().map(|why| why.line).collect(), parts::whys(&tree))
        }
        "lessons" => {
            (document.lessons().iter().map(|lesson| lesson.line).collect(), parts::lessons(document))
        }
        "action items" => (table_lines(document, section), parts::actions(document)),
        _ => return markdown_html(&document.body()[section.range.clone()]),
    };
    format!("{html}{}", parts::prose_beside(document, section, &drawn))
}

/// Lines of the action table, its heading too.
fn table_lines(document: &Document, section: &Section) -> BTreeSet<usize> {
    let first = document.line_of(section.range.start);
    let lines = document.body()[section.range.clone()].lines().enumerate();
    lines.filter(|(_, line)| line.trim_start().starts_with('|')).map(|(index, _)| first + index).collect()
}

/// The diagram of services first, then the charts in the order of their ids.
fn charts(evidence: &EvidenceSet, zone: &TimeZone) -> String {
    let mut figures = String::new();
    let drawn = evidence.items.iter().filter(|item| item.chart.is_some());
    let is_diagram =
        |item: &&crate::Evidence| item.chart.as_ref().is_some_and(|c| c.kind == ChartKind::Services);
    let (diagrams, lines): (Vec<_>, Vec<_>) = drawn.partition(is_diagram);
    for item in lines.into_iter().chain(diagrams).take(MAX_CHARTS) {
        if let Some(trouble) = evidence.trouble(&item.id) {
            figures.push_str(&format!("<p class=\"state bad\">{}</p>", crate::chart::escape(&trouble)));
        }
        figures.push_str(&item.figure(zone).unwrap_or_default());
    }
    figures
}
