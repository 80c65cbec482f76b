use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::Context;
use super::durations::said_in;

static PARTY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(users?|customers?|shoppers?|buyers?|sellers?|merchants?|visitors?|guests?|clients?|players?|readers?|viewers?|drivers?|riders?|patients?|members?|subscribers?|partners?|tenants?|callers?|employees?|staff|teams?|developers?|travell?ers?)\b")
        .expect("the pattern is constant")
});
static CAUSE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)\b(exhaust\w*|oom|out of (?:memory|disk|connections|file descriptors)|bugs?|(?:memory|connection|resource|thread) leaks?|leaks?|leaked|leaking",
        r"|(?:mis)?config\w*|deploy\w*|roll-?outs?|rollbacks?|hotfix|root cause|caused?|due to|because|owing to|result of|following an?|after (?:an?|the|its|our) (?:\w+ ){0,2}?(?:change|release|upgrade|update|migration|failover|push)",
        r"|crash\w*|deadlocks?|deadlocked|saturat\w*|overload\w*|regression|(?:schema |data )?migration|expired?|expiry|certificates?|race condition|timeouts? in",
        r"|disk full|full disk|dns|failover|split[- ]brain|null pointer|segfault|kernel|retry storm|thundering herd|cache stampede|gc pause|garbage collection|throttl\w+|human error|power (?:loss|outage)|hardware|fib(?:er|re) cut|feature flag)\b",
    ))
    .expect("the pattern is constant")
});
/// What customers saw, in words that elsewhere name a cause.
static SYMPTOM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)\b(?:(?:un)?able to|could not|cannot|can't|couldn't|failed to|trying to|when|while|from) (?:\w+ ){0,2}?(?:deploy\w*|config\w*|migrat\w*|roll(?:ing)? ?(?:out|back)|failover)\b",
        r"|\b(?:saw|seeing|got|shown|received|met) (?:\w+ ){0,3}?(?:crash\w*|certificate \w+|expired \w+|throttl\w+|bug report\w*|dns \w+|leaked \w+)",
        r"|\bapps? (?:\w+ )?crash(?:ed|es|ing)?\b|\bcertificate (?:warnings?|errors?)\b",
        r"|\bdeploy(?:ment)?s? (?:of \w+ )?(?:were|was|failed|stuck|delayed|waited|queued|took)\b",
        r"|\b(?:saw|found) (?:their )?(?:deploy(?:ment)?s?|migrations?|rollouts?|config\w*|backups?)\b",
    ))
    .expect("the pattern is constant")
});
static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:us|eu|ap|sa|ca|me|af|il|mx)-(?:gov-)?(?:north|south|east|west|central)(?:east|west)?(?:-?\d)?[a-f]?\b")
        .expect("the pattern is constant")
});

pub(super) fn check(context: &mut Context<'_>) {
    names_party_and_duration(context);
    names_no_cause(context);
    duration_agrees(context);
    place_agrees(context);
    service_agrees(context);
}

fn names_party_and_duration(context: &mut Context<'_>) {
    let title = &context.document.front.title;
    let line = context.document.front_line("title");
    if !PARTY.is_match(title) {
        context.report("T1", line, "the title does not say who was affected");
    }
    if said_in(title).is_empty() {
        context.report("T1", line, "the title does not say for how long");
    }
}

fn names_no_cause(context: &mut Context<'_>) {
    // A service may be called `config-api`; its name is not a cause.
    let mut title = context.document.front.title.clone();
    for service in context.document.front.services.iter().filter(|service| service.contains(['-', '_', '.']))
    {
        title = title.replace(service.as_str(), "");
    }
    let title = SYMPTOM.replace_all(&title, " ");
    if let Some(word) = CAUSE.find(&title) {
        let message = format!("the title names a cause: `{}`", word.as_str());
        context.report("T2", context.document.front_line("title"), message);
    }
}

fn duration_agrees(context: &mut Context<'_>) {
    let document = context.document;
    let times = &document.front.times;
    let (Some(start), Some(end)) = (times.impact_start, times.resolved) else { return };
    let minutes = (end.as_second() - start.as_second()) as f64 / 60.0;
    let near = |said: &f64| (said - minutes).abs() <= 1.0;
    for said in said_in(&document.front.title).into_iter().filter(|said| !near(said)) {
        let message = format!("the title says {said} min, impact_start to resolved is {minutes:.0} min");
        context.report("T3", document.front_line("title"), message);
    }
    let summary = document.section_text("Summary");
    let said = said_in(summary);
    if !said.is_empty() && !said.iter().any(near) {
        let message =
            format!("no duration in the summary is the {minutes:.0} min from impact_start to resolved");
        context.report("T3", context.line_of_section("Summary"), message);
    }
}

/// Regions named in the title must be regions named elsewhere in the document, when any are.
fn place_agrees(context: &mut Context<'_>) {
    let document = context.document;
    let in_title = places(&document.front.title);
    let elsewhere = places(document.body());
    if in_title.is_empty() || elsewhere.is_empty() {
        return;
    }
    let fits = |place: &String| {
        elsewhere.iter().any(|other| other.starts_with(place.as_str()) || place.starts_with(other.as_str()))
    };
    for place in in_title.iter().filter(|place| !fits(place)) {
        let others: Vec<&str> = elsewhere.iter().map(String::as_str).collect();
        let message = format!("the title says {place}, the document says {}", others.join(", "));
        context.report("T3", document.front_line("title"), message);
    }
}

fn places(text: &str) -> BTreeSet<String> {
    PLACE.find_iter(text).map(|place| place.as_str().to_ascii_lowercase()).collect()
}

/// At least one of the services of the front matter is what title or summary speak of.
fn service_agrees(context: &mut Context<'_>) {
    let document = context.document;
    let services = &document.front.services;
    if services.is_empty() {
        return;
    }
    let text = format!("{}\n{}", document.front.title, document.section_text("Summary")).to_lowercase();
    if !services.iter().any(|service| text.contains(&service.to_lowercase())) {
        let message = format!("neither title nor summary names one of the services: {}", services.join(", "));
        context.report("T3", document.front_line("services"), message);
    }
}
