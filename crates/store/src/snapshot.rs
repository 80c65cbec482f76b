use hindsight_model::{Rows, Table, Tenant};

use crate::BlockList;

/// One tenant's rows of every table at one instant (QRY-1): each row acknowledged before it was taken is in
/// exactly one block or one head batch.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) tenant: Tenant,
    pub(crate) tables: [TableSnapshot; Table::ALL.len()],
}

impl Snapshot {
    /// Whose rows these are (QRY-3).
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The rows of one table.
    pub fn table(&self, table: Table) -> &TableSnapshot {
        &self.tables[table.index()]
    }
}

/// One tenant's rows of one table at one instant.
#[derive(Clone, Debug, Default)]
pub struct TableSnapshot {
    /// Sealed rows, in the order of time.
    pub blocks: BlockList,
    /// Rows not sealed yet, in the order they arrived.
    pub head: Vec<Rows>,
}

impl TableSnapshot {
    /// Rows in blocks and head together.
    pub fn rows(&self) -> u64 {
        let sealed: u64 = self.blocks.iter().map(|block| block.rows).sum();
        sealed + self.head.iter().map(|batch| batch.num_rows() as u64).sum::<u64>()
    }
}
