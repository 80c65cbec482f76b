use super::facts::{Facts, VersionWork};
use super::words::{clock, code, count, minute, minutes_between, plain};
use crate::chart::Unit;

/// The whys: the chain from what customers saw as far as evidence goes, then questions; detection; mitigation.
pub(super) fn whys(facts: &Facts) -> String {
    let mut lines = primary_chain(facts);
    lines.push(String::new());
    lines.extend(detection(facts));
    lines.push(String::new());
    lines.extend(mitigation(facts));
    // A blank line between whys keeps each one a paragraph in any Markdown viewer.
    let mut out = String::new();
    for line in lines.iter().filter(|line| !line.is_empty()) {
        out.push_str(line);
        out.push_str("\n\n");
    }
    out
}

fn primary_chain(facts: &Facts) -> Vec<String> {
    let service = code(&facts.primary);
    let mut chain: Vec<String> = Vec::new();
    let share = Unit::Percent.format(facts.failed_share());
    chain.push(format!(
        "Why did requests of users of {service} fail? → {} of {} requests ({share}) ended with status `error` [{}]",
        count(facts.failed),
        count(facts.requests),
        facts.blast.id
    ));
    chain.extend(error_step(facts));
    chain.extend(resource_step(facts));
    chain.extend(change_step(facts));
    let open = open_questions(facts);
    chain.extend(open);
    chain.into_iter().enumerate().map(|(index, text)| format!("1.{}. {text}", index + 1)).collect()
}

/// The most frequent error that has a name, the suspect's before others'.
fn error_step(facts: &Facts) -> Option<String> {
    let errors = facts.errors.as_ref()?;
    let rank = |row: usize| {
        let kind = errors.text(row, "error_type").unwrap_or_default();
        let named = !kind.starts_with('(') && !kind.chars().all(|c| c.is_ascii_digit());
        let suspect = errors.text(row, "service_name") == facts.suspect;
        (named && suspect, named, std::cmp::Reverse(row))
    };
    let row = (0..errors.rows.len()).max_by_key(|row| rank(*row))?;
    let message = errors.text(row, "message").filter(|text| !text.is_empty());
    let said = message.map_or_else(String::new, |text| format!(" (“{}”)", plain(&text)));
    Some(format!(
        "Why did they end with an error? → {} failing spans of {} carry {}{said} [{}]",
        count(errors.number(row, "failed").unwrap_or(0.0)),
        code(&errors.text(row, "service_name").unwrap_or_default()),
        code(&errors.text(row, "error_type").unwrap_or_default()),
        errors.id
    ))
}

fn resource_step(facts: &Facts) -> Option<String> {
    let resource = facts.resource.as_ref()?;
    Some(format!(
        "Why did these errors appear? → {} of {} went from {} to {} (hypothesis: it is what the requests waited for) [{}]",
        code(&resource.metric),
        code(&resource.service),
        resource.unit.format(resource.before),
        resource.unit.format(resource.peak),
        resource.evidence.id
    ))
}

fn change_step(facts: &Facts) -> Option<String> {
    let (change, at) = facts.change.as_ref()?;
    let service = facts.suspect.as_deref().unwrap_or(&facts.primary);
    let when = at.map_or_else(String::new, |at| {
        let lead = minutes_between(at, facts.window.impact_start);
        format!(" at {}, {lead} before the impact", minute(at, &facts.zone))
    });
    let evidence = facts.change_evidence();
    Some(format!(
        "Why then and not before? → {} of {} was first seen{when} (hypothesis: nearest change) [{evidence}]",
        plain(change),
        code(service)
    ))
}

/// Where evidence ends: questions in the right shape, without answers.
fn open_questions(facts: &Facts) -> Vec<String> {
    let service = code(facts.suspect.as_deref().unwrap_or(&facts.primary));
    let mut questions = Vec::new();
    if let Some((evidence, versions)) = &facts.work
        && let Some((old, new)) = old_and_new(versions)
    {
        questions.push(version_question(&service, old, new, &evidence.id));
    } else {
        questions.push(format!("Why did {service} fail just then, when it had not before?"));
    }
    questions.push(format!(
        "Why did no test, review or staged rollout of {service} show this before customers did?"
    ));
    if questions.len() + 3 < 5 || facts.resource.is_none() || facts.change.is_none() {
        questions.push("Why could this reach every customer at once rather than a few?".to_owned());
    }
    questions
}

/// The versions before and after: the first two by first sight.
fn old_and_new(versions: &[VersionWork]) -> Option<(&VersionWork, &VersionWork)> {
    let mut seen: Vec<&VersionWork> = versions.iter().filter(|v| v.first_seen.is_some()).collect();
    seen.sort_by_key(|version| version.first_seen);
    match seen[..] {
        [old, new, ..] => Some((old, new)),
        _ => None,
    }
}

/// Asks about the largest measured difference between two versions.
fn version_question(service: &str, old: &VersionWork, new: &VersionWork, evidence: &str) -> String {
    let times_more = |before: Option<f64>, after: Option<f64>| {
        let (before, after) = (before?, after?);
        (before > 0.0 && after / before >= 1.5).then(|| (before, after, after / before))
    };
    let new_version = code(&new.version);
    for (what, pair) in [
        ("database calls", times_more(old.database_calls, new.database_calls)),
        ("calls to other services", times_more(old.calls, new.calls)),
    ] {
        if let Some((before, after, ratio)) = pair {
            return format!(
                "Why did {new_version} of {service} make {} × the {what} for one request ({} against {} in {}) [{evidence}]?",
                Unit::None.format(ratio),
                Unit::None.format(after),
                Unit::None.format(before),
                code(&old.version)
            );
        }
    }
    let rates = old.error_rate.zip(new.error_rate).map_or_else(String::new, |(old_rate, new_rate)| {
        let (old_text, new_text) = (Unit::Percent.format(old_rate), Unit::Percent.format(new_rate));
        format!(" ({new_text} of its requests failed, {old_text} in {})", code(&old.version))
    });
    format!("Why does {new_version} of {service} behave differently{rates} [{evidence}]?")
}

fn detection(facts: &Facts) -> Vec<String> {
    let evidence = facts.alerts.as_ref().map_or(&facts.error_rate.id, |alerts| &alerts.id);
    let mut lines = match facts.times.detected {
        Some(detected) => vec![format!(
            "2.1. Why did detection take {}? → The first alert fired at {} [{evidence}]",
            minutes_between(facts.window.impact_start, detected),
            clock(detected, &facts.zone)
        )],
        None => vec!["2.1. Why did no alert detect this?".to_owned()],
    };
    lines.push(match &facts.resource {
        Some(resource) => format!(
            "2.2. Why did no alert on {} of {} fire before customers were hurt?",
            code(&resource.metric),
            code(&resource.service)
        ),
        None => "2.2. Why did nothing fire before customers were hurt?".to_owned(),
    });
    lines
}

fn mitigation(facts: &Facts) -> Vec<String> {
    let detected = facts.times.detected.unwrap_or(facts.window.impact_start);
    let end = facts.times.mitigated.or(facts.returned_at);
    let first = match end {
        Some(end) => format!(
            "3.1. Why did mitigation take {} from detection? → The error rate was back at its baseline at {} [{}]",
            minutes_between(detected, end),
            clock(facts.returned_at.unwrap_or(end), &facts.zone),
            facts.error_rate.id
        ),
        None => "3.1. Why is it not mitigated yet?".to_owned(),
    };
    vec![first, "3.2. Why was the step that ended it not taken sooner, or by itself?".to_owned()]
}
