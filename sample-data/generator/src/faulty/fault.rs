//! What goes wrong, and what it does to the service at fault.

use super::system::System;
use crate::SECOND;
use crate::dice::Dice;

/// Kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The processor is taken away from a service.
    Cpu,
    /// A service's memory fills; it pauses to collect.
    Memory,
    /// Connections to a service's database run out.
    PoolExhaustion,
    /// Everything to and from a service takes longer on the way.
    Latency,
    /// A service fails a part of its requests.
    Error,
    /// A service cannot be reached and sends nothing.
    DependencyLoss,
    /// A new version fails or is slow.
    BadDeploy,
    /// A flag leads a part of the requests into a slow, failing path.
    BadFlag,
    /// More requests come from outside.
    TrafficSurge,
    /// Work is left undone, which only logs tell.
    LogOnly,
    /// A service's cache is gone; every request asks what lies behind.
    CacheStampede,
    /// A service repeats its calls without end.
    RetryStorm,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Cpu,
        Self::Memory,
        Self::PoolExhaustion,
        Self::Latency,
        Self::Error,
        Self::DependencyLoss,
        Self::BadDeploy,
        Self::BadFlag,
        Self::TrafficSurge,
        Self::LogOnly,
        Self::CacheStampede,
        Self::RetryStorm,
    ];

    /// Its name in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::PoolExhaustion => "pool-exhaustion",
            Self::Latency => "latency",
            Self::Error => "error",
            Self::DependencyLoss => "dependency-loss",
            Self::BadDeploy => "bad-deploy",
            Self::BadFlag => "bad-flag",
            Self::TrafficSurge => "traffic-surge",
            Self::LogOnly => "log-only",
            Self::CacheStampede => "cache-stampede",
            Self::RetryStorm => "retry-storm",
        }
    }
}

/// One fault of one service.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) service: usize,
    pub(super) begins: u64,
    /// When it is over, with what goes on beside it.
    pub(super) ends: u64,
    /// How bad, 0.15 to 1.
    pub(super) severity: f64,
    /// Whether a bad version or flag fails, rather than being slow.
    pub(super) fails: bool,
    /// A service whose new version harms nobody, and when it came.
    pub(super) harmless_deploy: Option<(usize, u64)>,
    /// A service whose processor is busy for two minutes with what hurts nobody, and since when.
    pub(super) busy: (usize, u64),
    /// A service that begins to warn of something else, and when.
    pub(super) chatty: (usize, u64),
}

impl Fault {
    pub(super) fn new(kind: FaultKind, system: &System, begins: u64, dice: &mut Dice) -> Self {
        let reached = system.reached();
        let fits = |index: &usize| {
            let service = &system.services[*index];
            // A service that nobody asks cannot be missed.
            let is_used = reached[*index] >= 0.12;
            let calls = service.operations.iter().any(|operation| !operation.calls.is_empty());
            is_used
                && match kind {
                    FaultKind::TrafficSurge => service.layer == 0,
                    FaultKind::DependencyLoss => service.layer > 0,
                    FaultKind::PoolExhaustion => service.database.is_some(),
                    FaultKind::CacheStampede => service.database.is_some() || calls,
                    FaultKind::RetryStorm => calls,
                    _ => true,
                }
        };
        let all = 0..system.services.len();
        let fitting: Vec<usize> = all.clone().filter(fits).collect();
        let service = if fitting.is_empty() { 0 } else { *dice.pick(&fitting) };
        let severity = 0.15 + 0.85 * dice.unit();
        let fails = dice.chance(0.5);
        let others: Vec<usize> = all.filter(|index| *index != service).collect();
        let harmless_deploy =
            dice.chance(0.3).then(|| (*dice.pick(&others), begins - (60 + dice.below(300)) * SECOND));
        let mut around = |before: u64, within: u64| begins - before * SECOND + dice.below(within) * SECOND;
        let (busy_since, chatty_since) = (around(150, 180), around(240, 300));
        let busy = (*dice.pick(&others), busy_since);
        let chatty = (*dice.pick(&others), chatty_since);
        Self { kind, service, begins, ends: u64::MAX, severity, fails, harmless_deploy, busy, chatty }
    }

    /// The same without the fault: what goes on beside it only.
    pub(super) fn without_harm(self) -> Self {
        Self { service: usize::MAX, ..self }
    }

    /// Whether the service is at fault at this time.
    pub(super) fn hits(&self, service: usize, at: u64) -> bool {
        service == self.service && self.is_on(at)
    }

    /// Whether it has begun and is not over.
    pub(super) fn is_on(&self, at: u64) -> bool {
        (self.begins..self.ends).contains(&at)
    }

    /// Whether a service is busy with what hurts nobody.
    pub(super) fn is_busy(&self, service: usize, at: u64) -> bool {
        self.busy.0 == service && (self.busy.1..self.busy.1 + 120 * SECOND).contains(&at)
    }

    /// Whether a service warns of something else.
    pub(super) fn is_chatty(&self, service: usize, at: u64) -> bool {
        self.chatty.0 == service && (self.chatty.1..self.ends).contains(&at)
    }

    /// Whether a service runs another version than the usual one.
    pub(super) fn is_new_version(&self, service: usize, at: u64) -> bool {
        let is_bad = self.kind == FaultKind::BadDeploy && self.hits(service, at);
        let is_harmless = self
            .harmless_deploy
            .is_some_and(|(other, since)| other == service && (since..self.ends).contains(&at));
        is_bad || is_harmless
    }

    /// Seconds since it began; 0 before.
    pub(super) fn age_s(&self, at: u64) -> f64 {
        at.saturating_sub(self.begins) as f64 / SECOND as f64
    }
}
