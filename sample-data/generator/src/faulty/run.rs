//! Requests, walked through from the outside in.

use std::collections::BTreeMap;

use super::fault::{Fault, FaultKind};
use super::system::System;
use super::write::{LogLine, SpanKindOf, SpanLine, Written};
use crate::SECOND;
use crate::dice::Dice;

const MILLI: u64 = 1_000_000;
/// What a caller waits for one that does not answer.
const TIMEOUT: u64 = 1_500 * MILLI;

/// What a service did in one span of ten seconds, for its metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doings {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) nanos: u64,
    pub(super) queries: u64,
}

/// Walks requests through a system and writes down what is seen of them.
pub(super) struct Recorder<'a> {
    pub(super) system: &'a System,
    /// One after the other, in order of time.
    pub(super) faults: &'a [Fault],
    /// When the waves of the load begin.
    pub(super) origin: u64,
    /// Share of the rate by which it swings in a day.
    pub(super) daily: f64,
    pub(super) dice: &'a mut Dice,
    pub(super) written: Written,
    /// By service and ten seconds.
    pub(super) doings: BTreeMap<(usize, u64), Doings>,
}

/// How a request came back.
struct Back {
    end: u64,
    failed: bool,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(system: &'a System, faults: &'a [Fault], origin: u64, dice: &'a mut Dice) -> Self {
        Self {
            system,
            faults,
            origin,
            daily: 0.0,
            dice,
            written: Written::default(),
            doings: BTreeMap::new(),
        }
    }

    /// The fault that a service is in.
    pub(super) fn fault_of(&self, service: usize, at: u64) -> Option<&'a Fault> {
        self.faults.iter().find(|fault| fault.hits(service, at))
    }

    /// What a service is at fault of, and how badly.
    fn hit(&self, service: usize, at: u64) -> (Option<FaultKind>, f64) {
        self.fault_of(service, at).map_or((None, 0.0), |fault| (Some(fault.kind), fault.severity))
    }

    /// Requests from outside, with a wave of minutes and one of a day in their rate.
    pub(super) fn traffic(&mut self, start: u64, end: u64) {
        let entries: Vec<usize> =
            (0..self.system.services.len()).filter(|i| self.system.services[*i].layer == 0).collect();
        let mut at = start;
        loop {
            let wave = |period_s: f64| {
                let turns = (at - self.origin) as f64 / (period_s * SECOND as f64);
                libm::sin(turns * core::f64::consts::TAU)
            };
            let mut rate = self.system.rate * (1.0 + 0.2 * wave(240.0)) * (1.0 + self.daily * wave(86_400.0));
            let surge = self.faults.iter().find(|fault| {
                fault.kind == FaultKind::TrafficSurge
                    && fault.service < self.system.services.len()
                    && fault.is_on(at)
            });
            if let Some(surge) = surge {
                rate *= 1.7 + 2.0 * surge.severity;
            }
            at += self.dice.gap(rate);
            if at >= end {
                return;
            }
            // A surge comes through one door.
            let entry = match surge {
                Some(surge) if self.dice.chance(0.6) => surge.service,
                _ => *self.dice.pick(&entries),
            };
            let operations = self.system.services[entry].operations.len() as u64;
            let operation = usize::try_from(self.dice.below(operations)).unwrap_or(0);
            let trace: [u8; 16] = self.dice.id();
            self.serve(entry, operation, at, trace, &[], false);
        }
    }

    /// One request in one service: its server span, and everything below it.
    fn serve(
        &mut self,
        service: usize,
        operation: usize,
        at: u64,
        trace: [u8; 16],
        parent: &[u8],
        flagged: bool,
    ) -> Back {
        let known = &self.system.services[service];
        let id: [u8; 8] = self.dice.id();
        let what = &known.operations[operation];
        let (hit, severity) = self.hit(service, at);
        let fails = self.fault_of(service, at).is_some_and(|fault| fault.fails);
        let flagged = flagged || (hit == Some(FaultKind::BadFlag) && self.dice.chance(0.2 + 0.5 * severity));
        let before = what.own_ms * self.slowdown((hit, severity, fails), flagged);
        let mut now = at + self.dice.latency(before, 0.35) / 2;
        let mut failed = self.dice.chance(known.background_errors)
            && self.complain(service, now, trace, id, "upstream answered late, gave up");
        failed |= self.fails_by_fault(service, at, flagged, now, trace, id);
        if hit == Some(FaultKind::LogOnly) && self.dice.chance(0.2 + 0.5 * severity) {
            self.log(
                service,
                now,
                Some((trace, id)),
                13,
                "skipping reconciliation, snapshot is stale; keeping previous result",
            );
        }
        if self.faults.iter().any(|fault| fault.is_chatty(service, now)) && self.dice.chance(0.3) {
            self.log(service, now, None, 13, "certificate of the metrics endpoint expires soon, renew it");
        }
        if self.dice.chance(0.5) {
            self.log(
                service,
                now,
                Some((trace, id)),
                9,
                &format!("handled {} for tenant {} in region eu-2", what.name, now % 97),
            );
        }
        if what.asks_database && known.database.is_some() {
            now = self.query(service, (hit, severity), now, trace, id, &mut failed);
        }
        if hit == Some(FaultKind::BadFlag) && flagged {
            now = self.internal(service, "RecalculateEverything", now, trace, id, 40.0);
        }
        for call in &what.calls {
            if failed && self.dice.chance(0.6) {
                break;
            }
            let stampede = hit == Some(FaultKind::CacheStampede) && known.database.is_none();
            if !stampede && !self.dice.chance(call.chance) {
                continue;
            }
            let times = match hit {
                Some(FaultKind::RetryStorm) => 3 + self.dice.below(3),
                Some(FaultKind::CacheStampede) if known.database.is_none() => 3,
                _ => 1,
            };
            for _ in 0..times {
                let back = self.call(service, call.service, call.operation, now, trace, id);
                now = back.end;
                failed |= back.failed && self.dice.chance(0.85);
            }
        }
        let after = what.own_ms * self.slowdown((hit, severity, fails), flagged);
        let end = now + self.dice.latency(after, 0.35) / 2;
        let is_silent = hit == Some(FaultKind::DependencyLoss);
        if !is_silent {
            self.span(service, SpanKindOf::Server, &what.name, trace, id, parent, (at, end), failed);
            let doings = self.doings.entry((service, end / (10 * SECOND))).or_default();
            doings.requests += 1;
            doings.failed += u64::from(failed);
            doings.nanos += end - at;
        }
        Back { end, failed }
    }

    /// A call: the client span around what the callee does, or around its silence.
    fn call(
        &mut self,
        caller: usize,
        callee: usize,
        operation: usize,
        at: u64,
        trace: [u8; 16],
        parent: [u8; 8],
    ) -> Back {
        let id: [u8; 8] = self.dice.id();
        let name = self.system.services[callee].operations[operation].name.clone();
        let slow = [caller, callee].into_iter().find_map(|end| match self.hit(end, at) {
            (Some(FaultKind::Latency), severity) => Some(severity),
            _ => None,
        });
        let way = slow.map_or(0.4, |severity| 10.0 + 200.0 * severity);
        if self.hit(callee, at).0 == Some(FaultKind::DependencyLoss) {
            let end = at + if self.dice.chance(0.5) { TIMEOUT } else { self.dice.latency(2.0, 0.3) };
            self.span(caller, SpanKindOf::Client, &name, trace, id, &parent, (at, end), true);
            let text = "connection refused: no healthy upstream";
            self.log(caller, end, Some((trace, id)), 17, text);
            return Back { end, failed: true };
        }
        let there = at + self.dice.latency(way, 0.3);
        let back = self.serve(callee, operation, there, trace, &id, false);
        let end = back.end + self.dice.latency(way, 0.3);
        self.span(caller, SpanKindOf::Client, &name, trace, id, &parent, (at, end), back.failed);
        Back { end, failed: back.failed }
    }

    /// A statement of the service's database; behind a full pool it waits.
    fn query(
        &mut self,
        service: usize,
        (hit, severity): (Option<FaultKind>, f64),
        at: u64,
        trace: [u8; 16],
        parent: [u8; 8],
        failed: &mut bool,
    ) -> u64 {
        let times = if hit == Some(FaultKind::CacheStampede) { 4 + self.dice.below(4) } else { 1 };
        let mut now = at;
        for _ in 0..times {
            if hit == Some(FaultKind::PoolExhaustion) {
                now += self.dice.latency(40.0 + 400.0 * severity, 0.5);
                if self.dice.chance(0.25 * severity) {
                    *failed |= self.complain(
                        service,
                        now,
                        trace,
                        parent,
                        "timed out waiting for a connection from the pool",
                    );
                    return now;
                }
            }
            let id: [u8; 8] = self.dice.id();
            let slow = hit == Some(FaultKind::CacheStampede);
            let end = now + self.dice.latency(if slow { 9.0 } else { 3.0 }, 0.4);
            self.span(service, SpanKindOf::Database, "SELECT", trace, id, &parent, (now, end), false);
            self.doings.entry((service, end / (10 * SECOND))).or_default().queries += 1;
            now = end;
        }
        now
    }

    fn version(&self, service: usize, at: u64) -> &'static str {
        let is_new = self.faults.iter().any(|fault| fault.is_new_version(service, at));
        if is_new { "1.5.0" } else { self.system.services[service].version }
    }

    fn internal(
        &mut self,
        service: usize,
        name: &str,
        at: u64,
        trace: [u8; 16],
        parent: [u8; 8],
        ms: f64,
    ) -> u64 {
        let id: [u8; 8] = self.dice.id();
        let end = at + self.dice.latency(ms, 0.3);
        self.span(service, SpanKindOf::Internal, name, trace, id, &parent, (at, end), false);
        end
    }

    fn slowdown(&mut self, (hit, severity, fails): (Option<FaultKind>, f64, bool), flagged: bool) -> f64 {
        match hit {
            Some(FaultKind::Cpu) => 1.6 + 6.0 * severity,
            Some(FaultKind::Memory) if self.dice.chance(0.25) => 4.0 + 25.0 * severity,
            Some(FaultKind::BadDeploy) if !fails => 1.6 + 5.0 * severity,
            Some(FaultKind::BadFlag) if flagged => 2.0,
            Some(FaultKind::TrafficSurge) => 1.5 + severity,
            Some(FaultKind::RetryStorm) => 1.3,
            _ => 1.0,
        }
    }

    fn fails_by_fault(
        &mut self,
        service: usize,
        begun: u64,
        flagged: bool,
        at: u64,
        trace: [u8; 16],
        id: [u8; 8],
    ) -> bool {
        let Some(fault) = self.fault_of(service, begun) else { return false };
        let (chance, text) = match fault.kind {
            FaultKind::Error => (0.05 + 0.5 * fault.severity, "unexpected state: entity has no owner"),
            FaultKind::BadDeploy if fault.fails => {
                (0.05 + 0.4 * fault.severity, "cannot read property total of undefined")
            }
            FaultKind::BadFlag if flagged && fault.fails => {
                (0.1 + 0.4 * fault.severity, "experimental path rejected the input")
            }
            FaultKind::Memory => (0.04, "allocation failed, retrying after collection"),
            _ => return false,
        };
        self.dice.chance(chance) && self.complain(service, at, trace, id, text)
    }

    /// Logs an error and is one.
    fn complain(&mut self, service: usize, at: u64, trace: [u8; 16], id: [u8; 8], text: &str) -> bool {
        self.log(service, at, Some((trace, id)), 17, &format!("{text} (request {})", at % 100_003));
        true
    }

    fn log(
        &mut self,
        service: usize,
        at: u64,
        context: Option<([u8; 16], [u8; 8])>,
        severity: i32,
        body: &str,
    ) {
        if self.system.signals.logs && self.hit(service, at).0 != Some(FaultKind::DependencyLoss) {
            let version = self.version(service, at);
            self.written.logs.push(LogLine {
                service,
                version,
                at,
                context,
                severity,
                body: body.to_owned(),
            });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a span has that many parts")]
    fn span(
        &mut self,
        service: usize,
        kind: SpanKindOf,
        name: &str,
        trace: [u8; 16],
        id: [u8; 8],
        parent: &[u8],
        (start, end): (u64, u64),
        failed: bool,
    ) {
        if !self.system.signals.traces {
            return;
        }
        let version = self.version(service, start);
        let failed = failed && self.system.signals.status;
        self.written.spans.push(SpanLine {
            service,
            version,
            kind,
            name: name.to_owned(),
            trace,
            id,
            parent: parent.to_vec(),
            start,
            end,
            failed,
        });
    }
}
