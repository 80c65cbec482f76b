use std::sync::LazyLock;

use regex::{NoExpand, Regex};

use super::{Document, cited_evidence, pattern};

static PLACES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)https?://\S+",
        r"|[\w.+-]+@[\w-]+\.[\w.-]+",
        r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b",
        r"|\b(?:[a-z0-9-]+\.)+(?:com|net|org|io|dev|local|internal|example|test)\b",
        r"|(?:^|\s)@[a-z][\w.-]+",
        r"|\bINC-\d+\b|\bPM-\d{4}-\d+\b",
        r"|\b[A-Z]{2,10}-\d+\b",
    ))
    .expect("the pattern is constant")
});
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`[^`]*`").expect("the pattern is constant"));

/// The lessons of a document, fit to be read by those who may not read it: no title, no times, no impact, no
/// evidence; names of services, teams, people, hosts, addresses and tickets, and everything in code marks, are taken
/// out. The same document always gives the same text.
pub fn lessons_export(document: &Document) -> String {
    let mut out = "# Lessons of an incident\n\nNames and places are taken out.\n".to_owned();
    let known: Vec<&str> =
        document.front.patterns.iter().filter_map(|tag| pattern(tag)).map(|pattern| pattern.id).collect();
    if !known.is_empty() {
        out.push_str(&format!("\nPatterns: {}\n", known.join(", ")));
    }
    let names = names(document);
    for lesson in document.lessons() {
        out.push_str(&format!("\n{}. {}\n", lesson.id, redacted(&lesson.text, &names)));
    }
    out
}

/// What identifies whose incident it was: the longest names first, each with what stands in its place.
fn names(document: &Document) -> Vec<(Regex, &'static str)> {
    let front = &document.front;
    let mut names: Vec<(String, &'static str)> = Vec::new();
    names.extend(front.services.iter().map(|name| (name.clone(), "a service")));
    names.extend(front.slo.iter().map(|slo| (slo.name.clone(), "an objective")));
    names.extend(front.teams.iter().map(|name| (name.clone(), "a team")));
    for who in [&front.owner, &front.reviewer].into_iter().flatten() {
        names.extend(who.person.iter().map(|name| (name.clone(), "somebody")));
        names.extend(who.team.iter().map(|name| (name.clone(), "a team")));
    }
    let items = document.actions().map(|table| table.items).unwrap_or_default();
    names.extend(items.into_iter().map(|item| (item.owner, "somebody")));
    names.extend(front.tenant.iter().map(|name| (name.clone(), "a tenant")));
    names.retain(|(name, _)| !name.trim().is_empty());
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    names
        .into_iter()
        .filter_map(|(name, instead)| {
            Some((Regex::new(&format!(r"(?i)\b{}\b", regex::escape(&name))).ok()?, instead))
        })
        .collect()
}

fn redacted(text: &str, names: &[(Regex, &'static str)]) -> String {
    let mut text = CODE.replace_all(text, NoExpand("[redacted]")).into_owned();
    for id in cited_evidence(&text) {
        text = text.replace(&format!(" [{id}]"), "").replace(&format!("[{id}]"), "");
    }
    text = PLACES.replace_all(&text, NoExpand(" [redacted]")).into_owned();
    for (name, instead) in names {
        text = name.replace_all(&text, NoExpand(instead)).into_owned();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
