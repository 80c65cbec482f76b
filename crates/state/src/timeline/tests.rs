use hindsight_model::{TimelineSource, TimelineState};

use super::*;
use crate::testing::{adding, at, incident, row};

const ID: IncidentId = IncidentId(1);

async fn with_rows(rows: &[TimelineRow]) -> (State, Vec<TimelineEntry>) {
    let state = State::in_memory().await.unwrap();
    state.save_incident(&incident(1, &Tenant::default()), &adding(rows), None).await.unwrap();
    let entries = state.timeline_entries(&Tenant::default(), ID).await.unwrap();
    (state, entries)
}

async fn change(state: &State, change: &TimelineChange) -> Result<Vec<TimelineEntry>> {
    state.save_incident(&incident(1, &Tenant::default()), change, None).await?;
    state.timeline_entries(&Tenant::default(), ID).await
}

#[tokio::test]
async fn an_edit_keeps_the_first_time_and_the_first_text() {
    let (state, before) = with_rows(&[row(10, TimelineSource::System, "errors rise")]).await;
    let edit = |at, text: &str, state| TimelineEdit {
        id: before[0].id,
        author: "scribe".into(),
        state,
        at,
        text: Some(text.into()),
    };
    let first = edit(Some(at(20)), "checkout fails", Some(TimelineState::Accepted));
    change(&state, &TimelineChange { edited: vec![first], ..TimelineChange::default() }).await.unwrap();
    let second = edit(None, "checkout fails for all", None);
    let rows =
        change(&state, &TimelineChange { edited: vec![second], ..TimelineChange::default() }).await.unwrap();
    assert_eq!((rows[0].row.at, rows[0].original_at), (at(20), Some(at(10))));
    assert_eq!(rows[0].row.text, "checkout fails for all");
    assert_eq!(rows[0].original_text.as_deref(), Some("errors rise"));
    assert_eq!((rows[0].row.state.as_str(), rows[0].author.as_deref()), ("accepted", Some("scribe")));
}

#[tokio::test]
async fn what_only_changes_the_state_is_no_edit_of_what_it_says() {
    let (state, before) = with_rows(&[row(10, TimelineSource::System, "errors rise")]).await;
    let dismissed = TimelineEdit {
        id: before[0].id,
        author: "scribe".into(),
        state: Some(TimelineState::Dismissed),
        at: None,
        text: None,
    };
    let rows = change(&state, &TimelineChange { edited: vec![dismissed], ..TimelineChange::default() })
        .await
        .unwrap();
    assert!(!rows[0].is_edited());
    let refreshed = vec![(before[0].id, row(15, TimelineSource::System, "errors rise to 4 %"))];
    let rows = change(&state, &TimelineChange { refreshed, ..TimelineChange::default() }).await.unwrap();
    assert_eq!((rows[0].row.text.as_str(), rows[0].row.state.as_str()), ("errors rise to 4 %", "dismissed"));
}

#[tokio::test]
async fn a_row_of_another_incident_cannot_be_edited() {
    let (state, before) = with_rows(&[row(10, TimelineSource::System, "errors rise")]).await;
    let edit =
        TimelineEdit { id: before[0].id, author: "x".into(), state: None, at: None, text: Some("y".into()) };
    let theft = TimelineChange { edited: vec![edit], ..TimelineChange::default() };
    let other = incident(2, &Tenant::default());
    let wrong = state.save_incident(&other, &theft, None).await.unwrap_err();
    assert!(matches!(wrong, Error::NoTimelineRow(_)), "{wrong}");
    assert_eq!(state.incident(&Tenant::default(), IncidentId(2)).await.unwrap(), None, "nothing was saved");
}

#[tokio::test]
async fn a_full_timeline_takes_no_more() {
    let (state, _) = with_rows(&[]).await;
    let many = vec![row(1, TimelineSource::Human, "again"); usize::try_from(TIMELINE_ROWS_MAX).unwrap()];
    change(&state, &adding(&many)).await.unwrap();
    let wrong = change(&state, &adding(&many[..1])).await.unwrap_err();
    assert!(matches!(wrong, Error::TooMany { .. }), "{wrong}");
    assert_eq!(state.timeline(&Tenant::default(), ID).await.unwrap().len(), many.len());
    let long = "x".repeat(TIMELINE_TEXT_BYTES_MAX + 1);
    let wrong = change(&state, &adding(&[row(0, TimelineSource::Human, &long)])).await.unwrap_err();
    assert!(matches!(wrong, Error::TooLong { .. }), "{wrong}");
}
