//! A long recording with several faults, each over before the next, for measuring detection.

use hindsight_otlp::{Encoding, Request, encode_request};
use jiff::Timestamp;

use super::fault::{Fault, FaultKind};
use super::run::Recorder;
use super::system::System;
use super::write::Written;
use crate::SECOND;
use crate::dice::Dice;

const HOUR: u64 = 3_600 * SECOND;
/// What is left quiet before the first fault.
const QUIET_S: u64 = 2_700;
/// Share of the rate by which the load swings in a day.
const DAILY: f64 = 0.6;

/// Which recording: everything that is made up follows from these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultDay {
    /// Seed of everything random; other seeds are other systems with other signals.
    pub seed: u64,
    /// How long it is.
    pub hours: u64,
    /// How many faults, spread evenly over the time; kinds in turn, beginning with another for each seed.
    pub faults: u64,
    /// Requests per second from outside, on average.
    pub rate: f64,
}

/// One fault of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayFault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// The service at fault.
    pub service: String,
    /// When it begins.
    pub injected_at: Timestamp,
    /// When it is over.
    pub ends_at: Timestamp,
}

impl FaultDay {
    /// `day-0007`.
    pub fn name(self) -> String {
        format!("day-{:04}", self.seed)
    }

    /// Makes the recording up, an hour at a time, and hands every line of OTLP/JSON, without its newline, to `write`
    /// with its signal: `traces`, `logs` or `metrics`. Gives the faults in order of time. A recording without faults
    /// has all that goes on beside faults.
    ///
    /// # Errors
    /// What `write` returns.
    pub fn generate<E: From<jiff::Error>>(
        self,
        mut write: impl FnMut(&'static str, Vec<u8>) -> Result<(), E>,
    ) -> Result<Vec<DayFault>, E> {
        let mut dice = Dice::new(self.seed, 23);
        let start = (1_780_012_800 + self.seed % 10_000 * 86_400) * SECOND;
        let end = start + self.hours * HOUR;
        let mut system = System::new(&mut dice);
        system.rate = self.rate;
        let faults = self.faults(&mut system, start, end, &mut dice);
        let mut recorder = Recorder::new(&system, &faults, start, &mut dice);
        recorder.daily = DAILY;
        let mut hour = start;
        while hour < end {
            let next = (hour + HOUR).min(end);
            recorder.traffic(hour, next);
            let written = std::mem::take(&mut recorder.written);
            tell(&written, &system, &mut write)?;
            hour = next;
        }
        recorder.measure(start, end);
        let written = std::mem::take(&mut recorder.written);
        tell(&written, &system, &mut write)?;
        let at = |nanos: u64| Timestamp::from_nanosecond(i128::from(nanos));
        let harmful = faults.iter().filter(|fault| fault.service < system.services.len());
        let told = harmful.map(|fault| {
            Ok(DayFault {
                kind: fault.kind,
                service: system.services[fault.service].name.clone(),
                injected_at: at(fault.begins)?,
                ends_at: at(fault.ends)?,
            })
        });
        Ok(told.collect::<Result<_, jiff::Error>>()?)
    }

    /// Faults with what goes on beside them, and between them the same without harm.
    fn faults(self, system: &mut System, start: u64, end: u64, dice: &mut Dice) -> Vec<Fault> {
        let slots = self.faults.max(self.hours / 2).max(1);
        let length = (end - start - QUIET_S * SECOND) / slots;
        let mut faults = Vec::new();
        for slot in 0..slots {
            let number = usize::try_from(self.seed + slot).unwrap_or(0);
            let kind = FaultKind::ALL[number % FaultKind::ALL.len()];
            let is_harmful = slot < self.faults;
            system.signals.logs |= is_harmful && kind == FaultKind::LogOnly;
            let earliest = start + QUIET_S * SECOND + slot * length;
            let begins = earliest + dice.below(length / SECOND / 4) * SECOND;
            let ends = begins + (480 + dice.below(720)) * SECOND;
            let fault = Fault { ends, ..Fault::new(kind, system, begins, dice) };
            faults.push(if is_harmful { fault } else { fault.without_harm() });
            let begins = earliest + (length / SECOND * 2 / 3) * SECOND;
            let beside = Fault::new(kind, system, begins, dice).without_harm();
            faults.push(Fault { ends: begins + 600 * SECOND, ..beside });
        }
        faults
    }

    /// The answer as its file has it.
    pub fn label(self, faults: &[DayFault]) -> String {
        let each = |fault: &DayFault| {
            format!(
                "  {{\"service\": \"{}\", \"fault_type\": \"{}\", \"injected_at\": \"{}\", \"ends_at\": \"{}\"}}",
                fault.service,
                fault.kind.name(),
                fault.injected_at,
                fault.ends_at
            )
        };
        let each: Vec<String> = faults.iter().map(each).collect();
        format!("{{\n \"case\": \"{}\",\n \"faults\": [\n{}\n ]\n}}\n", self.name(), each.join(",\n"))
    }
}

fn tell<E>(
    written: &Written,
    system: &System,
    write: &mut impl FnMut(&'static str, Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let signals: [(&'static str, Vec<Request>); 3] =
        [("traces", written.traces(system)), ("logs", written.logs(system)), ("metrics", written.metrics())];
    for (signal, requests) in signals {
        for request in requests {
            write(signal, encode_request(&request, Encoding::Json))?;
        }
    }
    Ok(())
}
