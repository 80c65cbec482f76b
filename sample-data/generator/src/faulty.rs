//! Small systems with one fault each, for measuring correlation: another system for every seed, never the shop.
//!
//! What a fault does to callers follows from the calls: requests are walked through, and what they wait for and fail
//! by is written down as spans, logs and metrics. Around the fault are load waves, noise, services that always fail a
//! little, deploys that harm nobody, and signals that are missing. Nothing here knows how faults will be searched for.

mod day;
mod fault;
mod measure;
mod run;
mod system;
mod write;

use hindsight_otlp::{Encoding, encode_request};
use jiff::Timestamp;

pub use day::{DayFault, FaultDay};
pub use fault::FaultKind;

use crate::SECOND;
use crate::dice::Dice;
use fault::Fault;
use run::Recorder;
use system::System;

/// How long a case is recorded.
const LENGTH_S: u64 = 720;
/// When its fault begins, on average.
const FAULT_S: u64 = 480;

/// Which case: everything that is made up follows from these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultCase {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Seed of everything random.
    pub seed: u64,
}

/// A case's telemetry, as lines of OTLP/JSON without their newlines in order of time, and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRecording {
    /// Trace requests; empty where the case has none.
    pub traces: Vec<Vec<u8>>,
    /// Log requests.
    pub logs: Vec<Vec<u8>>,
    /// Metric requests.
    pub metrics: Vec<Vec<u8>>,
    /// The service at fault.
    pub service: String,
    /// All services there are.
    pub candidates: Vec<String>,
    /// When the fault begins.
    pub injected_at: Timestamp,
    /// When the recording ends.
    pub ends_at: Timestamp,
}

impl FaultCase {
    /// The `count` cases that scores are kept of: every kind in turn, another seed each.
    pub fn all(seed: u64, count: u64) -> Vec<Self> {
        let kinds = FaultKind::ALL;
        (0..count)
            .map(|number| {
                let place = usize::try_from(number).unwrap_or(0) % kinds.len();
                Self { kind: kinds[place], seed: seed + number }
            })
            .collect()
    }

    /// `cpu-0007`: the fault and the seed.
    pub fn name(self) -> String {
        format!("{}-{:04}", self.kind.name(), self.seed)
    }

    /// Makes the case up.
    ///
    /// # Errors
    /// Never for times of this century.
    pub fn generate(self) -> Result<FaultRecording, jiff::Error> {
        let mut dice = Dice::new(self.seed, 17);
        let start_s = 1_780_000_000 + self.seed % 10_000 * 7_919;
        let start = start_s * SECOND;
        let mut system = System::new(&mut dice);
        // What only logs tell needs logs.
        system.signals.logs |= self.kind == FaultKind::LogOnly;
        let begins = start + (FAULT_S - 30 + dice.below(60)) * SECOND;
        let fault = Fault::new(self.kind, &system, begins, &mut dice);
        let end = start + LENGTH_S * SECOND;
        let mut recorder = Recorder::new(&system, std::slice::from_ref(&fault), start, &mut dice);
        recorder.traffic(start, end);
        recorder.measure(start, end);
        let written = recorder.written;
        let json = |requests: Vec<hindsight_otlp::Request>| -> Vec<Vec<u8>> {
            requests.iter().map(|request| encode_request(request, Encoding::Json)).collect()
        };
        Ok(FaultRecording {
            traces: json(written.traces(&system)),
            logs: json(written.logs(&system)),
            metrics: json(written.metrics()),
            service: system.services[fault.service].name.clone(),
            candidates: system.services.iter().map(|service| service.name.clone()).collect(),
            injected_at: Timestamp::from_nanosecond(i128::from(begins))?,
            ends_at: Timestamp::from_nanosecond(i128::from(end))?,
        })
    }
}

impl FaultRecording {
    /// The answer as its file has it.
    pub fn label(&self, case: FaultCase) -> String {
        let candidates: Vec<String> = self.candidates.iter().map(|name| format!("\"{name}\"")).collect();
        format!(
            "{{\n \"case\": \"{}\",\n \"dataset\": \"generated\",\n \"fault_type\": \"{}\",\n \"service\": \"{}\",\n \
             \"injected_at\": \"{}\",\n \"ends_at\": \"{}\",\n \"candidates\": [{}]\n}}\n",
            case.name(),
            case.kind.name(),
            self.service,
            self.injected_at,
            self.ends_at,
            candidates.join(", ")
        )
    }
}

#[cfg(test)]
mod tests;
