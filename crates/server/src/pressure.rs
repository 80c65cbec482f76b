//! What a crowd of senders may take of this server: connections, bytes of bodies, time (LIM-1). Everything beyond is
//! told to come back, before it costs memory.

mod accept;
mod activity;
mod body;
mod budget;
mod connections;

pub(crate) use accept::{TURN_AWAY_TIMEOUT, accept};
pub(crate) use activity::{Exchange, TakenBy};
pub(crate) use body::{BodyReader, collect};
pub(crate) use budget::{Budget, Charge};
pub(crate) use connections::{Connections, serve};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hindsight_model::{Signal, Tenant};
use hindsight_store::{Refusal, Store};
use tokio::sync::Semaphore;

use crate::fault::{Fault, REASONS};
use crate::limits::LimitSettings;

/// The shared bounds of all ports, and what they had to refuse.
#[derive(Debug)]
pub(crate) struct Pressure {
    pub(crate) bodies: Arc<Budget>,
    /// Whoever unpacks a body holds one, for the memory of the unpacker.
    pub(crate) unpackers: Semaphore,
    pub(crate) body_timeout: Duration,
    /// Whoever throws away the rest of a refused body holds one.
    listeners: Arc<Semaphore>,
    pub(crate) grpc: Arc<Connections>,
    pub(crate) http: Arc<Connections>,
    pub(crate) web: Arc<Connections>,
    pub(crate) pg: Arc<Connections>,
    /// Refused OTLP requests by reason, in the order of [`REASONS`].
    refused: [AtomicU64; REASONS.len()],
}

impl Pressure {
    pub(crate) fn new(limits: &LimitSettings, ports: usize) -> Self {
        let connections_max = connections::within_open_files(limits.connections_max.value, ports);
        let connections = || Arc::new(Connections::new(connections_max, limits));
        Self {
            bodies: Arc::new(Budget::new(limits.in_flight_bytes_max.value)),
            unpackers: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
            body_timeout: limits.body_timeout.value,
            listeners: Arc::new(Semaphore::new(body::LISTENERS_MAX)),
            grpc: connections(),
            http: connections(),
            web: connections(),
            pg: connections(),
            refused: Default::default(),
        }
    }

    /// Counts a refused OTLP request and notes it in `rejected_telemetry`.
    pub(crate) fn note(&self, store: &Store, signal: Signal, sender: Option<&str>, fault: &Fault) {
        let reason = fault.reason();
        if let Some(at) = REASONS.iter().position(|known| *known == reason) {
            self.refused[at].fetch_add(1, Ordering::Relaxed);
        }
        let tenant = Tenant::default();
        store.note_refusal(Refusal { tenant: &tenant, signal, reason, sender, told: fault.message() });
    }

    /// Refused OTLP requests by reason, since the start.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.into_iter().zip(self.refused.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}
