//! Verification: asks the telemetry whether an action had its effect. Every answer is a sentence that says what was
//! seen, so that nobody has to ask again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hindsight_model::{CheckOutcome, IncidentId, SloSlice, SqlRequest, SqlSource, SqlValue, Tenant};
use hindsight_rules::{Level, Loaded, RuleSet, Slo, Variant, backtest};
use jiff::{SignedDuration, Timestamp};

use super::{Expect, Verify};
use crate::files::in_background;

/// Longest that the query of a condition may take.
const SQL_TIMEOUT: Duration = Duration::from_secs(60);
/// An alert may begin to fire this much before the first trace of the incident.
const LEAD: SignedDuration = SignedDuration::from_mins(10);
/// Longest stretch of an incident that is replayed.
const REPLAY_MAX: SignedDuration = SignedDuration::from_hours(48);
/// Share of the minutes that must have been observed for an SLO to count as met.
const COVERAGE_MIN: f64 = 0.9;
/// Longest evidence; a value of an answer, or an error, may be longer.
const EVIDENCE_CHARS_MAX: usize = 1_000;
/// The newest minutes may still be on their way.
const NEWEST: SignedDuration = SignedDuration::from_mins(2);

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether the evidence is there.
    pub outcome: CheckOutcome,
    /// What was seen, in a sentence.
    pub evidence: String,
}

impl Found {
    fn new(outcome: CheckOutcome, evidence: impl Into<String>) -> Self {
        let mut evidence = evidence.into();
        if let Some((end, _)) = evidence.char_indices().nth(EVIDENCE_CHARS_MAX) {
            evidence.truncate(end);
            evidence.push('…');
        }
        Self { outcome, evidence }
    }

    fn when(is_met: bool, evidence: impl Into<String>) -> Self {
        Self::new(if is_met { CheckOutcome::Passed } else { CheckOutcome::Failed }, evidence)
    }

    fn unknown(evidence: impl Into<String>) -> Self {
        Self::new(CheckOutcome::Unknown, evidence)
    }
}

/// Checks a condition as the document has it, with the rules and SLOs that the workspace has now. Never fails: what
/// cannot be told is [`CheckOutcome::Unknown`] with the reason.
pub async fn check(verify: &str, sql: Arc<dyn SqlSource>, workspace: &Path, now: Timestamp) -> Found {
    let verify = match verify.parse::<Verify>() {
        Ok(verify) => verify,
        Err(error) => return Found::unknown(error.to_string()),
    };
    match verify {
        Verify::Sql { sql: query, expect } => ask(sql.as_ref(), &query, &expect, now).await,
        Verify::Alert { name, incident } => match load(workspace).await {
            Ok(loaded) => fires(sql, &loaded, &name, incident, now).await,
            Err(found) => found,
        },
        Verify::Slo { name, length } => match load(workspace).await {
            Ok(loaded) => met(sql.as_ref(), &loaded, &name, length, now).await,
            Err(found) => found,
        },
    }
}

async fn load(workspace: &Path) -> Result<Loaded, Found> {
    let workspace = workspace.to_owned();
    in_background(move || Ok(hindsight_rules::load(&workspace)))
        .await
        .map_err(|error| Found::unknown(error.to_string()))?
        .map_err(|error| Found::unknown(format!("the rules cannot be read: {error}")))
}

async fn ask(sql: &dyn SqlSource, query: &str, expect: &Expect, now: Timestamp) -> Found {
    let mut request = SqlRequest::new(query);
    request.timeout = Some(SQL_TIMEOUT);
    if query.contains("$now") {
        request = request.param("now", now);
    }
    let answer = match sql.sql(request).await {
        Ok(answer) => answer,
        Err(error) => return Found::unknown(format!("the query failed: {error}")),
    };
    match answer.rows() {
        Ok(rows) => {
            let first = rows.first().and_then(|row| row.first());
            let said = match (expect, first) {
                (Expect::Rows | Expect::NoRows, _) => format!("the query returns {} rows", rows.len()),
                // What was expected stands behind it, and must not be cut off.
                (_, Some(value)) => {
                    let value: String = value.to_string().chars().take(200).collect();
                    format!("the query returns {value}")
                }
                (_, None) => "the query returns no row".to_owned(),
            };
            Found::when(expect.is_met(&rows), format!("{said}, expected {expect}"))
        }
        Err(error) => Found::unknown(format!("the answer cannot be read: {error}")),
    }
}

/// What is replayed of an incident.
struct Window {
    from: Timestamp,
    to: Timestamp,
    detected: Option<Timestamp>,
    is_held: bool,
}

async fn fires(
    sql: Arc<dyn SqlSource>,
    loaded: &Loaded,
    name: &str,
    incident: IncidentId,
    now: Timestamp,
) -> Found {
    let rules = only(&loaded.rules, name);
    if rules.groups.is_empty() {
        return not_there(loaded, &format!("no rule called {name} is in force"));
    }
    let window = match window(sql.as_ref(), incident, now).await {
        Ok(window) => window,
        Err(found) => return found,
    };
    let variants = [Variant { name: name.to_owned(), rules }];
    let results = match backtest(sql, &variants, window.from, window.to, |_| {}).await {
        Ok(results) => results,
        Err(error) => return Found::unknown(format!("{name} cannot be run over {incident}: {error}")),
    };
    let Some(result) = results.first() else { return Found::unknown("nothing was run") };
    // One that fires all day long did not see the incident.
    if let Some(episode) = result.episodes.iter().find(|episode| episode.fired_at >= window.from) {
        let labels: Vec<String> =
            episode.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        let compared = window.detected.map_or_else(String::new, |detected| {
            let seconds = detected.duration_since(episode.fired_at).as_secs();
            match seconds {
                0 => format!(", when {incident} was detected"),
                1.. => format!(", {seconds} s before {incident} was detected"),
                _ => format!(", {} s after {incident} was detected", -seconds),
            }
        });
        let at = episode.fired_at.strftime("%Y-%m-%d %H:%M:%S UTC");
        return Found::new(
            CheckOutcome::Passed,
            format!("{name} ({}) fires at {at}{compared}", labels.join(", ")),
        );
    }
    if result.errors > 0 {
        return Found::unknown(format!("{} evaluations of {name} failed over {incident}", result.errors));
    }
    if !window.is_held {
        return Found::unknown(format!(
            "{name} does not fire, but the telemetry of {incident} is no longer held, so that proves nothing"
        ));
    }
    let said = match result.episodes.first() {
        Some(_) => format!("{name} fired before {incident} began, and not on it"),
        None => format!("{name} does not fire on {incident}"),
    };
    Found::new(CheckOutcome::Failed, format!("{said}, in {} evaluations", result.ticks))
}

/// A name that the files do not have. While one of them has an error, it may be in what could not be read.
fn not_there(loaded: &Loaded, what: &str) -> Found {
    match loaded.problems.iter().find(|problem| problem.level == Level::Error) {
        Some(problem) => Found::unknown(format!("{what}, but the files have errors: {problem}")),
        None => Found::new(CheckOutcome::Failed, what),
    }
}

/// The rules of that name, by alert or by id.
fn only(rules: &RuleSet, name: &str) -> RuleSet {
    let mut rules = RuleSet { groups: rules.groups.clone(), slos: Vec::new() };
    for group in &mut rules.groups {
        group.rules.retain(|rule| rule.id == name || rule.alert == name);
    }
    rules.groups.retain(|group| !group.rules.is_empty());
    rules
}

async fn window(sql: &dyn SqlSource, incident: IncidentId, now: Timestamp) -> Result<Window, Found> {
    let question = "SELECT trigger_at, impact_start_at, opened_at, detected_at, resolved_at, \
                    (SELECT count(*) FROM holds WHERE id = $id) AS held FROM incidents WHERE id = $id";
    let request = SqlRequest::new(question).param("id", incident.to_string());
    let answer =
        sql.sql(request).await.map_err(|error| Found::unknown(format!("read {incident}: {error}")))?;
    let rows = answer.rows().map_err(|error| Found::unknown(format!("read {incident}: {error}")))?;
    let row = rows
        .first()
        .ok_or_else(|| Found::new(CheckOutcome::Failed, format!("there is no incident {incident}")))?;
    let began = row[..4].iter().filter_map(SqlValue::as_time).min().unwrap_or(now);
    let from = began.checked_sub(LEAD).unwrap_or(began);
    let end = row[4].as_time().unwrap_or(now).max(began);
    let longest = from.checked_add(REPLAY_MAX).unwrap_or(end);
    let is_held = row[5].as_f64().is_some_and(|held| held > 0.0);
    Ok(Window { from, to: end.min(longest), detected: row[3].as_time(), is_held })
}

async fn met(sql: &dyn SqlSource, loaded: &Loaded, name: &str, length: Duration, now: Timestamp) -> Found {
    let Some(slo) = loaded.rules.slos.iter().find(|slo| slo.name == name) else {
        return not_there(loaded, &format!("no SLO called {name} is in force"));
    };
    let Some(from) = SignedDuration::try_from(length).ok().and_then(|length| now.checked_sub(length).ok())
    else {
        return Found::unknown("it reaches back beyond the calendar");
    };
    let slices = match slices(sql, slo, from, now).await {
        Ok(slices) => slices,
        Err(found) => return found,
    };
    judge(slo, &slices, from, now)
}

async fn slices(
    sql: &dyn SqlSource,
    slo: &Slo,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<SloSlice>, Found> {
    let question = "SELECT minute, good, total FROM slo_slices WHERE slo = $slo AND minute >= $from AND minute < $to ORDER BY minute";
    let request =
        SqlRequest::new(question).param("slo", slo.name.clone()).param("from", from).param("to", to);
    let failed = |error: String| Found::unknown(format!("read the minutes of {}: {error}", slo.name));
    let answer = sql.sql(request).await.map_err(|error| failed(error.to_string()))?;
    let rows = answer.rows().map_err(|error| failed(error.to_string()))?;
    let slice = |row: &Vec<SqlValue>| {
        Some(SloSlice {
            tenant: Tenant::default(),
            slo: slo.name.clone(),
            minute: row[0].as_time()?,
            good: row[1].as_f64()?,
            total: row[2].as_f64()?,
            revision: 0,
        })
    };
    Ok(rows.iter().filter_map(slice).collect())
}

/// Whether the objective was met over these minutes.
fn judge(slo: &Slo, slices: &[SloSlice], from: Timestamp, now: Timestamp) -> Found {
    let name = &slo.name;
    let minutes = now.duration_since(from).as_secs() / 60;
    #[expect(clippy::cast_precision_loss, reason = "minutes of some weeks")]
    let coverage = slices.len() as f64 / minutes.max(1) as f64;
    let newest = slices.last().map(|slice| slice.minute);
    let is_fresh = newest.is_some_and(|at| now.duration_since(at) <= NEWEST + SignedDuration::from_mins(5));
    let sums = slo
        .budgeting
        .units(slices)
        .iter()
        .fold((0.0, 0.0), |sum: (f64, f64), slice| (sum.0 + slice.good, sum.1 + slice.total));
    let (good, total) = sums;
    let share = if total > 0.0 { good / total } else { 0.0 };
    let percent = |share: f64| format!("{:.3} %", share * 100.0);
    let told = format!(
        "{name}: {} good, objective {}, over {} of {minutes} minutes",
        if total > 0.0 { percent(share) } else { "nothing".to_owned() },
        percent(slo.objective),
        slices.len(),
    );
    let is_observed = coverage >= COVERAGE_MIN && is_fresh && total > 0.0;
    let why = if is_observed { "" } else { "; it was not observed for all that time" };
    Found::when(is_observed && share >= slo.objective, format!("{told}{why}"))
}

#[cfg(test)]
mod tests;
