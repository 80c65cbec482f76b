use arrow::array::StringBuilder;

/// Adds an id as lower-case hex.
#[inline]
pub(super) fn append_hex<const BYTES: usize>(builder: &mut StringBuilder, id: &[u8; BYTES]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0_u8; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(id) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    let text = std::str::from_utf8(&text[..2 * BYTES.min(16)]).expect("hex digits are ASCII");
    builder.append_value(text);
}

/// An id's bytes, unless the length is wrong or every byte is zero, which OTLP calls invalid.
#[inline]
pub(super) fn valid<const BYTES: usize>(bytes: &[u8]) -> Option<&[u8; BYTES]> {
    let id: &[u8; BYTES] = bytes.try_into().ok()?;
    (id != &[0; BYTES]).then_some(id)
}
