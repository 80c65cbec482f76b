//! `hindsight rules backtest`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hindsight_model::{SqlRequest, SqlSource, SqlValue};
use hindsight_rules::{
    Backtest, Episode, KnownIncident, Level, Loaded, RuleSet, Variant, Verdict, against, backtest,
    load_files, pages_a_week, time_firing, variant,
};
use hindsight_server::{Config, Overrides};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::BacktestArgs;
use super::{FILES_ARE_WRONG, at};
use crate::backend::Backend;
use crate::say;

const AS_WRITTEN: &str = "as written";
/// Episodes printed of one variant; JSON has them all.
const EPISODES_SHOWN: usize = 20;

pub(super) async fn run(args: BacktestArgs) -> anyhow::Result<ExitCode> {
    let workspace = args.source.workspace.clone();
    let config = Config::load(&Overrides { workspace, ..Overrides::default() })?;
    let loaded = rules_of(&config.workspace.value, &args.file)?;
    for problem in &loaded.problems {
        say::problem(&problem.to_string());
    }
    if loaded.problems.iter().any(|problem| problem.level == Level::Error) {
        return Ok(ExitCode::from(FILES_ARE_WRONG));
    }
    let rules = only(loaded.rules, args.rule.as_deref());
    if rules.groups.iter().all(|group| group.rules.is_empty()) && rules.slos.is_empty() {
        bail!("{} has no such rule that could run", args.file.display());
    }
    let mut variants = vec![Variant { name: AS_WRITTEN.to_owned(), rules: rules.clone() }];
    for settings in &args.sets {
        variants.push(variant(&rules, settings).with_context(|| format!("--set {settings}"))?);
    }
    let backend = Arc::new(Backend::open(&args.source).await?);
    let result = over(&args, &backend, &variants).await;
    if let Some(backend) = Arc::into_inner(backend) {
        backend.close().await?;
    }
    result
}

async fn over(args: &BacktestArgs, backend: &Arc<Backend>, variants: &[Variant]) -> anyhow::Result<ExitCode> {
    let now = at::now_of(backend.as_ref()).await?;
    let (from, to) = (at::time(&args.from, now)?, at::time(&args.to, now)?);
    if from >= to {
        bail!("the range from {from} to {to} is empty");
    }
    let started = Instant::now();
    let length = to.duration_since(from).as_secs_f64();
    let sql: Arc<dyn SqlSource> = Arc::<Backend>::clone(backend);
    let results = backtest(sql, variants, from, to, |at| {
        if started.elapsed() > Duration::from_millis(500) {
            let share = (at.duration_since(from).as_secs_f64() / length).clamp(0.0, 1.0);
            let took = started.elapsed().as_secs_f64();
            say::progress(&format!("{:.0} % · at {} · {took:.0} s", share * 100.0, minute(at)));
        }
    })
    .await?;
    say::progress("");
    let incidents = incidents(backend.as_ref(), from, to).await?;
    let verdicts: Vec<Verdict> = results.iter().map(|result| against(result, &incidents)).collect();
    if args.json {
        let variants =
            results.iter().zip(&verdicts).map(|(result, verdict)| to_json(result, verdict, from, to));
        let document = json!({
            "from": from.to_string(), "to": to.to_string(), "variants": variants.collect::<Vec<_>>(),
        });
        say::line(&serde_json::to_string_pretty(&document)?)?;
    } else {
        say::line(&text(&results, &verdicts, from, to))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The rules or SLOs of one file, named from the workspace or from where the person stands.
fn rules_of(workspace: &Path, file: &Path) -> anyhow::Result<Loaded> {
    let in_workspace = workspace.join(file);
    let path: PathBuf = if in_workspace.is_file() {
        file.to_owned()
    } else {
        let absolute = std::path::absolute(file)?;
        let workspace = std::path::absolute(workspace)?;
        absolute.strip_prefix(&workspace).map(Path::to_owned).unwrap_or(absolute)
    };
    let text =
        std::fs::read_to_string(workspace.join(&path)).with_context(|| format!("read {}", file.display()))?;
    let files = [path];
    let openslo = text.contains("openslo/v1");
    Ok(if openslo { load_files(workspace, &[], &files) } else { load_files(workspace, &files, &[]) })
}

fn only(mut rules: RuleSet, name: Option<&str>) -> RuleSet {
    let Some(name) = name else { return rules };
    for group in &mut rules.groups {
        group.rules.retain(|rule| rule.id == name || rule.alert == name);
    }
    rules.slos.retain(|slo| slo.name == name);
    rules
}

async fn incidents(
    sql: &dyn SqlSource,
    from: Timestamp,
    to: Timestamp,
) -> anyhow::Result<Vec<KnownIncident>> {
    let request = SqlRequest::new(
        "SELECT id, title, services, trigger_at, impact_start_at, opened_at, detected_at, resolved_at \
         FROM incidents WHERE opened_at >= $from AND opened_at < $to AND status <> 'merged' ORDER BY opened_at",
    );
    let answer = sql.sql(request.param("from", from).param("to", to)).await?;
    let mut incidents = Vec::new();
    for row in answer.rows()? {
        let services = row[2].as_str().map(serde_json::from_str).transpose().context("read an incident")?;
        let began = row[3..6].iter().filter_map(SqlValue::as_time).min();
        incidents.push(KnownIncident {
            id: row[0].to_string(),
            title: row[1].to_string(),
            services: services.unwrap_or_default(),
            began_at: began.unwrap_or(from),
            detected_at: row[6].as_time(),
            ended_at: row[7].as_time(),
        });
    }
    Ok(incidents)
}

fn text(results: &[Backtest], verdicts: &[Verdict], from: Timestamp, to: Timestamp) -> String {
    let incidents = verdicts.first().map_or(0, |verdict| verdict.detections.len());
    let mut out = format!(
        "{} to {}, {} ticks, {incidents} incidents of these services\n\n",
        minute(from),
        minute(to),
        results.first().map_or(0, |result| result.ticks),
    );
    let width = results.iter().map(|result| result.name.chars().count()).max().unwrap_or(0).max(10);
    let percent =
        |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.0} %", share * 100.0));
    out.push_str(&format!(
        "{:width$}  {:>8}  {:>12}  {:>12}  {:>9}  {:>6}\n",
        "", "episodes", "pages a week", "time firing", "precision", "recall"
    ));
    for (result, verdict) in results.iter().zip(verdicts) {
        out.push_str(&format!(
            "{:width$}  {:>8}  {:>12.1}  {:>12}  {:>9}  {:>6}\n",
            result.name,
            result.episodes.len(),
            pages_a_week(&result.episodes, from, to),
            span(time_firing(&result.episodes, from, to)),
            percent(verdict.precision),
            percent(verdict.recall),
        ));
    }
    for (result, verdict) in results.iter().zip(verdicts) {
        if result.episodes.is_empty() && verdict.detections.is_empty() && result.errors == 0 {
            continue;
        }
        out.push_str(&format!("\n{}\n", result.name));
        if result.errors > 0 {
            out.push_str(&format!(
                "  {} evaluations failed: what they would have found is not known\n",
                result.errors
            ));
        }
        for episode in result.episodes.iter().take(EPISODES_SHOWN) {
            out.push_str(&format!("  {}\n", line(episode)));
        }
        if result.episodes.len() > EPISODES_SHOWN {
            out.push_str(&format!("  and {} more, see --json\n", result.episodes.len() - EPISODES_SHOWN));
        }
        for detection in &verdict.detections {
            let found = match (detection.fired_at, detection.earlier_seconds) {
                (None, _) => "missed".to_owned(),
                (Some(at), None) => format!("detected at {}", minute(at)),
                (Some(at), Some(seconds)) => format!("detected at {}, {}", minute(at), compared(seconds)),
            };
            out.push_str(&format!("  {} {}: {found}\n", detection.incident, detection.title));
        }
    }
    out.trim_end().to_owned()
}

fn compared(earlier_seconds: f64) -> String {
    let by = span(Duration::try_from_secs_f64(earlier_seconds.abs()).unwrap_or_default());
    match earlier_seconds {
        seconds if seconds >= 1.0 => format!("{by} earlier than it really was"),
        seconds if seconds <= -1.0 => format!("{by} later than it really was"),
        _ => "when it really was".to_owned(),
    }
}

fn line(episode: &Episode) -> String {
    let labels: Vec<String> =
        episode.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let end = match (&episode.ended_at, &episode.reason) {
        (Some(at), Some(reason)) => format!("ended {} ({reason})", minute(*at)),
        _ => "still firing".to_owned(),
    };
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    format!(
        "{} fired {} (breach since {}), {end}, values {} to {} {{{}}}",
        episode.alert,
        minute(episode.fired_at),
        minute(episode.started_at),
        number(episode.lowest),
        number(episode.highest),
        labels.join(", "),
    )
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `1h 12m`.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, _) => format!("{hours}h {minutes}m"),
    }
}

fn to_json(result: &Backtest, verdict: &Verdict, from: Timestamp, to: Timestamp) -> Value {
    json!({
        "name": result.name,
        "ticks": result.ticks,
        "errors": result.errors,
        "pages_a_week": pages_a_week(&result.episodes, from, to),
        "firing_seconds": time_firing(&result.episodes, from, to).as_secs(),
        "episodes": result.episodes,
        "precision": verdict.precision,
        "recall": verdict.recall,
        "incidents": verdict.detections,
        "transitions": result.transitions,
    })
}
