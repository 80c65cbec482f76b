use std::sync::LazyLock;

use regex::Regex;

use super::Context;

const PHASES: [&str; 4] = ["Detection", "Diagnosis", "Mitigation", "Blast radius"];
const QUESTION: &str = "What would have cut this in half?";

static SHARE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d(?:[\d.,]*)\s*(?:%|percent|per cent)").expect("the pattern is constant"));

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
    for heading in ["Incident response", "Post-incident analysis"] {
        if document.section(heading).is_none() {
            context.report("R4", 1, format!("there is no `## {heading}`"));
        }
    }
}
