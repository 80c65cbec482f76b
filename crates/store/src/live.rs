//! What queries see: catalogue, head and the rows on their way between them, all under one lock (QRY-1).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use hindsight_model::{Rows, Table, Tenant};
use jiff::Timestamp;

use crate::catalogue::Catalogue;
use crate::head::Head;
use crate::snapshot::{Snapshot, TableSnapshot};
use crate::{BlockFile, Error, Result};

/// The shared state behind the lock.
#[derive(Debug, Default)]
pub(crate) struct Live {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) catalogue: Catalogue,
    /// Where the writer puts rows.
    pub(crate) head: Head,
    /// Rows being sealed; a table leaves as its commit lands.
    pub(crate) frozen: Option<Frozen>,
    watermarks: HashMap<Tenant, Timestamp>,
}

/// A head that takes no more rows. Tables whose commit covers `position` have none left in it.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) head: Head,
    /// The last log position whose rows are in it or before it.
    pub(crate) position: u64,
}

impl Live {
    /// Everything one tenant may see, at one instant.
    pub(crate) fn snapshot(&self, tenant: &Tenant) -> Snapshot {
        let state = self.read();
        let tables = Table::ALL.map(|table| state.table_snapshot(table, tenant));
        Snapshot { tenant: tenant.clone(), tables }
    }

    /// Adds one request's rows at once. Only the writer thread calls this.
    pub(crate) fn insert(
        &self,
        tenant: &Tenant,
        batches: Vec<(Table, Rows)>,
        max_time: Option<Timestamp>,
    ) -> Result<()> {
        let now = Instant::now();
        let tables: Vec<Table> = batches.iter().map(|(table, _)| *table).collect();
        {
            let mut state = self.write();
            for (table, batch) in batches {
                debug_assert_eq!(batch.table(), table, "decoding sorts rows by their table");
                state.head.push(tenant, table, batch, now);
            }
            state.raise_watermark(tenant, max_time);
        }
        for table in tables {
            self.join_small_batches(tenant, table)?;
        }
        Ok(())
    }

    /// The copying happens outside the lock: nobody but the calling writer changes the end of the head.
    fn join_small_batches(&self, tenant: &Tenant, table: Table) -> Result<()> {
        loop {
            let Some(merge) = self.read().head.due(tenant, table) else { return Ok(()) };
            let joined = merge.join().map_err(Error::arrow(table))?;
            self.write().head.replace(tenant, table, &merge, joined);
        }
    }

    /// Sets the head aside for sealing and starts an empty one. Rows that a failed seal left frozen stay as they
    /// are: they are sealed first, at their own position.
    pub(crate) fn freeze(&self, position: u64) {
        let mut state = self.write();
        if state.frozen.is_none() {
            let head = std::mem::take(&mut state.head);
            state.frozen = Some(Frozen { head, position });
        }
    }

    /// What is left to seal of one table: its rows by tenant, sharing the columns.
    pub(crate) fn frozen_rows(&self, table: Table) -> Vec<(Tenant, Vec<Rows>)> {
        let state = self.read();
        let Some(frozen) = &state.frozen else { return Vec::new() };
        frozen.head.table(table).by_tenant().map(|(tenant, batches)| (tenant.clone(), batches)).collect()
    }

    /// The position of the frozen head, if there is one.
    pub(crate) fn frozen_position(&self) -> Option<u64> {
        self.read().frozen.as_ref().map(|frozen| frozen.position)
    }

    /// The moment a table's rows move: its blocks appear and its frozen rows vanish, for every query at once.
    pub(crate) fn commit(&self, table: Table, blocks: Vec<Arc<BlockFile>>) {
        let mut state = self.write();
        state.catalogue.replace(table, &[], blocks);
        if let Some(frozen) = &mut state.frozen {
            frozen.head.clear(table);
        }
    }

    /// Forgets the frozen head once every table has its commit.
    pub(crate) fn thaw(&self) {
        self.write().frozen = None;
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn table_snapshot(&self, table: Table, tenant: &Tenant) -> TableSnapshot {
        let mut head = Vec::new();
        if let Some(frozen) = &self.frozen {
            head.extend(frozen.head.table(table).batches(tenant).cloned());
        }
        head.extend(self.head.table(table).batches(tenant).cloned());
        TableSnapshot { blocks: self.catalogue.blocks(table, tenant), head }
    }

    pub(crate) fn raise_watermark(&mut self, tenant: &Tenant, to: Option<Timestamp>) {
        let Some(to) = to else { return };
        match self.watermarks.get_mut(tenant) {
            Some(mark) => *mark = (*mark).max(to),
            None => {
                self.watermarks.insert(tenant.clone(), to);
            }
        }
    }

    pub(crate) fn watermark(&self, tenant: &Tenant) -> Option<Timestamp> {
        self.watermarks.get(tenant).copied()
    }

    /// Rows and bytes of the head, the part being sealed included.
    pub(crate) fn head_size(&self) -> (u64, u64) {
        let frozen = self.frozen.as_ref().map_or((0, 0), |frozen| (frozen.head.rows(), frozen.head.bytes()));
        (self.head.rows() + frozen.0, self.head.bytes() + frozen.1)
    }
}
