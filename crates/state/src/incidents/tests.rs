use hindsight_model::{AlertState, TickCommit, TimelineSource};

use super::*;
use crate::testing::{adding, at, incident, row, tenant, transition};

const READER: &str = "incidents";

#[tokio::test]
async fn an_incident_reads_back_as_it_was_saved_and_only_for_its_tenant() {
    let state = State::in_memory().await.unwrap();
    let me = tenant("me");
    let saved = incident(1, &me);
    state.save_incident(&saved, &TimelineChange::default(), None).await.unwrap();
    assert_eq!(state.incident(&me, saved.id).await.unwrap(), Some(saved.clone()));
    assert_eq!(state.incidents(&me).await.unwrap(), std::slice::from_ref(&saved));
    let other = tenant("other");
    assert_eq!(state.incident(&other, saved.id).await.unwrap(), None);
    assert_eq!(state.incidents(&other).await.unwrap(), []);
    let theft =
        state.save_incident(&incident(1, &other), &TimelineChange::default(), None).await.unwrap_err();
    assert!(matches!(theft, Error::NoIncident(_)), "{theft}");
    assert_eq!(state.incident(&me, saved.id).await.unwrap(), Some(saved));
}

#[tokio::test]
async fn a_persons_change_and_its_row_in_the_audit_log_are_one() {
    let state = State::in_memory().await.unwrap();
    let me = Tenant::default();
    let by = AuditEntry {
        tenant: me.clone(),
        actor: "ana".into(),
        action: "incident.mitigate".into(),
        subject: "INC-1".into(),
        detail: "{}".into(),
    };
    let mut broken = incident(2, &me);
    broken.suspects[0].score = f64::NAN;
    let both = [
        (incident(1, &me), adding(&[row(30, TimelineSource::Human, "rolled back 4.2.0")])),
        (broken, TimelineChange::default()),
    ];
    state.change_incidents(&both, &by, at(40)).await.unwrap_err();
    assert_eq!(state.incidents(&me).await.unwrap(), []);
    assert_eq!(state.verify_audit().await.unwrap().rows, 0);
    state.change_incidents(&both[..1], &by, at(40)).await.unwrap();
    assert_eq!(state.timeline(&me, IncidentId(1)).await.unwrap()[0].text, "rolled back 4.2.0");
    assert_eq!(state.verify_audit().await.unwrap().rows, 1);
}

#[tokio::test]
async fn ids_count_up_and_skip_those_given_by_hand() {
    let state = State::in_memory().await.unwrap();
    assert_eq!(state.next_incident_id().await.unwrap(), IncidentId(1));
    assert_eq!(state.next_incident_id().await.unwrap(), IncidentId(2));
    state.save_incident(&incident(7, &Tenant::default()), &TimelineChange::default(), None).await.unwrap();
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
    let both =
        [(incident(1, &Tenant::default()), TimelineChange::default()), (broken, TimelineChange::default())];
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
        state.save_incident(&incident, &TimelineChange::default(), None).await.unwrap();
    }
    let ids: Vec<u64> =
        state.incidents(&Tenant::default()).await.unwrap().iter().map(|incident| incident.id.0).collect();
    assert_eq!(ids, [2, 3, 1]);
}
