use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Schema;
use hindsight_model::{SqlAnswer, SqlError, SqlRequest, TickCommit, to_micros};

use super::*;
use crate::testing::{ONSET, deploy_world, minute, start, transition};

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
    runner.resolve(id, minute(107)).await.unwrap();
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
    };
    let id = runner.declare(declaration.clone()).await.unwrap().id;
    runner.note(id, minute(ONSET + 6), None, "looking at the database").await.unwrap();
    runner.acknowledge(id, minute(ONSET + 7)).await.unwrap();
    runner.on_tick(minute(ONSET + 12)).await.unwrap();
    let over = runner.resolve(id, minute(ONSET + 30)).await.unwrap();
    assert_eq!((over.status, over.times.acknowledged), (IncidentStatus::Resolved, Some(minute(ONSET + 7))));
    assert_eq!(over.times.impact_start, Some(minute(ONSET)), "found in the telemetry");
    let rows = state.timeline(&Tenant::default(), id).await.unwrap();
    let human: Vec<_> =
        rows.iter().filter(|r| r.source == TimelineSource::Human).map(|r| r.text.as_str()).collect();
    assert_eq!(human, ["looking at the database", "acknowledged", "resolved"]);
    let empty = Declaration { title: "  ".to_owned(), ..declaration };
    assert!(matches!(runner.declare(empty).await, Err(Error::Text { what: "title", .. })));
    assert!(runner.note(IncidentId(99), start(), None, "nobody home").await.is_err());
    assert!(matches!(runner.resolve(IncidentId(99), start()).await, Err(Error::UnknownIncident(_))));
}
