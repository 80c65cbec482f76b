use std::sync::LazyLock;

use jiff::civil::Date;
use regex::Regex;

use super::Context;
use crate::document::{ActionItem, ActionStatus, Priority, Status, WhyTree, zone_or_utc};

const MAX_ACTIONS: usize = 10;
const MAX_DAYS: i32 = 45;

static TEAM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(\bteam\b|\bsquad\b|\bgroup\b|\bon-?call\b|,|&|/|\band\b)")
        .expect("the pattern is constant")
});
static IDLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)^\W*(investigate|look (?:in(?:to)?|at)|consider|explore|think about|discuss|research|evaluate|assess|analy[sz]e",
        r"|examine|figure out|find out|brainstorm|study|understand|determine|check (?:if|whether)|see (?:if|whether|why))\b(?:\s|[:,]|$)",
    ))
    .expect("the pattern is constant")
});
/// A noun phrase such as `Explore tab` starts with the word and is no order to explore.
static IDLE_NOUN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\W*(?:Explore|Study|Research|Discuss) (?:tab|page|view|team|endpoint|API|service|button|feature)\b")
        .expect("the pattern is constant")
});
/// To make or better monitoring: the verb, at most a few words, the noun.
static MONITOR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)^\W*(?:(?:improve|add|better|more|create|set up|extend|enhance|increase|introduce|expand|strengthen|tighten|write|build|have|implement|tune)\s+",
        r"(?:(?:[\w'/.`-]+)\s+){0,4}?(?:monitoring|alerting|alarming|observability|alerts?|alarms?|visibility|telemetry|dashboards?)\b",
        r"|(?:alert|alarm|page|monitor|watch)\s+(?:on|when|if|for|the|all|us|our|[a-z-]+)\b)",
    ))
    .expect("the pattern is constant")
});
/// The thing added hangs on an alert, it is not the alert.
static ATTACHED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^\W*\w+(?:\s+up)?\s+(?:[\w'`-]+\s+){0,4}?(?:to|in|into|from|of|about|runbooks?|owners?|descriptions?|links?|tests?)\s")
        .expect("the pattern is constant")
});
/// A number to compare with, not a count of things.
static THRESHOLD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)(?:above|over|below|under|at|exceeds?|than|within|after|reach(?:es)?|drops? to|every|>=?|<=?|≥|≤)\s*(?:least |most )?\d",
        r"|\b\d{1,2}s\b|\d\s?(?:%|percent|ms\b|sec|min|h\b|hours?|days?|mb\b|gb\b|mib\b|gib\b|rps\b|x\b|×)|\d s\b",
    ))
    .expect("the pattern is constant")
});

pub(super) fn check(context: &mut Context<'_>) {
    let Ok(table) = context.document.actions() else { return };
    if table.items.len() > MAX_ACTIONS {
        let message = format!("{} actions are more than {MAX_ACTIONS}", table.items.len());
        context.report("A6", table.line, message);
    }
    let resolved = context.document.front.times.resolved;
    let zone = zone_or_utc(&context.document.front.timezone);
    let resolved = resolved.map(|at| at.to_zoned(zone).date());
    let tree = context.document.whys();
    for item in &table.items {
        owner(context, item);
        due(context, item, resolved);
        words(context, item);
        priority(context, item, &tree);
        state(context, item);
    }
}

fn owner(context: &mut Context<'_>, item: &ActionItem) {
    let front = &context.document.front;
    let teams = [&front.owner, &front.reviewer].into_iter().flatten().filter_map(|who| who.team.as_ref());
    let is_team = teams.into_iter().any(|team| team.eq_ignore_ascii_case(&item.owner));
    if item.owner.is_empty() {
        context.report("A1", item.line, format!("{} has no owner", item.id));
    } else if is_team || TEAM.is_match(&item.owner) {
        context.report(
            "A1",
            item.line,
            format!("{} belongs to `{}`, not to one person", item.id, item.owner),
        );
    }
}

fn due(context: &mut Context<'_>, item: &ActionItem, resolved: Option<Date>) {
    let Some(due) = item.due else {
        context.report("A2", item.line, format!("{} has no due date", item.id));
        return;
    };
    let Some(resolved) = resolved else { return };
    let days = (due - resolved).get_days();
    if days > MAX_DAYS {
        context.report("A2", item.line, format!("{} is due {days} days after the resolution", item.id));
    }
}

fn words(context: &mut Context<'_>, item: &ActionItem) {
    if let Some(found) = IDLE.captures(&item.action)
        && !IDLE_NOUN.is_match(&item.action)
    {
        context.report("A3", item.line, format!("{} starts with `{}`", item.id, &found[1]));
    }
    let monitors = MONITOR.find(&item.action);
    let attached = |found: &str| ATTACHED.is_match(&format!("{found} "));
    if monitors.is_some_and(|found| !attached(found.as_str())) && !THRESHOLD.is_match(&item.action) {
        context.report("A4", item.line, format!("{} does not say which signal at which number", item.id));
    }
}

/// High answers a leaf of chain 1, medium detection or mitigation (branches 2 and 3).
fn priority(context: &mut Context<'_>, item: &ActionItem, tree: &WhyTree) {
    let Some(priority) = item.priority else {
        context.report("A5", item.line, format!("{} has no priority", item.id));
        return;
    };
    let chain_leaves: Vec<&str> =
        tree.leaves().map(|why| why.number.as_str()).filter(|n| n.starts_with("1.")).collect();
    let branch = |names: &[&str]| item.whys.iter().any(|why| names.contains(&WhyTree::branch_of(why)));
    let root = item.whys.iter().any(|why| chain_leaves.contains(&why.as_str()));
    let fits = match priority {
        Priority::High => branch(&["1"]),
        Priority::Medium => branch(&["2", "3"]) || (branch(&["1"]) && !root),
        Priority::Low => !root,
    };
    if !fits {
        let whys = if item.whys.is_empty() { "no why".to_owned() } else { item.whys.join(", ") };
        context.report("A5", item.line, format!("{} is {} and answers {whys}", item.id, priority.as_str()));
    }
}

fn state(context: &mut Context<'_>, item: &ActionItem) {
    let done = matches!(item.status, ActionStatus::Done | ActionStatus::Verified);
    if done && item.tracker.is_empty() {
        context.report("A7", item.line, format!("{} is {} without a link", item.id, item.status.as_str()));
    }
    if item.verify.is_empty() && item.status != ActionStatus::WontDo {
        context.report("A8", item.line, format!("{} has no way to verify it", item.id));
    }
    if context.from(Status::Closed) && !done && item.status != ActionStatus::WontDo {
        let message = format!("{} is {} in a closed document", item.id, item.status.as_str());
        context.report("A9", item.line, message);
    }
}
