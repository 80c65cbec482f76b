use sqlx::sqlite::SqliteConnection;

use super::*;

async fn memory() -> SqliteConnection {
    SqliteConnection::connect("sqlite::memory:").await.unwrap()
}

async fn version(connection: &mut SqliteConnection) -> i64 {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn an_older_database_gets_the_versions_it_lacks_and_keeps_its_rows() {
    let mut connection = memory().await;
    migrate(&mut connection, "here", MIGRATIONS).await.unwrap();
    sqlx::raw_sql("INSERT INTO cursors VALUES ('incidents', 7)").execute(&mut connection).await.unwrap();
    let newer: Vec<&'static str> =
        MIGRATIONS.iter().copied().chain(["ALTER TABLE cursors ADD COLUMN moved_at INTEGER"]).collect();
    migrate(&mut connection, "here", &newer).await.unwrap();
    assert_eq!(version(&mut connection).await, i64::try_from(newer.len()).unwrap());
    let kept: (i64, Option<i64>) =
        sqlx::query_as("SELECT seq, moved_at FROM cursors").fetch_one(&mut connection).await.unwrap();
    assert_eq!(kept, (7, None));
    migrate(&mut connection, "here", &newer).await.unwrap();
}

#[tokio::test]
async fn a_newer_database_is_refused_with_both_versions() {
    let mut connection = memory().await;
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut connection).await.unwrap();
    let error = migrate(&mut connection, "here/state.db", MIGRATIONS).await.unwrap_err();
    let known = MIGRATIONS.len();
    assert_eq!(
        error.to_string(),
        format!(
            "state database here/state.db has schema version 99, this program knows versions up to {known}; \
             run the newer program, or restore a backup made before the upgrade"
        )
    );
}

#[tokio::test]
async fn a_migration_that_fails_half_way_leaves_the_version_before_it() {
    let mut connection = memory().await;
    let broken = ["CREATE TABLE a (x) STRICT_TYPO"];
    migrate(&mut connection, "here", &broken).await.unwrap_err();
    let half = ["CREATE TABLE a (x); CREATE TABLE a (x)"];
    migrate(&mut connection, "here", &half).await.unwrap_err();
    assert_eq!(version(&mut connection).await, 0);
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master").fetch_one(&mut connection).await.unwrap();
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn timelines_of_version_four_keep_their_rows_and_numbers() {
    let mut connection = memory().await;
    migrate(&mut connection, "here", &MIGRATIONS[..4]).await.unwrap();
    let old = "INSERT INTO incidents VALUES (7, 'default', 'open', 1, '{}');
        INSERT INTO timeline (incident, at, kind, source, text, state) VALUES (7, 5, 'note', 'human', 'x', 'accepted')";
    sqlx::raw_sql(old).execute(&mut connection).await.unwrap();
    migrate(&mut connection, "here", MIGRATIONS).await.unwrap();
    let row: (i64, String, Option<String>, Option<i64>) =
        sqlx::query_as("SELECT seq, text, author, original_at FROM timeline")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(row, (1, "x".to_owned(), None, None));
}
