//! The resident list of blocks: derived from the Delta logs at open, updated in place at each commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindsight_model::{Table, Tenant};

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

    pub(crate) fn blocks(&self, table: Table, tenant: &Tenant) -> Vec<Arc<BlockFile>> {
        self.tables[table.index()].get(tenant).cloned().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<BlockFile>> {
        self.tables.iter().flat_map(|tenants| tenants.values().flatten())
    }
}
