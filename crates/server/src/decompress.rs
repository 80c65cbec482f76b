//! Bounded decompression of OTLP/HTTP bodies: a few kilobytes must not become gigabytes.

use std::io::Read;

use bytes::Bytes;

/// Why a body could not be decompressed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DecompressError {
    #[error("the body is larger than {limit} bytes after decompression; send smaller batches")]
    TooLarge { limit: usize },
    #[error("the body is not valid {encoding}: {problem}")]
    Corrupt { encoding: &'static str, problem: String },
    #[error("content-encoding `{0}` is not supported; use gzip, zstd or none")]
    Unknown(String),
}

/// The body as it was before `content_encoding`, never more than `limit` bytes.
pub(crate) fn decompress(
    content_encoding: Option<&str>,
    body: Bytes,
    limit: usize,
) -> Result<Bytes, DecompressError> {
    match content_encoding.map(str::trim).unwrap_or_default() {
        "" | "identity" if body.len() > limit => Err(DecompressError::TooLarge { limit }),
        "" | "identity" => Ok(body),
        "gzip" => read_all("gzip", flate2::read::MultiGzDecoder::new(body.as_ref()), limit),
        "zstd" => {
            let decoder = zstd::Decoder::with_buffer(body.as_ref()).map_err(|e| corrupt("zstd", &e))?;
            read_all("zstd", decoder, limit)
        }
        other => Err(DecompressError::Unknown(other.chars().take(40).collect())),
    }
}

fn read_all(encoding: &'static str, reader: impl Read, limit: usize) -> Result<Bytes, DecompressError> {
    let mut out = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(one_more).read_to_end(&mut out).map_err(|e| corrupt(encoding, &e))?;
    if out.len() > limit {
        return Err(DecompressError::TooLarge { limit });
    }
    Ok(out.into())
}

fn corrupt(encoding: &'static str, error: &std::io::Error) -> DecompressError {
    DecompressError::Corrupt { encoding, problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let zeros = vec![0; 1 << 20];
        let limit = 1 << 16;
        let expected = Err(DecompressError::TooLarge { limit });
        assert_eq!(decompress(Some("gzip"), gzip(&zeros), limit), expected);
        let bomb = zstd::encode_all(zeros.as_slice(), 3).unwrap();
        assert_eq!(decompress(Some("zstd"), bomb.into(), limit), expected);
        assert_eq!(decompress(None, zeros.into(), limit), expected);
    }

    #[test]
    fn what_was_compressed_comes_back() {
        assert_eq!(decompress(Some("gzip"), gzip(b"abc"), 3).unwrap(), "abc");
        let body = zstd::encode_all(b"abc".as_slice(), 3).unwrap();
        assert_eq!(decompress(Some("zstd"), body.into(), 3).unwrap(), "abc");
        assert_eq!(decompress(Some("identity"), Bytes::from_static(b"abc"), 3).unwrap(), "abc");
    }

    #[test]
    fn broken_and_unknown_encodings_are_errors() {
        assert!(matches!(
            decompress(Some("gzip"), Bytes::from_static(b"no gzip"), 99),
            Err(DecompressError::Corrupt { .. })
        ));
        assert!(matches!(decompress(Some("br"), Bytes::new(), 99), Err(DecompressError::Unknown(_))));
    }
}
