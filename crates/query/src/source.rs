//! What the engine needs from storage: all tables at one instant, and a way to open blocks.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use hindsight_model::{Rows, SqlError, Table, Tenant};
use hindsight_store::{BlockList, IdFilters, Store};
use object_store::ObjectStore;
use object_store::memory::InMemory;

/// Where telemetry is read from: the store in the program, fixed rows in a test.
#[async_trait::async_trait]
pub trait BlockSource: Send + Sync {
    /// Everything one tenant has, over all tables, at one instant (QRY-1, QRY-3).
    ///
    /// # Errors
    /// [`SqlError::Failed`] when the catalogue cannot be read.
    async fn snapshot(&self, tenant: &Tenant) -> Result<Snapshot, SqlError>;

    /// The store that [`hindsight_store::BlockFile::path`] is looked up in.
    fn object_store(&self) -> Arc<dyn ObjectStore>;
}

/// One tenant's telemetry at one instant.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Indexed by [`Table::index`].
    pub tables: [TableSnapshot; Table::ALL.len()],
    /// Kept until the query ends; whoever deletes files waits for it (BLK-3).
    pub guard: Option<Guard>,
}

/// Something that is only held, and let go when a query ends.
#[derive(Clone)]
pub struct Guard(pub Arc<dyn Any + Send + Sync>);

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

/// One table at one instant: sealed blocks and the rows not sealed yet.
#[derive(Clone, Debug, Default)]
pub struct TableSnapshot {
    /// Parquet files.
    pub blocks: BlockList,
    /// Which ids the files may hold; without filters, any.
    pub ids: Arc<IdFilters>,
    /// Head rows.
    pub head: Vec<Rows>,
}

/// A source of fixed snapshots, one for each tenant: for tests, and for opening a capsule of evidence.
#[derive(Clone, Debug)]
pub struct MemorySource {
    snapshots: Vec<(Tenant, Snapshot)>,
    object_store: Arc<dyn ObjectStore>,
}

impl MemorySource {
    /// A source without any row.
    pub fn empty() -> Self {
        Self { snapshots: Vec::new(), object_store: Arc::new(InMemory::new()) }
    }

    /// A source whose blocks are files of this store.
    pub fn over(object_store: Arc<dyn ObjectStore>) -> Self {
        Self { snapshots: Vec::new(), object_store }
    }

    /// The same source with this tenant's rows added.
    #[must_use]
    pub fn with(mut self, tenant: Tenant, snapshot: Snapshot) -> Self {
        self.snapshots.push((tenant, snapshot));
        self
    }
}

#[async_trait::async_trait]
impl BlockSource for MemorySource {
    async fn snapshot(&self, tenant: &Tenant) -> Result<Snapshot, SqlError> {
        let found = self.snapshots.iter().find(|(owner, _)| owner == tenant);
        Ok(found.map(|(_, snapshot)| snapshot.clone()).unwrap_or_default())
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.object_store)
    }
}

#[async_trait::async_trait]
impl BlockSource for Store {
    async fn snapshot(&self, tenant: &Tenant) -> Result<Snapshot, SqlError> {
        let stored = Store::snapshot(self, tenant);
        let ids = self.id_filters();
        let tables = Table::ALL.map(|table| {
            let table = stored.table(table);
            TableSnapshot { blocks: table.blocks.clone(), ids: Arc::clone(&ids), head: table.head.clone() }
        });
        // The store deletes no file of a block that somebody still has (BLK-3).
        let blocks = Table::ALL.map(|table| stored.table(table).blocks.clone());
        Ok(Snapshot { tables, guard: Some(Guard(Arc::new(blocks))) })
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        Store::object_store(self)
    }
}
