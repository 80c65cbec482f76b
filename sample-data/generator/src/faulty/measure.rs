//! Metrics: what agents and runtimes would have reported.

use super::fault::FaultKind;
use super::run::{Doings, Recorder};
use super::write::{Meter, MetricLine};
use crate::SECOND;

/// Connections of a pool.
const POOL: f64 = 20.0;

impl Recorder<'_> {
    /// Every service's metrics from `start` to `end`.
    pub(super) fn measure(&mut self, start: u64, end: u64) {
        if !self.system.signals.metrics {
            return;
        }
        for service in 0..self.system.services.len() {
            let step = self.system.signals.scrape_s * SECOND;
            let mut at = start + self.dice.below(step);
            let mut total = Doings::default();
            let mut wander = 0.0;
            let mut seen_to = start / (10 * SECOND);
            while at < end {
                let lost = self.fault_of(service, at).is_some_and(|f| f.kind == FaultKind::DependencyLoss);
                let slot = at / (10 * SECOND);
                let mut recent = Doings::default();
                for tenth in seen_to..slot {
                    if let Some(doings) = self.doings.get(&(service, tenth)) {
                        recent.requests += doings.requests;
                        recent.failed += doings.failed;
                        recent.nanos += doings.nanos;
                        recent.queries += doings.queries;
                    }
                }
                seen_to = slot;
                total.requests += recent.requests;
                total.failed += recent.failed;
                total.nanos += recent.nanos;
                wander = 0.8 * wander + 0.05 * self.dice.normal();
                if !lost {
                    self.scrape(service, at, start, recent, total, wander);
                }
                at += step;
            }
        }
    }

    fn scrape(&mut self, service: usize, at: u64, start: u64, recent: Doings, total: Doings, wander: f64) {
        let known = &self.system.services[service];
        let fault = self.fault_of(service, at);
        let hit = fault.map(|fault| fault.kind);
        let per_second = recent.requests as f64 / self.system.signals.scrape_s as f64;
        let age = fault.map_or(0.0, |fault| fault.age_s(at));
        let severity = fault.map_or(0.0, |fault| fault.severity);
        let jitter = |dice: &mut crate::dice::Dice, by: f64| 1.0 + by * dice.normal();
        let mut cpu =
            known.cpu * (0.6 + 0.4 * per_second.min(4.0)) * (1.0 + wander) * jitter(self.dice, 0.06);
        let mut memory = known.memory_mib * (1.0 + 0.04 * wander)
            + 0.002 * known.memory_mib * ((at - start) / SECOND % 90) as f64;
        let mut pool: f64 = (1.0
            + 0.8 * recent.queries as f64 / self.system.signals.scrape_s as f64
            + self.dice.unit() * 2.0)
            .floor();
        match hit {
            Some(FaultKind::Cpu) => cpu = (0.6 + 0.4 * severity) * jitter(self.dice, 0.02),
            Some(FaultKind::Memory) => {
                memory *= 1.0 + (age / 60.0).min(2.0) * severity;
                cpu *= 1.4;
            }
            Some(FaultKind::PoolExhaustion) => pool = POOL,
            Some(FaultKind::CacheStampede | FaultKind::RetryStorm | FaultKind::TrafficSurge) => {
                cpu *= 1.0 + 0.8 * severity;
            }
            Some(FaultKind::BadDeploy) if fault.is_some_and(|fault| !fault.fails) => cpu *= 1.5,
            _ => {}
        }
        if self.faults.iter().any(|fault| fault.is_busy(service, at)) {
            cpu = cpu * 2.5 + 0.2;
        }
        let infrastructure = self.system.signals.by_container;
        let mut add = |name: &'static str, unit: &'static str, meter: Meter, value: f64, infra: bool| {
            self.written.metrics.push(MetricLine {
                service,
                name,
                unit,
                meter,
                value,
                at,
                start,
                by_container: infra && infrastructure,
                pod: known.pod.clone(),
                owner: known.name.clone(),
            });
        };
        add("container.cpu.utilization", "1", Meter::Gauge, cpu.clamp(0.001, 1.0), true);
        add("container.memory.usage", "MiBy", Meter::Gauge, memory, true);
        add("http.server.requests", "{request}", Meter::Counter, total.requests as f64, false);
        add("http.server.errors", "{error}", Meter::Counter, total.failed as f64, false);
        if recent.requests > 0 {
            let mean = recent.nanos as f64 / recent.requests as f64 / SECOND as f64;
            add("http.server.duration.mean", "s", Meter::Gauge, mean, false);
        }
        if known.database.is_some() {
            add("db.client.connections.used", "{connection}", Meter::Gauge, pool.clamp(0.0, POOL), false);
        }
        if known.layer > 0 {
            let miss = hit == Some(FaultKind::CacheStampede);
            let ratio = if miss { 0.05 } else { 0.9 } * jitter(self.dice, 0.03);
            self.written.metrics.push(MetricLine {
                service,
                name: "cache.hit.ratio",
                unit: "1",
                meter: Meter::Gauge,
                value: ratio.clamp(0.0, 1.0),
                at,
                start,
                by_container: false,
                pod: known.pod.clone(),
                owner: known.name.clone(),
            });
        }
    }
}
