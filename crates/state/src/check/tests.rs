use std::fs;

use super::*;
use crate::AuditEntry;
use crate::testing::{at, full_tick};
use hindsight_model::Tenant;

/// A database with a tick and three audit rows, closed or left as a crash leaves it.
async fn written(path: &Path) -> State {
    let state = State::open(path).await.unwrap();
    state.commit_tick(&full_tick(60)).await.unwrap();
    for n in 1..=3 {
        let entry = AuditEntry {
            tenant: Tenant::default(),
            actor: "token:ops".into(),
            action: "incident.note".into(),
            subject: format!("INC-{n}"),
            detail: "{}".into(),
        };
        state.audit(&entry, at(n)).await.unwrap();
    }
    state
}

#[tokio::test]
async fn a_sound_database_passes_while_open_after_a_crash_and_closed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let state = written(&path).await;
    let looked = State::open_read_only(&path).await.unwrap().check().await.unwrap();
    assert_eq!((looked.version, looked.problems.len()), (known_version(), 0), "{looked:?}");
    assert_eq!(looked.audit.as_ref().unwrap().rows, 3);

    // What a crash leaves: the file and its log, no process.
    let left = tempfile::tempdir().unwrap();
    let copied = left.path().join("state.db");
    fs::copy(&path, &copied).unwrap();
    fs::copy(dir.path().join("state.db-wal"), left.path().join("state.db-wal")).unwrap();
    let before = (fs::read(&copied).unwrap(), fs::read(left.path().join("state.db-wal")).unwrap());
    assert_eq!(State::open_read_only(&copied).await.unwrap().check().await.unwrap(), looked);
    assert_eq!((fs::read(&copied).unwrap(), fs::read(left.path().join("state.db-wal")).unwrap()), before);

    state.close().await;
    assert_eq!(State::open_read_only(&path).await.unwrap().check().await.unwrap(), looked);
}

#[tokio::test]
async fn damage_tampering_and_a_newer_schema_are_told() {
    for (sql, said) in [
        ("UPDATE audit_log SET actor = 'nobody' WHERE seq = 2", "audit log row 2 does not match its hash"),
        ("DELETE FROM audit_log WHERE seq = 3", "audit log row 3 is missing"),
        (
            "PRAGMA foreign_keys = OFF; INSERT INTO timeline (incident, at, kind, source, text, state) \
             VALUES (99, 0, 'note', 'human', 'x', 'y')",
            "refers to one of incidents that is not there",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let state = written(&path).await;
        let mut writer = state.begin_raw().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut *writer).await.unwrap();
        drop(writer);
        state.close().await;
        let looked = State::open_read_only(&path).await.unwrap().check().await.unwrap();
        assert!(looked.problems.iter().any(|problem| problem.contains(said)), "{sql}: {looked:?}");
    }
}

#[tokio::test]
async fn flipped_pages_rubbish_and_absence_are_told_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    written(&path).await.close().await;
    let mut bytes = fs::read(&path).unwrap();
    for byte in &mut bytes[5_000..9_000] {
        *byte ^= 0x55;
    }
    fs::write(&path, &bytes).unwrap();
    let looked = State::open_read_only(&path).await.unwrap().check().await.unwrap();
    assert!(!looked.problems.is_empty(), "{looked:?}");

    fs::write(&path, vec![7; 8_192]).unwrap();
    assert!(State::open_read_only(&path).await.is_err());
    let absent = dir.path().join("none.db");
    assert!(matches!(State::open_read_only(&absent).await, Err(Error::Open { .. })));
    assert!(!absent.try_exists().unwrap());
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let state = written(&path).await;
    let mut writer = state.begin_raw().await;
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut *writer).await.unwrap();
    drop(writer);
    state.close().await;
    assert!(matches!(State::open_read_only(&path).await, Err(Error::Newer { found: 99, .. })));
}

#[tokio::test]
async fn a_copy_made_beside_a_writer_is_whole_and_opens_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let state = written(&path).await;
    let copied = dir.path().join("copy.db");
    let reader = State::open_read_only(&path).await.unwrap();
    reader.copy_to(&copied).await.unwrap();
    state.commit_tick(&full_tick(120)).await.unwrap();
    assert!(reader.copy_to(&copied).await.is_err(), "an existing file is not overwritten");
    let looked = State::open_read_only(&copied).await.unwrap().check().await.unwrap();
    assert_eq!((looked.problems.len(), looked.audit.unwrap().rows), (0, 3));
    let opened = State::open(&copied).await.unwrap();
    assert_eq!(opened.last_tick(&Tenant::default(), "checkout-db").await.unwrap(), Some(at(60)));
}
