//! Reading a body within its limits: size, the shared budget, and time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use super::{Charge, Pressure};
use crate::fault::Fault;

/// Refused bodies that are listened to at once, and for how long each.
pub(super) const LISTENERS_MAX: usize = 64;
const LISTEN_ON_MAX: Duration = Duration::from_secs(10);
/// Without an announced length, the budget is charged in steps of this size.
const STEP_BYTES: usize = 64 << 10;

/// The chunks of a body, all of them within one time.
#[derive(Debug)]
pub(crate) struct BodyReader {
    body: Body,
    deadline: Instant,
    timeout: Duration,
}

impl BodyReader {
    pub(crate) fn new(body: Body, timeout: Duration) -> Self {
        Self { body, deadline: Instant::now() + timeout, timeout }
    }

    /// The next bytes; none at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let frame = timeout_at(self.deadline, self.body.frame()).await;
            let frame = frame.map_err(|_| Fault::slow_body(self.timeout))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => {
                    return Err(Fault::invalid(format!("the body could not be read: {error}")));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => {}
                },
            }
        }
    }
}

impl Pressure {
    /// Throws away the rest of a body that was refused. A client that is cut off while it still sends hears a broken
    /// connection and not the answer; one that is listened to for a while hears the answer.
    fn listen_on(&self, mut reader: BodyReader, limit: usize) {
        let Ok(place) = Arc::clone(&self.listeners).try_acquire_owned() else { return };
        reader.deadline = reader.deadline.min(Instant::now() + LISTEN_ON_MAX);
        tokio::spawn(async move {
            let mut left = limit;
            while let Ok(Some(chunk)) = reader.chunk().await {
                match left.checked_sub(chunk.len()) {
                    Some(less) => left = less,
                    None => break,
                }
            }
            drop(place);
        });
    }
}

/// A whole body of at most `limit` bytes, paid for in `charge` before it is read where its length is announced, and
/// step by step where it is not.
pub(crate) async fn collect(
    body: Body,
    limit: usize,
    pressure: &Pressure,
    charge: &mut Charge,
) -> Result<Bytes, Fault> {
    let announced = HttpBody::size_hint(&body).exact();
    let mut reader = BodyReader::new(body, pressure.body_timeout);
    let whole = read_whole(&mut reader, announced, limit, charge).await;
    if whole.is_err() {
        pressure.listen_on(reader, limit);
    }
    whole
}

async fn read_whole(
    reader: &mut BodyReader,
    announced: Option<u64>,
    limit: usize,
    charge: &mut Charge,
) -> Result<Bytes, Fault> {
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Fault::body_too_large(limit));
    }
    let announced = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    charge.grow_to(announced).map_err(|_| Fault::bodies_full())?;
    let Some(first) = reader.chunk().await? else { return Ok(Bytes::new()) };
    if first.len() == announced {
        return Ok(first);
    }
    let mut whole = Vec::with_capacity(announced.max(first.len()));
    let mut next = Some(first);
    while let Some(chunk) = next {
        append(&mut whole, &chunk, limit, charge)?;
        next = reader.chunk().await?;
    }
    Ok(whole.into())
}

fn append(whole: &mut Vec<u8>, chunk: &[u8], limit: usize, charge: &mut Charge) -> Result<(), Fault> {
    let length = whole.len() + chunk.len();
    if length > limit {
        return Err(Fault::body_too_large(limit));
    }
    charge
        .grow_to(length.next_multiple_of(STEP_BYTES).min(limit.max(length)))
        .map_err(|_| Fault::bodies_full())?;
    whole.extend_from_slice(chunk);
    Ok(())
}
