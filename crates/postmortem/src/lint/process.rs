use hindsight_model::IncidentSeverity;
use jiff::SignedDuration;

use super::{Context, Level};
use crate::document::{
    Communications, Detection, Document, Outage, Person, REVIEW_QUESTIONS, Status, Visibility, Why, WhyTree,
    lessons_export,
};

/// A draft is due this long after the resolution (P1).
pub(crate) const DRAFTED_WITHIN: SignedDuration = SignedDuration::from_hours(24);
const PUBLISHED_WITHIN: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Why the worst incidents need a post-mortem (P3).
pub(crate) const CUSTOMERS_HURT: &str = "customers were hurt";
const REVIEWED_FOR: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn check(context: &mut Context<'_>) {
    timely(context);
    reviewed(context);
    needed(context);
    owned(context);
    secure(context);
    communication(context);
}

/// P1. Before publishing these only warn; what is late then stays late and asks for a reason.
fn timely(context: &mut Context<'_>) {
    let document = context.document;
    let (stages, status) = (document.front.stages, document.front.status);
    let line = document.front_line("stages");
    let published = context.from(Status::Published);
    let level = if published { Level::E } else { Level::W };
    let mut late = |message: String| context.found.push(super::finding(level, "P1", line, message));
    if published {
        for (name, at) in [("in_review", stages.in_review), ("published", stages.published)] {
            if at.is_none() {
                late(format!("`stages` does not say when it came to {name}"));
            }
        }
    }
    if let (Some(from), Some(to)) = (stages.in_review, stages.published)
        && to.duration_since(from) < REVIEWED_FOR
    {
        late(format!("it was in review for {}, less than 24 h", hours(to.duration_since(from))));
    }
    let Some(resolved) = document.front.times.resolved else { return };
    let frozen = context.evidence.items.iter().map(|item| item.frozen_at).min();
    if let Some(drafted) = stages.draft.or(frozen)
        && drafted.duration_since(resolved) > DRAFTED_WITHIN
    {
        let after = hours(drafted.duration_since(resolved));
        late(format!("it was drafted {after} after the resolution, more than 24 h"));
    }
    let published_at = if status < Status::Published { context.knowledge.now } else { stages.published };
    if let Some(at) = published_at
        && at.duration_since(resolved) > PUBLISHED_WITHIN
    {
        let days = at.duration_since(resolved).as_hours() / 24;
        let word = if published { "it was published" } else { "it is not published" };
        late(format!("{word} {days} days after the resolution, more than 14"));
    }
}

fn hours(time: SignedDuration) -> String {
    format!("{} h", time.as_hours())
}

/// P2.
fn reviewed(context: &mut Context<'_>) {
    let front = &context.document.front;
    let team = |who: &Option<Person>| who.as_ref().and_then(|who| who.team.clone());
    let line = context.document.front_line("reviewer");
    match (team(&front.owner), team(&front.reviewer)) {
        (_, None) => context.report("P2", line, "no reviewer with a team is named"),
        (owner, reviewer) if owner == reviewer => {
            context.report("P2", line, "owner and reviewer are of one team");
        }
        _ => {}
    }
    let answers = context.document.review();
    for number in 1..=REVIEW_QUESTIONS.len() {
        let answer = answers.iter().find(|answer| answer.question == number);
        if answer.is_none_or(|answer| answer.answer.is_empty()) {
            let line = answer.map_or_else(|| context.line_of_section("Review"), |answer| answer.line);
            context.report("P2", line, format!("review question Q{number} is not answered"));
        }
    }
}

/// P3.
fn needed(context: &mut Context<'_>) {
    let Some(reason) = &context.document.front.skip else { return };
    let line = context.document.front_line("skip");
    if reason.trim().is_empty() {
        context.report("P3", line, "`skip` gives no reason");
    }
    let because = required_because(context.document);
    if !because.is_empty() {
        let message = format!("it may not be skipped: {}", because.join(", "));
        context.report("P3", line, message);
    }
}

/// Why an incident needs a whole post-mortem; empty when it may be skipped with a reason (P3).
pub fn required_because(document: &Document) -> Vec<&'static str> {
    let front = &document.front;
    let customers = front.severity <= IncidentSeverity::Sev2 || front.detection == Some(Detection::Customer);
    [
        (customers, CUSTOMERS_HURT),
        (front.slo.iter().any(|slo| slo.budget_spent >= 1.0), "an SLO was breached"),
        (front.security, "it is about security"),
        (front.outage == Some(Outage::Full), "everything was down"),
        (front.teams.len() >= 2, "it was escalated to several teams"),
    ]
    .into_iter()
    .filter_map(|(holds, why)| holds.then_some(why))
    .collect()
}

/// P5: `(owned by TEAM)` at the end of chain 1, else the team of whoever does the action that answers it.
fn owned(context: &mut Context<'_>) {
    let document = context.document;
    let line = document.front_line("owner");
    let Some(team) = document.front.owner.as_ref().and_then(|owner| owner.team.clone()) else {
        context.report("P5", line, "no owner with a team is named");
        return;
    };
    let tree = document.whys();
    let leaves: Vec<&Why> = tree.leaves().filter(is_end_of_chain_one).collect();
    let Some(leaf) = leaves.last() else { return };
    let teams = leaf.owned_by().map_or_else(|| teams_of_actions(context, leaf), |team| vec![team]);
    if teams.is_empty() {
        let message = format!("{} does not say which team owns it", leaf.number);
        context.report_as(Level::W, "P5", leaf.line, message);
    } else if !teams.iter().any(|other| other.eq_ignore_ascii_case(&team)) {
        let message = format!("the owner is of {team}, but {} is owned by {}", leaf.number, teams.join(", "));
        context.report("P5", leaf.line, message);
    }
}

fn is_end_of_chain_one(why: &&Why) -> bool {
    WhyTree::branch_of(&why.number) == "1" && !why.is_refuted() && why.accepted.is_none()
}

fn teams_of_actions(context: &Context<'_>, leaf: &Why) -> Vec<String> {
    let front = &context.document.front;
    let items = context.document.actions().map(|table| table.items).unwrap_or_default();
    let named = [&front.owner, &front.reviewer];
    let team_of = |person: &str| {
        let here = named.into_iter().flatten().find(|who| who.person.as_deref() == Some(person));
        here.and_then(|who| who.team.clone()).or_else(|| context.knowledge.teams.get(person).cloned())
    };
    items
        .iter()
        .filter(|item| item.whys.contains(&leaf.number) || leaf.actions.contains(&item.id))
        .filter_map(|item| team_of(&item.owner))
        .collect()
}

/// P6.
fn secure(context: &mut Context<'_>) {
    let document = context.document;
    if !document.front.security {
        return;
    }
    if document.front.visibility != Visibility::Restricted {
        let line = document.front_line("visibility");
        context.report("P6", line, "it is about security and its visibility is not `restricted`");
    }
    if !context.from(Status::Published) {
        return;
    }
    let line = document.front_line("security");
    match &context.knowledge.lessons_file {
        None => context.report("P6", line, "there is no redacted lessons.md beside it"),
        Some(text) if *text != lessons_export(document) => {
            context.report("P6", line, "lessons.md is not what the lessons say now");
        }
        Some(_) => {}
    }
}

/// C1.
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
