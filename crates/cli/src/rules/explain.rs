//! `hindsight rules explain`: what an evaluation saw, what it made of it, and what followed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hindsight_model::{Labels, SqlRequest, SqlSource, SqlValue};
use hindsight_rules::{CheckedRule, Loaded, RuleGroup, load};
use hindsight_server::{Config, Overrides};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::ExplainArgs;
use super::at;
use crate::backend::Backend;
use crate::say;

/// Changes of state shown of one instance.
const TRANSITIONS_SHOWN: usize = 8;
/// Instances shown; `--instance` chooses.
const INSTANCES_SHOWN: usize = 20;
/// A value counts as revised when it moved by more than this share.
const SAME: f64 = 1e-9;

/// The rule that is asked about, as the files have it now.
struct Asked {
    id: String,
    rule: Option<(RuleGroup, CheckedRule)>,
}

/// One instance at one tick.
struct Instance {
    labels: Labels,
    outcome: String,
    value: Option<f64>,
    error: Option<String>,
    state: String,
    watermark: Option<Timestamp>,
    took: Duration,
}

/// One change of state.
struct Transition {
    at: Timestamp,
    labels: Labels,
    from: String,
    to: String,
    reason: String,
    value: Option<f64>,
    active_at: Option<Timestamp>,
    episode: String,
}

/// Everything known about one tick.
struct Explanation {
    asked: Asked,
    tick: Option<Timestamp>,
    instances: Vec<Instance>,
    transitions: Vec<Transition>,
    notifications: Vec<Vec<SqlValue>>,
    /// What the same question finds in the data as it is now, or why it cannot be asked.
    again: Option<Result<Vec<(Labels, f64)>, String>>,
}

pub(super) async fn run(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let workspace = args.source.workspace.clone();
    let config = Config::load(&Overrides { workspace, ..Overrides::default() })?;
    let loaded = load(&config.workspace.value)?;
    let wanted = instance_labels(&args.instance)?;
    let backend = Backend::open(&args.source).await?;
    let explained = explain(&args, &loaded, &wanted, &backend).await;
    backend.close().await?;
    let (at, explained) = explained?;
    if args.json {
        say::line(&serde_json::to_string_pretty(&to_json(at, &explained))?)?;
    } else {
        say::line(&text(at, &explained))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn instance_labels(pairs: &[String]) -> anyhow::Result<Labels> {
    let pair = |text: &String| {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("--instance {text}: write LABEL=VALUE, as service_name=checkout"))?;
        anyhow::Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    pairs.iter().map(pair).collect()
}

async fn explain(
    args: &ExplainArgs,
    loaded: &Loaded,
    wanted: &Labels,
    sql: &dyn SqlSource,
) -> anyhow::Result<(Timestamp, Explanation)> {
    let at = at::time(&args.at, at::now_of(sql).await?)?;
    let asked = find(loaded, &args.rule, sql).await?;
    let about = |text: &str| SqlRequest::new(text).param("rule", asked.id.as_str()).param("at", at);
    let tick = about("SELECT max(timestamp) FROM rule_evaluations WHERE rule = $rule AND timestamp <= $at");
    let tick = sql.sql(tick).await?.rows()?.first().and_then(|row| row[0].as_time());
    let mut instances = Vec::new();
    if let Some(tick) = tick {
        let request = SqlRequest::new(
            "SELECT labels, outcome, value, error, state, watermark, duration_nano FROM rule_evaluations \
             WHERE rule = $rule AND timestamp = $tick ORDER BY labels",
        );
        let request = request.param("rule", asked.id.as_str()).param("tick", tick);
        for row in sql.sql(request).await?.rows()? {
            instances.push(instance(&row)?);
        }
    }
    instances.retain(|instance| has_all(&instance.labels, wanted));
    let transitions = about(
        "SELECT timestamp, labels, from_state, to_state, reason, value, active_at, episode FROM alert_transitions \
         WHERE rule = $rule AND timestamp <= $at + INTERVAL '1 hour' ORDER BY timestamp DESC, seq DESC LIMIT 200",
    );
    let mut known = Vec::new();
    for row in sql.sql(transitions).await?.rows()?.iter().rev() {
        known.push(transition(row)?);
    }
    known.retain(|transition| has_all(&transition.labels, wanted));
    let episodes: Vec<&str> = known
        .iter()
        .rev()
        .filter(|transition| transition.at <= at)
        .map(|transition| transition.episode.as_str())
        .take(1)
        .collect();
    let notifications = notifications(&episodes, sql).await?;
    let again = match &asked.rule {
        Some((group, rule)) => Some(ask_again(group, rule, tick.unwrap_or(at), wanted, sql).await),
        None => None,
    };
    Ok((at, Explanation { asked, tick, instances, transitions: known, notifications, again }))
}

/// The rule by its name or id: in the files, else among what was ever evaluated.
async fn find(loaded: &Loaded, name: &str, sql: &dyn SqlSource) -> anyhow::Result<Asked> {
    let mut found = Vec::new();
    for group in &loaded.rules.groups {
        for rule in group.rules.iter().filter(|rule| rule.id == name || rule.alert == name) {
            found.push(Asked { id: rule.id.clone(), rule: Some((group.clone(), rule.clone())) });
        }
    }
    for slo in &loaded.rules.slos {
        for tier in &slo.tiers {
            if slo.tier_id(tier) == name || slo.tier_alert(tier) == name {
                found.push(Asked { id: slo.tier_id(tier), rule: None });
            }
        }
    }
    if found.len() > 1 {
        let ids: Vec<&str> = found.iter().map(|asked| asked.id.as_str()).collect();
        bail!("`{name}` is the name of several rules; say which: {}", ids.join(", "));
    }
    if let Some(asked) = found.pop() {
        return Ok(asked);
    }
    let request = SqlRequest::new("SELECT count(*) FROM rule_evaluations WHERE rule = $rule");
    let count = sql.sql(request.param("rule", name)).await?.rows()?;
    if count.first().and_then(|row| row[0].as_f64()).unwrap_or(0.0) > 0.0 {
        return Ok(Asked { id: name.to_owned(), rule: None });
    }
    bail!(
        "no rule file has `{name}` and nothing of that name was ever evaluated; `hindsight rules check` lists files, \
           SELECT DISTINCT rule FROM rule_evaluations what was evaluated"
    )
}

async fn notifications(episodes: &[&str], sql: &dyn SqlSource) -> anyhow::Result<Vec<Vec<SqlValue>>> {
    let mut rows = Vec::new();
    for episode in episodes {
        let request = SqlRequest::new(
            "SELECT created_at, receiver, status, attempts, sent_at, reason, dedup_key FROM notifications \
             WHERE strpos(alerts, $episode) > 0 ORDER BY created_at, id",
        );
        rows.extend(sql.sql(request.param("episode", *episode)).await?.rows()?);
    }
    Ok(rows)
}

/// The rule's question once more, about the same window.
async fn ask_again(
    group: &RuleGroup,
    rule: &CheckedRule,
    tick: Timestamp,
    wanted: &Labels,
    sql: &dyn SqlSource,
) -> Result<Vec<(Labels, f64)>, String> {
    let answer = sql.sql(rule.question(group, tick)).await.map_err(|error| error.to_string())?;
    let found = rule.instances(group, &answer)?;
    Ok(found.into_iter().filter(|(labels, _)| has_all(labels, wanted)).collect())
}

fn instance(row: &[SqlValue]) -> anyhow::Result<Instance> {
    let nanos = match row[6] {
        SqlValue::Int(nanos) => u64::try_from(nanos).unwrap_or(0),
        _ => 0,
    };
    Ok(Instance {
        labels: labels(&row[0])?,
        outcome: row[1].to_string(),
        value: row[2].as_f64(),
        error: row[3].as_str().map(str::to_owned),
        state: row[4].to_string(),
        watermark: row[5].as_time(),
        took: Duration::from_nanos(nanos),
    })
}

fn transition(row: &[SqlValue]) -> anyhow::Result<Transition> {
    Ok(Transition {
        at: row[0].as_time().context("a change of state has no time")?,
        labels: labels(&row[1])?,
        from: row[2].to_string(),
        to: row[3].to_string(),
        reason: row[4].to_string(),
        value: row[5].as_f64(),
        active_at: row[6].as_time(),
        episode: row[7].to_string(),
    })
}

fn labels(cell: &SqlValue) -> anyhow::Result<Labels> {
    serde_json::from_str(&cell.to_string()).context("read the labels of an instance")
}

fn has_all(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

fn text(at: Timestamp, explained: &Explanation) -> String {
    let Explanation { asked, tick, instances, transitions, .. } = explained;
    let mut out = format!("{} at {}\n", asked.id, second(at));
    if let Some((group, rule)) = &asked.rule {
        out.push_str(&format!("  {}:{}  {}\n", group.file.display(), rule.line, policy(group, rule)));
        let end = tick.unwrap_or(at).checked_sub(group.query_offset).unwrap_or(at);
        out.push_str(&format!("  its window ends at {} ($now)\n", second(end)));
    }
    match tick {
        Some(tick) => out.push_str(&format!("  last evaluated at {}\n", second(*tick))),
        None => out.push_str(
            "  no evaluation of that time is kept: the rule was not there yet, or it is too long ago\n",
        ),
    }
    let of_the_rule =
        instances.iter().filter(|instance| instance.labels.is_empty() && instance.outcome != "value");
    for whole in of_the_rule {
        out.push_str(&format!("\n{}\n", meaning(&whole.outcome, whole.error.as_deref())));
    }
    let shown: Vec<&Instance> = instances
        .iter()
        .filter(|instance| !(instance.labels.is_empty() && instance.outcome != "value"))
        .collect();
    if shown.is_empty() && tick.is_some() {
        out.push_str("\nno instance was returned or known, so there was nothing to fire for\n");
    }
    for instance in shown.iter().take(INSTANCES_SHOWN) {
        out.push_str(&format!("\n{{{}}}\n", pairs(&instance.labels)));
        out.push_str(&format!("  {}\n", sentence(explained, instance)));
        if let Some(now) = revised(explained, instance) {
            out.push_str(&format!("  {now}\n"));
        }
        for transition in path(transitions, &instance.labels, at) {
            out.push_str(&format!("  {}\n", step(transition, at)));
        }
    }
    if shown.len() > INSTANCES_SHOWN {
        let more = shown.len() - INSTANCES_SHOWN;
        out.push_str(&format!("\nand {more} more instances; choose with --instance LABEL=VALUE\n"));
    }
    if let (None, Some(Ok(again))) = (tick, &explained.again) {
        out.push_str("\nthe same question finds in the data as it is now:\n");
        for (labels, value) in again.iter().take(INSTANCES_SHOWN) {
            out.push_str(&format!("  {value} {{{}}}\n", pairs(labels)));
        }
        if again.is_empty() {
            out.push_str("  nothing\n");
        }
    }
    if let Some(Err(error)) = &explained.again {
        out.push_str(&format!("\nthe question cannot be asked again: {error}\n"));
    }
    if !explained.notifications.is_empty() {
        out.push_str("\nnotifications of the episode\n");
        for row in &explained.notifications {
            let reason = if row[5] == SqlValue::Null { String::new() } else { format!(" ({})", row[5]) };
            let sent = row[4].as_time().map_or(String::new(), |at| format!(" at {}", second(at)));
            out.push_str(&format!("  {} {}{sent}, attempts {}{reason}\n", row[1], row[2], row[3]));
        }
    }
    out.trim_end().to_owned()
}

fn policy(group: &RuleGroup, rule: &CheckedRule) -> String {
    let condition = rule.condition.map_or("any row is a breach".to_owned(), |c| format!("fires on {c}"));
    format!(
        "{condition}; for {}, keep_firing_for {}, every {}, query_offset {}",
        span(rule.policy.for_),
        span(rule.policy.keep_firing_for),
        span(group.interval),
        span(group.query_offset),
    )
}

fn meaning(outcome: &str, error: Option<&str>) -> String {
    match outcome {
        "error" => format!("the query failed, so every state was left as it was: {}", error.unwrap_or("")),
        "no_data" => "the query returned nothing; on_no_data says what that means".to_owned(),
        "unobserved" => {
            "the window was not complete, or the tick was skipped: every state was left as it was".to_owned()
        }
        other => other.to_owned(),
    }
}

/// Why the instance is in its state.
fn sentence(explained: &Explanation, instance: &Instance) -> String {
    let value = instance.value.map_or("no value".to_owned(), |value| format!("value {value}"));
    let took = format!("{:.1} ms", instance.took.as_secs_f64() * 1_000.0);
    let watermark =
        instance.watermark.map_or(String::new(), |at| format!(", data complete to {}", second(at)));
    let rule = explained.asked.rule.as_ref().map(|(_, rule)| rule);
    let why = match (instance.outcome.as_str(), instance.value, rule.and_then(|rule| rule.condition)) {
        ("value", Some(value), Some(condition)) => {
            let active = matches!(instance.state.as_str(), "firing" | "recovering");
            let (threshold, holds) = if active {
                (condition.recover, condition.holds(value))
            } else {
                (condition.fire, condition.fires(value))
            };
            let holds = if holds { "is" } else { "is not" };
            format!("which {holds} {} {threshold}", condition.op.symbol())
        }
        ("value", _, _) => "as returned".to_owned(),
        ("missing", _, _) => {
            "others were returned and it was not; on_missing says what that means".to_owned()
        }
        (other, _, _) => meaning(other, instance.error.as_deref()),
    };
    format!("{}: {value}, {why} (query took {took}{watermark})", instance.state)
}

/// What late data made of the value since.
fn revised(explained: &Explanation, instance: &Instance) -> Option<String> {
    let Some(Ok(again)) = &explained.again else { return None };
    let now = again.iter().find(|(labels, _)| *labels == instance.labels).map(|(_, value)| *value);
    match (instance.value.filter(|_| instance.outcome == "value"), now) {
        (Some(then), Some(now)) if (then - now).abs() > SAME * then.abs().max(1.0) => {
            Some(format!("late data has changed it since: the same window gives {now} now"))
        }
        (None, Some(now)) => Some(format!("data has come since: the same window gives {now} now")),
        (Some(_), None) => {
            Some("the same window gives nothing now: the data is gone, or the rule was edited".to_owned())
        }
        _ => None,
    }
}

/// The changes of one instance that matter: those of its last episode up to the time, and the next one.
fn path<'a>(transitions: &'a [Transition], labels: &Labels, at: Timestamp) -> Vec<&'a Transition> {
    let own: Vec<&Transition> =
        transitions.iter().filter(|transition| transition.labels == *labels).collect();
    let until = own.iter().position(|transition| transition.at > at).map_or(own.len(), |next| next + 1);
    own[until.saturating_sub(TRANSITIONS_SHOWN)..until].to_vec()
}

fn step(transition: &Transition, at: Timestamp) -> String {
    let value = transition.value.map_or(String::new(), |value| format!(", value {value}"));
    let active = transition.active_at.filter(|_| transition.to == "firing");
    let active = active.map_or(String::new(), |at| format!(", breach since {}", second(at)));
    let later = if transition.at > at { " (afterwards)" } else { "" };
    format!(
        "{}  {} → {} because of {}{value}{active}{later}",
        second(transition.at),
        transition.from,
        transition.to,
        transition.reason
    )
}

fn pairs(labels: &Labels) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(", ")
}

fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn span(span: Duration) -> String {
    format!("{span:?}")
}

fn to_json(at: Timestamp, explained: &Explanation) -> Value {
    let instances = explained.instances.iter().map(|instance| {
        json!({
            "labels": instance.labels, "outcome": instance.outcome, "value": instance.value,
            "error": instance.error, "state": instance.state,
            "watermark": instance.watermark.map(|at| at.to_string()),
            "duration_ms": instance.took.as_secs_f64() * 1_000.0,
        })
    });
    let transitions = explained.transitions.iter().map(|transition| {
        json!({
            "at": transition.at.to_string(), "labels": transition.labels, "from": transition.from,
            "to": transition.to, "reason": transition.reason, "value": transition.value,
            "episode": transition.episode,
        })
    });
    let notifications = explained.notifications.iter().map(|row| {
        json!({
            "receiver": row[1].to_string(), "status": row[2].to_string(),
            "sent_at": row[4].as_time().map(|at| at.to_string()), "dedup_key": row[6].to_string(),
        })
    });
    let again = match &explained.again {
        None => Value::Null,
        Some(Err(error)) => json!({"error": error}),
        Some(Ok(found)) => {
            let values = found.iter().map(|(labels, value)| json!({"labels": labels, "value": value}));
            json!({"values": values.collect::<Vec<_>>()})
        }
    };
    json!({
        "rule": explained.asked.id, "at": at.to_string(),
        "tick": explained.tick.map(|tick| tick.to_string()),
        "instances": instances.collect::<Vec<_>>(),
        "transitions": transitions.collect::<Vec<_>>(),
        "notifications": notifications.collect::<Vec<_>>(),
        "as_data_is_now": again,
    })
}
