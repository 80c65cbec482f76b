use hindsight_model::{
    ActionCheck, ActionStatement, AlertState, CheckOutcome, TickCommit, TimelineEdit, TimelineSource,
    TimelineState,
};

use super::*;
use crate::testing::{adding, at, full_tick, incident, row, tenant, transition};
use crate::{AuditEntry, State, TransitionFilter};

fn audited(action: &str, subject: &str) -> AuditEntry {
    AuditEntry {
        tenant: Tenant::default(),
        actor: "ana".into(),
        action: action.into(),
        subject: subject.into(),
        detail: "{}".into(),
    }
}

/// Two incidents with all that there can be of each.
async fn two_incidents() -> State {
    let state = State::in_memory().await.unwrap();
    let me = Tenant::default();
    for id in [1, 2] {
        let mut incident = incident(id, &me);
        let pool = if id == 1 { "other" } else { "main" };
        incident.alerts = [(format!("e-{pool}"), "opened it".to_owned())].into();
        let rows =
            [row(30, TimelineSource::System, "errors rise"), row(60, TimelineSource::Human, "rolled back")];
        state
            .change_incidents(
                &[(incident, adding(&rows))],
                &audited("incident.declare", &format!("INC-{id}")),
                at(70),
            )
            .await
            .unwrap();
        let key = ActionKey { postmortem: format!("PM-2026-00{id}"), item: "A1".into() };
        let said = ActionStatement {
            status: "done".into(),
            document_status: "accepted".into(),
            reason: None,
            approver: None,
            author: "ana".into(),
            at: at(80),
        };
        state.say_of_action(&me, &key, &said, &audited("action.say", &key.to_string())).await.unwrap();
        let check = ActionCheck {
            verify: "sql: SELECT 1 expect = 1".into(),
            outcome: CheckOutcome::Passed,
            evidence: "1".into(),
            checked_at: at(90),
            since: at(90),
            verified_at: Some(at(90)),
            reopened_at: None,
        };
        state.save_action_check(&me, &key, &check).await.unwrap();
    }
    let edit = TimelineEdit {
        id: 3,
        author: "ana".into(),
        state: Some(TimelineState::Accepted),
        at: Some(at(31)),
        text: Some("orders fail".into()),
    };
    let change = TimelineChange { edited: vec![edit], ..TimelineChange::default() };
    state
        .save_incident(&state.incident(&me, IncidentId(2)).await.unwrap().unwrap(), &change, None)
        .await
        .unwrap();
    let other = TickCommit {
        transitions: vec![transition("other", 61, AlertState::Pending, AlertState::Firing)],
        ..TickCommit::default()
    };
    state.commit_tick(&other).await.unwrap();
    state.commit_tick(&full_tick(60)).await.unwrap();
    state
}

#[tokio::test]
async fn a_record_reads_back_elsewhere_with_its_numbers() {
    let (from, me) = (two_incidents().await, Tenant::default());
    let of = vec!["PM-2026-002".to_owned()];
    let record = from.incident_record(&me, IncidentId(2), &of).await.unwrap().unwrap();
    assert_eq!(record.timeline[0].id, 3);
    assert!(record.timeline[0].is_edited());
    assert_eq!(
        (record.transitions.len(), record.firing.len(), record.steps.len(), record.actions.len()),
        (1, 1, 1, 1)
    );
    let text = serde_json::to_string(&record).unwrap();
    let read: IncidentRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(read, record);
    let to = State::in_memory().await.unwrap();
    to.put_record(&me, &read).await.unwrap();
    // The audit log tells what was done here.
    let expected = IncidentRecord { steps: Vec::new(), ..record };
    assert_eq!(to.incident_record(&me, IncidentId(2), &of).await.unwrap(), Some(expected));
    assert!(to.put_record(&me, &read).await.is_err(), "its numbers are taken");
}

#[tokio::test]
async fn nothing_of_another_incident_goes_along() {
    let (state, me) = (two_incidents().await, Tenant::default());
    let record = state.incident_record(&me, IncidentId(2), &["PM-2026-002".into()]).await.unwrap().unwrap();
    let text = serde_json::to_string(&record).unwrap();
    for foreign in ["INC-1", "e-other", "PM-2026-001", "dedup", "receiver"] {
        assert!(!text.contains(foreign), "{foreign} in {text}");
    }
    let to = State::in_memory().await.unwrap();
    to.put_record(&me, &record).await.unwrap();
    assert_eq!(to.incidents(&me).await.unwrap().len(), 1);
    assert_eq!(to.transitions(&me, &TransitionFilter::default()).await.unwrap().len(), 1);
    assert_eq!(to.outbox_counts().await.unwrap().pending, 0);
    assert_eq!(to.verify_audit().await.unwrap().rows, 0);
    assert_eq!(state.incident_record(&me, IncidentId(9), &[]).await.unwrap(), None);
    assert_eq!(state.incident_record(&tenant("other"), IncidentId(2), &[]).await.unwrap(), None);
}
