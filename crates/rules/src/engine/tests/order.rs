//! The order in which rules stand in files, are asked and are answered, and in which rows come, decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hindsight_model::{SqlAnswer, SqlError, SqlRequest, SqlSource, Tenant, Transition};
use proptest::prelude::*;

use super::crashes::{Finds, LENGTH, Script, answered, finds};
use super::support::{Disk, Workspace, t};
use crate::{Alignment, Engine, Options};

/// A group by its name and interval, with its rules in the order of the numbers in their SQL.
const GROUPS: [(&str, &str, [&str; 3]); 2] = [
    (
        "half-minutes",
        "30s",
        [
            "alert: Held, sql: SELECT 0 WHERE $now, condition: {op: gt, fire: 0.9, recover: 0.5}, for: 1m",
            "alert: Flaps, sql: SELECT 1 WHERE $now, condition: {op: gt, fire: 0.5}, flapping: {window: 7, high: 40, low: 10}",
            "alert: Quick, sql: SELECT 2 WHERE $now, condition: {op: lt, fire: 0.3, recover: 0.4}",
        ],
    ),
    (
        "three-quarters",
        "45s",
        [
            "alert: Silent, sql: SELECT 3 WHERE $now, condition: {op: gte, fire: 0.7}, on_no_data: fire",
            "alert: Gone, sql: SELECT 4 WHERE $now, condition: {op: gt, fire: 0.6}, on_missing: {after: 2, then: resolve}",
            "alert: Failing, sql: SELECT 5 WHERE $now, condition: {op: gt, fire: 0.8}, error_after: 90s",
        ],
    ),
];

/// Groups and rules as places in [`GROUPS`], in some order.
type Written = Vec<(usize, Vec<usize>)>;

fn as_files(written: &Written) -> String {
    let groups = written.iter().map(|(group, rules)| {
        let (name, interval, texts) = GROUPS[*group];
        let rules: String = rules.iter().map(|rule| format!("  - {{{}}}\n", texts[*rule])).collect();
        format!("- name: {name}\n  interval: {interval}\n  rules:\n{rules}")
    });
    format!("groups:\n{}", groups.collect::<String>())
}

/// The script's answers; each waits for some other tasks first and has its rows in an order of its own.
struct Shuffled {
    script: Arc<Script>,
    dice: AtomicU64,
}

#[async_trait::async_trait]
impl SqlSource for Shuffled {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        // Steps of a linear congruential generator (Knuth): nothing but changing numbers is asked of it.
        let step =
            |seed: u64| seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let dice = step(
            self.dice.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seed| Some(step(seed))).unwrap(),
        );
        for _ in 0..dice >> 61 {
            tokio::task::yield_now().await;
        }
        let mut rows = self.script.rows(&request)?;
        if dice >> 60 & 1 == 1 {
            rows.reverse();
        }
        Ok(answered(&rows))
    }
}

/// All transitions, sorted by what they are; within one rule and instance that is the order of time.
async fn transitions(
    written: &Written,
    script: &Arc<Script>,
    seed: u64,
    step: i64,
    concurrency: usize,
) -> Vec<Transition> {
    let workspace = Workspace::new(&[("rules/a.yaml", &as_files(written))]);
    let disk = Disk::new().await;
    let options = Options {
        alignment: Alignment::At(t(0)),
        start: Some(t(0)),
        catch_up_max: Duration::from_secs(86_400),
        concurrency,
        ..Options::default()
    };
    let sql = Arc::new(Shuffled { script: Arc::<Script>::clone(script), dice: AtomicU64::new(seed) });
    let journal = Arc::<Disk>::clone(&disk);
    let mut engine = Engine::new(sql, journal, workspace.path(), Tenant::default(), options).unwrap();
    assert_eq!(engine.problems(), []);
    let mut told = Vec::new();
    let mut second = 0;
    loop {
        told.extend(engine.run_until(t(second)).await.unwrap().transitions);
        if second == LENGTH {
            break;
        }
        second = (second + step).min(LENGTH);
    }
    assert!(told.is_sorted_by_key(|transition| transition.at), "{told:?}");
    told.sort_by_key(|transition| (transition.at, transition.rule.clone(), transition.labels.clone()));
    told
}

fn written() -> impl Strategy<Value = Written> {
    let rules = || Just(vec![0, 1, 2]).prop_shuffle();
    (rules(), rules()).prop_flat_map(|(a, b)| Just(vec![(0, a), (1, b)]).prop_shuffle())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn no_order_decides_anything(
        script in prop::collection::vec(finds(), 20..60),
        (written, seed) in (written(), any::<u64>()),
        step in prop_oneof![Just(15_i64), Just(30), Just(200)],
        concurrency in 1..6_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let script = Arc::new(Script(script));
            let in_order: Written = vec![(0, vec![0, 1, 2]), (1, vec![0, 1, 2])];
            let plain = transitions(&in_order, &script, 0, 15, 1).await;
            let shuffled = transitions(&written, &script, seed, step, concurrency).await;
            prop_assert!(!plain.is_empty() || script.0.iter().all(|finds| matches!(finds, Finds::Fails)));
            prop_assert_eq!(shuffled, plain);
            Ok(())
        })?;
    }
}
