//! One request from bytes to acknowledgement.

use std::sync::Arc;

use bytes::Bytes;
use hindsight_model::{Signal, Tenant};
use hindsight_otlp::{DecodeContext, Decoded, Encoding, Interner, Limits, SeriesGate};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::admission::{RefusedThen, TenantGate, widen};
use crate::dedup::RequestHash;
use crate::record::{RequestRecord, storable};
use crate::stats::Counters;
use crate::store::Inner;
use crate::writer::{Command, Job, Stored};
use crate::{IngestError, Result, StoreOptions};

/// A larger request is decoded off the I/O threads.
const INLINE_BYTES_MAX: usize = 256 * 1024;

/// A request as the server took it off the wire, after decompression.
#[derive(Clone, Debug)]
pub struct Ingest {
    /// Whose data it is.
    pub tenant: Tenant,
    /// Which of the three services it was sent to.
    pub signal: Signal,
    /// How `body` is written.
    pub encoding: Encoding,
    /// The request, exactly as it came.
    pub body: Bytes,
    /// An address or a user agent, kept with rejected items; at most 255 bytes of it.
    pub sender: Option<String>,
}

/// An acknowledged request: durable as [`crate::Durability`] says, and in every snapshot taken from now on.
#[derive(Debug)]
pub struct Ingested {
    /// What was accepted and refused, for `hindsight_otlp::response`; its `batches` are empty, they went to the head.
    pub decoded: Decoded,
    /// Whether it was an exact repeat, which is not stored again (OTLP.md rule 13).
    pub duplicate: bool,
}

impl Inner {
    pub(crate) async fn ingest(&self, request: Ingest) -> Result<Ingested, IngestError> {
        let result = self.try_ingest(request).await;
        match &result {
            Ok(_) => Counters::add(&self.counters.acked, 1),
            Err(IngestError::Busy { .. }) => Counters::add(&self.counters.busy, 1),
            Err(IngestError::RateLimited { .. }) => Counters::add(&self.counters.rate_limited, 1),
            Err(IngestError::Unavailable { .. }) => Counters::add(&self.counters.unavailable, 1),
            Err(IngestError::Invalid(_)) => {}
        }
        result
    }

    async fn try_ingest(&self, request: Ingest) -> Result<Ingested, IngestError> {
        self.check_open()?;
        let permit = self.admit(request.body.len())?;
        self.rates.admit(&request.tenant, request.body.len())?;
        let prepared = self.prepare(request).await?;
        let Prepared { mut decoded, record, payload, hash } = prepared;
        self.rates.charge_items(&record.tenant, decoded.accepted + decoded.rejected);
        let batches = std::mem::take(&mut decoded.batches);
        let stored = if decoded.accepted == 0 {
            // Nothing to keep: neither the log nor a later replay need to know.
            Stored::New
        } else {
            let job = Job {
                payload,
                hash,
                tenant: record.tenant.clone(),
                arrival: record.arrival,
                batches,
                max_time: decoded.max_time,
            };
            self.store(job, permit).await?
        };
        if stored == Stored::New {
            Counters::add(&self.counters.accepted, decoded.accepted);
            Counters::add(&self.counters.rejected, decoded.rejected);
            self.rejections.record(&record.tenant, record.sender.as_deref(), record.arrival, &decoded);
        } else {
            Counters::add(&self.counters.duplicates, 1);
        }
        Ok(Ingested { decoded, duplicate: stored == Stored::Duplicate })
    }

    /// Decoding comes before the log, so that a bad request never reaches it. A usual request takes less than a
    /// millisecond, less than handing it to another thread is worth; a large one goes off the I/O threads.
    async fn prepare(&self, request: Ingest) -> Result<Prepared, IngestError> {
        let Ok(_slot) = self.decoders.acquire().await else { return Err(stopped()) };
        let record = RequestRecord {
            tenant: request.tenant,
            signal: request.signal,
            encoding: request.encoding,
            arrival: storable(self.clock.now()),
            sender: request.sender,
            limits: widen(limits(&self.options), self.clock.now(), self.clock.steady()),
            refused_series: Vec::new(),
            body: request.body,
        };
        let gate = self.series.gate(&record.tenant, self.clock.steady());
        if record.body.len() <= INLINE_BYTES_MAX {
            return Prepared::new(record, gate, &self.interner);
        }
        let interner = Arc::clone(&self.interner);
        let work = tokio::task::spawn_blocking(move || Prepared::new(record, gate, &interner));
        work.await.map_err(|_| stopped())?
    }

    async fn store(&self, job: Job, permit: OwnedSemaphorePermit) -> Result<Stored, IngestError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.commands().ok_or_else(stopped)?;
        let sent = commands.send(Command::Store { job, reply, _permit: permit }).await;
        sent.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    fn check_open(&self) -> Result<(), IngestError> {
        if self.is_closing() {
            return Err(IngestError::Unavailable { reason: "it is shutting down".to_owned() });
        }
        if self.is_poisoned() {
            return Err(crate::writer::poisoned());
        }
        Ok(())
    }
}

/// A decoded request and its log record.
struct Prepared {
    decoded: Decoded,
    record: RequestRecord,
    payload: Vec<u8>,
    hash: RequestHash,
}

impl Prepared {
    fn new(mut record: RequestRecord, gate: TenantGate, interner: &Interner) -> Result<Self, IngestError> {
        let decoded = decode_with(&record, &gate, interner).map_err(IngestError::Invalid)?;
        record.refused_series = gate.into_refused();
        let (payload, hash) = if decoded.accepted == 0 {
            (Vec::new(), record.hash())
        } else {
            (record.encode(), record.hash())
        };
        Ok(Self { decoded, record, payload, hash })
    }
}

/// A record's rows once more, as they were on arrival.
pub(crate) fn decode_again(
    record: &RequestRecord,
    interner: &Interner,
) -> Result<Decoded, hindsight_otlp::DecodeError> {
    decode_with(record, &RefusedThen(&record.refused_series), interner)
}

/// The one way from a record to rows: taken on arrival and again by replay, with the same result.
fn decode_with(
    record: &RequestRecord,
    series: &dyn SeriesGate,
    interner: &Interner,
) -> Result<Decoded, hindsight_otlp::DecodeError> {
    let context = DecodeContext {
        arrival: record.arrival,
        now: record.arrival,
        limits: &record.limits,
        interner,
        series,
    };
    hindsight_otlp::decode(record.signal, record.encoding, &record.body, &context)
}

fn limits(options: &StoreOptions) -> Limits {
    Limits { past: options.retention, ..options.limits.clone() }
}

fn stopped() -> IngestError {
    IngestError::Unavailable { reason: "it is stopping".to_owned() }
}
