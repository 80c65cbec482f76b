//! `hindsight bench rca`: recorded faults, each loaded into a store of its own, and where correlation looks first.
//!
//! Correlation is told when something went wrong and nothing else: the answer is read only after the ranking.

mod case;
mod detect;
mod score;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use hindsight_incidents::{Correlation, Moment, correlate};
use hindsight_model::{Tenant, parse_duration};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::args::BenchRcaArgs;
use crate::progress::Reporter;
use crate::say;
use case::CaseStore;
use score::{Outcome, Scores};

/// What correlation may know of a label.
#[derive(Deserialize)]
struct GivenTime {
    injected_at: Timestamp,
}

/// What a ranking is compared with.
#[derive(Deserialize)]
struct Answer {
    service: String,
    #[serde(default)]
    fault_type: String,
}

/// Runs every case in order of name and prints the scores.
pub(super) async fn run(args: &BenchRcaArgs) -> anyhow::Result<ExitCode> {
    if args.detect {
        return detect::run(args).await;
    }
    let labels = args.labels.as_deref().context("name the folder of answers with --labels")?;
    let late = parse_duration(&args.late).with_context(|| format!("--late {}", args.late))?;
    let late = SignedDuration::try_from(late).context("--late is too long")?;
    let cases = cases(&args.cases, args.only.as_deref())?;
    let mut out = args.out.as_deref().map(create).transpose()?;
    let reporter = Reporter::start();
    let mut outcomes = Vec::with_capacity(cases.len());
    for (index, folder) in cases.iter().enumerate() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let label = labels.join(format!("{name}.json"));
        let place = format!("case {} of {}, {name}", index + 1, cases.len());
        let given: GivenTime = read_label(&label)?;
        let at = given.injected_at.checked_add(late).context("--late leads beyond the year 9999")?;
        let (correlation, seconds) =
            rank(folder, at, &place, &reporter).await.with_context(|| format!("case {name}"))?;
        let services: Vec<&str> = correlation.suspects.iter().map(|s| s.service.as_str()).collect();
        if let Some(file) = &mut out {
            let line = json!({"case": name, "services": services, "seconds": seconds});
            writeln!(file, "{line}").context("write --out")?;
        }
        let answer: Answer = read_label(&label)?;
        let rank = services.iter().position(|service| *service == answer.service).map(|place| place + 1);
        if args.reasons {
            tell_reasons(&name, &answer, &correlation)?;
        }
        outcomes.push(Outcome {
            case: name,
            fault_type: answer.fault_type,
            service: answer.service,
            first: services.first().map(|first| (*first).to_owned()),
            rank,
            candidates: correlation.services.len(),
            seconds,
        });
    }
    if let Some(file) = &mut out {
        file.flush().context("write --out")?;
    }
    reporter.end();
    let scores = Scores::of(&outcomes);
    let shown = if args.json {
        serde_json::to_string_pretty(&scores.to_json(&outcomes))?
    } else {
        scores.to_text(&outcomes)
    };
    say::line(&shown)?;
    Ok(ExitCode::SUCCESS)
}

async fn rank(
    folder: &Path,
    at: Timestamp,
    place: &str,
    reporter: &Reporter,
) -> anyhow::Result<(Correlation, f64)> {
    let tell = |doing: &str| reporter.tell(&format!("{place}: {doing}"), 0, 0);
    let store = CaseStore::load(folder, &tell).await?;
    let moment = Moment { at, calls: case::known_calls(folder)? };
    let started = Instant::now();
    let correlation = correlate(store.sql(), &Tenant::default(), &moment, &tell).await?;
    Ok((correlation, started.elapsed().as_secs_f64()))
}

/// The folders of cases, in order of name.
fn cases(root: &Path, only: Option<&str>) -> anyhow::Result<Vec<PathBuf>> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(root).with_context(|| format!("look into --cases {}", root.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && only.is_none_or(|part| name.contains(part)) {
            cases.push(path);
        }
    }
    cases.sort();
    ensure!(
        !cases.is_empty(),
        "{} holds no folder of a case; each case is a folder with its telemetry",
        root.display()
    );
    Ok(cases)
}

fn read_label<T: for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the label {}; each case needs LABELS/CASE.json", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read the label {}", path.display()))
}

fn create(path: &Path) -> anyhow::Result<std::io::BufWriter<std::fs::File>> {
    let file = std::fs::File::create(path).with_context(|| format!("create --out {}", path.display()))?;
    Ok(std::io::BufWriter::new(file))
}

fn tell_reasons(name: &str, answer: &Answer, correlation: &Correlation) -> anyhow::Result<()> {
    say::line(&format!("{name}: {} in {}", answer.fault_type, answer.service))?;
    for (place, suspect) in correlation.suspects.iter().enumerate() {
        if place < 3 || suspect.service == answer.service {
            say::line(&format!("  {}. {} {:.3}", place + 1, suspect.service, suspect.score))?;
            for reason in &suspect.reasons {
                say::line(&format!("       {reason}"))?;
            }
        }
    }
    Ok(())
}
