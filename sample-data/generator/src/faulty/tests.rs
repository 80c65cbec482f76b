use super::*;

#[test]
fn a_seed_tells_the_same_case_again_and_another_seed_another_one() {
    let case = FaultCase { kind: FaultKind::Error, seed: 5 };
    let told = case.generate().unwrap();
    assert_eq!(told, case.generate().unwrap());
    assert_ne!(told, FaultCase { seed: 6, ..case }.generate().unwrap());
}

#[test]
fn every_kind_has_a_culprit_among_eight_to_forty_services_and_some_telemetry() {
    for case in FaultCase::all(100, 24) {
        let told = case.generate().unwrap();
        assert!((8..=40).contains(&told.candidates.len()), "{}", case.name());
        assert!(told.candidates.contains(&told.service), "{}", case.name());
        assert!(told.traces.len() + told.logs.len() + told.metrics.len() > 60, "{}", case.name());
        assert!(told.injected_at < told.ends_at);
    }
}
