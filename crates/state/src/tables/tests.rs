use hindsight_model::{ActionCheck, CheckOutcome, SqlAnswer, SqlValue, TickCommit, TimelineSource};

use super::*;
use crate::AuditEntry;
use crate::testing::{adding, at, entry, full_tick, incident, row, silence, tenant};

async fn filled() -> State {
    let state = State::in_memory().await.unwrap();
    let me = Tenant::default();
    state.commit_tick(&full_tick(60)).await.unwrap();
    state
        .save_incident(&incident(7, &me), &adding(&[row(10, TimelineSource::System, "up")]), None)
        .await
        .unwrap();
    let word = || "x".to_owned();
    let entry = AuditEntry { tenant: me, actor: word(), action: word(), subject: word(), detail: word() };
    state.audit(&entry, at(0)).await.unwrap();
    state.add_silence(silence(0, 100), at(0)).await.unwrap();
    let check = ActionCheck {
        verify: "slo: checkout met for 14d".into(),
        outcome: CheckOutcome::Failed,
        evidence: "99.2 % of 99.9 %".into(),
        checked_at: at(5),
        since: at(5),
        verified_at: None,
        reopened_at: None,
    };
    let key = "PM-2026-014/A1".parse().unwrap();
    state.save_action_check(&Tenant::default(), &key, &check).await.unwrap();
    state
}

async fn table(state: &State, name: &str) -> (Vec<String>, Vec<Vec<SqlValue>>) {
    let table = state.system_tables().into_iter().find(|table| table.name() == name).unwrap();
    let batch = table.rows(&Tenant::default()).await.unwrap();
    let answer = SqlAnswer::new(table.schema(), vec![batch]);
    (answer.columns().into_iter().map(str::to_owned).collect(), answer.rows().unwrap())
}

#[tokio::test]
async fn every_table_fills_its_own_schema_and_shows_a_tenant_nobody_elses_rows() {
    let state = filled().await;
    let names: Vec<_> = state.system_tables().iter().map(|table| table.name()).collect();
    assert_eq!(
        names,
        [
            "alert_states",
            "alert_transitions",
            "rule_evaluations",
            "slo_slices",
            "slo_status",
            "timeline",
            "notifications",
            "silences",
            "action_verifications",
            "audit_log",
            "incidents"
        ]
    );
    for table in state.system_tables() {
        let mine = table.rows(&Tenant::default()).await.unwrap();
        assert_eq!(mine.schema(), table.schema(), "{}", table.name());
        assert_eq!(mine.num_rows(), 1, "{}", table.name());
        let theirs = table.rows(&tenant("other")).await.unwrap();
        assert_eq!((theirs.num_rows(), theirs.schema()), (0, table.schema()), "{}", table.name());
    }
}

#[tokio::test]
async fn columns_hold_what_their_names_say() {
    let state = filled().await;
    let micros = |s| {
        SqlValue::Time(hindsight_model::timestamp_from_micros(hindsight_model::to_micros(at(s))).unwrap())
    };
    let text = |text: &str| SqlValue::Text(text.into());
    for (name, column, value) in [
        ("alert_states", "since", micros(60)),
        ("alert_states", "labels", text(r#"{"pool":"main","service_name":"checkout"}"#)),
        ("alert_states", "value", SqlValue::Double(0.95)),
        ("alert_transitions", "timestamp", micros(60)),
        ("alert_transitions", "from_state", text("pending")),
        ("alert_transitions", "to_state", text("firing")),
        ("rule_evaluations", "duration_nano", SqlValue::Int(12_345_678)),
        ("rule_evaluations", "watermark", micros(30)),
        ("rule_evaluations", "error", SqlValue::Null),
        ("slo_slices", "good", SqlValue::Double(99.0)),
        ("slo_status", "service_name", text("checkout")),
        ("slo_status", "burn_1h", SqlValue::Null),
        ("timeline", "incident", text("INC-7")),
        ("timeline", "kind", text("change_point")),
        ("notifications", "status", text("waiting")),
        ("notifications", "next_attempt_at", micros(90)),
        ("notifications", "id", SqlValue::Null),
        ("notifications", "finished_at", SqlValue::Null),
        ("notifications", "sent_at", SqlValue::Null),
        ("silences", "id", text("SIL-1")),
        ("silences", "ends_at", micros(100)),
        ("silences", "expired_by", SqlValue::Null),
        ("action_verifications", "outcome", text("failed")),
        ("action_verifications", "timestamp", micros(5)),
        ("timeline", "original_at", SqlValue::Null),
        ("audit_log", "seq", SqlValue::Int(1)),
        ("incidents", "id", text("INC-7")),
        ("incidents", "detected_at", micros(60)),
        ("incidents", "resolved_at", SqlValue::Null),
        ("incidents", "top_suspect", text("orders-db")),
        ("incidents", "severity", text("SEV2")),
        ("incidents", "roles", text("{}")),
        ("incidents", "closed_at", SqlValue::Null),
        ("incidents", "firing", text(r#"["e-main"]"#)),
    ] {
        let (columns, rows) = table(&state, name).await;
        let index = columns.iter().position(|other| other == column).unwrap();
        assert_eq!(rows[0][index], value, "{name}.{column}");
    }
}

#[tokio::test]
async fn notifications_tell_why_one_was_not_sent() {
    let state = State::in_memory().await.unwrap();
    let mut old = entry("t/a/firing", 0);
    old.unsent = Some("too old".into());
    state.commit_tick(&TickCommit { outbox: vec![old], ..TickCommit::default() }).await.unwrap();
    let (columns, rows) = table(&state, "notifications").await;
    let cell = |name: &str| rows[0][columns.iter().position(|other| other == name).unwrap()].clone();
    assert_eq!(cell("status"), SqlValue::Text("unsent".into()));
    assert_eq!(cell("reason"), SqlValue::Text("too old".into()));
    assert_eq!(cell("next_attempt_at"), SqlValue::Null);
}
