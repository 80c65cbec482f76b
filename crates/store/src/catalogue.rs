//! The resident list of blocks: derived from the Delta logs at open, updated in place at each commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindsight_model::{Table, Tenant};

use crate::{BlockFile, BlockList};

/// Every active block, by table and tenant, in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    tables: [BTreeMap<Tenant, BlockList>; Table::ALL.len()],
    /// Counts the changes, so that whoever derives something from all blocks sees that there is nothing to do.
    changes: u64,
}

impl Catalogue {
    /// Puts blocks of one table in and takes the ones out that they replace: what one commit did, at once.
    pub(crate) fn replace(&mut self, table: Table, removed: &[Arc<BlockFile>], added: Vec<Arc<BlockFile>>) {
        self.changes += 1;
        let tenants = &mut self.tables[table.index()];
        for (tenant, blocks) in by_tenant(removed.iter().cloned()) {
            if let Some(list) = tenants.get_mut(&tenant) {
                list.remove(&blocks.iter().map(AsRef::as_ref).collect::<Vec<_>>());
            }
        }
        for (tenant, blocks) in by_tenant(added) {
            tenants.entry(tenant).or_default().add(blocks);
        }
        tenants.retain(|_, blocks| !blocks.is_empty());
    }

    /// One tenant's blocks of one table; the list is shared, not copied.
    pub(crate) fn blocks(&self, table: Table, tenant: &Tenant) -> BlockList {
        self.tables[table.index()].get(tenant).cloned().unwrap_or_default()
    }

    /// The number of changes so far, and all blocks unless that number is `seen` already.
    pub(crate) fn everything_since(&self, seen: Option<u64>) -> (u64, Option<Vec<Arc<BlockFile>>>) {
        let news = (seen != Some(self.changes)).then(|| self.all().cloned().collect());
        (self.changes, news)
    }

    /// Every tenant's blocks of one table.
    pub(crate) fn table(&self, table: Table) -> impl Iterator<Item = &Arc<BlockFile>> {
        self.tables[table.index()].values().flatten()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<BlockFile>> {
        self.tables.iter().flat_map(|tenants| tenants.values().flatten())
    }
}

fn by_tenant(blocks: impl IntoIterator<Item = Arc<BlockFile>>) -> BTreeMap<Tenant, Vec<Arc<BlockFile>>> {
    let mut tenants: BTreeMap<Tenant, Vec<_>> = BTreeMap::new();
    for block in blocks {
        tenants.entry(block.tenant.clone()).or_default().push(block);
    }
    tenants
}
