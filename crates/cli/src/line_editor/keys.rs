//! From the bytes that a terminal sends to keys.

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Tab,
    Left,
    Right,
    WordLeft,
    WordRight,
    Up,
    Down,
    Home,
    End,
    Backspace,
    Delete,
    DeleteWord,
    DeleteToStart,
    DeleteToEnd,
    PutBack,
    Search,
    ClearScreen,
    Interrupt,
    /// Ctrl-D.
    EndOfInput,
    /// A key without a meaning here.
    Other,
}

/// Longest sequence that is waited for; what is longer is no key.
const SEQUENCE_BYTES_MAX: usize = 16;

/// The first key and how many bytes it has; `None` when they are not all there yet.
pub(super) fn decode(bytes: &[u8]) -> Option<(usize, Key)> {
    let first = *bytes.first()?;
    match first {
        0x1b => sequence(bytes),
        0x20..=0x7e => Some((1, Key::Char(char::from(first)))),
        0x80.. => character(bytes),
        _ => Some((1, control(first))),
    }
}

fn control(byte: u8) -> Key {
    match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::EndOfInput,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        0x0b => Key::DeleteToEnd,
        0x0c => Key::ClearScreen,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x12 => Key::Search,
        0x15 => Key::DeleteToStart,
        0x17 => Key::DeleteWord,
        0x19 => Key::PutBack,
        _ => Key::Other,
    }
}

/// A character of several bytes.
fn character(bytes: &[u8]) -> Option<(usize, Key)> {
    let length = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Some((1, Key::Other)),
    };
    let whole = &bytes[..length.min(bytes.len())];
    match std::str::from_utf8(whole) {
        Ok(text) => {
            let key = text.chars().next().filter(|c| !c.is_control()).map_or(Key::Other, Key::Char);
            Some((whole.len(), key))
        }
        // Cut short, and right so far.
        Err(error) if error.error_len().is_none() => None,
        Err(_) => Some((1, Key::Other)),
    }
}

/// What begins with Escape.
fn sequence(bytes: &[u8]) -> Option<(usize, Key)> {
    match *bytes.get(1)? {
        b'[' => {
            let end = bytes[2..].iter().position(|byte| (0x40..=0x7e).contains(byte));
            match end {
                Some(end) => Some((end + 3, named(&bytes[2..end + 3]))),
                None if bytes.len() > SEQUENCE_BYTES_MAX => Some((bytes.len(), Key::Other)),
                None => None,
            }
        }
        b'O' => Some((3, named(&[*bytes.get(2)?]))),
        b'b' => Some((2, Key::WordLeft)),
        b'f' => Some((2, Key::WordRight)),
        0x7f | 0x08 => Some((2, Key::DeleteWord)),
        0x1b => Some((1, Key::Other)),
        _ => Some((2, Key::Other)),
    }
}

/// The rest of a sequence after `ESC [` or `ESC O`.
fn named(rest: &[u8]) -> Key {
    match rest {
        b"A" => Key::Up,
        b"B" => Key::Down,
        b"C" => Key::Right,
        b"D" => Key::Left,
        b"H" | b"1~" | b"7~" => Key::Home,
        b"F" | b"4~" | b"8~" => Key::End,
        b"3~" => Key::Delete,
        b"1;5C" | b"1;3C" => Key::WordRight,
        b"1;5D" | b"1;3D" => Key::WordLeft,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(mut bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        while let Some((length, key)) = decode(bytes) {
            bytes = &bytes[length..];
            keys.push(key);
        }
        keys
    }

    #[test]
    fn keys_are_told_apart() {
        let typed = "aä→\r\x1b[A\x1b[3~\x1bOH\x1b[1;5C\x1bb\x03".as_bytes();
        let expected = [
            Key::Char('a'),
            Key::Char('ä'),
            Key::Char('→'),
            Key::Enter,
            Key::Up,
            Key::Delete,
            Key::Home,
            Key::WordRight,
            Key::WordLeft,
            Key::Interrupt,
        ];
        assert_eq!(keys(typed), expected);
    }

    #[test]
    fn half_a_key_waits_for_the_rest() {
        let halves: [&[u8]; 5] = [&"→".as_bytes()[..2], b"\x1b", b"\x1b[", b"\x1b[1;", b"\x1bO"];
        for half in halves {
            assert_eq!(decode(half), None, "{half:?}");
        }
    }

    proptest! {
        #[test]
        fn text_comes_through(text in "\\PC{0,20}") {
            let expected: Vec<Key> = text.chars().map(Key::Char).collect();
            prop_assert_eq!(keys(text.as_bytes()), expected);
        }

        #[test]
        fn any_bytes_are_keys_and_none_is_waited_for_too_long(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut rest = bytes.as_slice();
            while let Some((length, _)) = decode(rest) {
                prop_assert!(length > 0 && length <= rest.len());
                rest = &rest[length..];
            }
            prop_assert!(rest.len() <= SEQUENCE_BYTES_MAX + 1);
        }
    }
}
