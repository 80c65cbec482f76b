//! What must hold for any bytes: nothing panics, and what is accepted adds up. Called by the fuzz targets and, with
//! the corpus, by the end-to-end tests.

mod life;
mod memory;

use std::path::Path;
use std::sync::Arc;

use hindsight_model::Signal;
use hindsight_otlp::{AdmitAll, DecodeContext, Encoding, Interner, Limits};
use hindsight_wal::{Options, Wal, inspect};

use self::memory::MemoryFiles;

/// Where the log is, in memory.
const LOG_DIR: &str = "wal";

/// A protobuf request; the first byte says of which signal.
pub fn wire(data: &[u8]) {
    decode(Encoding::Protobuf, data);
}

/// A JSON request; the first byte says of which signal.
pub fn json(data: &[u8]) {
    decode(Encoding::Json, data);
}

/// The byte that stands for a signal at the start of a corpus file.
pub fn signal_byte(signal: Signal) -> u8 {
    let place = Signal::ALL.iter().position(|other| *other == signal);
    b'0' + u8::try_from(place.unwrap_or(0)).unwrap_or(0)
}

fn decode(encoding: Encoding, data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let signal = Signal::ALL[usize::from(*first) % Signal::ALL.len()];
    let Ok(arrival) = "2026-05-04T14:32:00Z".parse() else { return };
    let (limits, interner) = (Limits::default(), Interner::new());
    let context =
        DecodeContext { arrival, now: arrival, limits: &limits, interner: &interner, series: &AdmitAll };
    let Ok(decoded) = hindsight_otlp::decode(signal, encoding, body, &context) else { return };
    let rows: usize = decoded.batches.iter().map(|(_, batch)| batch.num_rows()).sum();
    assert_eq!(decoded.accepted, rows as u64, "every accepted item is a row");
    let by_reason: u64 = decoded.reasons.values().sum();
    assert_eq!(decoded.rejected, by_reason, "every refused item has a reason");
    assert!(decoded.rejections.len() <= limits.rejections_kept_max, "what is kept is bounded");
    // Replay must see the same rows, also when resources and series are known by then. As text: NaN is not itself.
    let again = hindsight_otlp::decode(signal, encoding, body, &context).map(|again| format!("{again:?}"));
    assert!(again.is_ok_and(|again| again == format!("{decoded:?}")), "decoding is a function of its input");
}

/// By the first byte: a segment whose header is good and whose frames are `data`; a segment that is `data` altogether;
/// or a log that lives as `data` says.
pub fn wal(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    if first % 4 == 2 {
        return life::live(bytes);
    }
    let files = MemoryFiles::default();
    let Ok((log, _)) = Wal::open_with(Arc::new(files.clone()), Path::new(LOG_DIR), Options::default()) else {
        return;
    };
    drop(log);
    for (path, _) in files.all() {
        files.edit(&path, |content| {
            if first % 2 == 1 {
                content.clear();
            }
            content.extend_from_slice(bytes);
        });
    }
    agree(&files, &Options::default());
}

/// Looking and opening find the same in the same files, whatever is in them.
fn agree(files: &MemoryFiles, options: &Options) {
    let dir = Path::new(LOG_DIR);
    let mut shown = Vec::new();
    let looked = inspect(files, dir, |record| shown.push((record.position, record.payload.to_vec())));
    let Ok(looked) = looked else { return };
    match Wal::open_with(Arc::new(files.clone()), dir, options.clone()) {
        Ok((mut log, recovered)) => {
            let records: Vec<_> =
                recovered.map_while(Result::ok).map(|record| (record.position, record.payload)).collect();
            assert_eq!(records, shown, "looking and opening find the same records");
            assert!(looked.damage.is_empty(), "what opens is not damaged");
            // The log goes on after what it found.
            let position = log.append(1, b"next");
            let next = looked.next_position().unwrap_or(options.first_position);
            assert_eq!(position.ok(), Some(next), "positions go on without a gap");
        }
        Err(_) => assert!(!looked.damage.is_empty(), "what does not open has a reason"),
    }
}
