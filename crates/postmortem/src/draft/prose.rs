use std::fmt::Write as _;

use super::facts::{Entry, Facts};
use super::words::{clock, code, count, day, minute, minutes_between, plain, quoting, short_clock};
use super::{DraftInput, whys};
use crate::Similar;
use crate::chart::Unit;
use crate::document::{
    Communications, Detection, FrontMatter, Impact, SCHEMA, SloImpact, Stages, Status, Visibility, region,
};

/// The front matter: facts only.
pub(super) fn front(input: &DraftInput<'_>, facts: &Facts, id: &str) -> FrontMatter {
    let incident = input.incident;
    let tenant = (incident.tenant != hindsight_model::Tenant::default()).then(|| incident.tenant.to_string());
    let mut services = facts.affected.clone();
    services.extend(facts.suspect.iter().filter(|suspect| !facts.affected.contains(suspect)).cloned());
    FrontMatter {
        schema: SCHEMA.to_owned(),
        id: id.to_owned(),
        incidents: vec![incident.id],
        title: title(facts),
        status: Status::Draft,
        severity: incident.severity,
        visibility: Visibility::Internal,
        tenant,
        owner: None,
        reviewer: None,
        timezone: input.timezone.to_owned(),
        times: facts.times,
        detection: Some(if incident.alerts.is_empty() { Detection::Internal } else { Detection::Alert }),
        services,
        impact: vec![Impact {
            what: format!("failed requests to {}", facts.primary),
            value: facts.failed,
            unit: "requests".to_owned(),
            evidence: Some(facts.blast.id.clone()),
            estimate: false,
            why: None,
        }],
        slo: slos(facts),
        comms: Communications::default(),
        patterns: Vec::new(),
        glossary: Default::default(),
        security: false,
        outage: None,
        teams: Vec::new(),
        repeats: Vec::new(),
        skip: None,
        stages: Stages { draft: Some(input.now), ..Stages::default() },
    }
}

fn slos(facts: &Facts) -> Vec<SloImpact> {
    let Some(evidence) = &facts.slo else { return Vec::new() };
    let read = |row: usize| {
        let budget_spent = evidence.number(row, "budget_spent").filter(|spent| *spent > 0.0)?;
        Some(SloImpact {
            name: evidence.text(row, "slo")?,
            budget_spent,
            evidence: Some(evidence.id.clone()),
        })
    };
    (0..evidence.rows.len()).filter_map(read).collect()
}

/// Who, what, how long; nothing about why (T1, T2).
fn title(facts: &Facts) -> String {
    let duration = duration(facts);
    let service: String = crate::chart::shorten(&facts.primary, 60);
    if facts.failed > 0.0 {
        let share = Unit::Percent.format(facts.failed_share());
        format!("Users of {service} saw {share} of requests fail for {duration}")
    } else {
        format!("Users of {service} saw slow responses for {duration}")
    }
}

fn duration(facts: &Facts) -> String {
    minutes_between(facts.window.impact_start, facts.window.impact_end)
}

/// The body: generated regions for facts, plain prose for what people write.
pub(super) fn body(input: &DraftInput<'_>, facts: &Facts) -> String {
    let mut out = String::new();
    let mut generated = |heading: &str, name: &str, text: &str| {
        let _ = write!(out, "\n{heading}\n\n{}", region(name, text));
    };
    generated("## Summary", "summary", &summary(facts));
    generated("## Timeline", "timeline", &timeline(facts));
    generated("## Impact", "impact", &impact(facts));
    generated("## Five whys", "whys", &whys::whys(facts));
    out.push_str("\n## Incident response\n");
    for (phase, fact) in [
        ("Detection", detection(facts)),
        ("Diagnosis", diagnosis(input, facts)),
        ("Mitigation", mitigation(facts)),
        ("Blast radius", blast(facts)),
    ] {
        let name = phase.to_ascii_lowercase().replace(' ', "-");
        let _ = write!(out, "\n### {phase}\n\n{}", region(&name, &fact));
        let _ = write!(out, "\nWhat would have cut this in half?\n");
    }
    out.push_str(CLOSING);
    out
}

fn summary(facts: &Facts) -> String {
    let zone = &facts.zone;
    let window = &facts.window;
    let ended = facts.times.resolved.is_some();
    let mut text = format!(
        "On {} from {} to {} ({}), {} of {} requests to {} failed ({}) [{}].",
        day(window.impact_start, zone),
        short_clock(window.impact_start, zone),
        minute(window.impact_end, zone),
        duration(facts),
        count(facts.failed),
        count(facts.requests),
        code(&facts.primary),
        Unit::Percent.format(facts.failed_share()),
        facts.blast.id
    );
    if let Some(detected) = facts.times.detected {
        let evidence = facts.alerts.as_ref().map_or(&facts.error_rate.id, |alerts| &alerts.id);
        let delay = minutes_between(window.impact_start, detected);
        let _ =
            write!(text, " The first alert fired after {delay}, at {} [{evidence}].", minute(detected, zone));
    }
    text.push_str(&cause_sentence(facts));
    match facts.returned_at {
        Some(at) => {
            let _ = write!(
                text,
                " Errors returned to baseline at {} [{}].",
                minute(at, zone),
                facts.error_rate.id
            );
        }
        None if ended => {
            let _ = write!(text, " The incident was resolved at {}.", minute(window.impact_end, zone));
        }
        None => {
            let until = minute(window.until, zone);
            let _ = write!(
                text,
                " It was not resolved by {until}, where the data ends [{}].",
                facts.error_rate.id
            );
        }
    }
    text
}

fn cause_sentence(facts: &Facts) -> String {
    let Some((change, at)) = &facts.change else {
        return " The cause is not known yet.".to_owned();
    };
    let service = code(facts.suspect.as_deref().unwrap_or(&facts.primary));
    let when = at.map_or_else(String::new, |at| format!(" at {}", minute(at, &facts.zone)));
    let evidence = facts.change_evidence();
    format!(
        " The suspected cause is {} of {service}, first seen{when} [{evidence}]; the whys below say what is shown and what is still asked.",
        plain(change)
    )
}

fn timeline(facts: &Facts) -> String {
    facts.entries.iter().map(|entry| row(entry, facts)).collect()
}

fn row(entry: &Entry, facts: &Facts) -> String {
    let mut time = clock(entry.at, &facts.zone);
    if day(entry.at, &facts.zone) != day(facts.window.start, &facts.zone) {
        time = format!("{} {time}", day(entry.at, &facts.zone));
    }
    let bold = if entry.milestone { "**" } else { "" };
    let source = if entry.human { "human" } else { "system" };
    let evidence = entry.evidence.as_ref().map_or_else(String::new, |id| format!(" [{id}]"));
    format!("- {bold}{time}{bold} `{}` `{source}` {}{evidence}\n", entry.kind, entry.text)
}

fn impact(facts: &Facts) -> String {
    let mut out = format!(
        "- {} failed requests to {}: {} of {} [{}]\n",
        count(facts.failed),
        code(&facts.primary),
        Unit::Percent.format(facts.failed_share()),
        count(facts.requests),
        facts.blast.id
    );
    for slo in slos(facts) {
        let spent = Unit::Percent.format(slo.budget_spent);
        let id = slo.evidence.unwrap_or_default();
        let _ = writeln!(out, "- {spent} of the error budget of {} spent [{id}]", code(&slo.name));
    }
    if let Some((before, worst, id)) = latency_numbers(facts) {
        let unit = Unit::Nanoseconds;
        let _ = writeln!(
            out,
            "- p95 latency of {} rose from {} to {} at its worst minute [{id}]",
            code(&facts.primary),
            unit.format(before),
            unit.format(worst)
        );
    }
    if let Some(rate) = &facts.request_rate {
        let _ = writeln!(out, "- Traffic of the affected services before, during and after: [{}]", rate.id);
    }
    out
}

/// Median p95 before, and the worst p95 during.
fn latency_numbers(facts: &Facts) -> Option<(f64, f64, &str)> {
    let evidence = facts.latency.as_ref()?;
    let p95 = evidence.series().into_iter().find(|series| series.name == "p95")?;
    let within = |low: jiff::Timestamp, high: jiff::Timestamp| -> Vec<f64> {
        p95.points.iter().filter(|p| p.0 >= low && p.0 < high).filter_map(|p| p.1).collect()
    };
    let mut before = within(facts.window.from, facts.window.start);
    before.sort_by(f64::total_cmp);
    let median = *before.get(before.len() / 2)?;
    let worst = within(facts.window.impact_start, facts.window.impact_end).into_iter().reduce(f64::max)?;
    (worst > median).then_some((median, worst, evidence.id.as_str()))
}

fn detection(facts: &Facts) -> String {
    let evidence = facts.alerts.as_ref().map_or(&facts.error_rate.id, |alerts| &alerts.id);
    match facts.times.detected {
        Some(detected) => format!(
            "Impact started at {}, the first alert fired at {}: {} to detect [{evidence}].",
            minute(facts.window.impact_start, &facts.zone),
            minute(detected, &facts.zone),
            minutes_between(facts.window.impact_start, detected)
        ),
        None => format!(
            "Impact started at {}; no alert of this incident fired [{evidence}].",
            minute(facts.window.impact_start, &facts.zone)
        ),
    }
}

fn diagnosis(input: &DraftInput<'_>, facts: &Facts) -> String {
    let mut out = match (facts.times.detected, facts.times.cause_identified) {
        (Some(from), Some(to)) => {
            format!("The cause was identified {} after detection.\n", minutes_between(from, to))
        }
        _ => "When the cause was identified is not recorded.\n".to_owned(),
    };
    if let Some(suspect) = input.incident.suspects.first() {
        let _ = write!(out, "\nThe evidence points first to {}:\n\n", code(&suspect.service));
        for (reason, evidence) in &facts.reasons {
            let cited = evidence.as_ref().map_or_else(String::new, |id| format!(" [{id}]"));
            let _ = writeln!(out, "- {}{cited}", quoting(reason));
        }
        let cited = [
            facts.by_version.as_ref(),
            facts.work.as_ref().map(|(evidence, _)| evidence),
            facts.resource.as_ref().map(|resource| &resource.evidence),
            facts.errors.as_ref(),
            facts.map.as_ref(),
        ];
        let cited: Vec<String> =
            cited.into_iter().flatten().map(|evidence| format!("[{}]", evidence.id)).collect();
        let _ = writeln!(out, "\nSee {}.", cited.join(" "));
    }
    out.push_str(&traces(facts));
    for similar in input.similar {
        out.push_str(&alike(similar));
    }
    out
}

/// One bad request beside a good one.
fn traces(facts: &Facts) -> String {
    let Some(traces) = facts.traces.as_ref().filter(|traces| !traces.differences.is_empty()) else {
        return String::new();
    };
    let went = if traces.failed { "failed" } else { "was slow" };
    let (service, operation) = (code(&traces.service), code(&traces.operation));
    let mut out = format!(
        "\nOne request {operation} of {service} that {went}, beside one from before that went well [{}]:\n\n",
        traces.evidence
    );
    for difference in &traces.differences {
        let _ = writeln!(out, "- {difference}");
    }
    out
}

/// A past incident that looked alike: what ended it, and, of what was never finished, whether it would have helped.
fn alike(similar: &Similar) -> String {
    let shared: Vec<String> = similar.shared.iter().map(|words| plain(words)).collect();
    let id = similar.incident;
    let mut out = format!(
        "\nIt looks like [{id}](/incidents/{id}) of {}, “{}” ({} alike: {}).",
        similar.opened_at.strftime("%Y-%m-%d"),
        plain(&similar.title),
        Unit::Percent.format(similar.similarity),
        shared.join(", ")
    );
    match similar.mitigation.as_slice() {
        [] => out.push_str(" What ended it is not recorded: who remembers?"),
        said => {
            let said: Vec<String> = said.iter().map(|text| plain(text)).collect();
            let _ =
                write!(out, " It ended with: {}. Would the same have helped here, sooner?", said.join("; "));
        }
    }
    out.push('\n');
    for action in similar.unfinished() {
        let (document, item) = (&action.postmortem, &action.id);
        let what =
            if action.action.is_empty() { String::new() } else { format!(" ({})", plain(&action.action)) };
        let _ = writeln!(
            out,
            "\nWould [{document} {item}](/postmortems/{document}#{item}){what} have prevented this? It is {} since then.",
            action.status.replace('_', " ")
        );
    }
    out
}

fn mitigation(facts: &Facts) -> String {
    let detected = facts.times.detected.unwrap_or(facts.window.impact_start);
    match (facts.times.mitigated, facts.returned_at) {
        (Some(at), back) => format!(
            "Mitigated at {}, {} after detection{} [{}].",
            minute(at, &facts.zone),
            minutes_between(detected, at),
            back.filter(|back| *back != at).map_or_else(String::new, |at| format!(
                "; errors were back at baseline at {}",
                minute(at, &facts.zone)
            )),
            facts.error_rate.id
        ),
        (None, Some(back)) => format!(
            "Errors were back at baseline at {}, {} after detection [{}].",
            minute(back, &facts.zone),
            minutes_between(detected, back),
            facts.error_rate.id
        ),
        (None, None) => format!("No return to baseline is seen in the data [{}].", facts.error_rate.id),
    }
}

fn blast(facts: &Facts) -> String {
    let names: Vec<String> = facts.affected.iter().map(|name| code(name)).collect();
    format!(
        "{} of the requests to {} failed. Services that failed more than before: {} ({} of {} seen) [{}].",
        Unit::Percent.format(facts.failed_share()),
        code(&facts.primary),
        names.join(", "),
        names.len(),
        facts.blast.rows.len(),
        facts.blast.id
    )
}

const CLOSING: &str = "
## Post-incident analysis

How would the same data have led to the cause in half the time? Which question could not be answered?

## What went well

## What went badly

## Where we got lucky

## Lessons

<!-- One a line, numbered, general enough for another team, with the actions that come of it:
L1. Services should watch every constrained resource, not only error rates → A1 -->

## Action items

<!-- One person each, due within 45 days, something to do rather than to investigate. Priority: high answers the root
of chain 1, medium detection or mitigation, low the rest. `why` names the whys it answers, `verify` how its effect is
checked: `sql: … expect …`, `alert: NAME fires on INC-1` or `slo: NAME met for 14d`. -->

| id | action | owner | due | priority | lesson | why | tracker | verify |
|----|--------|-------|-----|----------|--------|-----|---------|--------|
";
