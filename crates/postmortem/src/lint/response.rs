use std::sync::LazyLock;

use regex::Regex;

use super::Context;

const PHASES: [&str; 4] = ["Detection", "Diagnosis", "Mitigation", "Blast radius"];
const QUESTION: &str = "What would have cut this in half?";

static SHARE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d(?:[\d.,]*)\s*(?:%|percent|per cent)").expect("the pattern is constant"));

/// What decides how far a failure spreads, and words that show it was considered.
static CONSIDERED: LazyLock<[(&str, Regex); 4]> = LazyLock::new(|| {
    let of = |words: &str| Regex::new(&format!(r"(?i)\b(?:{words})")).expect("the pattern is constant");
    [
        (
            "cells",
            of(
                r"cells?\b|cellular|shard|bulkhead|partition|isolat|per[- ]region|one region|availability zone",
            ),
        ),
        (
            "gradual rollout",
            of(
                r"gradual|staged|canar|progressive|phased|percentage rollout|blue[/-]green|roll(?:ed|ing)?[- ]?out to \d|rollout (?:to|of) \d|\d+ ?% (?:of|rollout)[^.]*\b(?:first|rollout)",
            ),
        ),
        ("cascade", of(r"cascad|knock-on|domino|spread|propagat|retry storm|upstream|downstream")),
        (
            "circuit breaker",
            of(
                r"circuit[- ]break|breaker|load[- ]shed|shed load|fail(?:s|ed|ing)? fast|back[- ]?off|fallback",
            ),
        ),
    ]
});

pub(super) fn check(context: &mut Context<'_>) {
    let document = context.document;
    for phase in PHASES {
        let Some(section) = document.section(phase) else {
            context.report(
                "R1",
                context.line_of_section("Incident response"),
                format!("there is no `### {phase}`"),
            );
            continue;
        };
        let text = &document.body()[section.range.clone()];
        let answer = text.split_once(QUESTION).map_or("", |(_, after)| after).trim();
        let free = text.to_ascii_lowercase().contains("in half") && !text.contains(QUESTION);
        if answer.is_empty() && !free {
            let message = format!("{phase} does not say what would have cut it in half");
            context.report("R1", section.line, message);
        }
    }
    // What would have helped is not what happened: a share in that answer does not count.
    let blast = document.section_text("Blast radius").split(QUESTION).next().unwrap_or_default();
    if !SHARE.is_match(blast) {
        context.report("R2", context.line_of_section("Blast radius"), "the blast radius has no share");
    }
    let response = document.section_text("Incident response");
    if document.section("Incident response").is_some() {
        let line = context.line_of_section("Incident response");
        for (what, _) in CONSIDERED.iter().filter(|(_, words)| !words.is_match(response)) {
            context.report("R3", line, format!("{what}: not considered"));
        }
    }
    for heading in ["Incident response", "Post-incident analysis"] {
        if document.section(heading).is_none() {
            context.report("R4", 1, format!("there is no `## {heading}`"));
        }
    }
}
