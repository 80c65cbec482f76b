//! Protobuf fields one after the other, as slices of the request (Protocol Buffers encoding, proto3).

/// The bytes are not what the one-pass decoder takes: malformed, or legal in a way that hardly anyone sends (a
/// field that may come once came twice, a group). The general reader then finds out which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Odd;

/// A field's value as it stands on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Bytes not read yet; their number tells where a field begins and ends.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Number and value of the next field; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Odd> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| Odd)?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Odd)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Odd)?;
                self.rest = rest;
                Wire::Bytes(bytes)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Odd),
        };
        if key >> 3 == 0 { Err(Odd) } else { Ok(Some((key >> 3, value))) }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Odd> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(Odd)?;
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Odd> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Odd> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            // The tenth byte has room for one bit.
            if index == 9 && *byte > 1 {
                return Err(Odd);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(Odd)
    }
}

impl<'a> Wire<'a> {
    #[inline]
    pub(super) fn bytes(self) -> Result<&'a [u8], Odd> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(Odd) }
    }

    #[inline]
    pub(super) fn text(self) -> Result<&'a str, Odd> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Odd)
    }

    #[inline]
    pub(super) fn varint(self) -> Result<u64, Odd> {
        if let Self::Varint(number) = self { Ok(number) } else { Err(Odd) }
    }

    /// An `int32` or enum: the low bits, as every protobuf reader takes them.
    #[inline]
    pub(super) fn int32(self) -> Result<i32, Odd> {
        Ok(self.varint()? as i32)
    }

    #[inline]
    pub(super) fn uint32(self) -> Result<u32, Odd> {
        Ok(self.varint()? as u32)
    }

    /// A zigzag `sint32`.
    #[inline]
    pub(super) fn sint32(self) -> Result<i32, Odd> {
        let number = self.uint32()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    #[inline]
    pub(super) fn fixed64(self) -> Result<u64, Odd> {
        if let Self::Fixed64(number) = self { Ok(number) } else { Err(Odd) }
    }

    #[inline]
    pub(super) fn double(self) -> Result<f64, Odd> {
        self.fixed64().map(f64::from_bits)
    }

    #[inline]
    pub(super) fn fixed32(self) -> Result<u32, Odd> {
        if let Self::Fixed32(number) = self { Ok(number) } else { Err(Odd) }
    }
}

/// A field that may come once.
#[inline]
pub(super) fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Odd> {
    if place.replace(value).is_some() { Err(Odd) } else { Ok(()) }
}

/// Adds the numbers of a repeated 8-byte field: one, or a packed run of them.
pub(super) fn repeated_fixed64(value: Wire<'_>, mut add: impl FnMut(u64)) -> Result<(), Odd> {
    match value {
        Wire::Fixed64(number) => add(number),
        Wire::Bytes(packed) => {
            let (numbers, []) = packed.as_chunks::<8>() else { return Err(Odd) };
            numbers.iter().for_each(|number| add(u64::from_le_bytes(*number)));
        }
        _ => return Err(Odd),
    }
    Ok(())
}

/// Adds the numbers of a repeated `uint64` field: one, or a packed run of them.
pub(super) fn repeated_varint(value: Wire<'_>, mut add: impl FnMut(u64)) -> Result<(), Odd> {
    match value {
        Wire::Varint(number) => add(number),
        Wire::Bytes(packed) => {
            let mut numbers = Fields::of(packed);
            while numbers.left() > 0 {
                add(numbers.varint()?);
            }
        }
        _ => return Err(Odd),
    }
    Ok(())
}
