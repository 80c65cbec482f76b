use serde::Serialize;

use super::Level::{self, E, W};
use crate::document::Status::{self, Approved, Draft, InReview};

/// A rule as listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `T3`.
    pub id: &'static str,
    /// How bad a finding is, at most.
    pub level: Level,
    /// What part of the document it is about.
    pub area: Area,
    /// First status at which it applies.
    pub from: Status,
    /// What it asks for.
    pub asks: &'static str,
    /// Why.
    pub why: &'static str,
    /// What to do about a finding.
    pub hint: &'static str,
}

/// The part of a document that a rule is about, as POSTMORTEM §6 groups them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Title and summary.
    Title,
    /// Timeline.
    Timeline,
    /// Charts.
    Charts,
    /// Glossary and diagram.
    Glossary,
    /// Impact.
    Impact,
    /// Five whys.
    Whys,
    /// Response and analysis.
    Response,
    /// Lessons.
    Lessons,
    /// Action items.
    Actions,
    /// Process.
    Process,
    /// Patterns.
    Patterns,
    /// The lint itself.
    Lint,
}

impl Area {
    /// Whether it is asked of a document that says why it is not a whole one (P3).
    pub(super) fn applies_to_skipped(self) -> bool {
        matches!(self, Self::Title | Self::Impact | Self::Process | Self::Lint)
    }
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

pub(super) fn rule(id: &str) -> &'static Rule {
    RULES
        .iter()
        .find(|rule| rule.id == id)
        .expect("checks report only ids of the table, which a test compares")
}

const fn r(
    id: &'static str,
    level: Level,
    area: Area,
    from: Status,
    [asks, why, hint]: [&'static str; 3],
) -> Rule {
    Rule { id, level, area, from, asks, why, hint }
}

const RULES: &[Rule] = &[
    r(
        "T1",
        W,
        Area::Title,
        Draft,
        [
            "the title names an affected party and a duration",
            "a list of post-mortems is read by title; who and how long say whether to read on",
            "write it as: Users of X saw Y for N min",
        ],
    ),
    r(
        "T2",
        E,
        Area::Title,
        Draft,
        [
            "the title names no cause",
            "a cause in the title ends the search for others before it began",
            "say what customers saw; the whys say why",
        ],
    ),
    r(
        "T3",
        E,
        Area::Title,
        Draft,
        [
            "duration, place and service agree in title, summary, timeline and front matter",
            "a document that contradicts itself is believed in nothing",
            "make title, summary and times tell one story; the duration is resolved − impact_start",
        ],
    ),
    r(
        "S1",
        E,
        Area::Title,
        Draft,
        [
            "the summary has at most 200 words with time and zone, an impact number, duration, cause, resolution and what customers were told",
            "most readers read nothing else",
            "add what is missing, in one paragraph a tired person understands",
        ],
    ),
    r(
        "TL1",
        E,
        Area::Timeline,
        Draft,
        [
            "exactly one trigger, earliest, not after the impact, which is not after detection",
            "times to detect and to mitigate are counted from it",
            "keep one `trigger` row and put it first",
        ],
    ),
    r(
        "TL2",
        E,
        Area::Timeline,
        Draft,
        [
            "rows are sorted and in one zone",
            "people compare rows by eye",
            "sort the rows by time and write all in the document's timezone",
        ],
    ),
    r(
        "TL3",
        E,
        Area::Timeline,
        Draft,
        [
            "no silence over 10 minutes (W), 15 minutes (E) without a reason",
            "what is left out is often where the time went",
            "say what happened meanwhile, or add a `gap` row with the reason",
        ],
    ),
    r(
        "TL4",
        E,
        Area::Timeline,
        Draft,
        [
            "milestones are present and equal to the front matter",
            "figures are counted from the front matter, people read the rows",
            "make the row and `times:` say the same; add the missing milestone",
        ],
    ),
    r(
        "TL5",
        E,
        Area::Timeline,
        Draft,
        [
            "roles, not names",
            "a name invites blame, and a reader learns nothing from it",
            "write the role: on-call engineer, incident commander, scribe",
        ],
    ),
    r(
        "TL6",
        W,
        Area::Timeline,
        Draft,
        [
            "milestones are bold",
            "the eye finds the story among the rows",
            "write the time of the row as **14:32**",
        ],
    ),
    r(
        "TL7",
        W,
        Area::Timeline,
        InReview,
        [
            "both system and human rows",
            "telemetry alone does not say what people knew and decided",
            "add what people saw, decided and tried",
        ],
    ),
    r(
        "TL8",
        E,
        Area::Timeline,
        Draft,
        [
            "system rows carry evidence",
            "a machine's row can be shown",
            "cite the evidence that shows it, as [E1]",
        ],
    ),
    r(
        "TL9",
        W,
        Area::Timeline,
        Draft,
        [
            "times of alerts and deployments are within 60 s of telemetry",
            "memory is minutes off under stress",
            "take the time from telemetry, or from the frozen alert history",
        ],
    ),
    r(
        "M1",
        E,
        Area::Charts,
        InReview,
        [
            "charts of the error rate, the failed resource and the business impact, with a baseline",
            "without what was normal no reader can judge what was not",
            "freeze evidence with a chart of what is missing",
        ],
    ),
    r(
        "M2",
        W,
        Area::Charts,
        Draft,
        ["at most 8 charts", "nobody compares nine", "keep the charts that carry the story"],
    ),
    r(
        "M3",
        E,
        Area::Charts,
        Draft,
        [
            "charts share one range, have units and event lines",
            "only charts on one axis can be laid over each other",
            "draft the evidence again over one range, with its events",
        ],
    ),
    r(
        "M4",
        E,
        Area::Charts,
        Draft,
        [
            "a caption says what the chart shows and why it matters",
            "a chart does not say what to look at",
            "add a caption of a sentence to the evidence",
        ],
    ),
    r(
        "M5",
        E,
        Area::Charts,
        Draft,
        [
            "evidence is there, intact and embedded; nothing remote",
            "links rot, and what is remote can be changed",
            "restore the evidence file from version control, or draft again; embed instead of linking images",
        ],
    ),
    r(
        "G1",
        W,
        Area::Glossary,
        Draft,
        [
            "acronyms are explained",
            "readers of other teams stop at the first one",
            "add it to `glossary:`, or write it out once: Relational Database Service (RDS)",
        ],
    ),
    r(
        "G2",
        W,
        Area::Glossary,
        Draft,
        [
            "two or more services have a diagram",
            "who calls whom is not read out of prose",
            "add evidence with the calls between the services",
        ],
    ),
    r(
        "I1",
        E,
        Area::Impact,
        Draft,
        [
            "no some, many, several, significant",
            "vague words hide that nobody counted",
            "put the number and its unit",
        ],
    ),
    r(
        "I2",
        E,
        Area::Impact,
        Draft,
        [
            "each impact has a number and a unit, estimates say why",
            "numbers without units cannot be compared, estimates without reasons not believed",
            "add the unit; for an estimate add `why:`",
        ],
    ),
    r(
        "I3",
        W,
        Area::Impact,
        Draft,
        [
            "stored numbers are those of their evidence, and of its SQL run again, ± 1 %",
            "a number typed by hand drifts from what was measured",
            "take the number from the evidence, or freeze it again and say what changed",
        ],
    ),
    r(
        "W1",
        E,
        Area::Whys,
        Draft,
        [
            "whys are numbered n.m; chain 1 starts customer-facing and has at least 5 from review on",
            "a chain that starts inside the system answers a question no customer asked",
            "number them 1.1, 1.2 …, start with what customers saw, and ask on",
        ],
    ),
    r(
        "W2",
        E,
        Area::Whys,
        Draft,
        [
            "a branch each for detection and mitigation",
            "the next outage is another, but it is found and ended by the same people and tools",
            "add 2.1 about detection and 3.1 about mitigation",
        ],
    ),
    r(
        "W3",
        E,
        Area::Whys,
        Draft,
        [
            "no leaf stops at human error, process failure or legacy system",
            "nothing can be built against them; the question is what let them hurt",
            "ask why the system let it happen",
        ],
    ),
    r(
        "W4",
        E,
        Area::Whys,
        InReview,
        [
            "every leaf is reached by an action or accepted with a reason",
            "what was found and not acted on will be found again",
            "add an action whose `why` names it, or write `accepted: reason`",
        ],
    ),
    r(
        "W5",
        W,
        Area::Whys,
        Draft,
        [
            "an answer has evidence or says it is a hypothesis; a judged hypothesis cites what judged it",
            "stories grow certain by being told",
            "cite evidence, or mark it `hypothesis`",
        ],
    ),
    r(
        "W6",
        E,
        Area::Whys,
        Draft,
        [
            "the whys form a tree",
            "a circle explains itself, a gap nothing",
            "give each why its own number and one why it follows from",
        ],
    ),
    r(
        "R1",
        E,
        Area::Response,
        InReview,
        [
            "each phase answers what would have cut it in half",
            "it is the question whose answers become actions",
            "answer it under Detection, Diagnosis, Mitigation and Blast radius",
        ],
    ),
    r(
        "R2",
        E,
        Area::Response,
        Draft,
        [
            "the blast radius has a share affected",
            "a count says little without what it is part of",
            "write the share of requests or customers hurt, in percent",
        ],
    ),
    r(
        "R3",
        W,
        Area::Response,
        InReview,
        [
            "cells, gradual rollout, cascade and circuit breaker were considered",
            "these four decide how far the next failure spreads",
            "say of each under Incident response whether it was there and whether it would have helped",
        ],
    ),
    r(
        "R4",
        E,
        Area::Response,
        Draft,
        [
            "response and post-incident analysis are apart",
            "what was done is one thing, what is thought of it later another",
            "keep both headings",
        ],
    ),
    r(
        "L1",
        E,
        Area::Lessons,
        InReview,
        [
            "lessons are numbered and linked both ways with actions",
            "a lesson without an action is a wish, an action without a lesson a habit",
            "write L1. … → A1 and name L1 in A1's lesson column",
        ],
    ),
    r(
        "L2",
        W,
        Area::Lessons,
        InReview,
        [
            "lessons do not name our own services",
            "a lesson about one service teaches one team",
            "say it so that another team can learn it",
        ],
    ),
    r(
        "L3",
        W,
        Area::Lessons,
        InReview,
        [
            "a lesson does not restate its action",
            "what to do is not yet what was learned",
            "say what is true in general that you did not know before",
        ],
    ),
    r(
        "A1",
        E,
        Area::Actions,
        InReview,
        ["one person each, not a team", "what everybody owns nobody does", "name one person"],
    ),
    r(
        "A2",
        E,
        Area::Actions,
        InReview,
        [
            "due within 45 days of the resolution",
            "what is further away is not done",
            "set a nearer date, or split the action",
        ],
    ),
    r(
        "A3",
        E,
        Area::Actions,
        Draft,
        [
            "does not start with investigate, look into, consider, explore",
            "it can be done without anything being different",
            "say what will be different when it is done",
        ],
    ),
    r(
        "A4",
        W,
        Area::Actions,
        Draft,
        [
            "names what to monitor and a number",
            "better monitoring is a direction, not an action",
            "name the signal and its threshold",
        ],
    ),
    r(
        "A5",
        E,
        Area::Actions,
        InReview,
        [
            "priority fits the branch it answers",
            "the root of chain 1 comes first",
            "high for chain 1's leaf, medium for detection or mitigation, low for the rest",
        ],
    ),
    r(
        "A6",
        W,
        Area::Actions,
        Draft,
        [
            "at most 10 actions",
            "who boils the ocean cooks nothing",
            "keep those that would have prevented or halved it",
        ],
    ),
    r(
        "A7",
        E,
        Area::Actions,
        Draft,
        [
            "done has a link",
            "done without a change to look at is a word",
            "link the change in the tracker column",
        ],
    ),
    r(
        "A8",
        W,
        Area::Actions,
        InReview,
        [
            "has a way to verify it",
            "done is not yet works",
            "add sql: … expect …, alert: … fires on …, or slo: … met for …",
        ],
    ),
    r(
        "A9",
        E,
        Area::Actions,
        Draft,
        [
            "not closed while an action is open",
            "a closed document is not looked at again",
            "finish the action or mark it wont_do with a reason",
        ],
    ),
    r(
        "P1",
        E,
        Area::Process,
        Draft,
        [
            "drafted within 24 h of the resolution, published within 14 days, in review for at least 24 h (W before publishing)",
            "memory fades in days, and a review of an hour reviews nothing",
            "be earlier next time; here say why by lint-ignore: P1 reason",
        ],
    ),
    r(
        "P2",
        E,
        Area::Process,
        Approved,
        [
            "the reviewer is of another team and the five review questions are answered",
            "the own team does not see its own assumptions",
            "ask somebody outside the owner's team, and answer Q1 to Q5 under ## Review",
        ],
    ),
    r(
        "P3",
        E,
        Area::Process,
        Draft,
        [
            "skipped only with a reason, and not when customers were hurt, an SLO was breached, it is about security, everything was down, or several teams were called",
            "those that hurt most are those nobody has time to write about",
            "write the whole post-mortem and take `skip` out, or give the reason",
        ],
    ),
    r(
        "P5",
        E,
        Area::Process,
        InReview,
        [
            "the owner's team owns the end of chain 1",
            "who cannot change the cause can only write about it",
            "make an owner of the team that owns the fix, and end the leaf with (owned by TEAM)",
        ],
    ),
    r(
        "P6",
        E,
        Area::Process,
        Draft,
        [
            "security is restricted, with redacted lessons beside it once published",
            "details help attackers, lessons help everybody",
            "set visibility: restricted, and run hindsight postmortem export-lessons",
        ],
    ),
    r(
        "C1",
        E,
        Area::Process,
        InReview,
        [
            "customer communication is recorded, or n/a with a reason",
            "customers remember what they were told",
            "fill `comms:`, or write comms: \"n/a: reason\"",
        ],
    ),
    r(
        "X1",
        W,
        Area::Patterns,
        Draft,
        [
            "a pattern of the list, and not for the third time in 90 days without a systemic notice",
            "the third time it is not this service",
            "tag from the list; write `## Systemic notice` with what the three have in common",
        ],
    ),
    r(
        "X2",
        W,
        Area::Patterns,
        Draft,
        [
            "a repeat names the action of last time that is not done",
            "the cheapest fix is the one already decided",
            "name it, as PM-2026-003 A2, and say what became of it",
        ],
    ),
    r(
        "LI1",
        E,
        Area::Lint,
        Draft,
        [
            "a lint-ignore names a rule and gives a reason",
            "a silent exception is forgotten",
            "write <!-- lint-ignore: ID reason -->",
        ],
    ),
];
