//! What a record of the write-ahead log says: a request exactly as it came, or the hashes of requests whose own
//! records are about to be removed. Byte layout in `docs/format/wal.md`.

use std::time::Duration;

use bytes::Bytes;
use hindsight_model::{Signal, Tenant};
use hindsight_otlp::{Encoding, Limits};
use jiff::Timestamp;

use crate::dedup::{RequestHash, Seen};

/// Record kind of a request.
pub(crate) const KIND_REQUEST: u8 = 1;
/// Record kind of carried hashes.
pub(crate) const KIND_HASHES: u8 = 2;

const REQUEST_VERSION: u8 = 2;
/// The layout before series could be refused: the same without their list.
const REQUEST_VERSION_1: u8 = 1;
const HASHES_VERSION: u8 = 1;
/// A longer sender is cut; it is an address or a user agent.
const SENDER_BYTES_MAX: usize = 255;

/// A request with everything that decoding depends on, so that replay decodes it to the same rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RequestRecord {
    pub(crate) tenant: Tenant,
    pub(crate) signal: Signal,
    pub(crate) encoding: Encoding,
    pub(crate) arrival: Timestamp,
    pub(crate) sender: Option<String>,
    pub(crate) limits: Limits,
    /// Series over the tenant's limit when the request came, sorted.
    pub(crate) refused_series: Vec<i64>,
    pub(crate) body: Bytes,
}

impl RequestRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let sender = self.sender.as_deref().unwrap_or_default();
        let sender = &sender[..sender.floor_char_boundary(SENDER_BYTES_MAX)];
        let mut out =
            Vec::with_capacity(self.body.len() + sender.len() + 8 * self.refused_series.len() + 160);
        out.push(REQUEST_VERSION);
        out.push(signal_code(self.signal));
        out.push(encoding_code(self.encoding));
        out.extend_from_slice(&nanos(self.arrival).to_le_bytes());
        put_short(&mut out, self.tenant.as_str());
        put_short(&mut out, sender);
        for limit in limits_to_numbers(&self.limits) {
            out.extend_from_slice(&limit.to_le_bytes());
        }
        let refused =
            u32::try_from(self.refused_series.len()).expect("a series takes several bytes of the body");
        out.extend_from_slice(&refused.to_le_bytes());
        for series_id in &self.refused_series {
            out.extend_from_slice(&series_id.to_le_bytes());
        }
        out.extend_from_slice(&self.body);
        out
    }

    pub(crate) fn decode(payload: Vec<u8>) -> Result<Self, String> {
        let payload = Bytes::from(payload);
        let mut reader = Reader { bytes: &payload, at: 0 };
        let version = reader.byte()?;
        if version != REQUEST_VERSION && version != REQUEST_VERSION_1 {
            return Err(format!(
                "it has layout {version}; this program reads layouts 1 and {REQUEST_VERSION}"
            ));
        }
        let signal = signal_of(reader.byte()?)?;
        let encoding = encoding_of(reader.byte()?)?;
        let arrival = time_of(reader.i64()?)?;
        let tenant: Tenant = reader.short_text()?.parse().map_err(|error| format!("{error}"))?;
        let sender = Some(reader.short_text()?.to_owned()).filter(|sender| !sender.is_empty());
        let mut numbers = [0; LIMIT_COUNT];
        for number in &mut numbers {
            *number = reader.u64()?;
        }
        let refused = if version == REQUEST_VERSION { reader.u32()? } else { 0 };
        // No capacity is taken on the word of a length; what is not there ends the loop.
        let refused_series = (0..refused).map(|_| reader.i64()).collect::<Result<Vec<_>, _>>()?;
        let at = reader.at;
        let limits = limits_of_numbers(numbers);
        Ok(Self {
            tenant,
            signal,
            encoding,
            arrival,
            sender,
            limits,
            refused_series,
            body: payload.slice(at..),
        })
    }

    /// The identity of the request for OTLP.md rule 13.
    pub(crate) fn hash(&self) -> RequestHash {
        RequestHash::of(&self.tenant, self.signal, encoding_code(self.encoding), &self.body)
    }
}

/// Hashes as a record's payload.
pub(crate) fn encode_hashes(seen: &[Seen]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + seen.len() * HASH_ENTRY_BYTES);
    out.push(HASHES_VERSION);
    for entry in seen {
        out.extend_from_slice(&entry.hash.0);
        out.extend_from_slice(&nanos(entry.arrival).to_le_bytes());
    }
    out
}

/// The inverse of [`encode_hashes`].
pub(crate) fn decode_hashes(payload: &[u8]) -> Result<Vec<Seen>, String> {
    let mut reader = Reader { bytes: payload, at: 0 };
    reader.version(HASHES_VERSION)?;
    let entries = &payload[reader.at..];
    if !entries.len().is_multiple_of(HASH_ENTRY_BYTES) {
        return Err(format!("{} bytes are not whole entries", entries.len()));
    }
    let mut seen = Vec::with_capacity(entries.len() / HASH_ENTRY_BYTES);
    for entry in entries.chunks_exact(HASH_ENTRY_BYTES) {
        let (hash, arrival) = entry.split_at(16);
        let hash = RequestHash(hash.try_into().expect("the entry was split there"));
        let arrival = i64::from_le_bytes(arrival.try_into().expect("the entry is 24 bytes long"));
        seen.push(Seen { hash, arrival: time_of(arrival)? });
    }
    Ok(seen)
}

const HASH_ENTRY_BYTES: usize = 24;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let taken = self.bytes.get(self.at..self.at + count).ok_or("it is shorter than its header says")?;
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn version(&mut self, known: u8) -> Result<(), String> {
        let found = self.byte()?;
        if found != known {
            return Err(format!("it has layout {found}; this program reads layout {known}"));
        }
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken")))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }

    fn i64(&mut self) -> Result<i64, String> {
        Ok(i64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }

    fn short_text(&mut self) -> Result<&'a str, String> {
        let length = self.byte()?;
        std::str::from_utf8(self.take(length.into())?).map_err(|_| "a name in it is not UTF-8".to_owned())
    }
}

fn put_short(out: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).expect("tenants have at most 64 bytes and senders were cut to 255");
    out.push(length);
    out.extend_from_slice(text.as_bytes());
}

fn signal_code(signal: Signal) -> u8 {
    match signal {
        Signal::Traces => 1,
        Signal::Metrics => 2,
        Signal::Logs => 3,
    }
}

fn signal_of(code: u8) -> Result<Signal, String> {
    Signal::ALL
        .into_iter()
        .find(|signal| signal_code(*signal) == code)
        .ok_or_else(|| format!("{code} is not a signal"))
}

fn encoding_code(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Protobuf => 1,
        Encoding::Json => 2,
    }
}

fn encoding_of(code: u8) -> Result<Encoding, String> {
    [Encoding::Protobuf, Encoding::Json]
        .into_iter()
        .find(|encoding| encoding_code(*encoding) == code)
        .ok_or_else(|| format!("{code} is not an encoding"))
}

fn nanos(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(if at < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX })
}

/// An arrival as the log can hold it: the years 1677 to 2262, exact to the nanosecond.
pub(crate) fn storable(at: Timestamp) -> Timestamp {
    time_of(nanos(at)).unwrap_or(at)
}

fn time_of(nanos: i64) -> Result<Timestamp, String> {
    Timestamp::from_nanosecond(nanos.into()).map_err(|error| error.to_string())
}

const LIMIT_COUNT: usize = 7;

fn limits_to_numbers(limits: &Limits) -> [u64; LIMIT_COUNT] {
    let Limits {
        attributes_max,
        value_bytes_max,
        depth_max,
        past,
        future,
        rejections_kept_max,
        shared_bytes_max,
    } = limits;
    let nanos = |span: &Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    [
        *attributes_max as u64,
        *value_bytes_max as u64,
        *depth_max as u64,
        nanos(past),
        nanos(future),
        *rejections_kept_max as u64,
        *shared_bytes_max as u64,
    ]
}

fn limits_of_numbers(numbers: [u64; LIMIT_COUNT]) -> Limits {
    let [attributes, value_bytes, depth, past, future, rejections, shared_bytes] = numbers;
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Limits {
        attributes_max: size(attributes),
        value_bytes_max: size(value_bytes),
        depth_max: size(depth),
        past: Duration::from_nanos(past),
        future: Duration::from_nanos(future),
        rejections_kept_max: size(rejections),
        shared_bytes_max: size(shared_bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(body: Vec<u8>, sender: Option<String>) -> RequestRecord {
        RequestRecord {
            tenant: "team-1".parse().unwrap(),
            signal: Signal::Metrics,
            encoding: Encoding::Json,
            arrival: "2026-05-04T14:32:00.123456789Z".parse().unwrap(),
            sender,
            limits: Limits { attributes_max: 12, ..Limits::default() },
            refused_series: vec![-4, 9],
            body: body.into(),
        }
    }

    proptest! {
        #[test]
        fn a_request_reads_back_as_it_came(body in prop::collection::vec(any::<u8>(), 0..300), sender in prop::option::of("[a-z:0-9]{1,40}")) {
            let record = record(body, sender);
            prop_assert_eq!(RequestRecord::decode(record.encode()), Ok(record));
        }

        #[test]
        fn any_payload_is_read_without_a_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_hashes(&payload);
            let _ = RequestRecord::decode(payload);
        }
    }

    #[test]
    fn a_record_of_the_first_layout_is_read_as_one_that_refused_no_series() {
        let now = record(b"body".to_vec(), None);
        let mut first = RequestRecord { refused_series: Vec::new(), ..now.clone() }.encode();
        first[0] = REQUEST_VERSION_1;
        let count_at = first.len() - b"body".len() - 4;
        first.drain(count_at..count_at + 4);
        assert_eq!(RequestRecord::decode(first), Ok(RequestRecord { refused_series: Vec::new(), ..now }));
    }

    #[test]
    fn hashes_read_back() {
        let seen = vec![Seen { hash: RequestHash([7; 16]), arrival: Timestamp::UNIX_EPOCH }];
        assert_eq!(decode_hashes(&encode_hashes(&seen)), Ok(seen));
        assert!(decode_hashes(&[1, 2, 3]).is_err());
    }
}
