use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Schema;
use hindsight_model::{
    Milestone, SqlAnswer, SqlError, SqlRequest, TickCommit, TimelineEdit, TimelineKind, TimelineSource,
    TimelineState, to_micros,
};

use super::*;
use crate::testing::{ONSET, deploy_world, minute, start, transition};
use crate::{Added, By, Looking, PostmortemFact, Step, said};

/// Answers the query about requests from a test world and every other one with no rows; fails when told to.
struct Recorded {
    rows: RecordBatch,
    broken: AtomicBool,
}

impl Recorded {
    fn new() -> Arc<Self> {
        let world = deploy_world(1);
        let (mut names, mut minutes) = (Vec::new(), Vec::new());
        let (mut calls, mut errors, mut p95) = (Vec::new(), Vec::new(), Vec::new());
        for (name, service) in &world.telemetry.services {
            for i in 0..service.calls.len() {
                names.push(name.clone());
                minutes.push(to_micros(minute(i)));
                calls.push(service.calls[i].unwrap().round() as i64);
                errors.push(service.errors[i].unwrap().round() as i64);
                p95.push(service.p95_ms[i].unwrap());
            }
        }
        let rows = RecordBatch::try_from_iter([
            ("service", Arc::new(StringArray::from(names)) as ArrayRef),
            ("minute", Arc::new(TimestampMicrosecondArray::from(minutes).with_timezone("UTC")) as ArrayRef),
            ("calls", Arc::new(Int64Array::from(calls)) as ArrayRef),
            ("errors", Arc::new(Int64Array::from(errors)) as ArrayRef),
            ("p50_ms", Arc::new(Float64Array::from(p95.clone())) as ArrayRef),
            ("p95_ms", Arc::new(Float64Array::from(p95)) as ArrayRef),
        ])
        .unwrap();
        Arc::new(Self { rows, broken: AtomicBool::new(false) })
    }
}

#[async_trait::async_trait]
impl SqlSource for Recorded {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(SqlError::Failed { message: "the disk is gone".to_owned() });
        }
        if request.sql.contains("AS p50_ms") {
            return Ok(SqlAnswer::new(self.rows.schema(), vec![self.rows.clone()]));
        }
        Ok(SqlAnswer::new(Arc::new(Schema::empty()), Vec::new()))
    }
}

async fn commit(state: &State, at: usize, to: AlertState) {
    let commit = TickCommit {
        group: "shop".to_owned(),
        tick: Some(minute(at)),
        transitions: vec![transition(at, "checkout", "e1", to)],
        ..TickCommit::default()
    };
    state.commit_tick(&commit).await.unwrap();
}

/// Something said as it happened.
fn by(at: usize) -> By {
    By { author: "on call".to_owned(), at: minute(at), now: minute(at) }
}

/// Notes what is known of incidents when the telemetry is asked.
struct Watching {
    state: State,
    progress: std::sync::OnceLock<Progress>,
    seen: std::sync::Mutex<Vec<(usize, Option<Looking>)>>,
}

#[async_trait::async_trait]
impl SqlSource for Watching {
    async fn sql(&self, _: SqlRequest) -> Result<SqlAnswer, SqlError> {
        let known = self.state.incidents(&Tenant::default()).await.unwrap().len();
        let looking = self.progress.get().unwrap().now();
        self.seen.lock().unwrap().push((known, looking));
        Ok(SqlAnswer::new(Arc::new(Schema::empty()), Vec::new()))
    }
}

#[tokio::test]
async fn an_incident_is_there_before_its_telemetry_is_looked_at_and_that_is_told() {
    let state = State::in_memory().await.unwrap();
    let sql =
        Arc::new(Watching { state: state.clone(), progress: Default::default(), seen: Default::default() });
    let source: Arc<dyn SqlSource> = Arc::<Watching>::clone(&sql);
    let runner = Runner::new(state.clone(), source, Tenant::default());
    sql.progress.set(runner.progress()).unwrap();
    commit(&state, ONSET + 4, AlertState::Firing).await;
    let id = runner.on_tick(minute(ONSET + 4)).await.unwrap()[0];
    let seen = sql.seen.lock().unwrap().clone();
    assert!(seen.len() > 3 && seen.iter().all(|(known, _)| *known == 1), "{seen:?}");
    assert!(seen.iter().all(|(_, looking)| looking.is_some_and(|now| now.incident == id)), "{seen:?}");
    assert_eq!(runner.progress().now(), None);
}

async fn fixture() -> (State, Arc<Recorded>, Runner) {
    let state = State::in_memory().await.unwrap();
    let sql = Recorded::new();
    let source: Arc<dyn SqlSource> = Arc::<Recorded>::clone(&sql);
    (state.clone(), sql, Runner::new(state, source, Tenant::default()))
}

#[tokio::test]
async fn an_alert_becomes_an_analysed_incident_and_its_end_is_followed() {
    let (state, _, runner) = fixture().await;
    assert!(runner.on_tick(start()).await.unwrap().is_empty());
    commit(&state, ONSET + 3, AlertState::Firing).await;
    let ids = runner.on_tick(minute(ONSET + 4)).await.unwrap();
    assert_eq!(ids, [IncidentId(1)]);
    let incident = state.incident(&Tenant::default(), ids[0]).await.unwrap().unwrap();
    assert_eq!(incident.times.impact_start, Some(minute(ONSET)));
    assert!(!state.timeline(&Tenant::default(), ids[0]).await.unwrap().is_empty());

    assert!(runner.on_tick(minute(ONSET + 5)).await.unwrap().is_empty(), "nothing new, and not due yet");
    assert_eq!(runner.on_tick(minute(ONSET + 9)).await.unwrap(), ids, "due again after five minutes");

    commit(&state, 110, AlertState::Inactive).await;
    runner.on_tick(minute(112)).await.unwrap();
    let incident = state.incident(&Tenant::default(), ids[0]).await.unwrap().unwrap();
    assert_eq!(incident.status, IncidentStatus::Resolved);
    assert_eq!((incident.times.mitigated, incident.times.resolved), (Some(minute(105)), Some(minute(105))));
    assert!(runner.on_tick(minute(300)).await.unwrap().is_empty(), "what is over stays as it is");
}

#[tokio::test]
async fn an_end_that_a_person_set_stays() {
    let (state, _, runner) = fixture().await;
    commit(&state, ONSET + 3, AlertState::Firing).await;
    let id = runner.on_tick(minute(ONSET + 4)).await.unwrap()[0];
    runner.respond(id, &Step::Resolve, &by(107), &[]).await.unwrap();
    commit(&state, 110, AlertState::Inactive).await;
    runner.on_tick(minute(112)).await.unwrap();
    let times = state.incident(&Tenant::default(), id).await.unwrap().unwrap().times;
    assert_eq!((times.mitigated, times.resolved), (Some(minute(105)), Some(minute(107))));
}

#[tokio::test]
async fn another_runner_goes_on_where_this_one_stopped() {
    let (state, sql, runner) = fixture().await;
    commit(&state, ONSET + 3, AlertState::Firing).await;
    runner.on_tick(minute(ONSET + 4)).await.unwrap();
    commit(&state, ONSET + 5, AlertState::Inactive).await;
    let second = Runner::new(state.clone(), sql, Tenant::default());
    assert_eq!(second.on_tick(minute(ONSET + 6)).await.unwrap(), [IncidentId(1)]);
    assert_eq!(state.incidents(&Tenant::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn telemetry_that_cannot_be_read_does_not_lose_the_incident() {
    let (state, sql, runner) = fixture().await;
    sql.broken.store(true, Ordering::SeqCst);
    commit(&state, ONSET + 3, AlertState::Firing).await;
    assert_eq!(runner.on_tick(minute(ONSET + 4)).await.unwrap(), [IncidentId(1)]);
    sql.broken.store(false, Ordering::SeqCst);
    assert_eq!(runner.on_tick(minute(ONSET + 5)).await.unwrap(), [IncidentId(1)], "analysed when it can be");
    let incident = state.incident(&Tenant::default(), IncidentId(1)).await.unwrap().unwrap();
    assert_eq!(incident.times.impact_start, Some(minute(ONSET)));
}

#[tokio::test]
async fn people_declare_note_acknowledge_and_resolve_and_their_rows_stay() {
    let (state, _, runner) = fixture().await;
    let declaration = Declaration {
        title: " checkout: customers report failed orders ".to_owned(),
        severity: IncidentSeverity::Sev1,
        services: vec!["checkout".to_owned()],
        at: minute(ONSET + 5),
        author: "incident commander".to_owned(),
    };
    let id = runner.declare(declaration.clone()).await.unwrap().id;
    let note = said(minute(ONSET + 6), TimelineKind::Note, "looking at the database".to_owned(), "scribe");
    let noted =
        runner.add_rows(id, vec![note.clone()], "scribe", "incident.note", minute(ONSET + 6)).await.unwrap();
    assert_eq!(noted, Added { added: 1, known: 0 });
    runner.respond(id, &Step::Acknowledge, &by(ONSET + 7), &[]).await.unwrap();
    runner.on_tick(minute(ONSET + 12)).await.unwrap();
    let over = runner.respond(id, &Step::Resolve, &by(ONSET + 30), &[]).await.unwrap();
    assert_eq!((over.status, over.times.acknowledged), (IncidentStatus::Resolved, Some(minute(ONSET + 7))));
    assert_eq!(over.times.impact_start, Some(minute(ONSET)), "found in the telemetry");
    let rows = state.timeline(&Tenant::default(), id).await.unwrap();
    let human: Vec<_> =
        rows.iter().filter(|r| r.source == TimelineSource::Human).map(|r| r.text.as_str()).collect();
    assert_eq!(human, ["looking at the database", "acknowledged", "resolved"]);
    let empty = Declaration { title: "  ".to_owned(), ..declaration };
    assert!(matches!(runner.declare(empty).await, Err(Error::Text { what: "title", .. })));
    let nobody_home = IncidentId(99);
    assert!(runner.add_rows(nobody_home, vec![note], "scribe", "incident.note", minute(80)).await.is_err());
    let refused = runner.respond(nobody_home, &Step::Resolve, &by(80), &[]).await;
    assert!(matches!(refused, Err(Error::UnknownIncident(_))));
    let early = By { now: minute(1), ..by(2) };
    assert!(matches!(runner.respond(id, &Step::Acknowledge, &early, &[]).await, Err(Error::Future(_))));
}

#[tokio::test]
async fn a_time_that_a_person_set_outweighs_telemetry_until_it_is_taken_back() {
    let (state, _, runner) = fixture().await;
    commit(&state, ONSET + 3, AlertState::Firing).await;
    let id = runner.on_tick(minute(ONSET + 4)).await.unwrap()[0];
    let impact = |at| Step::Time { milestone: Milestone::ImpactStart, at };
    runner.respond(id, &impact(Some(minute(ONSET - 5))), &by(ONSET + 5), &[]).await.unwrap();
    runner.on_tick(minute(ONSET + 9)).await.unwrap();
    let stored =
        || async { state.incident(&Tenant::default(), id).await.unwrap().unwrap().times.impact_start };
    assert_eq!(stored().await, Some(minute(ONSET - 5)));
    runner.respond(id, &impact(None), &by(ONSET + 10), &[]).await.unwrap();
    runner.on_tick(minute(ONSET + 15)).await.unwrap();
    assert_eq!(stored().await, Some(minute(ONSET)));
}

#[tokio::test]
async fn what_was_dismissed_stays_dismissed_and_nothing_is_told_twice() {
    let (state, _, runner) = fixture().await;
    commit(&state, ONSET + 3, AlertState::Firing).await;
    let id = runner.on_tick(minute(ONSET + 4)).await.unwrap()[0];
    let rows = runner.gather_again(id, minute(ONSET + 6)).await.unwrap();
    let onset = rows.iter().find(|entry| entry.row.kind == TimelineKind::Onset).unwrap().clone();
    let alert = rows.iter().find(|entry| entry.row.kind == TimelineKind::Alert).unwrap().clone();
    let edit = |id, word, text: Option<&str>| TimelineEdit {
        id,
        author: "scribe".to_owned(),
        state: Some(word),
        at: None,
        text: text.map(str::to_owned),
    };
    runner.edit_row(id, edit(onset.id, TimelineState::Dismissed, None), minute(ONSET + 7)).await.unwrap();
    let kept = edit(alert.id, TimelineState::Accepted, Some("the page came"));
    runner.edit_row(id, kept.clone(), minute(ONSET + 7)).await.unwrap();
    runner.edit_row(id, kept, minute(ONSET + 8)).await.unwrap();
    let audited = state.verify_audit().await.unwrap().rows;
    assert_eq!(audited, 2, "an edit that changes nothing is not written down");

    let again = runner.gather_again(id, minute(ONSET + 20)).await.unwrap();
    let find = |id: u64| again.iter().find(|entry| entry.id == id).unwrap();
    assert_eq!(find(onset.id).row.state, "dismissed");
    assert_eq!(find(alert.id).row.text, "the page came");
    let onsets = again.iter().filter(|entry| entry.row.kind == TimelineKind::Onset).count();
    let alerts = again.iter().filter(|entry| entry.row.kind == TimelineKind::Alert).count();
    assert_eq!((onsets, alerts), (1, 1), "{again:#?}");
    let unknown = edit(9_999, TimelineState::Accepted, None);
    let refused = runner.edit_row(id, unknown, minute(ONSET + 21)).await;
    assert!(matches!(refused, Err(Error::UnknownRow { row: 9_999, .. })));
}

#[tokio::test]
async fn the_same_rows_imported_again_are_known() {
    let (state, _, runner) = fixture().await;
    commit(&state, ONSET + 3, AlertState::Firing).await;
    let id = runner.on_tick(minute(ONSET + 4)).await.unwrap()[0];
    let note = |at| said(minute(at), TimelineKind::Note, "rolled back".to_owned(), "responder");
    let now = minute(ONSET + 9);
    let add = async |rows| runner.add_rows(id, rows, "scribe", "timeline.import", now).await;
    assert_eq!(add(vec![note(1), note(2), note(2)]).await.unwrap(), Added { added: 2, known: 1 });
    assert_eq!(add(vec![note(1), note(3)]).await.unwrap(), Added { added: 1, known: 1 });
    assert!(matches!(add(Vec::new()).await, Err(Error::Rows { .. })));
    assert!(matches!(add(vec![note(ONSET + 10)]).await, Err(Error::Future(_))));
}

#[tokio::test]
async fn merged_incidents_share_their_alerts_from_then_on() {
    let (state, _, runner) = fixture().await;
    let declare = |title: &str| Declaration {
        title: title.to_owned(),
        severity: IncidentSeverity::Sev2,
        services: vec![],
        at: minute(ONSET),
        author: "on call".to_owned(),
    };
    let target = runner.declare(declare("checkout is slow")).await.unwrap().id;
    commit(&state, ONSET + 3, AlertState::Firing).await;
    runner.on_tick(minute(ONSET + 4)).await.unwrap();
    let incidents = state.incidents(&Tenant::default()).await.unwrap();
    let source = incidents.iter().find(|i| i.alerts.contains_key("e1")).unwrap().id;
    assert_ne!(source, target);
    runner.merge(source, target, "the same pool", &by(ONSET + 5)).await.unwrap();
    runner.merge(source, target, "the same pool", &by(ONSET + 6)).await.unwrap();
    let twice = state.timeline(&Tenant::default(), target).await.unwrap();
    let told = twice.iter().filter(|row| row.text.contains("merged into this incident")).count();
    assert_eq!(told, 1, "merging again changes nothing");
    commit(&state, 110, AlertState::Inactive).await;
    runner.on_tick(minute(112)).await.unwrap();
    let read = async |id| state.incident(&Tenant::default(), id).await.unwrap().unwrap().status;
    assert_eq!(read(target).await, IncidentStatus::Resolved, "the alert's end is the target's");
    assert_eq!(read(source).await, IncidentStatus::Merged);
}

#[tokio::test]
async fn an_incident_is_closed_with_its_last_post_mortem() {
    let (state, _, runner) = fixture().await;
    commit(&state, ONSET + 3, AlertState::Firing).await;
    let id = runner.on_tick(minute(ONSET + 4)).await.unwrap()[0];
    let fact = |is_closed| PostmortemFact { id: "PM-2026-001".to_owned(), incidents: vec![id], is_closed };
    assert_eq!(runner.close_finished(&[fact(true)], minute(60)).await.unwrap(), [], "it is not over");
    runner.respond(id, &Step::Resolve, &by(ONSET + 30), &[]).await.unwrap();
    assert_eq!(runner.close_finished(&[fact(false)], minute(120)).await.unwrap(), []);
    assert_eq!(runner.close_finished(&[fact(true)], minute(120)).await.unwrap(), [id]);
    assert_eq!(runner.close_finished(&[fact(true)], minute(121)).await.unwrap(), []);
    let closed = state.incident(&Tenant::default(), id).await.unwrap().unwrap();
    assert_eq!((closed.status, closed.response.closed.unwrap().at), (IncidentStatus::Closed, minute(120)));
}
