use serde::Serialize;

/// A recurring pattern that a post-mortem may be tagged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pattern {
    /// Its name in `patterns:`.
    pub id: &'static str,
    /// When to use it.
    pub when: &'static str,
    /// What it says about the organisation when it comes again and again.
    pub means: &'static str,
}

/// The controlled list. Names are never taken away, so that old documents keep their tags.
pub const PATTERNS: &[Pattern] = &[
    p(
        "monitoring-gap",
        "nothing watched what ran out or broke",
        "alerts follow symptoms of the last outage; watch every constrained resource of every service",
    ),
    p(
        "alert-noise",
        "the alert fired and was not believed",
        "too many alerts ask for nothing; delete or fix those nobody acts on",
    ),
    p("slow-detection", "customers noticed first", "what customers feel is not measured; write SLOs for it"),
    p("test-coverage", "no test exercised what broke", "the riskiest paths are not the tested ones"),
    p(
        "test-env-drift",
        "tests passed on data or settings unlike production",
        "staging gives false comfort; make it like production or test in production, guarded",
    ),
    p(
        "deployment",
        "a change of code or settings set it off",
        "changes reach everybody at once; roll out gradually and stop by themselves",
    ),
    p(
        "configuration-drift",
        "machines that should be alike were not",
        "settings are changed by hand; keep them in version control and apply them from there",
    ),
    p(
        "slow-rollback",
        "undoing took longer than finding",
        "rollback is not rehearsed, or not possible; make it one step",
    ),
    p(
        "manual-process",
        "a step done by hand went wrong or was left out",
        "the procedure leans on attention; automate it or guard it",
    ),
    p("capacity", "demand outgrew what was there", "growth is not forecast; set headroom and watch it"),
    p(
        "retry-storm",
        "retries made it worse",
        "clients retry without limit or back-off; add budgets and breakers",
    ),
    p(
        "dependency-failure",
        "something outside failed and took us with it",
        "dependencies are trusted; add timeouts, fallbacks and bulkheads",
    ),
    p(
        "single-point-of-failure",
        "one thing failed and nothing took over",
        "redundancy is assumed, not tested",
    ),
    p("data-loss", "data was lost or wrong", "restores are not rehearsed"),
    p("expiry", "a certificate, licence, token or quota ran out", "expiry dates are in heads, not in alerts"),
    p("unclear-ownership", "nobody knew whose it was", "services without a team; write down who owns what"),
    p(
        "missing-runbook",
        "people had to work out the steps under stress",
        "knowledge is in a few heads; write and rehearse",
    ),
];

const fn p(id: &'static str, when: &'static str, means: &'static str) -> Pattern {
    Pattern { id, when, means }
}

/// The pattern of this name, if it is on the list.
pub fn pattern(id: &str) -> Option<&'static Pattern> {
    PATTERNS.iter().find(|pattern| pattern.id == id)
}
