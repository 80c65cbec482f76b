use std::sync::LazyLock;

use regex::Regex;

use super::{Context, just_before};
use crate::document::{Standing, Status, Why, WhyTree};

/// Whys of chain 1 that a reviewed document has at least.
const MIN_CHAIN: usize = 5;

static CUSTOMER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(users?|customers?|shoppers?|requests?|checkouts?|orders?|pages?|logins?|payments?|responses?|visitors?|clients?|calls?|deliver\w*|messages?)\b")
        .expect("the pattern is constant")
});
static BLAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)\b(?:(?:human|operator|user|pilot|engineer(?:'s|ing)?|manual|developer) (?:error|mistake)s?",
        r"|(?:error|mistake|oversight|typo|slip) (?:by|of|made by|on the part of) (?:the |an? |our )?(?:\w+ )?(?:engineer|operator|developer|team|admin\w*|on-call|reviewer|person|colleague|dba|contractor|intern)s?",
        r"|process (?:failure|was (?:not|n't) followed|wasn't followed)|(?:failed to|did not|didn't) follow (?:the )?(?:process|procedure|runbook|checklist|policy|guidelines?)",
        r"|legacy (?:systems?|code|software|stack|application|service)|tech(?:nical)? debt",
        r"|(?:someone|somebody|he|she|they|(?:the |an? )?(?:\w+ )?(?:engineer|operator|developer|admin\w*|dba|contractor|reviewer|on-call)) (?:simply |just )?(?:forgot|made a mistake|was careless|overlooked|did ?n[o']t pay attention|mistyped|was not careful|misconfigured|messed up)",
        r"|careless(?:ness)?|negligen(?:ce|t)|lack of (?:care|attention|discipline|diligence|training)|inattention|incompeten\w+|(?:bad|poor) judge?ment|should have (?:known|checked|noticed|been more careful))\b",
    ))
    .expect("the pattern is constant")
});
/// Just before a word of blame: the answer says it was not that.
static DENIAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:not|no|never|rather than|instead of|beyond|more than|isn't|wasn't)(?: an?| a| the| just| only| merely| about| simply)*\s+$")
        .expect("the pattern is constant")
});

pub(super) fn check(context: &mut Context<'_>) {
    let tree = context.document.whys();
    let section = context.line_of_section("Five whys");
    chain_one(context, &tree, section);
    for (branch, about) in [("2", "detection"), ("3", "mitigation")] {
        if !tree.nodes.iter().any(|why| WhyTree::branch_of(&why.number) == branch) {
            context.report("W2", section, format!("there is no branch {branch} about {about}"));
        }
    }
    for leaf in tree.leaves() {
        let words = leaf.answer.as_deref().unwrap_or(&leaf.question);
        if let Some(found) = blamed(words) {
            context.report("W3", leaf.line, format!("{} stops at `{found}`", leaf.number));
        }
    }
    leaves_are_reached(context, &tree);
    for why in &tree.nodes {
        if why.answer.is_some() && why.evidence.is_empty() && !why.hypothesis && why.accepted.is_none() {
            let message =
                format!("the answer of {} has no evidence and is not called a hypothesis", why.number);
            context.report("W5", why.line, message);
        }
        let judged = matches!(why.standing, Standing::Confirmed | Standing::Refuted);
        if judged && why.evidence.is_empty() {
            let message = format!("the hypothesis of {} is judged without evidence", why.number);
            context.report("W5", why.line, message);
        }
    }
    for (line, fault) in &tree.faults {
        context.report("W6", *line, fault.clone());
    }
}

/// What an answer must not end at; not where the answer denies it.
fn blamed(words: &str) -> Option<&str> {
    let found = BLAME.find_iter(words).find(|found| !DENIAL.is_match(just_before(words, found.start())))?;
    Some(found.as_str())
}

fn chain_one(context: &mut Context<'_>, tree: &WhyTree, section: usize) {
    let chain: Vec<&Why> = tree.nodes.iter().filter(|why| WhyTree::branch_of(&why.number) == "1").collect();
    let Some(first) = chain.first() else {
        context.report("W1", section, "there is no chain 1; whys are written as `1.1. Why …? → …`");
        return;
    };
    if !CUSTOMER.is_match(&first.question) {
        context.report("W1", first.line, format!("{} does not start with what customers saw", first.number));
    }
    if context.from(Status::InReview) && chain.len() < MIN_CHAIN {
        let message = format!("chain 1 has {} whys, fewer than {MIN_CHAIN}", chain.len());
        context.report("W1", first.line, message);
    }
}

fn leaves_are_reached(context: &mut Context<'_>, tree: &WhyTree) {
    let items = context.document.actions().map(|table| table.items).unwrap_or_default();
    let leaves: Vec<&Why> = tree.leaves().filter(|leaf| !leaf.is_refuted()).collect();
    for leaf in leaves {
        let by_table = items.iter().any(|item| item.whys.contains(&leaf.number));
        let by_name = leaf.actions.iter().any(|name| items.iter().any(|item| item.id == *name));
        if !by_table && !by_name && leaf.accepted.is_none() {
            context.report(
                "W4",
                leaf.line,
                format!("{} leads to no action and is not accepted", leaf.number),
            );
        }
    }
}
