//! The database as `hindsight verify` sees it: opened without writing, checked from SQLite's structure to the
//! audit chain, and copied for a backup.

use std::path::Path;

use sqlx::Row as _;
use sqlx::sqlite::SqlitePoolOptions;

use crate::audit::AuditVerified;
use crate::database::{State, WAIT_MAX, options};
use crate::error::{Error, Result, failed};
use crate::migrations::MIGRATIONS;

/// SQLite's complaints beyond this many are not asked for.
const COMPLAINTS_MAX: i64 = 20;

/// What a check of the database found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChecked {
    /// Schema version of the file.
    pub version: i64,
    /// The audit log, when it holds.
    pub audit: Option<AuditVerified>,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

impl State {
    /// Opens `path` for reading only: no file is made, nothing is migrated, a crash's log is read and left there.
    ///
    /// # Errors
    /// [`Error::Open`] when it cannot be opened or is no database; [`Error::Newer`] when a newer program wrote it.
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let open = |source: sqlx::Error| Error::Open { path: shown.clone(), source: source.into() };
        // A mode of journal or sync is the writer's choice; setting one here would write.
        let options = options().filename(path).create_if_missing(false).read_only(true);
        let reader = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(WAIT_MAX)
            .connect_with(options)
            .await
            .map_err(open)?;
        let state = Self::of_readers(reader);
        let (found, known) = (state.version().await?, known_version());
        if found > known {
            return Err(Error::Newer { path: shown, found, known });
        }
        Ok(state)
    }

    /// Checks structure, references and the audit chain; goes on after a fault.
    ///
    /// # Errors
    /// When SQLite cannot be asked at all.
    pub async fn check(&self) -> Result<StateChecked> {
        let version = self.version().await?;
        let mut problems = Vec::new();
        let integrity = format!("PRAGMA integrity_check({COMPLAINTS_MAX})");
        let rows =
            sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(integrity)).fetch_all(self.reader()).await;
        match rows {
            Ok(said) => problems.extend(said.into_iter().filter(|line| line != "ok")),
            Err(error) => problems.push(format!("its structure cannot be checked: {error}")),
        }
        match sqlx::query("PRAGMA foreign_key_check").fetch_all(self.reader()).await {
            Ok(rows) => {
                for row in rows.iter().take(usize::try_from(COMPLAINTS_MAX).unwrap_or_default()) {
                    let table: String = row.try_get(0).unwrap_or_default();
                    let parent: String = row.try_get(2).unwrap_or_default();
                    problems.push(format!("a row of {table} refers to one of {parent} that is not there"));
                }
            }
            Err(error) => problems.push(format!("its references cannot be checked: {error}")),
        }
        let audit = match self.verify_audit().await {
            Ok(audit) => Some(audit),
            // A file that was never migrated has no tables yet; the next start makes them.
            Err(_) if version == 0 => None,
            Err(error) => {
                problems.push(error.to_string());
                None
            }
        };
        Ok(StateChecked { version, audit, problems })
    }

    /// Writes a consistent copy of the whole database to `target`, which must not exist, while others go on
    /// writing. The copy is one file without a log beside it.
    ///
    /// # Errors
    /// [`Error::Database`] when `target` exists or cannot be written.
    pub async fn copy_to(&self, target: &Path) -> Result<()> {
        sqlx::query("VACUUM INTO ?")
            .bind(target.display().to_string())
            .execute(self.reader())
            .await
            .map_err(failed("copy everything"))?;
        Ok(())
    }

    async fn version(&self) -> Result<i64> {
        sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(self.reader())
            .await
            .map_err(failed("read the schema version"))
    }
}

fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("a handful of migrations")
}

#[cfg(test)]
mod tests;
