//! Start: what the log holds and no commit covers goes back into the head, exactly once (BLK-1).

use hindsight_model::Table;
use hindsight_otlp::{Decoded, Interner};
use hindsight_wal::{Record, Recovered};

use crate::dedup::{Dedup, Seen};
use crate::ingest::decode_again;
use crate::live::Live;
use crate::record::{KIND_HASHES, KIND_REQUEST, RequestRecord, decode_hashes};
use crate::{Error, Result};

/// Records decoded side by side at most.
const CHUNK_RECORDS_MAX: usize = 64;
/// Bytes of records decoded side by side; one record may exceed it alone.
const CHUNK_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What replay found, for the log line at start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub(crate) requests: u64,
    pub(crate) rows: u64,
    /// The last position in the log; 0 when it is empty.
    pub(crate) last: u64,
}

/// The last log position that each table's commits cover.
pub(crate) type Covered = [u64; Table::ALL.len()];

/// Fills the head and the window of seen requests from the log. Takes long; not for an I/O thread.
pub(crate) fn replay(
    mut recovered: Recovered,
    covered: &Covered,
    live: &Live,
    dedup: &mut Dedup,
    interner: &Interner,
) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    loop {
        let chunk = next_chunk(&mut recovered)?;
        if chunk.is_empty() {
            return Ok(replayed);
        }
        replayed.last = chunk.last().map_or(replayed.last, |record| record.position.0);
        for (position, request, decoded) in decode_chunk(chunk, covered, dedup, interner)? {
            replayed.requests += 1;
            let mut batches = decoded.batches;
            batches.retain(|(table, _)| covered[table.index()] < position);
            replayed.rows += batches.iter().map(|(_, batch)| batch.num_rows() as u64).sum::<u64>();
            live.insert(&request.tenant, batches, decoded.max_time)?;
        }
    }
}

fn next_chunk(recovered: &mut Recovered) -> Result<Vec<Record>> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    while chunk.len() < CHUNK_RECORDS_MAX && bytes < CHUNK_BYTES_MAX {
        let Some(record) = recovered.next() else { break };
        let record = record.map_err(Error::wal("read"))?;
        bytes += record.payload.len();
        chunk.push(record);
    }
    Ok(chunk)
}

type Replay = (u64, RequestRecord, Decoded);

/// Reads a chunk's records in order and decodes, on all cores, those that some table still needs.
fn decode_chunk(
    chunk: Vec<Record>,
    covered: &Covered,
    dedup: &mut Dedup,
    interner: &Interner,
) -> Result<Vec<Replay>> {
    let mut requests = Vec::new();
    for record in chunk {
        let position = record.position.0;
        let unreadable = |reason| Error::Record { position, reason };
        match record.kind {
            KIND_REQUEST => {
                let request = RequestRecord::decode(record.payload).map_err(unreadable)?;
                dedup.insert(Seen { hash: request.hash(), arrival: request.arrival }, position);
                if request.signal.tables().iter().any(|table| covered[table.index()] < position) {
                    requests.push((position, request));
                }
            }
            KIND_HASHES => {
                for seen in decode_hashes(&record.payload).map_err(unreadable)? {
                    dedup.insert(seen, position);
                }
            }
            other => return Err(unreadable(format!("it is of kind {other}, which a newer program wrote"))),
        }
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let share = requests.len().div_ceil(workers).max(1);
    let mut decoded = Vec::with_capacity(requests.len());
    std::thread::scope(|scope| {
        let workers: Vec<_> = requests
            .chunks(share)
            .map(|share| {
                scope.spawn(|| {
                    share.iter().map(|(_, request)| decode_again(request, interner)).collect::<Vec<_>>()
                })
            })
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(share) => decoded.extend(share),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    requests
        .into_iter()
        .zip(decoded)
        .map(|((position, request), decoded)| {
            let decoded = decoded.map_err(|source| Error::Replay { position, source })?;
            Ok((position, request, decoded))
        })
        .collect()
}
