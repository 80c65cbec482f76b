//! `hindsight bench rca --detect`: a whole recording, no time given.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use hindsight_incidents::{Detected, Moment, correlate, days, detect, gather};
use hindsight_model::Tenant;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::case::{self, CaseStore};
use crate::args::BenchRcaArgs;
use crate::progress::Reporter;
use crate::say;

/// Incidents that open this soon after one another are the same, read twice.
const SAME: SignedDuration = SignedDuration::from_mins(10);

/// Finds the incidents of every case and ranks the services of each; one line of JSON an incident.
pub(super) async fn run(args: &BenchRcaArgs) -> anyhow::Result<ExitCode> {
    let cases = super::cases(&args.cases, args.only.as_deref())?;
    let mut out = args.out.as_deref().map(super::create).transpose()?;
    let reporter = Reporter::start();
    for (index, folder) in cases.iter().enumerate() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = format!("case {} of {}, {name}", index + 1, cases.len());
        let tell = |doing: &str| reporter.tell(&format!("{place}: {doing}"), 0, 0);
        let store = CaseStore::load(folder, &tell).await.with_context(|| format!("case {name}"))?;
        let calls = case::known_calls(folder)?;
        for found in incidents(&store, &tell).await? {
            let moment = Moment { at: found.opened_at, calls: calls.clone() };
            let correlation = correlate(store.sql(), &Tenant::default(), &moment, &tell).await?;
            let services = correlation.suspects.iter().map(|suspect| suspect.service.as_str());
            let line = line(&name, cases.len() > 1, &found, &services.collect::<Vec<_>>());
            match &mut out {
                Some(file) => writeln!(file, "{line}").context("write --out")?,
                None => say::line(&line.to_string())?,
            }
        }
    }
    if let Some(file) = &mut out {
        file.flush().context("write --out")?;
    }
    reporter.end();
    Ok(ExitCode::SUCCESS)
}

fn line(case: &str, is_one_of_several: bool, found: &Detected, services: &[&str]) -> Value {
    let closed = found.closed_at.map(|at| at.to_string());
    let mut line =
        json!({"opened_at": found.opened_at.to_string(), "closed_at": closed, "services": services});
    if is_one_of_several {
        line["case"] = case.into();
    }
    line
}

/// The incidents of a whole recording, read a day at a time.
async fn incidents(store: &CaseStore, tell: &impl Fn(&str)) -> anyhow::Result<Vec<Detected>> {
    let mut all: Vec<Detected> = Vec::new();
    for (from, to) in days(store.from, store.to) {
        tell(&format!("looking for incidents from {from}"));
        let telemetry = gather(store.sql(), &Tenant::default(), from, to).await?;
        for found in detect(&telemetry) {
            match all.iter_mut().find(|known| is_same(known, found.opened_at)) {
                Some(known) => known.closed_at = found.closed_at.or(known.closed_at),
                None => all.push(found),
            }
        }
    }
    all.sort_by_key(|found| found.opened_at);
    Ok(all)
}

fn is_same(known: &Detected, opened_at: Timestamp) -> bool {
    let is_near = known.opened_at.duration_since(opened_at).abs() <= SAME;
    let is_within = opened_at >= known.opened_at && known.closed_at.is_none_or(|closed| opened_at <= closed);
    is_near || is_within
}
