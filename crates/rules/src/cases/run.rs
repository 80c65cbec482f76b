use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hindsight_model::{AlertState, Labels, SqlSource, Tenant, Transition};
use hindsight_state::State;
use jiff::Timestamp;

use super::{Case, Expectation, Fixture, Told};
use crate::engine::{Alignment, Engine, Options};
use crate::error::Error;
use crate::files::Loaded;

/// Where the telemetry of tests goes.
#[async_trait::async_trait]
pub trait Feeds: Send + Sync {
    /// A place of its own for one run of one test, still empty.
    ///
    /// # Errors
    /// A sentence for the test's author.
    async fn open(&self, fixture: &Fixture, start: Timestamp) -> Result<Box<dyn Feed>, FeedError>;
}

/// Telemetry that comes as a test's time goes on.
#[async_trait::async_trait]
pub trait Feed: Send {
    /// Answers over what has arrived.
    fn sql(&self) -> Arc<dyn SqlSource>;

    /// When the first tick is: the test's start, unless the telemetry has times of its own.
    fn start(&self) -> Timestamp;

    /// When the last of it comes.
    fn end(&self) -> Timestamp;

    /// Lets everything that happened before or at `to` arrive.
    ///
    /// # Errors
    /// A sentence for the test's author.
    async fn advance(&mut self, to: Timestamp) -> Result<(), FeedError>;
}

/// Why the telemetry of a test cannot be had.
pub type FeedError = Box<dyn std::error::Error + Send + Sync>;

/// What came of one test.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseReport {
    /// The test's name.
    pub name: String,
    /// Its line in its file, from 1.
    pub line: u64,
    /// What was otherwise than expected; none when the test passed.
    pub failures: Vec<Failure>,
    /// Everything that happened in the run without restarts.
    pub transitions: Vec<Transition>,
}

/// Something that was otherwise than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Line of the expectation, or of the test, from 1.
    pub line: u64,
    /// What was expected, and what was.
    pub message: String,
}

/// Which of a test's runs is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Run {
    /// Without a restart.
    Whole,
    /// The process died at these times after the start.
    Restarted(Vec<Duration>),
}

/// Runs one test: once as it is and, when it names restarts, once for each and once for all of them.
///
/// # Errors
/// [`Error::Fixture`] when its telemetry cannot be had, [`Error::Journal`] when the journal in memory fails.
pub async fn run_case(rules: &Loaded, case: &Case, feeds: &dyn Feeds) -> Result<CaseReport, Error> {
    let mut runs = vec![Run::Whole];
    if case.restart_at.len() > 1 {
        runs.extend(case.restart_at.iter().map(|at| Run::Restarted(vec![*at])));
    }
    if !case.restart_at.is_empty() {
        let mut all = case.restart_at.clone();
        all.sort_unstable();
        runs.push(Run::Restarted(all));
    }
    let mut report = CaseReport {
        name: case.name.clone(),
        line: case.line,
        failures: Vec::new(),
        transitions: Vec::new(),
    };
    for run in runs {
        let mut played = play(rules, case, feeds, &run).await?;
        match &run {
            Run::Whole => report.transitions = played.transitions,
            Run::Restarted(times) => {
                if let Some(difference) = difference(&report.transitions, &played.transitions, played.start) {
                    played.failures.push(Failure { line: case.line, message: difference });
                }
                for failure in &mut played.failures {
                    failure.message = format!("with restarts at {}: {}", words(times), failure.message);
                }
            }
        }
        report.failures.extend(played.failures);
    }
    Ok(report)
}

struct Played {
    start: Timestamp,
    transitions: Vec<Transition>,
    failures: Vec<Failure>,
}

async fn play(rules: &Loaded, case: &Case, feeds: &dyn Feeds, run: &Run) -> Result<Played, Error> {
    let fixture = |source| Error::Fixture { test: case.name.clone(), source };
    let mut feed = feeds.open(&case.fixture, case.start).await.map_err(fixture)?;
    let start = feed.start();
    let after = |span: Duration| start.checked_add(span).unwrap_or(Timestamp::MAX);
    let journal = State::in_memory().await.map_err(|source| Error::Journal {
        operation: "open the journal in memory",
        group: case.name.clone(),
        source: source.into(),
    })?;
    let engine = |sql: Arc<dyn SqlSource>| {
        let options = Options { alignment: Alignment::At(start), start: Some(start), ..Options::default() };
        Engine::with_rules(sql, Arc::new(journal.clone()), rules.clone(), Tenant::default(), options)
    };
    let mut restarts: Vec<Timestamp> = match run {
        Run::Whole => Vec::new(),
        Run::Restarted(times) => times.iter().rev().map(|at| after(*at)).collect(),
    };
    let mut checks: Vec<&Expectation> = case.expect.iter().collect();
    checks.sort_by_key(|expectation| expectation.at);
    let last_check = checks.last().map_or(start, |expectation| after(expectation.at));
    let end = feed.end().max(last_check);
    let mut checks = checks.into_iter().peekable();

    let mut played = Played { start, transitions: Vec::new(), failures: Vec::new() };
    let mut running = engine(feed.sql());
    let mut next = Some(start);
    loop {
        let due = next.filter(|due| *due <= end);
        // What is expected at a time is checked when every tick up to it is over.
        while let Some(check) = checks.next_if(|check| due.is_none_or(|due| after(check.at) < due)) {
            played.failures.extend(verify(&running, check, &played.transitions, start));
        }
        let Some(due) = due else { break };
        while restarts.last().is_some_and(|at| *at < due) {
            restarts.pop();
            running = engine(feed.sql());
        }
        feed.advance(due).await.map_err(fixture)?;
        let report = running.run_until(due).await?;
        played.transitions.extend(report.transitions);
        next = report.next_due;
    }
    if let Some(wanted) = case.notifications {
        let told = told(&played.transitions);
        if told != wanted {
            let message = format!(
                "{} alerts were told as firing and {} as resolved, expected {} and {}; {}",
                told.firing,
                told.resolved,
                wanted.firing,
                wanted.resolved,
                story(&played.transitions, start)
            );
            played.failures.push(Failure { line: case.line, message });
        }
    }
    Ok(played)
}

fn told(transitions: &[Transition]) -> Told {
    let mut told = Told::default();
    for transition in transitions {
        match transition.told() {
            Some(hindsight_model::Told::Firing) => told.firing += 1,
            Some(hindsight_model::Told::Resolved) => told.resolved += 1,
            None => {}
        }
    }
    told
}

/// One instance as a check sees it.
struct Seen {
    labels: Labels,
    state: AlertState,
    value: Option<f64>,
    annotations: Labels,
    reason: Option<String>,
}

fn verify(
    engine: &Engine,
    check: &Expectation,
    transitions: &[Transition],
    start: Timestamp,
) -> Option<Failure> {
    let fail = |message: String| {
        Some(Failure { line: check.line, message: format!("at {}: {message}", span(check.at)) })
    };
    let rules = engine.rules_named(&check.alert);
    if rules.is_empty() {
        let known = engine.alert_names();
        return fail(format!("no rule file of this test has an alert `{}`; there are {known}", check.alert));
    }
    let seen: Vec<Seen> = rules.iter().flat_map(|rule| instances(engine, rule, transitions)).collect();
    let chosen: Vec<&Seen> = seen.iter().filter(|seen| has_all(&seen.labels, &check.labels)).collect();
    let shown = || if seen.is_empty() { "no instance".to_owned() } else { show(&seen) };
    let fits = |seen: &&&Seen| seen.state == check.state;
    let wrong = match check.state {
        AlertState::Inactive => chosen.iter().any(|seen| seen.state != AlertState::Inactive),
        _ => !chosen.iter().any(|seen| fits(&seen)),
    };
    if wrong {
        return fail(format!(
            "{} is not {}; there is {}; {}",
            check.alert,
            check.state,
            shown(),
            story(transitions, start)
        ));
    }
    if let Some(reason) = &check.reason
        && !chosen.iter().filter(fits).any(|seen| seen.reason.as_ref() == Some(reason))
    {
        let found: Vec<_> = chosen.iter().filter(fits).filter_map(|seen| seen.reason.as_deref()).collect();
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        return fail(format!("{} is {} for another reason: {found}, not {reason}", check.alert, check.state));
    }
    if let Some(value) = check.value
        && !chosen.iter().filter(fits).any(|seen| seen.value.is_some_and(|v| is_close(v, value)))
    {
        return fail(format!("{} has no instance with value {value}; there is {}", check.alert, shown()));
    }
    if !check.annotations.is_empty()
        && !chosen.iter().filter(fits).any(|seen| has_all(&seen.annotations, &check.annotations))
    {
        let found = chosen.iter().filter(fits).map(|seen| format!("{:?}", seen.annotations));
        return fail(format!(
            "{} has other annotations: {}",
            check.alert,
            found.collect::<Vec<_>>().join("; ")
        ));
    }
    None
}

/// The instances of a rule as they stand, those that ended and were forgotten included.
fn instances(engine: &Engine, rule: &str, transitions: &[Transition]) -> Vec<Seen> {
    let mut last: BTreeMap<&Labels, &Transition> = BTreeMap::new();
    for transition in transitions.iter().filter(|transition| transition.rule == rule) {
        last.insert(&transition.labels, transition);
    }
    let mut seen: Vec<Seen> = Vec::new();
    for view in engine.instance_views(rule) {
        let reason = last.remove(&view.labels).map(|transition| transition.reason.clone());
        seen.push(Seen {
            labels: view.labels,
            state: view.state,
            value: view.value,
            annotations: view.annotations,
            reason,
        });
    }
    seen.extend(last.into_iter().map(|(labels, transition)| Seen {
        labels: labels.clone(),
        state: transition.to,
        value: transition.value,
        annotations: Labels::new(),
        reason: Some(transition.reason.clone()),
    }));
    seen
}

fn has_all(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

fn is_close(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 * b.abs().max(1.0)
}

fn show(seen: &[Seen]) -> String {
    let one = |seen: &Seen| {
        let labels: Vec<String> =
            seen.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let value = seen.value.map_or_else(|| "no value".to_owned(), |value| format!("value {value}"));
        format!("{{{}}} {}, {value}", labels.join(", "), seen.state)
    };
    seen.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What happened so far, in a line.
fn story(transitions: &[Transition], start: Timestamp) -> String {
    const SHOWN: usize = 8;
    if transitions.is_empty() {
        return "nothing changed state so far".to_owned();
    }
    let skipped = transitions.len().saturating_sub(SHOWN);
    let shown = transitions[skipped..].iter().map(|transition| step(transition, start));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let before = if skipped > 0 { format!("{skipped} earlier changes, ") } else { String::new() };
    format!("so far: {before}{shown}")
}

fn step(transition: &Transition, start: Timestamp) -> String {
    let at = Duration::try_from(transition.at.duration_since(start)).unwrap_or_default();
    format!("{} {} at {} ({})", transition.alert, transition.to, span(at), transition.reason)
}

/// The first difference between a whole run and one with restarts.
fn difference(whole: &[Transition], restarted: &[Transition], start: Timestamp) -> Option<String> {
    let at = whole.iter().zip(restarted).position(|(a, b)| a != b);
    let at = at.or_else(|| (whole.len() != restarted.len()).then(|| whole.len().min(restarted.len())))?;
    let show = |transition: Option<&Transition>| {
        transition.map_or_else(|| "nothing more".to_owned(), |transition| step(transition, start))
    };
    Some(format!("{} instead of {}", show(restarted.get(at)), show(whole.get(at))))
}

fn words(times: &[Duration]) -> String {
    times.iter().map(|at| span(*at)).collect::<Vec<_>>().join(", ")
}

/// `5m30s`.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String =
        parts.iter().filter(|(n, _)| *n > 0).map(|(number, unit)| format!("{number}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}
