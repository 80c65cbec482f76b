use std::collections::VecDeque;
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hindsight_model::{AlertState, LogicalClock, SqlAnswer, SqlValue, Tenant, TickCommit};
use hindsight_state::OutboxCounts;

use super::*;
use crate::testing::{at, file, transition, webhook};
use crate::{DEDUP_HEADER, PlanSettings, RETRY_DELAY_MAX, plan};

/// A webhook server that answers from a list, then with 200, and remembers every call.
#[derive(Debug, Default)]
struct Hook {
    answers: Mutex<VecDeque<(u16, Option<&'static str>)>>,
    calls: Mutex<Vec<(String, serde_json::Value)>>,
}

impl Hook {
    async fn start(answers: &[(u16, Option<&'static str>)]) -> (Arc<Self>, String) {
        let hook =
            Arc::new(Self { answers: Mutex::new(answers.iter().copied().collect()), ..Self::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&hook));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (hook, url)
    }

    fn keys(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(key, _)| key.clone()).collect()
    }
}

async fn answer(Shared(hook): Shared<Arc<Hook>>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["content-type"], "application/json");
    let key = headers[DEDUP_HEADER].to_str().unwrap().to_owned();
    hook.calls.lock().unwrap().push((key, serde_json::from_slice(&body).unwrap()));
    let (status, retry_after) = hook.answers.lock().unwrap().pop_front().unwrap_or((200, None));
    let mut response = (StatusCode::from_u16(status).unwrap(), "not\ntoday").into_response();
    if let Some(value) = retry_after {
        response.headers_mut().insert("retry-after", HeaderValue::from_static(value));
    }
    response
}

fn worker(state: &State, receivers: Vec<Receiver>) -> Worker {
    Worker::new(state.clone(), receivers, Arc::new(LogicalClock::starting_at(at(0)))).unwrap()
}

/// Commits the tick of a transition with its notifications, as the rules' runner does.
async fn commit(state: &State, receivers: &[Receiver], s: i64, from: AlertState, to: AlertState) {
    let transitions = vec![transition(s, from, to)];
    let outbox = plan(&transitions, receivers, at(s), &PlanSettings::default());
    state.commit_tick(&TickCommit { transitions, outbox, ..TickCommit::default() }).await.unwrap();
}

async fn fire(state: &State, receivers: &[Receiver]) {
    commit(state, receivers, 0, AlertState::Pending, AlertState::Firing).await;
}

async fn reason(state: &State) -> String {
    let table = state.system_tables().into_iter().find(|table| table.name() == "notifications").unwrap();
    let batch = table.rows(&Tenant::default()).await.unwrap();
    let index = batch.schema().index_of("reason").unwrap();
    match SqlAnswer::new(batch.schema(), vec![batch]).rows().unwrap()[0][index].clone() {
        SqlValue::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_receiver_that_fails_thrice_then_accepts_gets_the_page_under_one_key() {
    let (hook, url) = Hook::start(&[(500, None), (503, None), (429, None)]).await;
    let state = State::in_memory().await.unwrap();
    let receivers = vec![webhook("ops", &url)];
    fire(&state, &receivers).await;
    let worker = worker(&state, receivers);
    for attempt in 1..=4 {
        let now = state.outbox_next_due().await.unwrap().unwrap();
        let before = later(now, Duration::from_nanos(1)) - SignedDuration::from_nanos(2);
        if attempt > 1 {
            assert_eq!(worker.run_once(before).await.unwrap(), Report::default(), "not before its time");
        }
        let report = worker.run_once(now).await.unwrap();
        let sent = u32::from(attempt == 4);
        assert_eq!(report, Report { claimed: 1, sent, retried: 1 - sent, dead: 0 }, "attempt {attempt}");
    }
    assert_eq!(hook.keys(), ["default/ep1/firing"; 4]);
    let calls = hook.calls.lock().unwrap().clone();
    assert!(calls.iter().all(|(_, body)| *body == calls[0].1), "every attempt carries the same body");
    assert_eq!(calls[0].1["alerts"][0]["labels"]["alertname"], "DbPoolSaturated");
    assert_eq!(state.outbox_counts().await.unwrap(), OutboxCounts { sent: 1, ..OutboxCounts::default() });
}

#[tokio::test]
async fn a_crash_between_send_and_mark_sends_again_with_the_same_key() {
    let (hook, url) = Hook::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let state = State::open(&path).await.unwrap();
    let receivers = vec![webhook("ops", &url)];
    fire(&state, &receivers).await;
    let first = worker(&state, receivers.clone());
    let claimed = state.claim_outbox(at(0), first.lease, 1).await.unwrap().remove(0);
    assert_eq!(first.attempt(&claimed, at(0)).await, Attempt::Accepted);
    // The process ends here: the receiver has the page, nothing is marked.
    state.close().await;

    let state = State::open(&path).await.unwrap();
    let second = worker(&state, receivers);
    assert_eq!(second.run_once(at(1)).await.unwrap(), Report::default(), "the lease still holds");
    let report = second.run_once(later(at(0), second.lease)).await.unwrap();
    assert_eq!((report.claimed, report.sent), (1, 1));
    assert_eq!(hook.keys(), ["default/ep1/firing"; 2]);
    assert_eq!(state.outbox_counts().await.unwrap().sent, 1);
}

#[tokio::test]
async fn after_the_last_attempt_the_page_is_dead_with_its_reason() {
    // A port that was just free: nobody listens.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/s3cret", listener.local_addr().unwrap());
    drop(listener);
    let state = State::in_memory().await.unwrap();
    let receivers = vec![webhook("ops", &url)];
    fire(&state, &receivers).await;
    let worker = worker(&state, receivers);
    for attempt in 1..=ATTEMPTS_MAX {
        let now = state.outbox_next_due().await.unwrap().unwrap();
        let report = worker.run_once(now).await.unwrap();
        let dead = u32::from(attempt == ATTEMPTS_MAX);
        assert_eq!(report, Report { claimed: 1, sent: 0, retried: 1 - dead, dead }, "attempt {attempt}");
    }
    assert_eq!(state.outbox_counts().await.unwrap(), OutboxCounts { dead: 1, ..OutboxCounts::default() });
    let reason = reason(&state).await;
    assert!(reason.starts_with("30 attempts failed; last: "), "{reason}");
    assert!(!reason.contains("s3cret"), "the URL is a secret: {reason}");
    assert_eq!(worker.run_once(later(at(0), RETRY_DELAY_MAX * 100)).await.unwrap(), Report::default());
}

#[tokio::test]
async fn answers_are_sorted_by_who_must_act() {
    for (status, retried) in [
        (200, None),
        (202, None),
        (204, None),
        (408, Some(true)),
        (429, Some(true)),
        (500, Some(true)),
        (503, Some(true)),
        (301, Some(false)),
        (400, Some(false)),
        (401, Some(false)),
        (404, Some(false)),
        (413, Some(false)),
        (422, Some(false)),
    ] {
        let (hook, url) = Hook::start(&[(status, None)]).await;
        let state = State::in_memory().await.unwrap();
        let receivers = vec![webhook("ops", &url)];
        fire(&state, &receivers).await;
        let report = worker(&state, receivers).run_once(at(0)).await.unwrap();
        let expected = match retried {
            None => Report { claimed: 1, sent: 1, ..Report::default() },
            Some(true) => Report { claimed: 1, retried: 1, ..Report::default() },
            Some(false) => Report { claimed: 1, dead: 1, ..Report::default() },
        };
        assert_eq!(report, expected, "{status}");
        assert_eq!(hook.keys().len(), 1, "{status}: one round is one attempt");
        if status == 422 {
            assert_eq!(reason(&state).await, "answered 422 Unprocessable Entity: not today");
        }
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let (_hook, url) = Hook::start(&[(503, Some("300"))]).await;
    let state = State::in_memory().await.unwrap();
    let receivers = vec![webhook("ops", &url)];
    fire(&state, &receivers).await;
    worker(&state, receivers).run_once(at(0)).await.unwrap();
    assert_eq!(state.outbox_next_due().await.unwrap(), Some(at(300)));
}

#[tokio::test]
async fn resolved_never_overtakes_firing_and_other_receivers_do_not_wait() {
    let (hook, url) = Hook::start(&[(503, None)]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.jsonl");
    let state = State::in_memory().await.unwrap();
    let receivers = vec![webhook("ops", &url), file("record", &path)];
    fire(&state, &receivers).await;
    commit(&state, &receivers, 1, AlertState::Firing, AlertState::Inactive).await;
    let worker = worker(&state, receivers);
    assert_eq!(worker.run_once(at(1)).await.unwrap(), Report { claimed: 2, sent: 1, retried: 1, dead: 0 });
    assert_eq!(worker.run_once(at(1)).await.unwrap(), Report { claimed: 1, sent: 1, ..Report::default() });
    assert_eq!(worker.run_once(at(1)).await.unwrap(), Report::default());
    for _ in 0..2 {
        let now = state.outbox_next_due().await.unwrap().unwrap();
        assert_eq!(worker.run_once(now).await.unwrap().sent, 1);
    }
    assert_eq!(state.outbox_next_due().await.unwrap(), None);
    assert_eq!(hook.keys(), ["default/ep1/firing", "default/ep1/firing", "default/ep1/resolved"]);
    let lines = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys: Vec<_> = lines.iter().map(|line| line["dedup_key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["default/ep1/firing", "default/ep1/resolved"]);
    assert_eq!(lines[1]["payload"]["status"], "resolved");
    assert_eq!(lines[1]["sent_at"], "2026-05-04T14:30:01Z");
}

#[tokio::test]
async fn a_page_for_a_receiver_that_was_removed_is_dead_and_says_so() {
    let state = State::in_memory().await.unwrap();
    fire(&state, &[webhook("gone", "http://127.0.0.1:1/")]).await;
    let report = worker(&state, vec![]).run_once(at(0)).await.unwrap();
    assert_eq!(report.dead, 1);
    assert_eq!(reason(&state).await, "its receiver is not in hindsight.toml any more");
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up_on_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let state = State::in_memory().await.unwrap();
    let receivers = vec![webhook("ops", &url)];
    fire(&state, &receivers).await;
    let worker = worker(&state, receivers);
    let report =
        tokio::time::timeout(Duration::from_secs(30), worker.run_once(at(0))).await.unwrap().unwrap();
    assert_eq!(report.retried, 1);
    assert_eq!(reason(&state).await, "no answer within 2s");
    drop(listener);
}

#[tokio::test]
async fn the_loop_sends_what_is_due_and_ends_when_told() {
    let (hook, url) = Hook::start(&[]).await;
    let state = State::in_memory().await.unwrap();
    let receivers = vec![webhook("ops", &url)];
    fire(&state, &receivers).await;
    commit(&state, &receivers, 1, AlertState::Firing, AlertState::Inactive).await;
    let clock = Arc::new(LogicalClock::starting_at(at(10)));
    let worker = Worker::new(state.clone(), receivers, clock).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(worker.run(async {
        let _ = stopped.await;
    }));
    let waited = async {
        while state.outbox_counts().await.unwrap().sent < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waited).await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), running).await.unwrap().unwrap();
    assert_eq!(hook.keys(), ["default/ep1/firing", "default/ep1/resolved"]);
}
