use hindsight_model::SilenceState;

use super::*;
use crate::testing::{at, silence, tenant};

#[tokio::test]
async fn a_silence_reads_back_and_ends_by_itself() {
    let state = State::in_memory().await.unwrap();
    let added = state.add_silence(silence(10, 20), at(0)).await.unwrap();
    assert_eq!(
        state.lasting_silences(&Tenant::default(), at(19)).await.unwrap(),
        std::slice::from_ref(&added)
    );
    let states = [9, 10, 19, 20].map(|s| added.state(at(s)));
    assert_eq!(
        states,
        [SilenceState::Pending, SilenceState::Active, SilenceState::Active, SilenceState::Expired]
    );
    assert_eq!(state.lasting_silences(&Tenant::default(), at(20)).await.unwrap(), []);
    assert_eq!(state.silences(&Tenant::default()).await.unwrap(), [added]);
    assert_eq!(state.silences(&tenant("other")).await.unwrap(), []);
}

#[tokio::test]
async fn who_ends_a_silence_is_written_down_once_and_only_its_own_tenant_can() {
    let state = State::in_memory().await.unwrap();
    let id = state.add_silence(silence(0, 100), at(0)).await.unwrap().id;
    assert_eq!(state.expire_silence(&tenant("other"), id, "eve", at(5)).await.unwrap(), None);
    let ended = state.expire_silence(&Tenant::default(), id, "ben", at(10)).await.unwrap().unwrap();
    assert_eq!((ended.asked.ends_at, ended.expired), (at(10), Some(("ben".to_owned(), at(10)))));
    let again = state.expire_silence(&Tenant::default(), id, "eve", at(20)).await.unwrap().unwrap();
    assert_eq!(again.expired, Some(("ben".to_owned(), at(10))));
    let later = state.add_silence(silence(50, 100), at(10)).await.unwrap().id;
    let ended = state.expire_silence(&Tenant::default(), later, "ben", at(11)).await.unwrap().unwrap();
    assert_eq!((ended.asked.starts_at, ended.asked.ends_at), (at(11), at(11)));
    assert_eq!(state.expire_silence(&Tenant::default(), SilenceId(99), "ben", at(0)).await.unwrap(), None);
}

#[tokio::test]
async fn one_silence_too_many_is_refused_until_another_is_over() {
    let state = State::in_memory().await.unwrap();
    for _ in 0..SILENCES_MAX {
        state.add_silence(silence(0, 100), at(0)).await.unwrap();
    }
    let error = state.add_silence(silence(0, 100), at(50)).await.unwrap_err();
    assert!(matches!(error, Error::TooMany { limit: SILENCES_MAX, .. }), "{error}");
    state.add_silence(silence(0, 200), at(100)).await.unwrap();
}
