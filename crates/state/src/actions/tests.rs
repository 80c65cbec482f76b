use hindsight_model::CheckOutcome;

use super::*;
use crate::testing::{at, tenant};

fn key() -> ActionKey {
    "PM-2026-014/A1".parse().unwrap()
}

fn checked(outcome: CheckOutcome, s: i64) -> ActionCheck {
    ActionCheck {
        verify: "alert: DbPoolSaturated fires on INC-7".into(),
        outcome,
        evidence: "it fired at 14:33".into(),
        checked_at: at(s),
        since: at(0),
        verified_at: Some(at(s)),
        reopened_at: None,
    }
}

#[tokio::test]
async fn the_last_word_and_the_last_check_are_kept_and_only_for_their_tenant() {
    let state = State::in_memory().await.unwrap();
    let me = Tenant::default();
    let said = |status: &str, s| ActionStatement {
        status: status.into(),
        document_status: "proposed".into(),
        reason: Some("the pool is gone".into()),
        approver: Some("lee".into()),
        author: "ana".into(),
        at: at(s),
    };
    let by = AuditEntry {
        tenant: me.clone(),
        actor: "ana".into(),
        action: "action.say".into(),
        subject: key().to_string(),
        detail: "{}".into(),
    };
    state.say_of_action(&me, &key(), &said("accepted", 1), &by).await.unwrap();
    state.say_of_action(&me, &key(), &said("wont_do", 2), &by).await.unwrap();
    state.save_action_check(&me, &key(), &checked(CheckOutcome::Passed, 3)).await.unwrap();
    let records = state.action_records(&me).await.unwrap();
    let expected =
        ActionRecord { statement: Some(said("wont_do", 2)), check: Some(checked(CheckOutcome::Passed, 3)) };
    assert_eq!(records, [(key(), expected)].into());
    assert!(state.action_records(&tenant("other")).await.unwrap().is_empty());
    assert_eq!(state.verify_audit().await.unwrap().rows, 2);
}

#[tokio::test]
async fn the_history_has_each_change_of_outcome_once() {
    let state = State::in_memory().await.unwrap();
    let me = Tenant::default();
    for (s, outcome) in [
        CheckOutcome::Failed,
        CheckOutcome::Failed,
        CheckOutcome::Passed,
        CheckOutcome::Passed,
        CheckOutcome::Failed,
    ]
    .into_iter()
    .enumerate()
    {
        let check = checked(outcome, i64::try_from(s).unwrap());
        state.save_action_check(&me, &key(), &check).await.unwrap();
    }
    let history: Vec<String> = sqlx::query_scalar("SELECT outcome FROM action_verifications ORDER BY seq")
        .fetch_all(state.reader())
        .await
        .unwrap();
    assert_eq!(history, ["failed", "passed", "failed"]);
}
