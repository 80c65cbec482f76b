use super::stop::Stop;
use crate::tally::Tally;
use crate::wire::unpacked_bytes_max;

/// What one walk over a request carries along.
pub(crate) struct Pass<'a> {
    pub(crate) tally: Tally<'a>,
    /// The key being looked up.
    pub(super) key: Vec<u8>,
    bytes_left: usize,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(tally: Tally<'a>, body_bytes: usize) -> Self {
        Self { tally, key: Vec::new(), bytes_left: unpacked_bytes_max(body_bytes) }
    }

    /// Takes from what a request of this size may unpack to.
    #[inline]
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Stop> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => self.bytes_left = left,
            None => return Err(Stop::Unpacks),
        }
        Ok(())
    }

    /// Begins a key within the entry `parent`.
    pub(super) fn start_key(&mut self, parent: u64) {
        self.key.clear();
        // What was read depends on these limits, so they are part of who it is.
        let limits = self.tally.context.limits;
        for number in [limits.attributes_max, limits.value_bytes_max, limits.depth_max] {
            self.key.extend_from_slice(&number.to_le_bytes());
        }
        self.key.extend_from_slice(&parent.to_le_bytes());
    }

    /// Adds a part, told apart from the next by its length.
    #[inline]
    pub(super) fn add_to_key(&mut self, part: &[u8]) {
        self.key.extend_from_slice(&(part.len() as u32).to_le_bytes());
        self.key.extend_from_slice(part);
    }
}
