//! Receivers that fail in every way, and processes that die.

use std::collections::BTreeSet;

use super::*;
use crate::RETRY_DELAY_MAX;

#[tokio::test]
async fn a_receiver_that_fails_thrice_then_accepts_gets_the_page_under_one_key() {
    let (hook, url) = Hook::start(&[(500, None), (503, None), (429, None)]).await;
    let state = State::in_memory().await.unwrap();
    let worker = worker(&state, &[webhook("ops", &url)]);
    fire(&worker).await;
    for attempt in 1..=4 {
        let now = state.outbox_next_due().await.unwrap().unwrap_or(at(0));
        if attempt > 1 {
            let before = now - SignedDuration::from_nanos(1);
            assert_eq!(round(&worker, before).await, Report::default(), "not before its time");
        }
        let sent = u32::from(attempt == 4);
        assert_eq!(round(&worker, now).await, report(sent, 1 - sent, 0), "attempt {attempt}");
    }
    let keys: BTreeSet<String> = hook.keys().into_iter().collect();
    assert_eq!((hook.keys().len(), keys.len()), (4, 1), "{keys:?}");
    let calls = hook.calls.lock().unwrap().clone();
    assert!(calls.iter().all(|(_, body)| *body == calls[0].1), "every attempt carries the same body");
    assert_eq!(calls[0].1["alerts"][0]["labels"]["alertname"], "DbPoolSaturated");
    assert_eq!(state.outbox_counts().await.unwrap(), OutboxCounts { sent: 1, ..OutboxCounts::default() });
}

#[tokio::test]
async fn a_process_that_dies_between_any_two_steps_tells_the_page_under_one_key() {
    // What the dead process had done: decided, written its turn, claimed, sent.
    for steps in 0..4 {
        let (hook, url) = Hook::start(&[]).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let state = State::open(&path).await.unwrap();
        let receivers = [webhook("ops", &url)];
        let first = worker(&state, &receivers);
        fire(&first).await;
        if steps > 0 {
            assert_eq!(first.take_turns(at(0)).await.unwrap(), 1);
        }
        if steps > 1 {
            let claimed = state.claim_outbox(at(0), first.lease, 1).await.unwrap().remove(0);
            if steps > 2 {
                assert_eq!(first.attempt(&claimed, at(0)).await, Attempt::Accepted);
            }
        }
        // The process ends here; what it did not write down is lost.
        drop(first);
        state.close().await;

        let state = State::open(&path).await.unwrap();
        let second = worker(&state, &receivers);
        if steps > 1 {
            assert_eq!(round(&second, at(1)).await, Report::default(), "the lease still holds");
        }
        let done = round(&second, later(at(0), second.lease)).await;
        assert_eq!((done.claimed, done.sent), (1, 1), "after {steps} steps");
        let keys: BTreeSet<String> = hook.keys().into_iter().collect();
        assert_eq!((hook.keys().len(), keys.len()), (if steps > 2 { 2 } else { 1 }, 1));
        assert_eq!(state.outbox_counts().await.unwrap().sent, 1);
    }
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_is_tried_again_under_the_same_key() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = State::in_memory().await.unwrap();
    let worker = worker(&state, &[webhook("ops", &format!("http://{address}/"))]);
    fire(&worker).await;
    let cut = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut begun = [0; 40];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut begun).await.unwrap();
        listener
    });
    assert_eq!(round(&worker, at(0)).await, report(0, 1, 0));
    let first = column(&state, "dedup_key").await;
    drop(cut.await.unwrap());
    let hook = Arc::new(Hook::default());
    let router = Router::new().fallback(answer).with_state(Arc::clone(&hook));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let now = state.outbox_next_due().await.unwrap().unwrap();
    assert_eq!(round(&worker, now).await, report(1, 0, 0));
    assert_eq!(hook.keys(), first);
}

#[tokio::test]
async fn ten_minutes_without_the_receiver_lose_no_page_and_pile_up_none() {
    let (hook, url) = Hook::start(&[(503, None); 7]).await;
    let state = State::in_memory().await.unwrap();
    let worker = worker(&state, &[webhook("ops", &url)]);
    fire(&worker).await;
    let mut events = vec![
        (100, "checkout", Firing, Inactive),
        (200, "cart", Pending, Firing),
        (300, "cart", Firing, Inactive),
        (400, "shop", Pending, Firing),
    ];
    events.reverse();
    for s in (0..3_600).step_by(5) {
        while events.last().is_some_and(|(begun, ..)| *begun <= s) {
            let (s, service, from, to) = events.pop().unwrap();
            commit_of(&worker, service, s, from, to).await;
        }
        let done = round(&worker, at(s)).await;
        assert!(done.claimed <= 3, "three groups, one notification each: {done:?}");
    }
    let (mut heard, mut seen) = (Vec::new(), BTreeSet::new());
    for (key, body) in hook.calls.lock().unwrap().iter() {
        if seen.insert(key.clone()) {
            heard
                .push(format!("{} {}", body["groupLabels"]["service_name"], body["status"]).replace('"', ""));
        }
    }
    assert_eq!(
        heard.iter().filter(|one| one.starts_with("checkout")).collect::<Vec<_>>(),
        ["checkout firing", "checkout resolved"]
    );
    for once in ["cart firing", "cart resolved", "shop firing"] {
        assert_eq!(heard.iter().filter(|one| *one == once).count(), 1, "{once}: {heard:?}");
    }
    let counts = state.outbox_counts().await.unwrap();
    assert_eq!(counts, OutboxCounts { sent: 5, ..OutboxCounts::default() });
}

#[tokio::test]
async fn after_the_last_attempt_the_page_is_dead_with_its_reason_and_its_time() {
    // A port that was just free: nobody listens.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/s3cret", listener.local_addr().unwrap());
    drop(listener);
    let state = State::in_memory().await.unwrap();
    let worker = worker(&state, &[webhook("ops", &url)]);
    fire(&worker).await;
    for attempt in 1..=ATTEMPTS_MAX {
        let now = state.outbox_next_due().await.unwrap().unwrap_or(at(0));
        let dead = u32::from(attempt == ATTEMPTS_MAX);
        assert_eq!(round(&worker, now).await, report(0, 1 - dead, dead), "attempt {attempt}");
    }
    assert_eq!(state.outbox_counts().await.unwrap(), OutboxCounts { dead: 1, ..OutboxCounts::default() });
    let reason = reason(&state).await;
    assert!(reason.starts_with("30 attempts failed; last: "), "{reason}");
    assert!(!reason.contains("s3cret"), "the URL is a secret: {reason}");
    assert!(column(&state, "finished_at").await[0].starts_with("Time("));
    assert_eq!(round(&worker, later(at(0), RETRY_DELAY_MAX)).await, Report::default());
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
        let worker = worker(&state, &[webhook("ops", &url)]);
        fire(&worker).await;
        let expected = match retried {
            None => report(1, 0, 0),
            Some(true) => report(0, 1, 0),
            Some(false) => report(0, 0, 1),
        };
        assert_eq!(round(&worker, at(0)).await, expected, "{status}");
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
    let worker = worker(&state, &[webhook("ops", &url)]);
    fire(&worker).await;
    round(&worker, at(0)).await;
    assert_eq!(state.outbox_next_due().await.unwrap(), Some(at(300)));
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up_on_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let state = State::in_memory().await.unwrap();
    let worker = worker(&state, &[webhook("ops", &url)]);
    fire(&worker).await;
    let done = tokio::time::timeout(Duration::from_secs(30), round(&worker, at(0))).await.unwrap();
    assert_eq!(done.retried, 1);
    assert_eq!(reason(&state).await, "no answer within 2s");
    drop(listener);
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_other_and_no_turn() {
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (hook, url) = Hook::start(&[]).await;
    let state = State::in_memory().await.unwrap();
    let mut slow = crate::testing::config("slow", crate::ReceiverKind::Webhook);
    slow.url = Some(format!("http://{}/", hanging.local_addr().unwrap()));
    slow.timeout = Some("60s".into());
    let slow = crate::load_receivers(&[slow], std::path::Path::new("")).unwrap().remove(0);
    let clock = Arc::new(LogicalClock::starting_at(at(10)));
    let worker = worker(&state, &[slow, webhook("ops", &url)]);
    let worker = Worker { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..worker };
    fire(&worker).await;
    let running = tokio::spawn(worker.clone().run(std::future::pending()));
    let told = async |count| {
        let waited = async {
            while state.outbox_counts().await.unwrap().sent < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waited).await.unwrap();
    };
    told(1).await;
    commit(&worker, 11, Firing, Inactive).await;
    clock.advance_to(at(20));
    told(2).await;
    assert_eq!(hook.said(), [["firing"], ["resolved"]]);
    assert_eq!(state.outbox_counts().await.unwrap().pending, 1, "the slow one is still at its first");
    running.abort();
    drop(hanging);
}
