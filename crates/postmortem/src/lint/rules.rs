use serde::Serialize;

use super::Level::{self, E, W};
use crate::document::Status::{self, Draft, InReview, Published};

/// A rule as listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `T3`.
    pub id: &'static str,
    /// How bad a finding is, at most.
    pub level: Level,
    /// First status at which it applies.
    pub from: Status,
    /// What it asks for.
    pub asks: &'static str,
    /// What to do about a finding.
    pub hint: &'static str,
}

/// Every rule this version checks, in the order of POSTMORTEM §6.
pub fn rules() -> &'static [Rule] {
    RULES
}

pub(super) fn level(id: &str) -> Level {
    rule(id).level
}

pub(super) fn hint(id: &str) -> &'static str {
    rule(id).hint
}

pub(super) fn applies_from(id: &str) -> Status {
    rule(id).from
}

fn rule(id: &str) -> &'static Rule {
    RULES
        .iter()
        .find(|rule| rule.id == id)
        .expect("checks report only ids of the table, which a test compares")
}

const fn r(id: &'static str, level: Level, from: Status, asks: &'static str, hint: &'static str) -> Rule {
    Rule { id, level, from, asks, hint }
}

const RULES: &[Rule] = &[
    r(
        "T1",
        W,
        Draft,
        "the title names an affected party and a duration",
        "write it as: Users of X saw Y for N min",
    ),
    r("T2", E, Draft, "the title names no cause", "say what customers saw; the whys say why"),
    r(
        "T3",
        E,
        Draft,
        "duration, place and service agree in title, summary, timeline and front matter",
        "make title, summary and times tell one story; the duration is resolved − impact_start",
    ),
    r(
        "S1",
        E,
        Draft,
        "the summary has at most 200 words with time and zone, an impact number, duration, cause, resolution",
        "add what is missing, in one paragraph a tired person understands",
    ),
    r(
        "TL1",
        E,
        Draft,
        "exactly one trigger, earliest, not after the impact, which is not after detection",
        "keep one `trigger` row and put it first",
    ),
    r(
        "TL2",
        E,
        Draft,
        "rows are sorted and in one zone",
        "sort the rows by time and write all in the document's timezone",
    ),
    r(
        "TL3",
        E,
        Draft,
        "no silence over 10 minutes (W), 15 minutes (E) without a reason",
        "say what happened meanwhile, or add a `gap` row with the reason",
    ),
    r(
        "TL4",
        E,
        Draft,
        "milestones are present and equal to the front matter",
        "make the row and `times:` say the same; add the missing milestone",
    ),
    r("TL5", E, Draft, "roles, not names", "write the role: on-call engineer, incident commander, scribe"),
    r("TL6", W, Draft, "milestones are bold", "write the time of the row as **14:32**"),
    r("TL7", W, InReview, "both system and human rows", "add what people saw, decided and tried"),
    r("TL8", E, Draft, "system rows carry evidence", "cite the evidence that shows it, as [E1]"),
    r("M2", W, Draft, "at most 8 charts", "keep the charts that carry the story"),
    r(
        "M3",
        E,
        Draft,
        "charts share one range, have units and event lines",
        "draft the evidence again over one range, with its events",
    ),
    r(
        "M4",
        E,
        Draft,
        "a caption says what the chart shows and why it matters",
        "add a caption of a sentence to the evidence",
    ),
    r(
        "M5",
        E,
        Draft,
        "evidence is there, intact and embedded; nothing remote",
        "restore the evidence file from version control, or draft again; embed instead of linking images",
    ),
    r(
        "G2",
        W,
        Draft,
        "two or more services have a diagram",
        "add evidence with the calls between the services",
    ),
    r("I1", E, Draft, "no some, many, several, significant", "put the number and its unit"),
    r(
        "I2",
        E,
        Draft,
        "each impact has a number and a unit, estimates say why",
        "add the unit; for an estimate add `why:`",
    ),
    r(
        "W1",
        E,
        Draft,
        "whys are numbered n.m; chain 1 starts customer-facing and has at least 5 from review on",
        "number them 1.1, 1.2 …, start with what customers saw, and ask on",
    ),
    r(
        "W2",
        E,
        Draft,
        "a branch each for detection and mitigation",
        "add 2.1 about detection and 3.1 about mitigation",
    ),
    r(
        "W3",
        E,
        Draft,
        "no leaf stops at human error, process failure or legacy system",
        "ask why the system let it happen",
    ),
    r(
        "W4",
        E,
        InReview,
        "every leaf is reached by an action or accepted with a reason",
        "add an action whose `why` names it, or write `accepted: reason`",
    ),
    r(
        "W5",
        W,
        Draft,
        "an answer has evidence or says it is a hypothesis",
        "cite evidence, or mark it `hypothesis`",
    ),
    r("W6", E, Draft, "the whys form a tree", "give each why its own number and one why it follows from"),
    r(
        "R1",
        E,
        InReview,
        "each phase answers what would have cut it in half",
        "answer it under Detection, Diagnosis, Mitigation and Blast radius",
    ),
    r(
        "R2",
        E,
        Draft,
        "the blast radius has a share affected",
        "write the share of requests or customers hurt, in percent",
    ),
    r("R4", E, Draft, "response and post-incident analysis are apart", "keep both headings"),
    r(
        "L1",
        E,
        InReview,
        "lessons are numbered and linked both ways with actions",
        "write L1. … → A1 and name L1 in A1's lesson column",
    ),
    r("L2", W, InReview, "lessons do not name our own services", "say it so that another team can learn it"),
    r("A1", E, InReview, "one person each, not a team", "name one person"),
    r("A2", E, InReview, "due within 45 days of the resolution", "set a nearer date, or split the action"),
    r(
        "A3",
        E,
        Draft,
        "does not start with investigate, look into, consider, explore",
        "say what will be different when it is done",
    ),
    r("A4", W, Draft, "names what to monitor and a number", "name the signal and its threshold"),
    r(
        "A5",
        E,
        InReview,
        "priority fits the branch it answers",
        "high for chain 1's leaf, medium for detection or mitigation, low for the rest",
    ),
    r("A6", W, Draft, "at most 10 actions", "keep those that would have prevented or halved it"),
    r("A7", E, Draft, "done has a link", "link the change in the tracker column"),
    r(
        "A8",
        W,
        InReview,
        "has a way to verify it",
        "add sql: … expect …, alert: … fires on …, or slo: … met for …",
    ),
    r(
        "A9",
        E,
        Draft,
        "not closed while an action is open",
        "finish the action or mark it wont_do with a reason",
    ),
    r("P2", E, Published, "the reviewer is of another team", "ask somebody outside the owner's team"),
    r(
        "C1",
        E,
        InReview,
        "customer communication is recorded, or n/a with a reason",
        "fill `comms:`, or write comms: \"n/a: reason\"",
    ),
];
