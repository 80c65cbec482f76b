use hindsight_model::TimelineKind;

use crate::testing::{MINUTES, ONSET, World, always, deploy_world, during, incident, minute};
use crate::{Analysis, Indicator, Telemetry, analyse};

fn analysed(telemetry: &Telemetry, service: &str) -> Analysis {
    let (incident, transitions) = incident(service);
    analyse(&incident, &transitions, telemetry, minute(MINUTES))
}

fn names(analysis: &Analysis) -> Vec<&str> {
    analysis.suspects.iter().map(|s| s.service.as_str()).collect()
}

#[test]
fn a_deployment_that_saturates_its_database_is_the_first_suspect() {
    for seed in 0..20 {
        let world = deploy_world(seed);
        let analysis = analysed(&world.telemetry, "checkout");
        let first = &analysis.suspects[0];
        assert_eq!(first.service, "checkout", "seed {seed}: {:#?}", analysis.suspects);
        assert_eq!(first.change.as_deref(), Some("service.version 4.1.9 → 4.2.0"));
        assert_eq!(first.changed_at, Some(minute(ONSET - 6)));
        assert!(
            first.reasons.iter().any(|r| r.text.contains("10 calls per request, 1 before")),
            "{:?}",
            first.reasons
        );
        let onset = analysis.onset.unwrap();
        assert_eq!((onset.service.as_str(), onset.indicator), ("checkout", Indicator::ErrorShare));
        assert!(onset.at.duration_since(minute(ONSET)).as_mins().abs() <= 1, "seed {seed}: {}", onset.at);
        assert_eq!(analysis.times.trigger, Some(minute(ONSET - 6)));
        assert_eq!(analysis.times.mitigated, Some(minute(105)));
    }
}

#[test]
fn seen_from_the_gateway_the_deployment_is_still_first() {
    let analysis = analysed(&deploy_world(3).telemetry, "gateway");
    assert_eq!(names(&analysis)[0], "checkout", "{:#?}", analysis.suspects);
}

#[test]
fn impact_counts_the_requests_of_the_bad_minutes() {
    let world = deploy_world(1);
    let impact = analysed(&world.telemetry, "checkout").impact;
    let service = &world.telemetry.services["checkout"];
    let sum = |series: &[Option<f64>]| series[ONSET..105].iter().flatten().sum::<f64>().round() as u64;
    assert_eq!((impact.failed_requests, impact.total_requests), (sum(&service.errors), sum(&service.calls)));
    assert_eq!((impact.duration.as_secs(), impact.ongoing), (25 * 60, false));
    assert!(impact.error_share_peak > 0.14 && impact.error_share_before < 0.01);
    assert_eq!(impact.services[0], "checkout");
    assert!(
        impact.services.contains(&"gateway".to_owned()) && !impact.services.contains(&"catalog".to_owned())
    );
}

#[test]
fn a_noisy_service_with_constant_errors_is_no_suspect() {
    for seed in 0..20 {
        let analysis = analysed(&deploy_world(seed).telemetry, "checkout");
        assert!(!names(&analysis).contains(&"catalog"), "seed {seed}: {:#?}", analysis.suspects);
    }
}

/// `front` calls `middle` calls `back`; `back` becomes slow and fails, the others follow.
fn chain(seed: u64) -> World {
    let mut world = World::new(seed);
    world
        .service("front", always(200.0), during(MINUTES, 0.0, 0.2), during(MINUTES, 90.0, 1_100.0))
        .service("middle", always(200.0), during(MINUTES, 0.0, 0.2), during(MINUTES, 60.0, 1_060.0))
        .service("back", always(200.0), during(MINUTES, 0.0, 0.2), during(MINUTES, 20.0, 1_000.0))
        .edge("front", "middle", true, always(1.0))
        .edge("middle", "back", true, always(1.0));
    world
}

#[test]
fn without_a_change_the_deepest_anomalous_service_comes_first() {
    for seed in 0..20 {
        let analysis = analysed(&chain(seed).telemetry, "front");
        assert_eq!(names(&analysis)[0], "back", "seed {seed}: {:#?}", analysis.suspects);
        assert!(analysis.impact.ongoing && analysis.trigger.is_none());
    }
}

#[test]
fn an_unresolved_peer_is_never_a_suspect() {
    let mut world = chain(1);
    world.edge("back", "storage.example", false, always(2.0));
    let analysis = analysed(&world.telemetry, "front");
    assert!(!names(&analysis).contains(&"storage.example"));
}

#[test]
fn a_cycle_in_the_graph_changes_nothing() {
    let mut world = chain(2);
    world.edge("back", "front", true, always(0.1));
    let analysis = analysed(&world.telemetry, "front");
    assert_eq!(analysis.suspects.len(), 3, "{:#?}", analysis.suspects);
}

#[test]
fn a_single_service_without_a_graph_is_its_own_suspect() {
    let mut world = World::new(4);
    world.service("solo", always(100.0), during(MINUTES, 0.01, 0.5), always(40.0));
    let analysis = analysed(&world.telemetry, "solo");
    assert_eq!(names(&analysis), ["solo"]);
    assert_eq!(analysis.onset.unwrap().at, minute(ONSET));
}

#[test]
fn gauges_alone_name_the_service_that_saturates() {
    let mut world = World::new(5);
    world
        .gauge("calm", "cpu.usage", always(0.4))
        .gauge("hot", "cpu.usage", during(MINUTES, 0.3, 0.98))
        .gauge("warm", "memory.usage", always(0.7));
    let analysis = analysed(&world.telemetry, "entry");
    assert_eq!(names(&analysis), ["hot"]);
    assert!(analysis.onset.is_none(), "no indicator of requests was seen");
    assert_eq!(analysis.times.impact_start, Some(minute(ONSET + 1)), "the alert's breach began then");
}

#[test]
fn no_telemetry_at_all_still_gives_the_alerts() {
    let analysis = analysed(&Telemetry::empty(minute(0), minute(0)), "checkout");
    assert!(analysis.suspects.is_empty());
    assert_eq!(analysis.timeline.len(), 1);
    assert_eq!(analysis.timeline[0].kind, TimelineKind::Alert);
}

#[test]
fn a_late_or_old_change_does_not_set_it_off() {
    for (arrival, is_trigger) in [(ONSET - 70, false), (ONSET + 3, false), (ONSET - 20, true)] {
        let mut world = chain(6);
        world.version("back", "1.0", 0..arrival).version("back", "1.1", arrival..MINUTES);
        let analysis = analysed(&world.telemetry, "front");
        assert_eq!(analysis.trigger.is_some(), is_trigger, "arrival at minute {arrival}");
        assert_eq!(names(&analysis)[0], "back");
    }
}

#[test]
fn a_change_on_a_quiet_service_does_not_outrank_the_broken_one() {
    let mut world = chain(7);
    world
        .service("bystander", always(200.0), always(0.0), always(15.0))
        .edge("front", "bystander", true, always(1.0))
        .version("bystander", "7", 0..ONSET - 1)
        .version("bystander", "8", ONSET - 1..MINUTES);
    let analysis = analysed(&world.telemetry, "front");
    assert_eq!(names(&analysis)[0], "back", "{:#?}", analysis.suspects);
    assert!(analysis.trigger.is_none());
}

#[test]
fn an_alert_that_warned_before_customers_were_hurt_still_finds_the_onset() {
    let (mut incident, transitions) = incident("checkout");
    incident.times.detected = Some(minute(ONSET - 12));
    let analysis = analyse(&incident, &transitions, &deploy_world(2).telemetry, minute(MINUTES));
    assert_eq!(analysis.onset.unwrap().at, minute(ONSET));
}
