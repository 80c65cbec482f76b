use super::reader::Odd;
use crate::DecodeError;

/// Why the one pass ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// See [`Odd`]: the general reader must look at the request.
    Odd,
    /// It unpacks to more than a request of its size may.
    Unpacks,
    /// The request is unusable.
    Unusable(DecodeError),
}

impl From<Odd> for Stop {
    fn from(_: Odd) -> Self {
        Self::Odd
    }
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        Self::Unusable(error)
    }
}
