//! One record on disk: a header that says how long it is, the payload, a checksum over both.

use crate::Position;
use crate::checksums::Checksums;

/// The longest payload a frame may carry: twice the longest OTLP request (64 MiB).
pub const PAYLOAD_BYTES_MAX: usize = 128 * 1024 * 1024;

/// length u32, kind u8, position u64, durable u64.
pub(crate) const HEADER_BYTES: usize = 21;
/// CRC-32C of header and payload.
pub(crate) const CHECKSUM_BYTES: usize = 4;

/// How far the reserved kind 0 is from a real record: a run of zeros never looks like a frame.
const KIND_NONE: u8 = 0;

/// A frame read back, borrowing the segment's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) position: Position,
    /// Every record below this position was durable when this frame was written. It tells damage from a torn
    /// tail: a bad frame that a later good frame calls durable was once well.
    pub(crate) durable: Position,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes that the frame takes in the segment.
    pub(crate) fn size_bytes(&self) -> usize {
        HEADER_BYTES + self.payload.len() + CHECKSUM_BYTES
    }

    /// Appends the frame's bytes to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.payload.len() <= PAYLOAD_BYTES_MAX, "the log refuses longer payloads");
        debug_assert!(self.kind != KIND_NONE, "kind 0 is reserved");
        let start = out.len();
        let length = u32::try_from(self.payload.len()).expect("the limit is below u32::MAX");
        out.extend_from_slice(&length.to_le_bytes());
        out.push(self.kind);
        out.extend_from_slice(&self.position.0.to_le_bytes());
        out.extend_from_slice(&self.durable.0.to_le_bytes());
        out.extend_from_slice(self.payload);
        let checksum = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&checksum.to_le_bytes());
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFrame {
    #[error("the frame ends after the file does")]
    Short,
    #[error("the frame's length exceeds the limit")]
    Length,
    #[error("the frame's type is 0")]
    Kind,
    #[error("the frame's checksum does not match")]
    Checksum,
    #[error("the frame has position {found}, {expected} was expected")]
    Order { found: Position, expected: Position },
}

/// Reads the frame at the start of `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> Result<Frame<'_>, BadFrame> {
    decode_with(bytes, |length| crc32c::crc32c(&bytes[..length]))
}

/// The same, with the checksum of the first so many bytes from `checksum`.
fn decode_with(bytes: &[u8], checksum_of: impl FnOnce(usize) -> u32) -> Result<Frame<'_>, BadFrame> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or(BadFrame::Short)?;
    let length = u32_at(header, 0) as usize;
    if length > PAYLOAD_BYTES_MAX {
        return Err(BadFrame::Length);
    }
    let kind = header[4];
    if kind == KIND_NONE {
        return Err(BadFrame::Kind);
    }
    let payload = rest.get(..length).ok_or(BadFrame::Short)?;
    let checksum = rest.get(length..length + CHECKSUM_BYTES).ok_or(BadFrame::Short)?;
    if checksum_of(HEADER_BYTES + length) != u32_at(checksum, 0) {
        return Err(BadFrame::Checksum);
    }
    Ok(Frame { kind, position: Position(u64_at(header, 5)), durable: Position(u64_at(header, 13)), payload })
}

/// Whether a good frame within `bytes`, of a position above `position`, says that `position` was durable.
///
/// Every such frame is asked: the first ones may stem from the same group as the bad frame, before its sync.
/// Used only once a bad frame has been met, so it may look at every byte; the cheap test of the header comes
/// first, and a run of zeros fails it at once.
pub(crate) fn calls_durable(bytes: &[u8], position: Position) -> bool {
    let mut start = 0;
    let mut checksums = Checksums::new(bytes);
    while start + HEADER_BYTES + CHECKSUM_BYTES <= bytes.len() {
        let found = u64_at(bytes, start + 5);
        // A segment holds far fewer records than this, so a larger step is chance, not a frame.
        let is_later = found > position.0 && found - position.0 <= FRAMES_AHEAD_MAX;
        match is_later.then(|| decode_with(&bytes[start..], |length| checksums.of(start..start + length))) {
            Some(Ok(frame)) if frame.durable > position => return true,
            Some(Ok(frame)) => start += frame.size_bytes(),
            _ => start += 1,
        }
    }
    false
}

/// How many records may lie between a bad frame and a later good one: a segment of empty frames.
const FRAMES_AHEAD_MAX: u64 = 8 * 1024 * 1024;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("the slice has four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("the slice has eight bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(payload: &[u8]) -> Frame<'_> {
        Frame { kind: 3, position: Position(7), durable: Position(5), payload }
    }

    proptest! {
        #[test]
        fn a_frame_reads_back_as_written(payload in prop::collection::vec(any::<u8>(), 0..300), tail in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = Vec::new();
            frame(&payload).encode(&mut bytes);
            prop_assert_eq!(bytes.len(), frame(&payload).size_bytes());
            bytes.extend_from_slice(&tail);
            prop_assert_eq!(decode(&bytes), Ok(frame(&payload)));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let _ = calls_durable(&bytes, Position(0));
        }

        #[test]
        fn one_flipped_bit_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..100), at in any::<prop::sample::Index>(), bit in 0..8) {
            let mut bytes = Vec::new();
            frame(&payload).encode(&mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(decode(&bytes).is_err());
        }
    }

    #[test]
    fn any_later_frame_may_be_the_one_that_knows() {
        let mut bytes = vec![0xAB; 1_000];
        let later = |position, durable| Frame {
            kind: 1,
            position: Position(position),
            durable: Position(durable),
            payload: b"later",
        };
        later(5, 4).encode(&mut bytes);
        later(6, 4).encode(&mut bytes);
        assert!(!calls_durable(&bytes, Position(4)), "both were written before a sync");
        later(7, 7).encode(&mut bytes);
        assert!(calls_durable(&bytes, Position(4)));
        assert!(!calls_durable(&bytes, Position(7)), "no frame is above that position");
    }

    /// What a client sent lies in the log as it came; it must not be able to make a start take hours.
    #[test]
    fn bytes_made_to_look_like_long_frames_are_judged_in_moderate_time() {
        let size = 12 * 1024 * 1024;
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() + 2 * HEADER_BYTES < size {
            let length = u32::try_from(size - bytes.len() - HEADER_BYTES - CHECKSUM_BYTES).unwrap();
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.push(1);
            bytes.extend_from_slice(&9_u64.to_le_bytes());
            bytes.extend_from_slice(&9_u64.to_le_bytes());
        }
        bytes.resize(size, 0);
        // 600,000 checksums of 6 MiB each are 3.6 TB to read.
        assert!(!calls_durable(&bytes, Position(4)));
        frame(b"true").encode(&mut bytes);
        assert!(calls_durable(&bytes, Position(4)), "the frame after it still speaks");
    }
}
