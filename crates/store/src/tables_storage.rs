//! The storage under the tables: a directory of this disk, or a prefix in object storage.

use std::path::Path as FsPath;
use std::sync::Arc;

use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use hindsight_model::Table;
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use url::Url;

use crate::durable_fs::{DurableFs, create_dir_durably};
use crate::{Error, Result, TablesLocation};

/// Where all tables are, open. Clones share the connections.
#[derive(Clone, Debug)]
pub(crate) struct TablesStorage {
    /// The directory of all tables, with a slash at the end.
    directory: Url,
    /// The whole file system or the whole bucket: what the paths of `directory` are in.
    root: Arc<dyn ObjectStore>,
    /// What is below `directory`.
    tables: Arc<dyn ObjectStore>,
}

impl TablesStorage {
    /// Opens the place that `location` names, of the store in `data_dir` (an absolute path).
    pub(crate) fn open(location: &TablesLocation, data_dir: &FsPath) -> Result<Self> {
        match location {
            TablesLocation::Local => Self::local(&data_dir.join("tables")),
            #[cfg(feature = "s3")]
            TablesLocation::Url(url) => {
                let root: Arc<dyn ObjectStore> = Arc::new(crate::s3::open(url)?);
                let directory = url.directory();
                let prefix = Path::from_url_path(directory.path()).map_err(|error| Error::TablesUrl {
                    url: url.as_str().to_owned(),
                    problem: error.to_string(),
                })?;
                let tables = Arc::new(PrefixStore::new(Arc::clone(&root), prefix));
                Ok(Self { directory, root, tables })
            }
            #[cfg(not(feature = "s3"))]
            TablesLocation::Url(url) => Err(Error::TablesUrl {
                url: url.as_str().to_owned(),
                problem: crate::tables_location::BUILT_WITHOUT.to_owned(),
            }),
        }
    }

    /// The directory `dir` of this disk, made if it is not there.
    pub(crate) fn local(dir: &FsPath) -> Result<Self> {
        create_dir_durably(dir).map_err(Error::io("create the directory", dir))?;
        let failed = |source| Error::Storage {
            operation: "open the directory",
            path: dir.display().to_string(),
            source: Box::new(source),
        };
        let directory = Url::from_directory_path(dir).map_err(|()| Error::TablesUrl {
            url: dir.display().to_string(),
            problem: "it is not an absolute path".to_owned(),
        })?;
        let tables = Arc::new(DurableFs::within(dir).map_err(failed)?);
        Ok(Self { directory, root: Arc::new(DurableFs::whole()), tables })
    }

    /// The directory `dir` of this disk as it is: it need not be there, and nothing is made.
    pub(crate) fn as_it_is(dir: &FsPath) -> Result<Self> {
        let refused = |problem: String| Error::TablesUrl { url: dir.display().to_string(), problem };
        let directory =
            Url::from_directory_path(dir).map_err(|()| refused("it is not an absolute path".to_owned()))?;
        let within = Path::from_url_path(directory.path()).map_err(|error| refused(error.to_string()))?;
        let root: Arc<dyn ObjectStore> = Arc::new(DurableFs::whole());
        let tables = Arc::new(PrefixStore::new(Arc::clone(&root), within));
        Ok(Self { directory, root, tables })
    }

    /// What is below the directory of all tables.
    pub(crate) fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.tables)
    }

    /// The log of one table, as the Delta library wants it: commits are puts that must be new.
    pub(crate) fn log_store(&self, table: Table) -> Result<LogStoreRef> {
        let url = self.directory.join(&format!("{}/", table.name())).map_err(|error| Error::TablesUrl {
            url: self.directory.to_string(),
            problem: error.to_string(),
        })?;
        let within = Arc::new(PrefixStore::new(Arc::clone(&self.tables), Path::from(table.name())));
        Ok(default_logstore(within, Arc::clone(&self.root), &url, &StorageConfig::default()))
    }
}
