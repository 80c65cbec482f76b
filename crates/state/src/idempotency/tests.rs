use super::*;
use crate::testing::{at, tenant};

#[tokio::test]
async fn the_same_call_gets_the_same_answer_and_another_body_a_conflict() {
    let state = State::in_memory().await.unwrap();
    let me = Tenant::default();
    assert_eq!(state.idempotent_begin(&me, "k", "body", at(0)).await.unwrap(), Begin::New);
    assert_eq!(state.idempotent_begin(&me, "k", "body", at(1)).await.unwrap(), Begin::Running);
    assert_eq!(state.idempotent_begin(&me, "k", "other", at(1)).await.unwrap(), Begin::Conflict);
    state.idempotent_finish(&me, "k", Some("201")).await.unwrap();
    assert_eq!(state.idempotent_begin(&me, "k", "body", at(2)).await.unwrap(), Begin::Done("201".into()));
    assert_eq!(state.idempotent_begin(&me, "k", "other", at(2)).await.unwrap(), Begin::Conflict);
    assert_eq!(state.idempotent_begin(&tenant("other"), "k", "other", at(2)).await.unwrap(), Begin::New);
}

#[tokio::test]
async fn a_call_that_failed_or_died_may_be_repeated() {
    let state = State::in_memory().await.unwrap();
    let me = Tenant::default();
    let lease = i64::try_from(IDEMPOTENCY_LEASE.as_secs()).unwrap();
    state.idempotent_begin(&me, "failed", "body", at(0)).await.unwrap();
    state.idempotent_finish(&me, "failed", None).await.unwrap();
    assert_eq!(state.idempotent_begin(&me, "failed", "body", at(1)).await.unwrap(), Begin::New);
    state.idempotent_begin(&me, "died", "body", at(0)).await.unwrap();
    assert_eq!(state.idempotent_begin(&me, "died", "body", at(lease)).await.unwrap(), Begin::Running);
    assert_eq!(state.idempotent_begin(&me, "died", "body", at(lease + 1)).await.unwrap(), Begin::New);
}

#[tokio::test]
async fn answers_are_forgotten_after_a_day() {
    let state = State::in_memory().await.unwrap();
    let me = Tenant::default();
    let age = i64::try_from(IDEMPOTENCY_AGE_MAX.as_secs()).unwrap();
    state.idempotent_begin(&me, "k", "body", at(0)).await.unwrap();
    state.idempotent_finish(&me, "k", Some("201")).await.unwrap();
    assert_eq!(state.idempotent_begin(&me, "k", "body", at(age)).await.unwrap(), Begin::Done("201".into()));
    assert_eq!(state.idempotent_begin(&me, "k", "other", at(age + 1)).await.unwrap(), Begin::New);
}
