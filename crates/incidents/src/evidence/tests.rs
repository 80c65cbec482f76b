use jiff::Timestamp;

use super::*;
use crate::change_point::tests::Noise;

/// A gateway that calls `left` and `right`, `left` calls `deep`: one request in two seconds from −600 to 300 s.
struct World {
    seen: Observations,
    noise: Noise,
}

/// What one request does, by service: extra milliseconds of its own and on the way to it, whether it fails or is gone.
#[derive(Clone, Copy, Default)]
struct Trouble {
    own_ms: f64,
    way_ms: f64,
    fails: bool,
    is_gone: bool,
}

impl World {
    fn new(trouble: impl Fn(&str, f64) -> Trouble) -> Self {
        let mut world = Self { seen: Observations::empty(Timestamp::UNIX_EPOCH), noise: Noise::new(3) };
        world.seen.until_s = 300.0;
        for second in 0..450 {
            let at = -600.0 + 2.0 * f64::from(second);
            world.request(at, &|name| trouble(name, at));
        }
        world
    }

    fn request(&mut self, at: f64, trouble: &impl Fn(&str) -> Trouble) {
        let root = self.span("gateway", "GET /", at, None, false);
        let (left_ms, left_failed) = self.call("gateway", "left", root, at, trouble, |world, id| {
            world.call("left", "deep", id, at, trouble, |_, _| (0.0, false))
        });
        let (right_ms, right_failed) = self.call("gateway", "right", root, at, trouble, |_, _| (0.0, false));
        let own = 5.0 * (1.0 + 0.1 * self.noise.normal()) + trouble("gateway").own_ms;
        let failed = left_failed || right_failed || trouble("gateway").fails;
        self.end(root, own + left_ms + right_ms, failed);
    }

    fn call(
        &mut self,
        caller: &str,
        callee: &str,
        parent: usize,
        at: f64,
        trouble: &impl Fn(&str) -> Trouble,
        below: impl FnOnce(&mut Self, usize) -> (f64, bool),
    ) -> (f64, bool) {
        let client = self.span(caller, &format!("call {callee}"), at, Some(parent), true);
        let hit = trouble(callee);
        if hit.is_gone {
            self.end(client, 1_000.0, true);
            return (1_000.0, true);
        }
        let server = self.span(callee, "serve", at, Some(client), false);
        let (below_ms, below_failed) = below(self, server);
        let own = 8.0 * (1.0 + 0.1 * self.noise.normal()).max(0.1) + hit.own_ms;
        let failed = hit.fails || below_failed;
        self.end(server, own + below_ms, failed);
        let all = own + below_ms + 1.0 + 0.1 * self.noise.normal().abs() + hit.way_ms;
        self.end(client, all, failed);
        (all, failed)
    }

    fn span(&mut self, service: &str, name: &str, at_s: f64, parent: Option<usize>, is_call: bool) -> usize {
        let service = self.seen.names.id(service);
        let name = self.seen.names.id(name);
        let has_parent = parent.is_some();
        self.seen.spans.push(ObservedSpan {
            service,
            name,
            at_s,
            ms: 0.0,
            parent,
            has_parent,
            is_call,
            failed: false,
        });
        self.seen.spans.len() - 1
    }

    fn end(&mut self, span: usize, ms: f64, failed: bool) {
        self.seen.spans[span].ms = ms.max(0.01);
        self.seen.spans[span].failed = failed;
    }

    fn metric(&mut self, service: &str, metric: &str, level: impl Fn(f64) -> f64) {
        let points = (-30..5).map(|minute| {
            let at = f64::from(minute) * 60.0;
            (at, level(at) * (1.0 + 0.05 * self.noise.normal()))
        });
        let points = points.collect();
        let (service, metric) = (service.to_owned(), metric.to_owned());
        self.seen.metrics.push(MetricPoints {
            service,
            metric,
            attributes: "{}".to_owned(),
            unit: String::new(),
            points,
            source: None,
        });
    }

    /// The services in order of blame, with their scores.
    fn ranked(&self) -> Vec<(String, f64)> {
        let mut all: Vec<(String, f64)> =
            blame(&self.seen).into_iter().map(|(name, b)| (name, b.score)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all
    }
}

/// Trouble of one service from `since` on.
fn of(service: &'static str, since: f64, trouble: Trouble) -> impl Fn(&str, f64) -> Trouble {
    move |name, at| if name == service && at >= since { trouble } else { Trouble::default() }
}

fn first(world: &World) -> String {
    world.ranked()[0].0.clone()
}

#[test]
fn nobody_is_blamed_on_a_calm_day() {
    let world = World::new(|_, _| Trouble::default());
    let worst = world.ranked()[0].clone();
    assert!(worst.1 < 0.1, "{worst:?}");
}

#[test]
fn slowness_is_blamed_on_the_service_whose_own_time_grew_not_on_its_callers() {
    let slow = Trouble { own_ms: 60.0, ..Trouble::default() };
    let world = World::new(of("deep", 0.0, slow));
    assert_eq!(first(&world), "deep");
    let blamed = &blame(&world.seen)["deep"];
    assert!(blamed.reasons[0].text.starts_with("deep serve takes "), "{:?}", blamed.reasons);
}

#[test]
fn time_lost_on_the_way_is_blamed_on_the_end_whose_links_are_all_slow() {
    let way = Trouble { way_ms: 80.0, ..Trouble::default() };
    assert_eq!(first(&World::new(of("right", 0.0, way))), "right");
}

#[test]
fn a_service_that_is_gone_is_blamed_for_the_calls_it_leaves_unanswered() {
    let gone = Trouble { is_gone: true, ..Trouble::default() };
    assert_eq!(first(&World::new(of("deep", 0.0, gone))), "deep");
}

#[test]
fn failures_are_blamed_on_the_deepest_service_that_fails() {
    let fails = |name: &str, at: f64| Trouble {
        // Every third request, and in the gateway one of fifty all the time.
        fails: (name == "deep" && at >= 0.0 && (at / 2.0) as i64 % 3 == 0)
            || (name == "gateway" && (at / 2.0) as i64 % 50 == 0),
        ..Trouble::default()
    };
    assert_eq!(first(&World::new(fails)), "deep");
}

#[test]
fn a_time_that_is_two_minutes_late_or_early_by_one_finds_the_same_service() {
    for since in [-120.0, -60.0, 0.0, 60.0] {
        let slow = Trouble { own_ms: 60.0, ..Trouble::default() };
        assert_eq!(first(&World::new(of("left", since, slow))), "left", "since {since}");
    }
}

#[test]
fn a_metric_counts_by_what_it_does_elsewhere() {
    let mut world = World::new(|_, _| Trouble::default());
    for service in ["gateway", "left", "right", "deep", "fifth", "sixth"] {
        // Everybody's level rises; one service's rises far more.
        let up = if service == "right" { 9.0 } else { 1.5 };
        world.metric(service, "level", move |at| if at >= 0.0 { 10.0 * up } else { 10.0 });
    }
    let ranked = world.ranked();
    assert_eq!(ranked[0].0, "right");
    assert!(ranked[1].1 < 0.3 * ranked[0].1, "{ranked:?}");
}

#[test]
fn success_that_falls_counts_and_success_that_rises_does_not() {
    let mut world = World::new(|_, _| Trouble::default());
    world.metric("left", "success.ratio", |at| if at >= 0.0 { 99.0 } else { 60.0 });
    world.metric("right", "success.ratio", |at| if at >= 0.0 { 60.0 } else { 99.0 });
    assert_eq!(first(&world), "right");
}

#[test]
fn a_new_complaint_in_the_logs_is_evidence_and_one_that_was_always_there_is_not() {
    let mut world = World::new(|_, _| Trouble::default());
    world.seen.templates = vec!["no snapshot".to_owned(), "slow client".to_owned()];
    let (left, right) = (world.seen.names.id("left"), world.seen.names.id("right"));
    for second in 0..450 {
        let at_s = -600.0 + 2.0 * f64::from(second);
        world.seen.logs.push(LogEvent { service: left, template: 1, at_s, severity: 13 });
        if at_s >= 0.0 {
            world.seen.logs.push(LogEvent { service: right, template: 0, at_s, severity: 13 });
        }
    }
    assert_eq!(first(&world), "right");
    assert!(blame(&world.seen)["right"].reasons[0].text.contains("no snapshot"));
    assert!(blame(&world.seen)["left"].score < 0.1);
}

#[test]
fn the_same_observations_give_the_same_answer() {
    let slow = Trouble { own_ms: 60.0, ..Trouble::default() };
    let world = World::new(of("deep", 0.0, slow));
    assert_eq!(blame(&world.seen), blame(&world.seen));
    assert!(blame(&Observations::empty(Timestamp::UNIX_EPOCH)).is_empty());
}
