use std::sync::LazyLock;

use regex::Regex;

use super::Context;
use crate::document::Communications;

static VAGUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(some|many|several|significant(?:ly)?|numerous|a few|lots of|a lot of)\b")
        .expect("the pattern is constant")
});

pub(super) fn check(context: &mut Context<'_>) {
    let document = context.document;
    let line = document.front_line("impact");
    for heading in ["Impact", "Summary"] {
        let Some(section) = document.section(heading) else { continue };
        for found in VAGUE.find_iter(&document.body()[section.range.clone()]) {
            let at = document.line_of(section.range.start + found.start());
            context.report("I1", at, format!("`{}` is not a number", found.as_str()));
        }
    }
    for impact in &document.front.impact {
        if let Some(found) = VAGUE.find(&impact.what) {
            context.report("I1", line, format!("`{}` is not a number", found.as_str()));
        }
        if impact.unit.trim().is_empty() || !impact.value.is_finite() {
            context.report("I2", line, format!("`{}` has no number with a unit", impact.what));
        }
        if impact.estimate && impact.why.as_deref().unwrap_or_default().trim().is_empty() {
            context.report("I2", line, format!("the estimate of `{}` does not say why", impact.what));
        }
    }
    if document.front.impact.is_empty() {
        context.report("I2", line, "there is no impact in numbers");
    }
    communication(context);
    reviewer(context);
}

fn communication(context: &mut Context<'_>) {
    let line = context.document.front_line("comms");
    match &context.document.front.comms {
        Communications::Sent(sent) if sent.is_empty() => {
            context.report("C1", line, "no communication to customers is recorded");
        }
        Communications::NotNeeded(text) => {
            let reason = text.trim().strip_prefix("n/a:").map(str::trim).unwrap_or_default();
            if reason.is_empty() {
                context.report("C1", line, "`comms` says neither what was sent nor why nothing was");
            }
        }
        Communications::Sent(_) => {}
    }
}

fn reviewer(context: &mut Context<'_>) {
    let front = &context.document.front;
    let team = |who: &Option<crate::document::Person>| who.as_ref().and_then(|who| who.team.clone());
    let line = context.document.front_line("reviewer");
    match (team(&front.owner), team(&front.reviewer)) {
        (_, None) => context.report("P2", line, "no reviewer with a team is named"),
        (owner, reviewer) if owner == reviewer => {
            context.report("P2", line, "owner and reviewer are of one team");
        }
        _ => {}
    }
}
