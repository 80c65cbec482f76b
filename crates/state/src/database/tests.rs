use hindsight_model::{ActionCheck, CheckOutcome, Tenant, TimelineSource};

use super::*;
use crate::testing::{adding, at, full_tick, incident, row, silence};
use crate::{AuditEntry, TransitionFilter};

#[tokio::test]
async fn reopening_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let me = Tenant::default();
    let state = State::open(&path).await.unwrap();
    state.commit_tick(&full_tick(60)).await.unwrap();
    state
        .save_incident(&incident(3, &me), &adding(&[row(10, TimelineSource::System, "errors rise")]), None)
        .await
        .unwrap();
    let word = || "x".to_owned();
    let entry =
        AuditEntry { tenant: me.clone(), actor: word(), action: word(), subject: word(), detail: word() };
    state.audit(&entry, at(0)).await.unwrap();
    let key = "PM-2026-014/A1".parse().unwrap();
    let check = ActionCheck {
        verify: "slo: checkout met for 14d".into(),
        outcome: CheckOutcome::Failed,
        evidence: "99.2 % of 99.9 %".into(),
        checked_at: at(5),
        since: at(5),
        verified_at: None,
        reopened_at: None,
    };
    state.save_action_check(&me, &key, &check).await.unwrap();
    state.add_silence(silence(0, 100), at(0)).await.unwrap();
    let mut before = Vec::new();
    for table in state.system_tables() {
        before.push(table.rows(&me).await.unwrap());
    }
    assert!(before.iter().all(|batch| batch.num_rows() == 1), "one row of everything");
    state.close().await;

    let reopened = State::open(&path).await.unwrap();
    for (table, before) in reopened.system_tables().iter().zip(before) {
        assert_eq!(table.rows(&me).await.unwrap(), before, "{}", table.name());
    }
    assert_eq!(reopened.last_tick(&me, "checkout-db").await.unwrap(), Some(at(60)));
    let transitions = reopened.transitions(&me, &TransitionFilter::default()).await.unwrap();
    assert_eq!(transitions, full_tick(60).transitions);
    assert_eq!(reopened.next_incident_id().await.unwrap().0, 4);
    reopened.verify_integrity().await.unwrap();
}

#[tokio::test]
async fn the_file_is_in_wal_mode_and_every_commit_is_synced() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(folder.path().join("state.db")).await.unwrap();
    let mut transaction = state.begin().await.unwrap();
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *transaction).await.unwrap();
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *transaction).await.unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2), "2 is FULL");
}

#[tokio::test]
async fn readers_cannot_write_and_see_only_what_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(folder.path().join("state.db")).await.unwrap();
    sqlx::raw_sql("DELETE FROM cursors").execute(state.reader()).await.unwrap_err();
    let mut transaction = state.begin().await.unwrap();
    sqlx::raw_sql("INSERT INTO cursors VALUES ('x', 5)").execute(&mut *transaction).await.unwrap();
    assert_eq!(state.cursor("x").await.unwrap(), 0);
    transaction.commit().await.unwrap();
    assert_eq!(state.cursor("x").await.unwrap(), 5);
}

#[tokio::test]
async fn a_newer_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let state = State::open(&path).await.unwrap();
    let mut connection = state.writer.acquire().await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 2000").execute(&mut *connection).await.unwrap();
    drop(connection);
    state.close().await;
    for _ in 0..2 {
        let error = State::open(&path).await.unwrap_err();
        assert!(matches!(error, Error::Newer { found: 2000, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    std::fs::write(&path, "this is a letter, not a database; ".repeat(100)).unwrap();
    let error = State::open(&path).await.unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error}");
    let error = State::open(folder.path().join("no/such/folder/state.db")).await.unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error}");
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_named() {
    let state = State::in_memory().await.unwrap();
    state.commit_tick(&full_tick(60)).await.unwrap();
    sqlx::raw_sql("UPDATE instances SET state = 'asleep'").execute(state.reader()).await.unwrap();
    let error = state.instances(&Tenant::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "instances.state holds `asleep`, which this program did not write; restore state.db from a backup"
    );
}
