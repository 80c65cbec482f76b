use std::fmt;

/// A record's number in the log: starts at 1, grows by 1, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub u64);

impl Position {
    /// The first position of a new log.
    pub const FIRST: Self = Self(1);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A segment's number, which is also its file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// `00000000000000000042.wal`.
    pub fn file_name(self) -> String {
        format!("{:020}.wal", self.0)
    }

    /// The inverse of [`SegmentId::file_name`]; `None` for any other name.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".wal")?;
        if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok().map(Self)
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_known_by_its_file_name_and_nothing_else_is() {
        assert_eq!(SegmentId::from_file_name(&SegmentId(42).file_name()), Some(SegmentId(42)));
        for other in ["42.wal", "00000000000000000042.wal.tmp", "0000000000000000004x.wal", "LOCK", ".wal"] {
            assert_eq!(SegmentId::from_file_name(other), None, "{other}");
        }
    }
}
