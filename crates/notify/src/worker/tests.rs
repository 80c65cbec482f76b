use std::collections::VecDeque;
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hindsight_model::{
    AlertInstance, AlertState, LogicalClock, NewSilence, SqlAnswer, SqlValue, Tenant, TickCommit,
};
use hindsight_state::OutboxCounts;
use jiff::SignedDuration;

mod faults;

use super::*;
use crate::testing::{at, file, routing, transition, webhook};
use crate::{DEDUP_HEADER, PlanSettings, parse_matcher, plan};
use AlertState::{Firing, Inactive, Pending};

/// Groups speak at once, and again whenever something changed.
const AT_ONCE: &str = "group_wait = \"0s\"\ngroup_interval = \"0s\"\n";

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

    /// What each call said: the status of every alert in it.
    fn said(&self) -> Vec<Vec<String>> {
        let alerts = |body: &serde_json::Value| {
            body["alerts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|alert| alert["status"].as_str().unwrap().to_owned())
                .collect()
        };
        self.calls.lock().unwrap().iter().map(|(_, body)| alerts(body)).collect()
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

fn worker_with(state: &State, receivers: &[Receiver], toml: &str) -> Worker {
    let routing = Arc::new(routing(toml, receivers));
    let clock = Arc::new(LogicalClock::starting_at(at(0)));
    Worker::new(state.clone(), receivers.to_vec(), routing, PlanSettings::default(), clock).unwrap()
}

fn worker(state: &State, receivers: &[Receiver]) -> Worker {
    worker_with(state, receivers, AT_ONCE)
}

/// Commits the tick of a transition with its events, as the rules' runner does.
async fn commit(worker: &Worker, s: i64, from: AlertState, to: AlertState) {
    commit_of(worker, "checkout", s, from, to).await;
}

async fn commit_of(worker: &Worker, service: &str, s: i64, from: AlertState, to: AlertState) {
    let mut step = transition(s, from, to);
    step.labels.insert("service_name".into(), service.into());
    step.episode = format!("ep-{service}");
    let instance = AlertInstance {
        tenant: step.tenant.clone(),
        rule: step.rule.clone(),
        alert: step.alert.clone(),
        labels: step.labels.clone(),
        annotations: step.annotations.clone(),
        state: to,
        since: step.at,
        active_at: step.active_at,
        value: step.value,
        episode: if to == Inactive { String::new() } else { step.episode.clone() },
        machine: "{}".into(),
    };
    let transitions = vec![step];
    let outbox = plan(&transitions, &worker.routing, at(s), &worker.settings);
    let commit = TickCommit { transitions, outbox, instances: vec![instance], ..TickCommit::default() };
    worker.state.commit_tick(&commit).await.unwrap();
}

async fn fire(worker: &Worker) {
    commit(worker, 0, Pending, Firing).await;
}

async fn column(state: &State, name: &str) -> Vec<String> {
    let table = state.system_tables().into_iter().find(|table| table.name() == "notifications").unwrap();
    let batch = table.rows(&Tenant::default()).await.unwrap();
    let index = batch.schema().index_of(name).unwrap();
    let rows = SqlAnswer::new(batch.schema(), vec![batch]).rows().unwrap();
    let text = |row: &Vec<SqlValue>| match &row[index] {
        SqlValue::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    rows.iter().map(text).collect()
}

async fn reason(state: &State) -> String {
    column(state, "reason").await.remove(0)
}

fn report(sent: u32, retried: u32, dead: u32) -> Report {
    Report { claimed: sent + retried + dead, sent, retried, dead, ..Report::default() }
}

/// A round, whatever turns it had.
async fn round(worker: &Worker, now: Timestamp) -> Report {
    Report { turns: 0, ..worker.run_once(now).await.unwrap() }
}

#[tokio::test]
async fn each_kind_of_receiver_gets_its_own_form_and_its_secret() {
    use crate::{ReceiverConfig, ReceiverKind};
    let (hook, url) = Hook::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "R0UT1NG").unwrap();
    let post =
        |name: &str, kind| ReceiverConfig { url: Some(url.clone()), ..crate::testing::config(name, kind) };
    let configs = [
        post("am", ReceiverKind::Alertmanager),
        post("chat", ReceiverKind::Slack),
        ReceiverConfig { routing_key_file: Some("key".into()), ..post("pager", ReceiverKind::PagerDuty) },
    ];
    let receivers = crate::load_receivers(&configs, folder.path()).unwrap();
    let state = State::in_memory().await.unwrap();
    let worker = worker(&state, &receivers);
    fire(&worker).await;
    assert_eq!(round(&worker, at(1)).await, report(3, 0, 0));
    let bodies: Vec<serde_json::Value> =
        hook.calls.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    let one = |is: fn(&serde_json::Value) -> bool| bodies.iter().find(|body| is(body)).unwrap();
    assert!(one(serde_json::Value::is_array)[0]["endsAt"].is_string());
    assert!(one(|body| body["blocks"].is_array())["text"].as_str().unwrap().contains("DbPoolSaturated"));
    let event = one(|body| body["event_action"] == "trigger");
    assert_eq!(
        (&event["routing_key"], &event["dedup_key"]),
        (&"R0UT1NG".into(), &"default/ep-checkout".into())
    );
    let stored = column(&state, "payload").await.concat();
    assert!(!stored.contains("R0UT1NG"), "a secret lies in the table");
}

#[tokio::test]
async fn resolved_never_overtakes_firing_and_other_receivers_do_not_wait() {
    let (hook, url) = Hook::start(&[(503, None)]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.jsonl");
    let state = State::in_memory().await.unwrap();
    let worker = worker(&state, &[webhook("ops", &url), file("record", &path)]);
    fire(&worker).await;
    assert_eq!(round(&worker, at(1)).await, report(1, 1, 0));
    commit(&worker, 2, Firing, Inactive).await;
    assert_eq!(round(&worker, at(3)).await, report(1, 0, 0), "the file hears of the end");
    let now = state.outbox_next_due().await.unwrap().unwrap();
    assert_eq!(round(&worker, now).await, report(1, 0, 0));
    assert_eq!(round(&worker, now).await, report(1, 0, 0));
    assert_eq!(state.outbox_next_due().await.unwrap(), None);
    assert_eq!(hook.said(), [["firing"], ["firing"], ["resolved"]]);
    let lines = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines.iter().map(|line| line["payload"]["status"].as_str().unwrap()).collect();
    assert_eq!(told, ["firing", "resolved"]);
    assert_eq!(lines[1]["sent_at"], "2026-05-04T14:30:03Z");
}

#[tokio::test]
async fn a_group_waits_gathers_and_speaks_again_only_after_its_interval() {
    let (hook, url) = Hook::start(&[]).await;
    let state = State::in_memory().await.unwrap();
    let worker = worker_with(&state, &[webhook("ops", &url)], "group_by = [\"alertname\"]");
    for (s, service) in [(0, "cart"), (20, "shop")] {
        commit_of(&worker, service, s, Pending, Firing).await;
    }
    assert_eq!(round(&worker, at(29)).await, Report::default());
    round(&worker, at(30)).await;
    commit_of(&worker, "cart", 40, Firing, Inactive).await;
    assert_eq!(round(&worker, at(329)).await, Report::default());
    round(&worker, at(330)).await;
    assert_eq!(hook.said(), [["firing", "firing"], ["resolved", "firing"]]);
    for s in (360..30_000).step_by(30) {
        round(&worker, at(s)).await;
    }
    // Four hours after it last spoke, at the turns of its interval: at 14 730 and 29 130 seconds.
    assert_eq!(hook.said()[2..], [["firing"], ["firing"]]);
}

#[tokio::test]
async fn a_silenced_alert_is_told_to_nobody_and_the_table_says_why() {
    let (hook, url) = Hook::start(&[]).await;
    let state = State::in_memory().await.unwrap();
    let worker = worker(&state, &[webhook("ops", &url)]);
    let silence = NewSilence {
        tenant: Tenant::default(),
        matchers: vec![parse_matcher("service_name=checkout").unwrap()],
        starts_at: at(0),
        ends_at: at(600),
        author: "ana".into(),
        comment: "disks are swapped".into(),
    };
    state.add_silence(silence, at(0)).await.unwrap();
    fire(&worker).await;
    round(&worker, at(1)).await;
    assert_eq!(column(&state, "status").await, ["muted"]);
    let told = reason(&state).await;
    assert!(told.ends_with("by SIL-1 of ana: disks are swapped"), "{told}");
    round(&worker, at(599)).await;
    assert_eq!(hook.said(), Vec::<Vec<String>>::new());
    round(&worker, at(600)).await;
    assert_eq!(hook.said(), [["firing"]]);
}

#[tokio::test]
async fn an_inhibited_alert_waits_for_the_end_of_what_inhibits_it() {
    let (hook, url) = Hook::start(&[]).await;
    let state = State::in_memory().await.unwrap();
    let inhibit = format!(
        "{AT_ONCE}[[inhibit]]\nsource = {{service_name = \"db\"}}\ntarget = {{service_name = \"checkout\"}}\n"
    );
    let worker = worker_with(&state, &[webhook("ops", &url)], &inhibit);
    commit_of(&worker, "db", 0, Pending, Firing).await;
    fire(&worker).await;
    round(&worker, at(1)).await;
    assert_eq!(hook.said(), [["firing"]]);
    assert!(column(&state, "reason").await.contains(&"inhibited while DbPoolSaturated fires".to_owned()));
    commit_of(&worker, "db", 5, Firing, Inactive).await;
    round(&worker, at(6)).await;
    let mut services: Vec<String> = hook.calls.lock().unwrap()[1..]
        .iter()
        .map(|(_, body)| format!("{} {}", body["groupLabels"]["service_name"], body["status"]))
        .collect();
    services.sort();
    assert_eq!(services, ["\"checkout\" \"firing\"", "\"db\" \"resolved\""]);
}

#[tokio::test]
async fn a_page_for_a_receiver_that_was_removed_is_dead_and_says_so() {
    let state = State::in_memory().await.unwrap();
    fire(&worker(&state, &[webhook("gone", "http://127.0.0.1:1/")])).await;
    assert_eq!(round(&worker(&state, &[]), at(0)).await, report(0, 0, 1));
    assert_eq!(reason(&state).await, "its receiver is not in hindsight.toml any more");
    assert_eq!(state.due_groups(at(99_999), 9).await.unwrap(), [], "and its group has ended");
}

#[tokio::test]
async fn an_alert_that_fires_is_told_to_a_receiver_that_is_new_and_to_no_other_again() {
    let (hook, url) = Hook::start(&[]).await;
    let (fresh, fresh_url) = Hook::start(&[]).await;
    let state = State::in_memory().await.unwrap();
    let ops = webhook("ops", &url);
    let before = worker(&state, std::slice::from_ref(&ops));
    fire(&before).await;
    round(&before, at(1)).await;
    let after = worker(&state, &[ops, webhook("fresh", &fresh_url)]);
    for _ in 0..2 {
        after.tell_new_routes(&Tenant::default(), at(100)).await.unwrap();
        round(&after, at(100)).await;
    }
    assert_eq!(
        (hook.said(), fresh.said()),
        (vec![vec!["firing".to_owned()]], vec![vec!["firing".to_owned()]])
    );
    assert_eq!(fresh.calls.lock().unwrap()[0].1["alerts"][0]["startsAt"], "2026-05-04T14:30:00Z");
}

#[tokio::test]
async fn the_loop_sends_what_is_due_and_ends_when_told() {
    let (hook, url) = Hook::start(&[]).await;
    let state = State::in_memory().await.unwrap();
    let clock = Arc::new(LogicalClock::starting_at(at(10)));
    let worker =
        Worker { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..worker(&state, &[webhook("ops", &url)]) };
    fire(&worker).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(worker.clone().run(async {
        let _ = stopped.await;
    }));
    let sent = async |count| {
        let waited = async {
            while state.outbox_counts().await.unwrap().sent < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waited).await.unwrap();
    };
    sent(1).await;
    commit(&worker, 11, Firing, Inactive).await;
    clock.advance_to(at(20));
    sent(2).await;
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), running).await.unwrap().unwrap();
    assert_eq!(hook.said(), [["firing"], ["resolved"]]);
}
