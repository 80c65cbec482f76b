use std::path::Path;
use std::time::Duration;

use sqlx::Transaction;
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::error::{Error, Result, failed};
use crate::migrations::{MIGRATIONS, migrate};

/// Connections that only read; more readers than this wait.
const READERS_MAX: u32 = 4;
/// Longest wait for a connection, ours or another process's lock, before the call fails.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// The state database. Clones are cheap and share the connections: one that writes, a few that read.
///
/// What a method that changes something has returned `Ok` for is synced to disk.
#[derive(Clone, Debug)]
pub struct State {
    writer: SqlitePool,
    reader: SqlitePool,
}

impl State {
    /// Opens `path`, making the file if there is none, and brings its schema to the present version.
    ///
    /// # Errors
    /// [`Error::Newer`] when a newer program wrote it; [`Error::Open`] when it cannot be opened or is no database.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let open = |source: sqlx::Error| Error::Open { path: shown.clone(), source: source.into() };
        let options = durable_options().filename(path).create_if_missing(true);
        let writer = one_connection().connect_with(options.clone()).await.map_err(open)?;
        migrate(&mut *writer.acquire().await.map_err(open)?, &shown, MIGRATIONS).await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(WAIT_MAX)
            .connect_with(options.create_if_missing(false).pragma("query_only", "ON"))
            .await
            .map_err(open)?;
        Ok(Self { writer, reader })
    }

    /// A database that lives as long as its last clone, for tests and dry runs.
    ///
    /// # Errors
    /// [`Error::Open`] when memory is short.
    pub async fn in_memory() -> Result<Self> {
        let shown = ":memory:".to_owned();
        let open = |source: sqlx::Error| Error::Open { path: shown.clone(), source: source.into() };
        let writer = one_connection().connect_with(durable_options().in_memory(true)).await.map_err(open)?;
        migrate(&mut *writer.acquire().await.map_err(open)?, &shown, MIGRATIONS).await?;
        Ok(Self { reader: writer.clone(), writer })
    }

    /// Waits for running calls, empties SQLite's own log into the file and closes it. Later calls fail.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Checks the whole file: SQLite's own structure first. `verify` adds the audit chain to it.
    ///
    /// # Errors
    /// [`Error::Damaged`] with the first thing that is wrong.
    pub async fn verify_integrity(&self) -> Result<()> {
        let answer: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(self.reader())
            .await
            .map_err(failed("check the structure"))?;
        if answer != "ok" {
            return Err(Error::Damaged { table: "state.db", column: "integrity_check", found: answer });
        }
        Ok(())
    }

    /// A handle that only reads: what would write fails.
    pub(crate) fn of_readers(reader: SqlitePool) -> Self {
        Self { writer: reader.clone(), reader }
    }

    /// The writing connection, for tests that do what only an intruder would.
    #[cfg(test)]
    pub(crate) async fn begin_raw(&self) -> sqlx::pool::PoolConnection<Sqlite> {
        self.writer.acquire().await.unwrap()
    }

    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// A transaction on the one writing connection; dropped without commit, it leaves nothing behind.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin a transaction"))
    }
}

/// `FULL`: a commit returns after the sync, so a page decided is a page kept (RUL-2).
fn durable_options() -> SqliteConnectOptions {
    options().journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
}

/// What readers and writers have in common.
pub(crate) fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new().foreign_keys(true).busy_timeout(WAIT_MAX)
}

/// A pool that never drops its connection: two writers would only wait for each other, and a database in memory
/// ends with its connection.
fn one_connection() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(1)
        .acquire_timeout(WAIT_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

#[cfg(test)]
mod tests;
