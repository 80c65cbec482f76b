use std::fmt::Write as _;

use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use super::dates::{with_offset, zone_or_utc};
use super::front::{Communications, FrontMatter, Person, Stages, Times};

const MARK: &str = "# hindsight:generated front sha256=";

/// The front matter with its fences, in the order of the schema, closed by a checksum of its own lines: as long as
/// that holds nobody edited it, and a regeneration may replace it.
pub(super) fn write(front: &FrontMatter) -> String {
    let yaml = lines(front);
    format!("---\n{yaml}{MARK}{}\n---\n", digest(&yaml))
}

/// Whether the front matter (with fences) is exactly what [`write`] wrote.
pub(super) fn is_untouched(front_text: &str) -> bool {
    let inner = front_text.strip_prefix("---\n").and_then(|text| text.strip_suffix("---\n"));
    let Some((yaml, mark)) = inner.and_then(|text| text.rfind(MARK).map(|at| text.split_at(at))) else {
        return false;
    };
    mark[MARK.len()..].trim_end() == digest(yaml)
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn lines(front: &FrontMatter) -> String {
    let zone = zone_or_utc(&front.timezone);
    let mut out = String::new();
    let incidents: Vec<String> = front.incidents.iter().map(ToString::to_string).collect();
    let _ = writeln!(out, "schema: {}", front.schema);
    let _ = writeln!(out, "id: {}", scalar(&front.id));
    let _ = writeln!(out, "incidents: [{}]", incidents.join(", "));
    let _ = writeln!(out, "title: {}", scalar(&front.title));
    let _ = writeln!(out, "status: {}", front.status.as_str());
    let _ = writeln!(out, "severity: {}", front.severity);
    let _ = writeln!(out, "visibility: {}", front.visibility.as_str());
    if let Some(tenant) = &front.tenant {
        let _ = writeln!(out, "tenant: {}", scalar(tenant));
    }
    for (key, who) in [("owner", &front.owner), ("reviewer", &front.reviewer)] {
        if let Some(person) = who {
            let _ = writeln!(out, "{key}: {}", person_map(person));
        }
    }
    let _ = writeln!(out, "timezone: {}", scalar(&front.timezone));
    times(&mut out, &front.times, &zone);
    if let Some(detection) = front.detection {
        let _ = writeln!(out, "detection: {}", detection.as_str());
    }
    let _ = writeln!(out, "services: {}", list(&front.services));
    impact(&mut out, front);
    comms(&mut out, &front.comms, &zone);
    let _ = writeln!(out, "patterns: {}", list(&front.patterns));
    let glossary: Vec<String> =
        front.glossary.iter().map(|(k, v)| format!("{}: {}", quoted(k), quoted(v))).collect();
    let _ = writeln!(out, "glossary: {{{}}}", glossary.join(", "));
    process(&mut out, front, &zone);
    out
}

/// What is written only where it says something.
fn process(out: &mut String, front: &FrontMatter, zone: &TimeZone) {
    if front.security {
        out.push_str("security: true\n");
    }
    if let Some(outage) = front.outage {
        let _ = writeln!(out, "outage: {}", outage.as_str());
    }
    for (key, names) in [("teams", &front.teams), ("repeats", &front.repeats)] {
        if !names.is_empty() {
            let _ = writeln!(out, "{key}: {}", list(names));
        }
    }
    if let Some(reason) = &front.skip {
        let _ = writeln!(out, "skip: {}", quoted(reason));
    }
    if let Some(stages) = stages(&front.stages, zone) {
        let _ = writeln!(out, "stages: {stages}");
    }
}

/// The stages on one line; none when none is known.
pub(super) fn stages(stages: &Stages, zone: &TimeZone) -> Option<String> {
    let known: Vec<String> = stages
        .named()
        .into_iter()
        .filter_map(|(name, at)| Some(format!("{name}: {}", with_offset(at?, zone))))
        .collect();
    (!known.is_empty()).then(|| format!("{{{}}}", known.join(", ")))
}

fn times(out: &mut String, times: &Times, zone: &TimeZone) {
    let known: Vec<_> = times.named().into_iter().filter_map(|(name, at)| Some((name, at?))).collect();
    if known.is_empty() {
        out.push_str("times: {}\n");
        return;
    }
    out.push_str("times:\n");
    for (name, at) in known {
        let _ = writeln!(out, "  {name}: {}", with_offset(at, zone));
    }
}

fn impact(out: &mut String, front: &FrontMatter) {
    out.push_str(if front.impact.is_empty() { "impact: []\n" } else { "impact:\n" });
    for item in &front.impact {
        let mut fields = vec![
            format!("what: {}", quoted(&item.what)),
            format!("value: {}", number(item.value)),
            format!("unit: {}", quoted(&item.unit)),
        ];
        fields.extend(item.evidence.as_ref().map(|id| format!("evidence: {}", scalar(id))));
        if item.estimate {
            fields.push("estimate: true".to_owned());
        }
        fields.extend(item.why.as_ref().map(|why| format!("why: {}", quoted(why))));
        let _ = writeln!(out, "- {{{}}}", fields.join(", "));
    }
    out.push_str(if front.slo.is_empty() { "slo: []\n" } else { "slo:\n" });
    for item in &front.slo {
        let evidence =
            item.evidence.as_ref().map_or_else(String::new, |id| format!(", evidence: {}", scalar(id)));
        let _ = writeln!(
            out,
            "- {{name: {}, budget_spent: {}{evidence}}}",
            quoted(&item.name),
            number(item.budget_spent)
        );
    }
}

fn comms(out: &mut String, comms: &Communications, zone: &TimeZone) {
    match comms {
        Communications::NotNeeded(reason) => {
            let _ = writeln!(out, "comms: {}", quoted(reason));
        }
        Communications::Sent(sent) if sent.is_empty() => out.push_str("comms: []\n"),
        Communications::Sent(sent) => {
            out.push_str("comms:\n");
            for item in sent {
                let mut fields = Vec::new();
                fields.extend(item.at.map(|at| format!("at: {}", with_offset(at, zone))));
                fields.push(format!("channel: {}", quoted(&item.channel)));
                fields.extend(item.reference.as_ref().map(|text| format!("ref: {}", quoted(text))));
                let _ = writeln!(out, "- {{{}}}", fields.join(", "));
            }
        }
    }
}

fn person_map(person: &Person) -> String {
    let mut fields = Vec::new();
    fields.extend(person.person.as_ref().map(|name| format!("person: {}", scalar(name))));
    fields.extend(person.team.as_ref().map(|name| format!("team: {}", scalar(name))));
    format!("{{{}}}", fields.join(", "))
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| scalar(item)).collect();
    format!("[{}]", items.join(", "))
}

/// Shortest text that reads back to the same double.
fn number(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value:.0}") } else { format!("{value:?}") }
}

/// Plain where that cannot be misread as anything but this text, else quoted.
pub(super) fn scalar(text: &str) -> String {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let word = text.to_ascii_lowercase();
    let reserved =
        matches!(word.as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if first && text.chars().all(inner) && !reserved { text.to_owned() } else { quoted(text) }
}

/// A double-quoted YAML scalar; JSON's escapes are YAML's too.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).expect("a string always serialises");
    // JSON leaves DEL and the C1 controls bare, which YAML does not allow.
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\u{7f}'
            || ('\u{80}'..'\u{a0}').contains(&c)
            || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
        {
            let _ = write!(out, "\\u{:04x}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}
