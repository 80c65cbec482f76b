use jiff::Timestamp;

use super::markdown::inline_html;
use crate::chart::{Unit, escape, exact};
use crate::document::{FrontMatter, Times, zone_or_utc};

/// A fact of the head: what it is called, and its value as HTML.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// What a reader wants to know before reading: how bad, how long, how fast, who.
pub(super) fn key_facts(front: &FrontMatter) -> Vec<Fact> {
    let mut facts = vec![fact("Severity", escape(front.severity.as_str()))];
    let times = &front.times;
    let mut push =
        |name: &'static str, value: Option<String>| facts.extend(value.map(|value| fact(name, value)));
    push("Duration", duration(times.impact_start, times.resolved));
    push("Time to detect", duration(times.impact_start, times.detected));
    push("Time to mitigate", duration(times.impact_start, times.mitigated));
    push("When", when(front));
    for impact in &front.impact {
        let estimate = if impact.estimate { " (estimate)" } else { "" };
        let text = format!("{} {} {}{estimate}", exact(impact.value), impact.unit, impact.what);
        let text = if impact.what.contains(&impact.unit) {
            format!("{} {}{estimate}", exact(impact.value), impact.what)
        } else {
            text
        };
        push("Impact", Some(format!("<bdi>{}</bdi> {}", escape(&text), cite(impact.evidence.as_deref()))));
    }
    for slo in &front.slo {
        let spent = Unit::Percent.format(slo.budget_spent);
        let text = format!("{spent} of {}", slo.name);
        push(
            "Error budget spent",
            Some(format!("<bdi>{}</bdi> {}", escape(&text), cite(slo.evidence.as_deref()))),
        );
    }
    push(
        "Services",
        Some(
            front
                .services
                .iter()
                .map(|s| format!("<code>{}</code>", escape(s)))
                .collect::<Vec<_>>()
                .join(" "),
        )
        .filter(|s| !s.is_empty()),
    );
    push("Detected by", front.detection.map(|detection| detection.as_str().to_owned()));
    let incidents: Vec<String> = front.incidents.iter().map(ToString::to_string).collect();
    push("Incident", Some(escape(&incidents.join(", "))).filter(|text| !text.is_empty()));
    for (name, person) in [("Owner", &front.owner), ("Reviewer", &front.reviewer)] {
        let words = |person: &crate::document::Person| {
            let parts: Vec<&str> =
                [&person.person, &person.team].into_iter().flatten().map(String::as_str).collect();
            escape(&parts.join(", "))
        };
        push(name, person.as_ref().map(words).filter(|text| !text.is_empty()));
    }
    facts
}

fn fact(name: &'static str, value: String) -> Fact {
    Fact { name, value }
}

fn cite(id: Option<&str>) -> String {
    id.map_or_else(String::new, |id| inline_html(&format!("[{id}]")))
}

fn duration(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<String> {
    let seconds = to?.as_second() - from?.as_second();
    let minutes = if seconds.abs() >= 60 { (seconds as f64 / 60.0).round() * 60.0 } else { seconds as f64 };
    Some(crate::chart::people_duration(minutes))
}

/// From when to when, with the zone and UTC beside it.
fn when(front: &FrontMatter) -> Option<String> {
    let Times { impact_start, resolved, .. } = front.times;
    let start = impact_start?;
    let zone = zone_or_utc(&front.timezone);
    let local = start.to_zoned(zone.clone());
    let from = local.strftime("%Y-%m-%d %H:%M").to_string();
    let end = resolved
        .map_or_else(|| "now".to_owned(), |at| at.to_zoned(zone.clone()).strftime("%H:%M").to_string());
    let name = local.strftime("%Z").to_string();
    let utc = if name == "UTC" { String::new() } else { format!(" ({} UTC)", start.strftime("%H:%M")) };
    Some(escape(&format!("{from} – {end} {name}{utc}")))
}
