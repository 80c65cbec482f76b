use std::collections::BTreeSet;

use super::*;
use crate::testing::{at, delivery};

const LEASE: Duration = Duration::from_secs(60);

async fn with(deliveries: Vec<Delivery>) -> State {
    let state = State::in_memory().await.unwrap();
    queue(&state, deliveries).await;
    state
}

async fn queue(state: &State, deliveries: Vec<Delivery>) {
    let mut transaction = state.begin().await.unwrap();
    for delivery in &deliveries {
        insert(&mut transaction, delivery).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

fn keys(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|claimed| claimed.dedup_key.as_str()).collect()
}

#[tokio::test]
async fn a_claim_is_exclusive_until_its_lease_runs_out() {
    let state = with(vec![delivery("t/a/firing", 0)]).await;
    let first = state.claim_outbox(at(10), LEASE, 10).await.unwrap();
    assert_eq!(keys(&first), ["t/a/firing"]);
    assert_eq!(first[0].attempts, 1);
    assert_eq!(state.claim_outbox(at(69), LEASE, 10).await.unwrap(), []);
    assert_eq!(state.outbox_next_due().await.unwrap(), Some(at(70)));
    let second = state.claim_outbox(at(70), LEASE, 10).await.unwrap();
    assert_eq!((keys(&second), second[0].attempts), (vec!["t/a/firing"], 2));
    assert_eq!((&second[0].payload, second[0].id), (&first[0].payload, first[0].id));
}

#[tokio::test]
async fn a_worker_whose_lease_ran_out_cannot_undo_what_the_next_one_did() {
    let state = with(vec![delivery("t/a/firing", 0)]).await;
    let slow = state.claim_outbox(at(0), LEASE, 10).await.unwrap().remove(0);
    let quick = state.claim_outbox(at(60), LEASE, 10).await.unwrap().remove(0);
    assert!(!state.outbox_retry(&slow, at(61), "timeout").await.unwrap());
    assert!(!state.outbox_dead(&slow, at(61), "timeout").await.unwrap());
    assert_eq!(state.claim_outbox(at(61), LEASE, 10).await.unwrap(), [], "the second lease still holds");
    state.outbox_sent(quick.id, at(62)).await.unwrap();
    assert!(!state.outbox_retry(&slow, at(63), "timeout").await.unwrap());
    assert_eq!(state.outbox_counts().await.unwrap(), OutboxCounts { sent: 1, ..OutboxCounts::default() });
}

#[tokio::test]
async fn a_released_row_is_due_at_once_and_its_retry_time_still_holds() {
    let state = with(vec![delivery("t/a/firing", 0), delivery("t/b/firing", 0)]).await;
    let claimed = state.claim_outbox(at(0), LEASE, 10).await.unwrap();
    assert!(state.outbox_retry(&claimed[1], at(100), "503").await.unwrap());
    assert_eq!(state.release_outbox().await.unwrap(), 1);
    let again = state.claim_outbox(at(1), LEASE, 10).await.unwrap();
    assert_eq!((keys(&again), again[0].attempts), (vec!["t/a/firing"], 2));
    assert!(
        !state.outbox_dead(&claimed[0], at(61), "too late").await.unwrap(),
        "the dead worker's claim is void"
    );
}

#[tokio::test]
async fn a_retry_waits_for_its_time_and_a_dead_row_is_never_claimed() {
    let state = with(vec![delivery("t/a/firing", 0), delivery("t/b/firing", 0)]).await;
    let claimed = state.claim_outbox(at(0), LEASE, 10).await.unwrap();
    assert!(state.outbox_retry(&claimed[0], at(100), "503").await.unwrap());
    assert!(state.outbox_dead(&claimed[1], at(61), "400").await.unwrap());
    let dead = |from, to| state.dead_notifications(&claimed[1].tenant, at(from), at(to));
    assert_eq!(dead(0, 62).await.unwrap(), [(claimed[1].receiver.clone(), 1)]);
    assert_eq!(dead(62, 1_000).await.unwrap(), [], "given up before");
    assert_eq!(state.claim_outbox(at(99), LEASE, 10).await.unwrap(), []);
    assert_eq!(keys(&state.claim_outbox(at(100), LEASE, 10).await.unwrap()), ["t/a/firing"]);
    assert_eq!(state.claim_outbox(at(1_000_000), LEASE, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn resolved_waits_until_firing_is_done_with() {
    let state =
        with(vec![delivery("t/a/firing", 0), delivery("t/a/resolved", 5), delivery("t/b/resolved", 5)]).await;
    let first = state.claim_outbox(at(10), LEASE, 10).await.unwrap();
    assert_eq!(keys(&first), ["t/a/firing", "t/b/resolved"]);
    state.outbox_retry(&first[0], at(100), "503").await.unwrap();
    assert_eq!(state.claim_outbox(at(20), LEASE, 10).await.unwrap(), []);
    state.outbox_sent(first[0].id, at(30)).await.unwrap();
    assert_eq!(keys(&state.claim_outbox(at(31), LEASE, 10).await.unwrap()), ["t/a/resolved"]);
}

#[tokio::test]
async fn two_workers_at_once_never_claim_the_same_row() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(folder.path().join("state.db")).await.unwrap();
    queue(&state, (0..200).map(|n| delivery(&format!("t/{n}/firing"), 0)).collect()).await;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let state = state.clone();
        workers.spawn(async move {
            let mut ids = Vec::new();
            loop {
                let claimed = state.claim_outbox(at(0), LEASE, 7).await.unwrap();
                if claimed.is_empty() {
                    return ids;
                }
                ids.extend(claimed.iter().map(|claimed| claimed.id));
            }
        });
    }
    let ids: Vec<i64> = workers.join_all().await.concat();
    assert_eq!(ids.len(), 200);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 200);
}

#[tokio::test]
async fn a_process_that_dies_between_claim_and_send_loses_no_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let state = State::open(&path).await.unwrap();
    queue(&state, vec![delivery("t/a/firing", 0)]).await;
    let claimed = state.claim_outbox(at(0), LEASE, 10).await.unwrap();
    // A copy of the files as they are now is what a killed process leaves behind: nothing was closed.
    let after_crash = folder.path().join("crashed.db");
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", path.display());
        std::fs::copy(from, format!("{}{suffix}", after_crash.display())).unwrap();
    }
    let reopened = State::open(&after_crash).await.unwrap();
    assert_eq!(reopened.claim_outbox(at(59), LEASE, 10).await.unwrap(), []);
    let again = reopened.claim_outbox(at(60), LEASE, 10).await.unwrap();
    assert_eq!((&again[0].dedup_key, &again[0].payload), (&claimed[0].dedup_key, &claimed[0].payload));
    assert_eq!(again[0].attempts, 2);
}
