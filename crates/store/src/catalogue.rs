//! The resident list of blocks: derived from the Delta logs at open, updated in place at each commit.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use hindsight_model::{Table, Tenant};
use object_store::path::Path;

use crate::BlockFile;

/// Every active block, by table and tenant, in commit order.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    tables: [BTreeMap<Tenant, Vec<Arc<BlockFile>>>; Table::ALL.len()],
}

impl Catalogue {
    pub(crate) fn add(&mut self, block: Arc<BlockFile>) {
        self.tables[block.table.index()].entry(block.tenant.clone()).or_default().push(block);
    }

    /// Takes `removed` out and puts `added` in, each at its place in log order.
    pub(crate) fn replace(&mut self, table: Table, removed: &HashSet<Path>, added: &[Arc<BlockFile>]) {
        let tenants = &mut self.tables[table.index()];
        for blocks in tenants.values_mut() {
            blocks.retain(|block| !removed.contains(&block.path));
        }
        for block in added {
            let blocks = tenants.entry(block.tenant.clone()).or_default();
            let order = |block: &Arc<BlockFile>| (block.wal_position, block.path.clone());
            let at = blocks.partition_point(|other| order(other) < order(block));
            blocks.insert(at, Arc::clone(block));
        }
        tenants.retain(|_, blocks| !blocks.is_empty());
    }

    pub(crate) fn table(&self, table: Table) -> impl Iterator<Item = &Arc<BlockFile>> {
        self.tables[table.index()].values().flatten()
    }

    pub(crate) fn blocks(&self, table: Table, tenant: &Tenant) -> Vec<Arc<BlockFile>> {
        self.tables[table.index()].get(tenant).cloned().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<BlockFile>> {
        self.tables.iter().flat_map(|tenants| tenants.values().flatten())
    }
}
