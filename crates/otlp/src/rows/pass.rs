use std::sync::Arc;

use hindsight_model::{Rows, Table};

use super::columns::{OwnerKeys, Room};
use super::owner::Group;
use super::points::Series;
use super::script::{End, Path};
use super::stop::Stop;
use crate::tally::{Remark, Tally};
use crate::wire::unpacked_bytes_max;

/// A request of `n` bytes is not given room for more than `n` divided by this many rows before it has shown them.
const ROW_BYTES_MIN: usize = 24;

/// What one walk over a request carries along.
pub(crate) struct Pass<'a> {
    pub(crate) tally: Tally<'a>,
    /// The key being looked up.
    pub(super) key: Vec<u8>,
    /// See [`crate::SeriesGate::stamp`].
    pub(super) gate_stamp: u64,
    /// Where the request is in its scope's script.
    pub(super) path: Path,
    scope: Option<Arc<Group>>,
    /// Whose the points of each metric table are, without those of the scope whose script is being followed.
    owners: [OwnerKeys; Table::ALL.len()],
    body_bytes: usize,
    bytes_left: usize,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(tally: Tally<'a>, body_bytes: usize) -> Self {
        let gate_stamp = tally.context.series.stamp();
        Self {
            tally,
            key: Vec::new(),
            gate_stamp,
            path: Path::default(),
            scope: None,
            owners: Default::default(),
            body_bytes,
            bytes_left: unpacked_bytes_max(body_bytes),
        }
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

    /// How many rows of `table` the request may well have: as many as the last, and no more than fit into it.
    pub(super) fn room(&self, table: Table) -> Room {
        Room(self.tally.context.interner.last_rows(table).min(self.body_bytes / ROW_BYTES_MIN))
    }

    /// Remembers how many rows there were.
    pub(super) fn note_rows(&self, tables: &[(Table, Rows)]) {
        tables
            .iter()
            .for_each(|(table, rows)| self.tally.context.interner.note_rows(*table, rows.num_rows()));
    }

    /// Goes to a scope's metrics, or on with them.
    #[inline]
    pub(super) fn enter(&mut self, group: &Arc<Group>) {
        if self.scope.as_ref().is_some_and(|scope| scope.id == group.id) {
            return;
        }
        self.end_script();
        self.path = Path::start(&group.script);
        self.scope = Some(Arc::clone(group));
    }

    /// Whether the script says that the point with [`Self::key`] comes next; it says whose the point is, too.
    #[inline]
    pub(super) fn follow_point(&mut self, table: Table) -> bool {
        let (gate, stamp) = (self.tally.context.series, self.gate_stamp);
        self.path.point(table, &self.key, stamp, |series| series.is_admitted(gate, stamp))
    }

    /// From here on the scope's points are looked up one by one.
    #[inline]
    pub(super) fn leave_script(&mut self, group: &Group) {
        let owners = &mut self.owners;
        self.path.leave(&group.script, |table, series| owners[table.index()].push(&series.owner));
    }

    /// A point that no script spoke of.
    pub(super) fn add_point(&mut self, table: Table, series: &Arc<Series>) {
        self.owners[table.index()].push(&series.owner);
        self.path.add_point(table, &self.key, series);
    }

    /// Ends the scope's metrics.
    pub(super) fn end_script(&mut self) {
        let Some(scope) = self.scope.take() else { return };
        let owners = &mut self.owners;
        let used = &self.tally.context.interner.script_bytes;
        let end =
            std::mem::take(&mut self.path).end(&scope.script, self.gate_stamp, used, |table, series| {
                owners[table.index()].push(&series.owner);
            });
        if let End::Fitted(script) = end {
            for (table, shared) in script.owners() {
                owners[table.index()].adopt(shared);
            }
        }
    }

    pub(super) fn take_owners(&mut self, table: Table) -> OwnerKeys {
        std::mem::take(&mut self.owners[table.index()])
    }

    /// Counts again what reading a metric or series gave rise to; a script has no place for that.
    pub(super) fn repeat_remarks(&mut self, remarks: &[(Remark, u64)]) {
        if !remarks.is_empty() {
            self.path.give_up();
            self.tally.repeat_remarks(remarks);
        }
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
