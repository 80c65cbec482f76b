//! The structured sections as HTML: timeline, whys, lessons, actions.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::markdown::{inline_html, markdown_html};
use crate::chart::{escape, html_id, people_duration};
use crate::document::{Document, Section, TimelineEntry, Why, WhyTree};

/// Whys nested deeper than this are drawn at this depth.
const MAX_DEPTH: usize = 24;

/// What stands in a section beside the lines that are drawn in their own way.
pub(super) fn prose_beside(document: &Document, section: &Section, drawn: &BTreeSet<usize>) -> String {
    let first = document.line_of(section.range.start);
    let text: Vec<&str> = document.body()[section.range.clone()]
        .lines()
        .enumerate()
        .filter(|(index, _)| !drawn.contains(&(first + index)))
        .map(|(_, line)| line)
        .collect();
    markdown_html(&text.join("\n"))
}

/// The timeline as a table; milestones are bold and carry the time since the impact began.
pub(super) fn timeline(document: &Document) -> String {
    let rows = document.timeline();
    if rows.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "<div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-label=\"Table, scrollable when narrow\"><table class=\"timeline\"><caption>Times in {}</caption><thead><tr><th scope=\"col\">Time</th><th scope=\"col\">What</th><th scope=\"col\">Source</th><th scope=\"col\">Event</th></tr></thead><tbody>",
        escape(&document.front.timezone)
    );
    for row in rows {
        timeline_row(&mut out, &row, document.front.times.impact_start);
    }
    out.push_str("</tbody></table></div>");
    out
}

fn timeline_row(out: &mut String, row: &TimelineEntry, impact: Option<Timestamp>) {
    let since = row.at.zip(impact).map_or_else(String::new, |(at, impact)| {
        let seconds = at.as_second() - impact.as_second();
        let sign = if seconds < 0 { "−" } else { "+" };
        if seconds == 0 {
            String::new()
        } else {
            format!("{sign}{}", people_duration(seconds.unsigned_abs() as f64))
        }
    });
    let time = match row.at {
        Some(at) => format!("<time datetime=\"{at}\">{}</time>", escape(&row.time)),
        None => escape(&row.time),
    };
    let class = if row.milestone { " class=\"milestone\"" } else { "" };
    let since = if row.milestone { format!("<span class=\"since\">{since}</span>") } else { String::new() };
    let source = row.source.map_or("", |source| source.as_str());
    let _ = write!(
        out,
        "<tr{class}><th scope=\"row\">{time} {since}</th><td><span class=\"kind k-{}\">{}</span></td><td>{source}</td><td><bdi>{}</bdi></td></tr>",
        html_id(&row.kind),
        escape(&row.kind.replace('_', " ")),
        inline_html(&row.text)
    );
}

/// The whys as nested numbered lists, each with its permalink.
pub(super) fn whys(tree: &WhyTree) -> String {
    if tree.nodes.is_empty() {
        return String::new();
    }
    let mut out = String::new();
    for (_, fault) in &tree.faults {
        let _ = write!(out, "<p class=\"state bad\">{}</p>", escape(fault));
    }
    let mut branches: Vec<&str> = Vec::new();
    for root in tree.roots() {
        let branch = WhyTree::branch_of(&root.number);
        if !branches.contains(&branch) {
            branches.push(branch);
        }
    }
    for branch in branches {
        let roots: Vec<&Why> = tree.roots().filter(|why| WhyTree::branch_of(&why.number) == branch).collect();
        let _ = write!(out, "<h3>{}</h3>", branch_name(branch));
        list(&mut out, tree, &roots, 0);
    }
    out
}

fn branch_name(branch: &str) -> String {
    match branch {
        "1" => "Why it happened".to_owned(),
        "2" => "Why detection took so long".to_owned(),
        "3" => "Why mitigation took so long".to_owned(),
        other => format!("Branch {}", escape(other)),
    }
}

fn list(out: &mut String, tree: &WhyTree, whys: &[&Why], depth: usize) {
    out.push_str("<ol class=\"whys\">");
    for why in whys {
        let class = if why.answer.is_none() { " class=\"open\"" } else { "" };
        let id = html_id(&format!("W-{}", why.number));
        let number = escape(&why.number);
        let _ = write!(
            out,
            "<li id=\"{id}\"{class}><p class=\"why\"><a class=\"number\" href=\"#{id}\">{number}</a> <span class=\"question\">{}</span></p>",
            inline_html(&why.question)
        );
        match &why.answer {
            Some(answer) => {
                let _ = write!(out, "<p class=\"answer\">{}</p>", inline_html(answer));
            }
            None => out.push_str("<p class=\"answer unknown\">Not answered yet.</p>"),
        }
        let below: Vec<&Why> = tree.children(&why.number).collect();
        if !below.is_empty() && depth < MAX_DEPTH {
            list(out, tree, &below, depth + 1);
        }
        out.push_str("</li>");
    }
    out.push_str("</ol>");
}

/// The lessons, each with its permalink and the actions that come of it.
pub(super) fn lessons(document: &Document) -> String {
    let lessons = document.lessons();
    if lessons.is_empty() {
        return String::new();
    }
    let mut out = String::from("<ol class=\"lessons\">");
    for lesson in lessons {
        let id = html_id(&lesson.id);
        let actions = links(&lesson.actions, "");
        let _ = write!(
            out,
            "<li id=\"{id}\"><a class=\"number\" href=\"#{id}\">{id}</a> {} <span class=\"from\">{actions}</span></li>",
            inline_html(&lesson.text)
        );
    }
    out.push_str("</ol>");
    out
}

/// The action items as a table, each with its permalink.
pub(super) fn actions(document: &Document) -> String {
    let items = document.actions().map(|table| table.items).unwrap_or_default();
    if items.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-label=\"Table, scrollable when narrow\"><table class=\"actions\"><caption>What will be done, by whom, by when</caption><thead><tr><th scope=\"col\">Id</th><th scope=\"col\">Action</th><th scope=\"col\">Owner</th><th scope=\"col\">Due</th><th scope=\"col\">Priority</th><th scope=\"col\">State</th><th scope=\"col\">Answers</th><th scope=\"col\">Verified by</th></tr></thead><tbody>",
    );
    for item in items {
        let id = html_id(&item.id);
        let tracker =
            if item.tracker.is_empty() { String::new() } else { format!(" {}", inline_html(&item.tracker)) };
        let _ = write!(
            out,
            "<tr id=\"{id}\"><th scope=\"row\"><a class=\"number\" href=\"#{id}\">{}</a></th><td>{}{tracker}</td><td>{}</td><td class=\"nowrap\">{}</td><td>{}</td><td class=\"nowrap\">{}</td><td>{} {}</td><td>{}</td></tr>",
            escape(&item.id),
            inline_html(&item.action),
            or_dash(&item.owner),
            item.due.map_or_else(|| "–".to_owned(), |due| due.to_string()),
            item.priority.map_or("–", |priority| priority.as_str()),
            item.status.as_str().replace('_', " "),
            links(&item.lessons, ""),
            links(&item.whys, "W-"),
            if item.verify.is_empty() {
                "–".to_owned()
            } else {
                format!("<code>{}</code>", escape(&item.verify))
            },
        );
    }
    out.push_str("</tbody></table></div>");
    out
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "–".to_owned() } else { escape(text) }
}

fn links(names: &[String], prefix: &str) -> String {
    let link = |name: &String| {
        format!("<a class=\"cite\" href=\"#{}\">{}</a>", html_id(&format!("{prefix}{name}")), escape(name))
    };
    names.iter().map(link).collect::<Vec<_>>().join(" ")
}
