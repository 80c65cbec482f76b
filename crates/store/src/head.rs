//! Rows that are acknowledged and not in a block yet.

use std::collections::BTreeMap;
use std::time::Instant;

use hindsight_model::{Rows, Table, Tenant};

use crate::tiers::{Merge, Tiers};

/// The head, by table and tenant.
#[derive(Debug, Default)]
pub(crate) struct Head {
    tables: [HeadTable; Table::ALL.len()],
    /// When the oldest row came in, by the machine's monotonic clock.
    pub(crate) since: Option<Instant>,
}

/// The rows of one table.
#[derive(Debug, Default)]
pub(crate) struct HeadTable {
    tenants: BTreeMap<Tenant, Tiers>,
    pub(crate) rows: u64,
    /// Memory of the batches, with the spare room that small ones have and joined ones have not.
    pub(crate) bytes: u64,
}

impl Head {
    pub(crate) fn push(&mut self, tenant: &Tenant, table: Table, batch: Rows, now: Instant) {
        self.since.get_or_insert(now);
        let entry = &mut self.tables[table.index()];
        entry.rows += batch.num_rows() as u64;
        entry.bytes += batch.memory_bytes() as u64;
        match entry.tenants.get_mut(tenant) {
            Some(tiers) => tiers.push(batch),
            None => entry.tenants.entry(tenant.clone()).or_default().push(batch),
        }
    }

    pub(crate) fn due(&self, tenant: &Tenant, table: Table) -> Option<Merge> {
        self.tables[table.index()].tenants.get(tenant)?.due()
    }

    pub(crate) fn replace(&mut self, tenant: &Tenant, table: Table, merge: &Merge, joined: Rows) {
        let entry = &mut self.tables[table.index()];
        if let Some(tiers) = entry.tenants.get_mut(tenant) {
            let (before, after) = (merge.memory_bytes(), joined.memory_bytes() as u64);
            entry.bytes = entry.bytes.saturating_sub(before) + after;
            tiers.replace(merge, joined);
        }
    }

    pub(crate) fn table(&self, table: Table) -> &HeadTable {
        &self.tables[table.index()]
    }

    /// Takes a table's rows out.
    pub(crate) fn clear(&mut self, table: Table) {
        self.tables[table.index()] = HeadTable::default();
    }

    pub(crate) fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }
}

impl HeadTable {
    /// One tenant's batches, oldest first.
    pub(crate) fn batches<'a>(&'a self, tenant: &Tenant) -> impl Iterator<Item = &'a Rows> + use<'a> {
        self.tenants.get(tenant).into_iter().flat_map(Tiers::batches)
    }

    /// Every tenant with its batches, oldest first.
    pub(crate) fn by_tenant(&self) -> impl Iterator<Item = (&Tenant, Vec<Rows>)> {
        self.tenants.iter().map(|(tenant, tiers)| (tenant, tiers.batches().cloned().collect()))
    }
}
