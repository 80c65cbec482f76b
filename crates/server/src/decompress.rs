//! Bounded decompression of OTLP bodies: a few kilobytes must not become gigabytes. What is unpacked is paid for from
//! the shared budget as it grows, and ends at the size limit and at a ratio that telemetry does not reach.

use std::io::Read;

use bytes::Bytes;

use crate::pressure::Charge;

/// The smallest step in which the unpacked body grows; later it doubles.
const STEP_BYTES: usize = 64 << 10;
/// A body may unpack to this many times its size …
const RATIO_MAX: usize = 500;
/// … once it is larger than this.
const RATIO_FREE_BYTES: usize = 4 << 20;
/// 8 MiB, as RFC 9659 bounds the window of the content encoding `zstd`: what its decoder may allocate.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Why a body could not be decompressed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DecompressError {
    #[error("the body is larger than {limit} bytes after decompression; send smaller batches")]
    TooLarge { limit: usize },
    #[error("the body unpacks to more than {RATIO_MAX} times its size; send smaller batches")]
    TooTight,
    #[error("the requests under way take all the memory they may")]
    Full,
    #[error("the body is not valid {encoding}: {problem}")]
    Corrupt { encoding: &'static str, problem: String },
    #[error("content-encoding `{0}` is not supported; use gzip, zstd or none")]
    Unknown(String),
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    /// Reads a `content-encoding` or `grpc-encoding`.
    pub(crate) fn named(name: Option<&str>) -> Result<Self, DecompressError> {
        match name.map(str::trim).unwrap_or_default() {
            "" | "identity" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            other => Err(DecompressError::Unknown(other.chars().take(40).collect())),
        }
    }
}

/// The body as it was before it was packed, never more than `limit` bytes; `charge` holds its bytes afterwards.
pub(crate) fn decompress(
    packing: Packing,
    body: Bytes,
    limit: usize,
    charge: &mut Charge,
) -> Result<Bytes, DecompressError> {
    let unpacked = match packing {
        Packing::None if body.len() > limit => return Err(DecompressError::TooLarge { limit }),
        Packing::None => return Ok(body),
        Packing::Gzip => {
            let reader = flate2::read::MultiGzDecoder::new(body.as_ref());
            read_all("gzip", reader, body.len(), limit, charge)?
        }
        Packing::Zstd => {
            let mut decoder =
                zstd::Decoder::with_buffer(body.as_ref()).map_err(|error| corrupt("zstd", &error))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|error| corrupt("zstd", &error))?;
            read_all("zstd", decoder, body.len(), limit, charge)?
        }
    };
    drop(body);
    charge.shrink_to(unpacked.capacity());
    Ok(unpacked.into())
}

fn read_all(
    encoding: &'static str,
    mut reader: impl Read,
    packed_bytes: usize,
    limit: usize,
    charge: &mut Charge,
) -> Result<Vec<u8>, DecompressError> {
    let ratio_limit = packed_bytes.saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
    let mut out = Vec::new();
    loop {
        // One byte beyond the limit shows that there is more.
        let room = limit.saturating_add(1).min(ratio_limit.saturating_add(1)) - out.len();
        let step = out.len().clamp(STEP_BYTES, usize::MAX).min(room);
        charge.grow(step).map_err(|_| DecompressError::Full)?;
        out.reserve_exact(step);
        let read = reader.by_ref().take(step as u64).read_to_end(&mut out);
        let read = read.map_err(|error| corrupt(encoding, &error))?;
        if out.len() > limit {
            return Err(DecompressError::TooLarge { limit });
        }
        if out.len() > ratio_limit {
            return Err(DecompressError::TooTight);
        }
        if read < step {
            return Ok(out);
        }
    }
}

fn corrupt(encoding: &'static str, error: &std::io::Error) -> DecompressError {
    DecompressError::Corrupt { encoding, problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;
    use crate::pressure::Budget;

    fn gzip(data: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zstd(data: &[u8]) -> Bytes {
        zstd::encode_all(data, 3).unwrap().into()
    }

    /// Unpacks with a budget, and says how much of it was held at the end.
    fn unpack(
        packing: Packing,
        body: Bytes,
        limit: usize,
        budget: usize,
    ) -> Result<(Bytes, usize), DecompressError> {
        let mut charge = Arc::new(Budget::new(budget)).charge();
        let unpacked = decompress(packing, body, limit, &mut charge)?;
        Ok((unpacked, charge.bytes()))
    }

    /// Telemetry does not repeat itself as zeros do.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 & 0x3f
        };
        std::iter::repeat_with(next).take(bytes).collect()
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let zeros = vec![0; 1 << 20];
        let limit = 1 << 16;
        let expected = Err(DecompressError::TooLarge { limit });
        assert_eq!(unpack(Packing::Gzip, gzip(&zeros), limit, 1 << 30), expected);
        assert_eq!(unpack(Packing::Zstd, zstd(&zeros), limit, 1 << 30), expected);
        assert_eq!(unpack(Packing::None, zeros.into(), limit, 1 << 30), expected);
    }

    #[test]
    fn a_bomb_below_the_limit_is_stopped_by_its_ratio() {
        let zeros = vec![0; RATIO_FREE_BYTES + 1];
        for (packing, bomb) in [(Packing::Gzip, gzip(&zeros)), (Packing::Zstd, zstd(&zeros))] {
            let refused = unpack(packing, bomb, 1 << 30, 1 << 30).map(|(body, _)| body.len());
            assert_eq!(refused, Err(DecompressError::TooTight), "{packing:?}");
        }
        let fair = vec![0; RATIO_FREE_BYTES];
        assert_eq!(unpack(Packing::Zstd, zstd(&fair), 1 << 30, 1 << 30).unwrap().0.len(), fair.len());
    }

    #[test]
    fn what_is_unpacked_is_paid_for_as_it_grows() {
        let data = noise(3 << 20);
        for (packing, body) in [(Packing::Gzip, gzip(&data)), (Packing::Zstd, zstd(&data))] {
            assert_eq!(unpack(packing, body.clone(), 1 << 30, 2 << 20), Err(DecompressError::Full));
            let (unpacked, held) = unpack(packing, body, 1 << 30, 1 << 30).unwrap();
            assert!(unpacked == data, "{packing:?} gave other bytes");
            assert!((data.len()..=2 * data.len() + STEP_BYTES).contains(&held), "{held}");
        }
    }

    #[test]
    fn what_was_compressed_comes_back_to_the_last_byte_of_the_limit() {
        for (packing, body) in [(Packing::Gzip, gzip(b"abc")), (Packing::Zstd, zstd(b"abc"))] {
            assert_eq!(unpack(packing, body.clone(), 3, 1 << 20).unwrap().0, "abc");
            assert_eq!(unpack(packing, body, 2, 1 << 20), Err(DecompressError::TooLarge { limit: 2 }));
        }
        assert_eq!(unpack(Packing::None, Bytes::from_static(b"abc"), 3, 0).unwrap().0, "abc");
    }

    #[test]
    fn a_window_beyond_the_standards_is_refused_before_it_is_allocated() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&noise(1 << 10)).unwrap();
        let body = encoder.finish().unwrap();
        let refused = unpack(Packing::Zstd, body.into(), 1 << 30, 1 << 30).unwrap_err();
        assert!(matches!(refused, DecompressError::Corrupt { encoding: "zstd", .. }), "{refused}");
    }

    #[test]
    fn broken_and_unknown_encodings_are_errors() {
        let refused = unpack(Packing::Gzip, Bytes::from_static(b"no gzip"), 99, 1 << 20);
        assert!(matches!(refused, Err(DecompressError::Corrupt { .. })));
        assert!(matches!(Packing::named(Some("br")), Err(DecompressError::Unknown(_))));
        assert_eq!(Packing::named(Some(" zstd ")), Ok(Packing::Zstd));
        assert_eq!(
            (Packing::named(None), Packing::named(Some("identity"))),
            (Ok(Packing::None), Ok(Packing::None))
        );
    }
}
