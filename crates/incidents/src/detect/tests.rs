use super::*;
use crate::change_point::tests::Noise;
use crate::testing::minute;

/// Minutes of one service with requests; `None` where nothing was recorded.
fn watched(minutes: usize, mut seen: impl FnMut(usize) -> Option<(f64, f64, f64)>) -> Vec<Detected> {
    let mut noise = Noise::new(11);
    let mut detector = Detector::new();
    for index in 0..minutes {
        let Some((all, share, p50_ms)) = seen(index) else { continue };
        let all = (all * (1.0 + 0.1 * noise.normal())).round();
        let ms = p50_ms * (1.0 + 0.08 * noise.normal());
        let failed = (all * share * (1.0 + 0.4 * noise.normal())).round().clamp(0.0, all);
        let measure =
            Measure::Requests { all, failed, usual_ms: ms, p95_ms: 3.0 * ms * (1.0 + 0.1 * noise.normal()) };
        detector
            .minute(&Minute { at: minute(index), facts: vec![Fact { service: "web".to_owned(), measure }] });
    }
    detector.found().to_vec()
}

#[test]
fn a_step_of_errors_is_opened_soon_and_closed_after_it() {
    let found = watched(240, |i| Some((120.0, if (100..125).contains(&i) { 0.2 } else { 0.01 }, 40.0)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].opened_at > minute(100) && found[0].opened_at <= minute(104), "{found:?}");
    assert_eq!(found[0].began_at, minute(100));
    let closed = found[0].closed_at.unwrap();
    assert!(closed >= minute(125) && closed <= minute(136), "{found:?}");
    assert_eq!(found[0].services, ["web"]);
}

#[test]
fn a_step_of_latency_opens_and_two_far_apart_are_two() {
    let is_slow = |i: usize| (100..120).contains(&i) || (200..220).contains(&i);
    let found = watched(300, |i| Some((120.0, 0.0, if is_slow(i) { 120.0 } else { 40.0 })));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|found| found.closed_at.is_some()));
}

#[test]
fn a_slow_leak_is_found_before_it_is_ten_times_as_slow() {
    let found = watched(900, |i| {
        let grown = if i < 500 { 1.0 } else { 1.01_f64.powf(crate::statistics::count(i - 500)) };
        Some((120.0, 0.0, 40.0 * grown))
    });
    let first = found.first().expect("nothing was found");
    assert!(first.opened_at > minute(500) && first.opened_at < minute(735), "{found:?}");
}

#[test]
fn a_quiet_day_of_noise_and_of_waves_opens_nothing() {
    assert_eq!(watched(1_440, |_| Some((60.0, 0.02, 40.0))), []);
    let day = |i: usize| (crate::statistics::count(i) / 1_440.0 * std::f64::consts::TAU).sin();
    let waves = watched(2_880, |i| Some((200.0 * (1.0 + 0.8 * day(i)), 0.01, 40.0 * (1.0 + 0.3 * day(i)))));
    assert_eq!(waves, []);
}

#[test]
fn a_gap_is_no_silence_and_a_lone_spike_is_no_incident() {
    assert_eq!(watched(400, |i| (!(150..180).contains(&i)).then_some((120.0, 0.01, 40.0))), []);
    assert_eq!(watched(400, |i| Some((120.0, if i % 90 == 80 { 0.9 } else { 0.0 }, 40.0))), []);
    assert_eq!(watched(400, |i| Some((120.0, 0.0, if i % 97 == 80 { 900.0 } else { 40.0 }))), []);
}

#[test]
fn a_service_that_goes_silent_while_others_go_on_is_an_incident() {
    let mut detector = Detector::new();
    let measure = |all: f64| Measure::Requests { all, failed: 0.0, usual_ms: 5.0, p95_ms: 9.0 };
    let fact = |service: &str, all: f64| Fact { service: service.to_owned(), measure: measure(all) };
    for index in 0..200 {
        let mut facts = vec![fact("web", 100.0)];
        if !(100..120).contains(&index) {
            facts.push(fact("cart", 60.0));
        }
        detector.minute(&Minute { at: minute(index), facts });
    }
    let found = detector.found();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].services, ["cart"]);
    assert!(found[0].opened_at <= minute(106), "{found:?}");
    assert!(found[0].closed_at.is_some());
}

#[test]
fn metrics_alone_open_by_their_meaning_also_when_they_come_every_five_minutes() {
    let mut detector = Detector::new();
    let mut noise = Noise::new(3);
    let level = |metric: &str, meaning: Meaning, value: f64| Fact {
        service: "pay".to_owned(),
        measure: Measure::Level { metric: metric.to_owned(), meaning, value },
    };
    for point in 0..150 {
        let is_bad = (100..105).contains(&point);
        let facts = vec![
            level("availability", Meaning::Success, if is_bad { 60.0 } else { 99.5 + 0.2 * noise.normal() }),
            level("cpu", Meaning::Level, 30.0 + 3.0 * noise.normal()),
        ];
        detector.minute(&Minute { at: minute(point * 5), facts });
    }
    let found = detector.found();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].opened_at > minute(500) && found[0].opened_at <= minute(516), "{found:?}");
    assert_eq!(found[0].began_at, minute(500));
}

#[test]
fn a_level_alone_harms_nobody() {
    let mut detector = Detector::new();
    for index in 0..200 {
        let measure = Measure::Level {
            metric: "cpu".to_owned(),
            meaning: Meaning::Level,
            value: if index > 150 { 90.0 } else { 20.0 + f64::from(index % 3) },
        };
        let at = minute(usize::try_from(index).unwrap());
        detector.minute(&Minute { at, facts: vec![Fact { service: "db".to_owned(), measure }] });
    }
    assert_eq!(detector.found(), []);
}
