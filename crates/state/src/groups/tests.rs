use std::time::Duration;

use hindsight_model::TickCommit;

use super::*;
use crate::OutboxCounts;
use crate::testing::{at, delivery, entry, full_tick, instance, tenant};

async fn queue(state: &State, outbox: Vec<OutboxEntry>) {
    state.commit_tick(&TickCommit { outbox, ..TickCommit::default() }).await.unwrap();
}

async fn with(outbox: Vec<OutboxEntry>) -> State {
    let state = State::in_memory().await.unwrap();
    queue(&state, outbox).await;
    state
}

fn turn(group: &DueGroup, next: Option<i64>, fates: &[(i64, &'static str)], said: &[&str]) -> GroupTurn {
    GroupTurn {
        subject: group.subject.clone(),
        version: group.version,
        next: next.map(|s| ("{\"seen\":1}".to_owned(), at(s))),
        fates: fates.iter().map(|&(id, status)| EventFate { id, status, reason: None }).collect(),
        deliveries: said.iter().map(|key| delivery(&format!("{}/{key}", group.subject), 30)).collect(),
        at: at(30),
    }
}

#[tokio::test]
async fn a_group_is_due_when_its_first_event_says_and_then_when_its_turn_says() {
    let state = with(vec![entry("t/a/firing", 0), entry("t/b/firing", 10)]).await;
    assert_eq!(state.due_groups(at(29), 10).await.unwrap(), []);
    let group = state.due_groups(at(30), 10).await.unwrap().remove(0);
    assert_eq!((group.memory.as_str(), group.receiver.as_str()), ("", "ops"));
    let events = state.waiting_events(&group.subject).await.unwrap();
    assert_eq!(events.len(), 2);
    assert!(events[0].payload.contains("t/a/firing") && events[1].payload.contains("t/b/firing"));
    let fates = [(events[0].id, "told"), (events[1].id, "muted")];
    assert!(state.commit_turn(&turn(&group, Some(330), &fates, &[])).await.unwrap());
    assert_eq!(state.due_groups(at(329), 10).await.unwrap(), []);
    let again = state.due_groups(at(330), 10).await.unwrap().remove(0);
    assert_eq!(again.memory, "{\"seen\":1}");
    assert_eq!(state.waiting_events(&group.subject).await.unwrap(), []);
    assert!(state.commit_turn(&turn(&again, None, &[], &[])).await.unwrap());
    assert_eq!(state.due_groups(at(9_999), 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_turn_that_missed_an_event_or_another_turn_changes_nothing() {
    let state = with(vec![entry("t/a/firing", 0)]).await;
    let group = state.due_groups(at(30), 10).await.unwrap().remove(0);
    queue(&state, vec![entry("t/b/firing", 1)]).await;
    for next in [Some(330), None] {
        assert!(!state.commit_turn(&turn(&group, next, &[(1, "told")], &["x"])).await.unwrap());
    }
    let counts = OutboxCounts { waiting: 2, ..OutboxCounts::default() };
    assert_eq!(state.outbox_counts().await.unwrap(), counts);
    let group = state.due_groups(at(30), 10).await.unwrap().remove(0);
    let decided = turn(&group, Some(330), &[(1, "told"), (2, "told")], &["x"]);
    assert!(state.commit_turn(&decided).await.unwrap());
    assert!(!state.commit_turn(&decided).await.unwrap(), "the same turn twice");
    assert_eq!(state.outbox_counts().await.unwrap(), OutboxCounts { pending: 1, ..OutboxCounts::default() });
}

#[tokio::test]
async fn a_group_has_no_turn_while_it_still_has_something_to_send() {
    let state = with(vec![entry("t/a/firing", 0)]).await;
    let group = state.due_groups(at(30), 10).await.unwrap().remove(0);
    assert!(state.commit_turn(&turn(&group, Some(40), &[(1, "told")], &["x", "y"])).await.unwrap());
    assert_eq!(state.due_groups(at(40), 10).await.unwrap(), []);
    for _ in 0..2 {
        let claimed = state.claim_outbox(at(40), Duration::from_secs(60), 10).await.unwrap();
        assert_eq!(claimed.len(), 1, "one at a time");
        assert_eq!(state.due_groups(at(40), 10).await.unwrap(), []);
        state.outbox_sent(claimed[0].id, at(40)).await.unwrap();
    }
    assert_eq!(state.due_groups(at(40), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_turn_that_cannot_be_written_whole_leaves_nothing_behind() {
    let state = with(vec![entry("t/a/firing", 0)]).await;
    let group = state.due_groups(at(30), 10).await.unwrap().remove(0);
    let mut bad = turn(&group, Some(330), &[(1, "told")], &["x"]);
    bad.deliveries.push(bad.deliveries[0].clone());
    state.commit_turn(&bad).await.unwrap_err();
    assert_eq!(state.due_groups(at(30), 10).await.unwrap(), [group]);
    assert_eq!(state.outbox_counts().await.unwrap(), OutboxCounts { waiting: 1, ..OutboxCounts::default() });
}

#[tokio::test]
async fn what_must_not_be_sent_is_recorded_and_makes_no_group() {
    let mut old = entry("t/a/firing", 0);
    old.unsent = Some("too old".into());
    let state = with(vec![old]).await;
    assert_eq!(state.due_groups(at(1_000), 10).await.unwrap(), []);
    assert_eq!(state.outbox_counts().await.unwrap(), OutboxCounts { unsent: 1, ..OutboxCounts::default() });
}

#[tokio::test]
async fn events_beyond_the_limit_are_recorded_as_dead_and_let_the_tick_through() {
    let state = State::in_memory().await.unwrap();
    let fill = format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {EVENTS_WAITING_MAX}) \
         INSERT INTO notification_events (tenant, receiver, group_key, subject, dedup_key, payload, created_at, \
         status) SELECT 'default', 'ops', 'g', 's', n, '{{}}', 0, 'waiting' FROM n"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(state.reader()).await.unwrap();
    queue(&state, vec![entry("t/a/firing", 0)]).await;
    let counts = state.outbox_counts().await.unwrap();
    assert_eq!((counts.waiting, counts.dead), (EVENTS_WAITING_MAX.unsigned_abs(), 1));
}

#[tokio::test]
async fn only_episodes_of_alerts_that_fire_or_recover_are_active() {
    let state = State::in_memory().await.unwrap();
    state.commit_tick(&full_tick(60)).await.unwrap();
    let mut ended = instance("spare");
    ended.state = hindsight_model::AlertState::Inactive;
    state.commit_tick(&TickCommit { instances: vec![ended], ..TickCommit::default() }).await.unwrap();
    let asked = ["e-main".to_owned(), "e-spare".to_owned(), "e-other".to_owned()];
    let active = state.active_episodes(&Tenant::default(), &asked).await.unwrap();
    assert_eq!(active, BTreeSet::from(["e-main".to_owned()]));
    assert_eq!(state.active_episodes(&tenant("other"), &asked).await.unwrap(), BTreeSet::new());
    let firing = state.firing_labels(&Tenant::default()).await.unwrap();
    assert_eq!(firing, [("DbPoolSaturated".to_owned(), instance("main").labels)]);
}
