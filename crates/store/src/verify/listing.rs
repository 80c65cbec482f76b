//! What a table's Delta log says now: version, active files, and the log position that it covers.

use std::collections::HashMap;

use deltalake::DeltaTable;
use hindsight_model::{NodeId, Table};

use super::{TablesDir, app_id};
use crate::block_name::checksum_in_name;
use crate::table_log::checksum_in_entry;
use crate::{Error, Result};

/// An active file as the Delta log lists it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) table: Table,
    /// Within the table's directory.
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    /// CRC-32C of its bytes, from its name or its entry; `None` when neither says.
    pub(crate) checksum: Option<u32>,
    pub(crate) partition: HashMap<String, Option<String>>,
    /// Statistics as JSON text.
    pub(crate) stats: Option<String>,
}

/// A table's log at one version.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) table: Table,
    pub(crate) version: u64,
    pub(crate) files: Vec<Listed>,
    /// The last log position that this node's commits cover; 0 when there is none, or no node id.
    pub(crate) covered: u64,
}

/// Reads the log of `table`; `None` when the table does not exist.
pub(crate) async fn list(table: Table, tables: &TablesDir, node: Option<NodeId>) -> Result<Option<Listing>> {
    let failed = |source| Error::Delta { operation: "read", table, source: Box::new(source) };
    let mut delta = DeltaTable::new(tables.log_store(table)?);
    if !delta.verify_deltatable_existence().await.map_err(failed)? {
        return Ok(None);
    }
    delta.load().await.map_err(failed)?;
    let state = delta.snapshot().map_err(failed)?;
    let mut covered = 0;
    if let Some(node) = node {
        let app = app_id(node, table);
        let version = state.transaction_version(delta.log_store().as_ref(), &app).await.map_err(failed)?;
        covered = version.and_then(|version| u64::try_from(version).ok()).unwrap_or(0);
    }
    let log_data = state.log_data();
    let files = log_data.iter().map(|file| Listed {
        table,
        path: file.path().into_owned(),
        size_bytes: u64::try_from(file.size()).unwrap_or(0),
        checksum: checksum_in_name(&file.path()).or_else(|| checksum_in_entry(&file)),
        partition: file.partition_values_map(),
        stats: file.stats(),
    });
    Ok(Some(Listing { table, version: state.version(), files: files.collect(), covered }))
}
