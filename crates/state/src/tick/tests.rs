use std::time::Duration;

use arrow::array::RecordBatch;
use hindsight_model::{AlertState, Outcome, Tenant, TickCommit};

use super::*;
use crate::outbox::insert;
use crate::prune::{EVALUATIONS_AGE_MAX, EVALUATIONS_MAX, EVENTS_DONE_MAX, OUTBOX_DONE_MAX, TRANSITIONS_MAX};
use crate::testing::{
    at, delivery, entry, evaluation, full_tick, instance, labels, slice, slo_status, tenant, transition,
};
use crate::{OutboxCounts, TransitionFilter};

async fn everything(state: &State) -> Vec<RecordBatch> {
    let mut all = Vec::new();
    for table in state.system_tables() {
        all.push(table.rows(&Tenant::default()).await.unwrap());
    }
    all
}

#[tokio::test]
async fn a_tick_reads_back_as_it_was_written() {
    let state = State::in_memory().await.unwrap();
    let committed = state.commit_tick(&full_tick(60)).await.unwrap();
    assert_eq!(committed, Committed { transitions: 1, notifications: 1 });
    let me = Tenant::default();
    assert_eq!(state.last_tick(&me, "checkout-db").await.unwrap(), Some(at(60)));
    assert_eq!(state.instances(&me).await.unwrap(), [instance("main")]);
    assert_eq!(
        state.transitions(&me, &TransitionFilter::default()).await.unwrap(),
        [transition("main", 60, AlertState::Pending, AlertState::Firing)]
    );
    assert_eq!(state.slices(&me, "checkout", at(60), at(61)).await.unwrap(), [slice(60, 99.0, 100.0)]);
    assert_eq!(state.slo_status(&me).await.unwrap(), [slo_status(60)]);
    let rule = &instance("main").rule;
    let evaluations = state.evaluations(&me, rule, Some(&labels("main")), at(0), at(61)).await.unwrap();
    assert_eq!(evaluations, [evaluation("main", 60, Outcome::Value(0.95))]);
}

#[tokio::test]
async fn each_outcome_reads_back_apart_from_the_others() {
    let state = State::in_memory().await.unwrap();
    let outcomes = [
        Outcome::Value(-0.0),
        Outcome::Value(f64::INFINITY),
        Outcome::Missing,
        Outcome::NoData,
        Outcome::Error("no such column".into()),
        Outcome::Unobserved,
    ];
    for (s, outcome) in (0..).zip(outcomes.clone()) {
        let evaluations = vec![evaluation("main", s, outcome)];
        state.commit_tick(&TickCommit { evaluations, ..TickCommit::default() }).await.unwrap();
    }
    let evaluations = vec![evaluation("main", 100, Outcome::Value(f64::NAN))];
    state.commit_tick(&TickCommit { evaluations, ..TickCommit::default() }).await.unwrap();
    let rule = instance("main").rule;
    let read = state.evaluations(&Tenant::default(), &rule, None, at(0), at(200)).await.unwrap();
    let (nan, plain) = read.split_last().unwrap();
    assert_eq!(plain.iter().map(|e| e.outcome.clone()).collect::<Vec<_>>(), outcomes);
    assert!(matches!(nan.outcome, Outcome::Value(value) if value.is_nan()));
}

#[tokio::test]
async fn committing_the_same_tick_again_changes_nothing() {
    let state = State::in_memory().await.unwrap();
    state.commit_tick(&full_tick(60)).await.unwrap();
    let before = everything(&state).await;
    assert_eq!(state.commit_tick(&full_tick(60)).await.unwrap(), Committed::default());
    assert_eq!(everything(&state).await, before);
}

#[tokio::test]
async fn a_tick_whose_last_part_fails_leaves_nothing_behind() {
    let state = State::in_memory().await.unwrap();
    state.commit_tick(&full_tick(60)).await.unwrap();
    let before = everything(&state).await;
    let mut bad = full_tick(90);
    bad.instances[0].state = AlertState::Recovering;
    bad.slo_status[0].bad = f64::NAN;
    let error = state.commit_tick(&bad).await.unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    assert_eq!(everything(&state).await, before);
    assert_eq!(state.last_tick(&Tenant::default(), "checkout-db").await.unwrap(), Some(at(60)));
}

#[tokio::test]
async fn a_refusal_by_sqlite_itself_rolls_the_whole_tick_back() {
    let state = State::in_memory().await.unwrap();
    let trigger =
        "CREATE TRIGGER broken BEFORE INSERT ON slo_status BEGIN SELECT RAISE(ABORT, 'disk says no'); END";
    sqlx::raw_sql(trigger).execute(state.reader()).await.unwrap();
    let error = state.commit_tick(&full_tick(60)).await.unwrap_err();
    assert_eq!(error.to_string(), "write an SLO status in the state database");
    assert_eq!(state.outbox_counts().await.unwrap(), OutboxCounts::default());
    assert_eq!(state.instances(&Tenant::default()).await.unwrap(), []);
    assert_eq!(state.last_tick(&Tenant::default(), "checkout-db").await.unwrap(), None);
}

#[tokio::test]
async fn a_tick_older_than_the_groups_last_is_refused() {
    let state = State::in_memory().await.unwrap();
    state.commit_tick(&full_tick(60)).await.unwrap();
    let error = state.commit_tick(&full_tick(30)).await.unwrap_err();
    assert!(matches!(error, Error::StaleTick { .. }), "{error}");
    let other = TickCommit { tenant: tenant("other"), ..full_tick(30) };
    state.commit_tick(&TickCommit { outbox: vec![], ..other }).await.unwrap();
}

#[tokio::test]
async fn a_page_planned_twice_is_queued_once() {
    let state = State::in_memory().await.unwrap();
    state.commit_tick(&full_tick(60)).await.unwrap();
    let mut later = full_tick(90);
    later.outbox = vec![entry("default/e-main/firing", 90), entry("default/e-main/resolved", 90)];
    assert_eq!(state.commit_tick(&later).await.unwrap().notifications, 1);
    assert_eq!(state.outbox_counts().await.unwrap().waiting, 2);
}

#[tokio::test]
async fn a_forgotten_instance_is_gone_and_its_neighbours_stay() {
    let state = State::in_memory().await.unwrap();
    let instances = vec![instance("main"), instance("spare")];
    state.commit_tick(&TickCommit { instances, ..TickCommit::default() }).await.unwrap();
    let forgotten = vec![(instance("main").rule, labels("main"))];
    state.commit_tick(&TickCommit { forgotten, ..TickCommit::default() }).await.unwrap();
    assert_eq!(state.instances(&Tenant::default()).await.unwrap(), [instance("spare")]);
}

#[tokio::test]
async fn late_data_raises_a_slices_revision_and_equal_data_does_not() {
    let state = State::in_memory().await.unwrap();
    for (good, total, revision) in
        [(9.0, 10.0, 0), (9.0, 10.0, 0), (9.0, 11.0, 1), (10.0, 11.0, 2), (10.0, 11.0, 2)]
    {
        let slices = vec![slice(0, good, total)];
        state.commit_tick(&TickCommit { slices, ..TickCommit::default() }).await.unwrap();
        let read = state.slices(&Tenant::default(), "checkout", at(0), at(1)).await.unwrap();
        assert_eq!((read[0].good, read[0].total, read[0].revision), (good, total, revision));
    }
}

#[tokio::test]
async fn instances_are_found_by_rule_and_by_group_but_not_by_a_longer_name() {
    let state = State::in_memory().await.unwrap();
    let mut neighbour = instance("main");
    neighbour.rule = "checkout-db2/Other".into();
    let instances = vec![instance("main"), neighbour];
    state.commit_tick(&TickCommit { instances, ..TickCommit::default() }).await.unwrap();
    for (name, count) in [
        ("checkout-db", 1),
        ("checkout-db/DbPoolSaturated", 1),
        ("checkout", 0),
        ("checkout-db2", 1),
        ("%", 0),
    ] {
        assert_eq!(state.instances_of(&Tenant::default(), name).await.unwrap().len(), count, "{name}");
    }
}

#[tokio::test]
async fn transitions_are_filtered_and_the_newest_come_in_order() {
    let state = State::in_memory().await.unwrap();
    for s in [0, 30, 60, 90] {
        let transitions = vec![transition("main", s, AlertState::Inactive, AlertState::Firing)];
        state.commit_tick(&TickCommit { transitions, ..TickCommit::default() }).await.unwrap();
    }
    let seconds = async |filter: TransitionFilter| {
        let read = state.transitions(&Tenant::default(), &filter).await.unwrap();
        read.iter().map(|t| t.at.duration_since(at(0)).as_secs()).collect::<Vec<_>>()
    };
    assert_eq!(seconds(TransitionFilter::default()).await, [0, 30, 60, 90]);
    let span = TransitionFilter { since: Some(at(30)), until: Some(at(90)), ..TransitionFilter::default() };
    assert_eq!(seconds(span).await, [30, 60]);
    assert_eq!(seconds(TransitionFilter { limit: Some(2), ..TransitionFilter::default() }).await, [60, 90]);
    let other = TransitionFilter { rule: Some("other/rule".into()), ..TransitionFilter::default() };
    assert_eq!(seconds(other).await, [0_i64; 0]);
    let after = state.transitions_after(2).await.unwrap();
    assert_eq!(after.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [3, 4]);
}

#[tokio::test]
async fn evaluations_beyond_their_age_are_forgotten() {
    let state = State::in_memory().await.unwrap();
    let day = |days: u64| i64::try_from(Duration::from_secs(days * 86_400).as_secs()).unwrap();
    let age = EVALUATIONS_AGE_MAX.as_secs() / 86_400;
    for days in [0, 1, age] {
        let evaluations = vec![evaluation("main", day(days), Outcome::Missing)];
        let tick = Some(at(day(days) + 60));
        state.commit_tick(&TickCommit { tick, evaluations, ..TickCommit::default() }).await.unwrap();
    }
    let rule = instance("main").rule;
    let read = state.evaluations(&Tenant::default(), &rule, None, at(0), at(day(99))).await.unwrap();
    assert_eq!(read.iter().map(|e| e.at).collect::<Vec<_>>(), [at(day(1)), at(day(age))]);
}

#[tokio::test]
async fn rows_beyond_their_number_are_forgotten_except_pages_still_to_send() {
    let state = State::in_memory().await.unwrap();
    state.commit_tick(&full_tick(60)).await.unwrap();
    let mut second = full_tick(90);
    second.outbox = vec![entry("t/b/firing", 90), entry("t/c/firing", 90)];
    state.commit_tick(&second).await.unwrap();
    let mut transaction = state.begin().await.unwrap();
    for key in ["t/g/1", "t/g/2", "t/g/3"] {
        insert(&mut transaction, &delivery(key, 90)).await.unwrap();
    }
    transaction.commit().await.unwrap();
    // As if the table were full: the second tick's rows now lie a whole table above the first's.
    let far = format!(
        "UPDATE evaluations SET seq = seq + {EVALUATIONS_MAX} WHERE seq = 2; \
         UPDATE transitions SET seq = seq + {TRANSITIONS_MAX} WHERE seq = 2; \
         UPDATE outbox SET id = id + {OUTBOX_DONE_MAX} WHERE id = 3; \
         UPDATE outbox SET status = 'sent' WHERE id = 1; \
         UPDATE notification_events SET id = id + {EVENTS_DONE_MAX} WHERE id = 3; \
         UPDATE notification_events SET status = 'muted' WHERE id = 1"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(far)).execute(state.reader()).await.unwrap();
    let tick = Some(at(120));
    state.commit_tick(&TickCommit { tick, ..TickCommit::default() }).await.unwrap();
    let rule = instance("main").rule;
    let left = state.evaluations(&Tenant::default(), &rule, None, at(0), at(200)).await.unwrap();
    assert_eq!(left.iter().map(|e| e.at).collect::<Vec<_>>(), [at(90)]);
    assert_eq!(state.transitions_after(0).await.unwrap().len(), 1);
    let counts = state.outbox_counts().await.unwrap();
    assert_eq!(
        counts,
        OutboxCounts { pending: 2, waiting: 2, ..OutboxCounts::default() },
        "what is done is gone"
    );
}
