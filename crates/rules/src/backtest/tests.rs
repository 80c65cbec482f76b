use std::sync::Arc;

use crate::engine::tests::{Disk, POOL_RULES, Telemetry, Workspace, at, run};
use crate::{Alignment, Engine, KnownIncident, Options, Variant, against, backtest, load, variant};
use hindsight_model::{SqlSource, Tenant};

use super::{pages_a_week, time_firing};

/// A pool that is full from 2m30s for five and a half minutes, then half full.
fn telemetry() -> Arc<Telemetry> {
    let values = [(0.60, 5), (0.95, 11), (0.85, 11), (0.70, 60)];
    Telemetry::pool(&values.iter().flat_map(|(v, n)| vec![*v; *n]).collect::<Vec<_>>())
}

fn workspace() -> Workspace {
    Workspace::new(&[("rules/checkout-db.yaml", POOL_RULES)])
}

fn as_written(workspace: &Workspace) -> Variant {
    let loaded = load(&workspace.path()).unwrap();
    assert_eq!(loaded.problems, []);
    Variant { name: "as written".to_owned(), rules: loaded.rules }
}

#[tokio::test]
async fn a_backtest_and_a_live_run_agree_to_the_tick() {
    let workspace = workspace();
    let disk = Disk::new().await;
    let sql: Arc<dyn SqlSource> = telemetry();
    // As a server runs: spread ticks, one beat after the other, with a restart.
    let live = |disk: &Arc<Disk>| {
        let options = Options { alignment: Alignment::Spread, start: Some(at("0s")), ..Options::default() };
        let journal = Arc::<Disk>::clone(disk);
        Engine::new(Arc::clone(&sql), journal, workspace.path(), Tenant::default(), options).unwrap()
    };
    let mut engine = live(&disk);
    for second in 0..2_400 {
        if second == 700 {
            engine = live(&disk);
        }
        run(&mut engine, at(&format!("{second}s"))).await;
    }
    let result =
        backtest(Arc::clone(&sql), &[as_written(&workspace)], at("0s"), at("40m"), |_| {}).await.unwrap();
    assert_eq!(result[0].transitions, disk.transitions().await);
    assert_eq!(result[0].episodes.len(), 1);
    let episode = &result[0].episodes[0];
    assert_eq!((episode.lowest, episode.highest), (Some(0.70), Some(0.95)));
    assert_eq!(episode.reason.as_deref(), Some("recovered"));
    assert_eq!(result[0].services, ["checkout"]);
}

#[tokio::test]
async fn an_episode_under_way_at_the_beginning_is_known() {
    let workspace = workspace();
    let result =
        backtest(telemetry(), &[as_written(&workspace)], at("10m"), at("40m"), |_| {}).await.unwrap();
    let episode = &result[0].episodes[0];
    assert!(episode.fired_at < at("10m") && episode.ended_at > Some(at("10m")), "{episode:?}");
    assert_eq!(pages_a_week(&result[0].episodes, at("10m"), at("40m")), 0.0, "told before the range");
    assert!(result[0].transitions.iter().all(|tr| tr.at >= at("10m")));
}

#[tokio::test]
async fn variants_stand_beside_the_rule_as_written() {
    let workspace = workspace();
    let written = as_written(&workspace);
    let variants = [
        written.clone(),
        variant(&written.rules, "for=10m").unwrap(),
        variant(&written.rules, "fire=0.8,keep_firing_for=1m").unwrap(),
    ];
    let results = backtest(telemetry(), &variants, at("0s"), at("40m"), |_| {}).await.unwrap();
    let fired: Vec<usize> = results.iter().map(|result| result.episodes.len()).collect();
    assert_eq!(fired, [1, 0, 1], "0.95 is above 0.9 for 7 minutes only");
    let firing = |at_place: usize| time_firing(&results[at_place].episodes, at("0s"), at("40m"));
    assert!(firing(2) < firing(0), "it lets go four minutes earlier");
}

#[tokio::test]
async fn incidents_that_really_were_are_found_or_missed() {
    let workspace = workspace();
    let mut result = backtest(telemetry(), &[as_written(&workspace)], at("0s"), at("40m"), |_| {})
        .await
        .unwrap()
        .remove(0);
    let incident = |id: &str, service: &str, began: &str, detected: &str| KnownIncident {
        id: id.to_owned(),
        title: String::new(),
        services: vec![service.to_owned()],
        began_at: at(began),
        detected_at: Some(at(detected)),
        ended_at: Some(at("39m")),
    };
    let fired_at = result.episodes[0].fired_at;
    let verdict = against(
        &result,
        &[incident("INC-1", "checkout", "2m", "15m"), incident("INC-2", "search", "2m", "3m")],
    );
    assert_eq!(
        (verdict.precision, verdict.recall),
        (Some(1.0), Some(1.0)),
        "INC-2 is not this rule's matter"
    );
    let found = &verdict.detections[0];
    assert_eq!(found.fired_at, Some(fired_at));
    assert_eq!(found.earlier_seconds, Some(at("15m").duration_since(fired_at).as_secs_f64()));

    let verdict = against(&result, &[incident("INC-3", "checkout", "38m", "38m")]);
    assert_eq!(
        (verdict.precision, verdict.recall),
        (Some(0.0), Some(0.0)),
        "an hour too early is another matter"
    );
    result.episodes.clear();
    assert_eq!(against(&result, &[]).precision, None);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let rules = as_written(&workspace()).rules;
    for (settings, words) in [
        ("for", "sets nothing"),
        ("for=5", "is not a duration"),
        ("fore=5m", "`fore` cannot be set"),
        ("fire=hot", "not a number"),
        ("fire=0.7", "recover at 0.75 while it still fires at 0.7"),
        ("on_no_data=explode", "none of keep"),
    ] {
        let error = variant(&rules, settings).unwrap_err().to_string();
        assert!(error.contains(words), "{settings}: {error}");
    }
}
