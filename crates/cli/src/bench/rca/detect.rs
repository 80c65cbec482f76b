//! `hindsight bench rca --detect`: a whole recording, no time given.

mod tally;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use hindsight_incidents::gather::{Minutes, parts};
use hindsight_incidents::{Detected, Detector, Moment, correlate};
use hindsight_model::Tenant;
use serde::Deserialize;
use serde_json::{Value, json};

use super::case::{self, CaseStore};
use crate::args::BenchRcaArgs;
use crate::progress::Reporter;
use crate::say;
use tally::{Fault, Opened, Tally};

/// Finds the incidents of every case and ranks the services of each; one line of JSON an incident. With answers also
/// how many of their faults were found.
pub(super) async fn run(args: &BenchRcaArgs) -> anyhow::Result<ExitCode> {
    let cases = super::cases(&args.cases, args.only.as_deref())?;
    let mut out = args.out.as_deref().map(super::create).transpose()?;
    let reporter = Reporter::start();
    let mut tally = Tally::default();
    for (index, folder) in cases.iter().enumerate() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = format!("case {} of {}, {name}", index + 1, cases.len());
        let tell = |doing: &str| reporter.tell(&format!("{place}: {doing}"), 0, 0);
        let store = CaseStore::load(folder, &tell).await.with_context(|| format!("case {name}"))?;
        let calls = case::known_calls(folder)?;
        let mut opened = Vec::new();
        for found in incidents(&store, &tell).await? {
            let moment = Moment { at: found.began_at, calls: calls.clone() };
            let correlation = correlate(store.sql(), &Tenant::default(), &moment, &tell).await?;
            let mut services: Vec<String> =
                correlation.suspects.into_iter().map(|suspect| suspect.service).collect();
            // Where nothing can be compared, those that showed it.
            if services.is_empty() {
                services.clone_from(&found.services);
            }
            let line = line(&name, cases.len() > 1, &found, &services);
            match &mut out {
                Some(file) => writeln!(file, "{line}").context("write --out")?,
                None if args.labels.is_none() => say::line(&line.to_string())?,
                None => {}
            }
            opened.push(Opened { at: found.opened_at, services });
        }
        // The answers are looked at when everything is said.
        if let Some(labels) = &args.labels {
            let answers: Answers = super::read_label(&labels.join(format!("{name}.json")))?;
            tally.add(&name, answers.faults(), &opened);
        }
    }
    if let Some(file) = &mut out {
        file.flush().context("write --out")?;
    }
    reporter.end();
    if args.labels.is_some() {
        let shown = if args.json { serde_json::to_string_pretty(&tally.to_json())? } else { tally.to_text() };
        say::line(&shown)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A label: the one fault of a case, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answers {
    Several { faults: Vec<Fault> },
    One(Fault),
}

impl Answers {
    fn faults(self) -> Vec<Fault> {
        match self {
            Self::Several { faults } => faults,
            Self::One(fault) => vec![fault],
        }
    }
}

fn line(case: &str, is_one_of_several: bool, found: &Detected, services: &[String]) -> Value {
    let closed = found.closed_at.map(|at| at.to_string());
    let mut line =
        json!({"opened_at": found.opened_at.to_string(), "closed_at": closed, "services": services});
    if is_one_of_several {
        line["case"] = case.into();
    }
    line
}

/// The incidents of a whole recording, followed minute by minute.
async fn incidents(store: &CaseStore, tell: &impl Fn(&str)) -> anyhow::Result<Vec<Detected>> {
    let mut detector = Detector::new();
    let mut minutes = Minutes::new();
    for (from, to) in parts(store.from, store.to) {
        tell(&format!("looking for incidents at {}", from.strftime("%F %H:%M")));
        for minute in minutes.read(store.sql(), &Tenant::default(), from, to).await? {
            detector.minute(&minute);
        }
    }
    Ok(detector.found().to_vec())
}
