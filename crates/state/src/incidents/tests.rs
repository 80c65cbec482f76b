use hindsight_model::{AlertState, IncidentStatus, TickCommit};

use super::*;
use crate::testing::{at, incident, row, tenant, transition};

const READER: &str = "incidents";

#[tokio::test]
async fn an_incident_reads_back_as_it_was_saved_and_only_for_its_tenant() {
    let state = State::in_memory().await.unwrap();
    let me = tenant("me");
    let saved = incident(1, &me);
    state.save_incident(&saved, &[], None).await.unwrap();
    assert_eq!(state.incident(&me, saved.id).await.unwrap(), Some(saved.clone()));
    assert_eq!(state.incidents(&me).await.unwrap(), std::slice::from_ref(&saved));
    let other = tenant("other");
    assert_eq!(state.incident(&other, saved.id).await.unwrap(), None);
    assert_eq!(state.incidents(&other).await.unwrap(), []);
    let theft = state.save_incident(&incident(1, &other), &[], None).await.unwrap_err();
    assert!(matches!(theft, Error::NoIncident(_)), "{theft}");
    assert_eq!(state.incident(&me, saved.id).await.unwrap(), Some(saved));
}

#[tokio::test]
async fn system_rows_are_replaced_and_peoples_rows_stay() {
    let state = State::in_memory().await.unwrap();
    let me = Tenant::default();
    let mut saved = incident(1, &me);
    let note = row(30, TimelineSource::Human, "rolled back 4.2.0");
    state.save_incident(&saved, &[row(10, TimelineSource::System, "errors rise")], None).await.unwrap();
    state.add_note(&me, saved.id, &note).await.unwrap();
    saved.status = IncidentStatus::Mitigated;
    let found = state.timeline(&me, saved.id).await.unwrap();
    assert_eq!(found, [row(10, TimelineSource::System, "errors rise"), note.clone()]);
    // The whole timeline handed back, people's rows included, must not double them.
    let second = [row(50, TimelineSource::System, "errors fall"), note.clone()];
    state.save_incident(&saved, &second, None).await.unwrap();
    let found = state.timeline(&me, saved.id).await.unwrap();
    assert_eq!(found, [note, row(50, TimelineSource::System, "errors fall")]);
    assert_eq!(state.incident(&me, saved.id).await.unwrap().unwrap().status, IncidentStatus::Mitigated);
}

#[tokio::test]
async fn notes_need_a_person_and_an_incident_of_the_same_tenant() {
    let state = State::in_memory().await.unwrap();
    let me = Tenant::default();
    state.save_incident(&incident(1, &me), &[], None).await.unwrap();
    let note = row(0, TimelineSource::Human, "looking");
    let id = IncidentId(1);
    let wrong = state.add_note(&tenant("other"), id, &note).await.unwrap_err();
    assert!(matches!(wrong, Error::NoIncident(_)), "{wrong}");
    let wrong = state.add_note(&me, IncidentId(2), &note).await.unwrap_err();
    assert!(matches!(wrong, Error::NoIncident(_)), "{wrong}");
    let wrong = state.add_note(&me, id, &row(0, TimelineSource::System, "x")).await.unwrap_err();
    assert!(matches!(wrong, Error::NotHuman), "{wrong}");
    let long = "x".repeat(TIMELINE_TEXT_BYTES_MAX + 1);
    let wrong = state.add_note(&me, id, &row(0, TimelineSource::Human, &long)).await.unwrap_err();
    assert!(matches!(wrong, Error::TooLong { .. }), "{wrong}");
    assert_eq!(state.timeline(&me, id).await.unwrap(), []);
}

#[tokio::test]
async fn ids_count_up_and_skip_those_given_by_hand() {
    let state = State::in_memory().await.unwrap();
    assert_eq!(state.next_incident_id().await.unwrap(), IncidentId(1));
    assert_eq!(state.next_incident_id().await.unwrap(), IncidentId(2));
    state.save_incident(&incident(7, &Tenant::default()), &[], None).await.unwrap();
    assert_eq!(state.next_incident_id().await.unwrap(), IncidentId(8));
}

#[tokio::test]
async fn transitions_are_consumed_exactly_once_even_when_a_save_fails() {
    let state = State::in_memory().await.unwrap();
    let transitions = vec![
        transition("main", 0, AlertState::Pending, AlertState::Firing),
        transition("main", 60, AlertState::Firing, AlertState::Inactive),
    ];
    state.commit_tick(&TickCommit { transitions, ..TickCommit::default() }).await.unwrap();
    let fresh = state.transitions_after(state.cursor(READER).await.unwrap()).await.unwrap();
    assert_eq!(fresh.len(), 2);
    let consumed = Some(Consumed { reader: READER, seq: fresh[1].0 });

    let mut broken = incident(2, &Tenant::default());
    broken.suspects[0].score = f64::NAN;
    let both = [(incident(1, &Tenant::default()), vec![]), (broken, vec![])];
    let error = state.save_incidents(&both, consumed).await.unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    assert_eq!(state.cursor(READER).await.unwrap(), 0);
    assert_eq!(state.incidents(&Tenant::default()).await.unwrap(), []);

    state.save_incidents(&both[..1], consumed).await.unwrap();
    let rest = state.transitions_after(state.cursor(READER).await.unwrap()).await.unwrap();
    assert_eq!(rest, []);
    state.save_incidents(&[], Some(Consumed { reader: READER, seq: 1 })).await.unwrap();
    assert_eq!(state.cursor(READER).await.unwrap(), fresh[1].0, "a cursor never goes back");
}

#[tokio::test]
async fn incidents_come_newest_first() {
    let state = State::in_memory().await.unwrap();
    for (id, s) in [(1, 0), (2, 100), (3, 50)] {
        let mut incident = incident(id, &Tenant::default());
        incident.opened_at = at(s);
        state.save_incident(&incident, &[], None).await.unwrap();
    }
    let ids: Vec<u64> =
        state.incidents(&Tenant::default()).await.unwrap().iter().map(|incident| incident.id.0).collect();
    assert_eq!(ids, [2, 3, 1]);
}
