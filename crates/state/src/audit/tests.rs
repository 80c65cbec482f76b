use super::*;
use crate::testing::at;

fn entry(n: i64) -> AuditEntry {
    AuditEntry {
        tenant: Tenant::default(),
        actor: "token:ops".into(),
        action: "incident.note".into(),
        subject: format!("INC-{n}"),
        detail: r#"{"text":"rolled back"}"#.into(),
    }
}

async fn with_rows(count: i64) -> State {
    let state = State::in_memory().await.unwrap();
    for n in 1..=count {
        assert_eq!(state.audit(&entry(n), at(n)).await.unwrap(), n);
    }
    state
}

#[tokio::test]
async fn an_untouched_log_holds_and_its_head_depends_on_every_row() {
    let empty = with_rows(0).await.verify_audit().await.unwrap();
    assert_eq!(empty, AuditVerified { rows: 0, head: String::new() });
    let three = with_rows(3).await.verify_audit().await.unwrap();
    assert_eq!((three.rows, three.head.len()), (3, 64));
    assert_eq!(with_rows(3).await.verify_audit().await.unwrap(), three);
    assert_ne!(with_rows(4).await.verify_audit().await.unwrap().head, three.head);
}

#[tokio::test]
async fn every_kind_of_tampering_names_the_first_row_that_does_not_hold() {
    for (tampering, row) in [
        ("UPDATE audit_log SET actor = 'somebody else' WHERE seq = 2", 2),
        ("UPDATE audit_log SET at = at + 1 WHERE seq = 4", 4),
        ("UPDATE audit_log SET tenant = 'other' WHERE seq = 3", 3),
        // Text that moves from one column to the next must not hash to the same.
        ("UPDATE audit_log SET actor = actor || 'incident', action = '.note' WHERE seq = 2", 2),
        ("UPDATE audit_log SET hash = upper(hash) WHERE seq = 1", 1),
        ("DELETE FROM audit_log WHERE seq = 1", 1),
        ("DELETE FROM audit_log WHERE seq = 3", 3),
        ("DELETE FROM audit_log WHERE seq = 5", 5),
        ("DELETE FROM audit_log", 1),
        ("UPDATE audit_log SET seq = 9 WHERE seq = 5", 5),
        (
            "INSERT INTO audit_log SELECT 6, at, tenant, actor, action, subject, detail, hash FROM audit_log WHERE seq = 5",
            6,
        ),
        ("DELETE FROM audit_head", 5),
    ] {
        let state = with_rows(5).await;
        sqlx::raw_sql(tampering).execute(state.reader()).await.unwrap();
        match state.verify_audit().await {
            Err(Error::AuditBroken { seq, .. }) => assert_eq!(seq, row, "{tampering}"),
            other => panic!("{tampering}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_chain_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    for n in 1..=3 {
        let state = State::open(&path).await.unwrap();
        state.audit(&entry(n), at(n)).await.unwrap();
        assert_eq!(state.verify_audit().await.unwrap().rows, n.unsigned_abs());
        state.close().await;
    }
}

#[tokio::test]
async fn the_hash_is_the_one_the_format_page_describes() {
    let state = with_rows(1).await;
    let row = format!(
        "\n[1,{},\"default\",\"token:ops\",\"incident.note\",\"INC-1\",\"{{\\\"text\\\":\\\"rolled back\\\"}}\"]",
        at(1).as_nanosecond()
    );
    assert_eq!(state.verify_audit().await.unwrap().head, hex::encode(Sha256::digest(row)));
}

#[tokio::test]
async fn an_overlong_detail_is_refused_by_name() {
    let state = with_rows(0).await;
    let long = AuditEntry { detail: "x".repeat(AUDIT_DETAIL_BYTES_MAX + 1), ..entry(1) };
    let error = state.audit(&long, at(0)).await.unwrap_err();
    assert_eq!(error.to_string(), "an audit detail has 65537 bytes; at most 65536 are stored");
}
