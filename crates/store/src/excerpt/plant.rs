//! A new data directory whose tables are files that came from elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hindsight_model::{Table, Tenant};
use jiff::Timestamp;
use jiff::civil::Date;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use crate::block_writer::file_schema;
use crate::data_format::accept_format;
use crate::lock::node_id;
use crate::table_log::{TableLog, describe};
use crate::tables_storage::TablesStorage;
use crate::{BlockFile, DataDirLock, Error, Result, TablesLocation};

/// A Parquet file that is to be part of a table.
#[derive(Clone, Debug)]
pub struct Plant {
    /// The table.
    pub table: Table,
    /// The date of all its rows.
    pub date: Date,
    /// Where it is now; on the disk of the data directory, and in no table.
    pub file: PathBuf,
    /// How many rows it is said to have.
    pub rows: u64,
    /// As in [`super::ExcerptFile::stats`].
    pub stats: String,
    /// As in [`BlockFile::all_promoted`].
    pub all_promoted: bool,
}

/// Makes the data directory `data_dir` with these files, which are moved there, as `tenant`'s tables. A file is taken
/// when its footer has the rows and columns that it should have; what is in its pages shows when it is read.
///
/// # Errors
/// [`Error::Foreign`] naming a file that does not fit; [`Error::Locked`] when the directory is in use.
pub async fn plant(data_dir: &Path, tenant: &Tenant, files: Vec<Plant>, now: Timestamp) -> Result<()> {
    let data_dir = std::path::absolute(data_dir).map_err(Error::io("find the directory", data_dir))?;
    fs::create_dir_all(&data_dir).map_err(Error::io("create the directory", &data_dir))?;
    let _lock = DataDirLock::take(&data_dir)?;
    accept_format(&data_dir)?;
    let tables = TablesStorage::open(&TablesLocation::Local, &data_dir)?;
    let node = node_id(&data_dir)?;
    let mut by_table: BTreeMap<Table, Vec<Plant>> = BTreeMap::new();
    for file in files {
        by_table.entry(file.table).or_default().push(file);
    }
    for (table, files) in by_table {
        let (folder, tenant) = (data_dir.join("tables").join(table.name()), tenant.clone());
        let moved = tokio::task::spawn_blocking(move || {
            files.iter().enumerate().map(|(number, file)| put(&folder, &tenant, number, file)).collect()
        });
        let blocks: Result<Vec<BlockFile>> = match moved.await {
            Ok(moved) => moved,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        // No record of a log is in them.
        TableLog::open(table, &tables, node).await?.commit(blocks?, 0, now).await?;
    }
    Ok(())
}

/// Moves a file to its place in the table and says what is in it.
fn put(folder: &Path, tenant: &Tenant, number: usize, plant: &Plant) -> Result<BlockFile> {
    let path = format!("tenant={tenant}/date={}/{number:06}.parquet", plant.date);
    let foreign = |reason: String| Error::Foreign { table: plant.table, path: path.clone(), reason };
    let size = fits(plant).map_err(foreign)?;
    let partition = [("tenant", tenant.to_string()), ("date", plant.date.to_string())];
    let partition: HashMap<_, _> =
        partition.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
    let block = describe(plant.table, &path, size, &partition, Some(&plant.stats)).map_err(foreign)?;
    if block.rows != plant.rows {
        return Err(foreign("its statistics count other rows than it has".to_owned()));
    }
    let target = folder.join(&path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(Error::io("create the directory", parent))?;
    }
    fs::rename(&plant.file, &target).map_err(Error::io("move a file to", &target))?;
    Ok(BlockFile { all_promoted: plant.all_promoted, ..block })
}

/// The size of a file whose footer is that of a file of the table; the error completes "… lists the file, but …".
fn fits(plant: &Plant) -> Result<u64, String> {
    let file = File::open(&plant.file).map_err(|error| format!("it cannot be opened: {error}"))?;
    let size = file.metadata().map_err(|error| format!("it cannot be looked at: {error}"))?.len();
    let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
        .map_err(|error| format!("it is no Parquet file: {error}"))?;
    let rows = footer.metadata().file_metadata().num_rows();
    if u64::try_from(rows) != Ok(plant.rows) {
        return Err(format!("it has {rows} rows instead of {}", plant.rows));
    }
    let wanted = file_schema(plant.table);
    for field in footer.schema().fields() {
        let expected = wanted.field_with_name(field.name());
        let expected = expected.map_err(|_| format!("it has a column `{}` of its own", field.name()))?;
        if expected.data_type() != field.data_type() {
            return Err(format!("its column `{}` has the type {}", field.name(), field.data_type()));
        }
    }
    let lacks = |name: &&String| footer.schema().field_with_name(name).is_err();
    let needed = wanted.fields().iter().filter(|field| !field.is_nullable()).map(|field| field.name());
    match needed.into_iter().find(lacks) {
        Some(name) => Err(format!("it lacks the column `{name}`")),
        None => Ok(size),
    }
}
