//! Builders of transitions and telemetry for the tests: a small seeded world, minute by minute.

use std::collections::BTreeMap;
use std::time::Duration;

use hindsight_model::{
    AlertState, Incident, IncidentId, IncidentResponse, IncidentSeverity, IncidentSpec, IncidentStatus,
    IncidentTimes, Labels, Tenant, Transition,
};
use jiff::Timestamp;

use crate::change_point::tests::Noise;
use crate::series::plus_minutes;
use crate::{Edge, GaugeSeries, Life, ServiceGraph, ServiceSeries, Telemetry, VersionSeries, apply};

/// Minutes of every test world.
pub(crate) const MINUTES: usize = 120;
/// The minute in which customers begin to be hurt.
pub(crate) const ONSET: usize = 80;

pub(crate) fn start() -> Timestamp {
    "2026-05-04T13:00:00Z".parse().unwrap()
}

pub(crate) fn minute(index: usize) -> Timestamp {
    plus_minutes(start(), i64::try_from(index).unwrap())
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An alert of one service that may open incidents keyed by `service_name`.
pub(crate) fn transition(at: usize, service: &str, episode: &str, to: AlertState) -> Transition {
    Transition {
        at: minute(at),
        tenant: Tenant::default(),
        rule: format!("shop/{service}Errors"),
        alert: format!("{service}Errors"),
        labels: labels(&[("service_name", service)]),
        annotations: labels(&[("summary", &format!("{service} fails"))]),
        from: if to == AlertState::Inactive { AlertState::Firing } else { AlertState::Pending },
        to,
        reason: if to == AlertState::Inactive { "recovered" } else { "breach" }.to_owned(),
        value: Some(0.14),
        active_at: Some(minute(at.saturating_sub(2))),
        episode: episode.to_owned(),
        incident: Some(IncidentSpec {
            severity: IncidentSeverity::Sev2,
            key: vec!["service_name".to_owned()],
            reopen_within: Duration::from_secs(1_800),
        }),
    }
}

/// The incident that an alert on `service` opens three minutes after the onset.
pub(crate) fn incident(service: &str) -> (Incident, Vec<Transition>) {
    let transitions = vec![transition(ONSET + 3, service, "e1", AlertState::Firing)];
    let graph = ServiceGraph::default();
    let opened = apply(Life { incidents: &[], graph: &graph, next_id: 1 }, &transitions, minute(ONSET + 4));
    (opened.into_iter().next().unwrap(), transitions)
}

/// An incident of that number that nothing is known of.
pub(crate) fn bare(id: u64) -> Incident {
    Incident {
        id: IncidentId(id),
        tenant: Tenant::default(),
        title: "checkout fails".to_owned(),
        severity: IncidentSeverity::Sev2,
        status: IncidentStatus::Open,
        key: BTreeMap::new(),
        reopen_within_s: 0,
        services: vec!["checkout".to_owned()],
        alerts: BTreeMap::new(),
        firing: Vec::new(),
        opened_at: minute(20),
        times: IncidentTimes::default(),
        suspects: Vec::new(),
        response: IncidentResponse::default(),
    }
}

/// Telemetry that tests write levels into.
pub(crate) struct World {
    pub(crate) telemetry: Telemetry,
    noise: Noise,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self { telemetry: Telemetry::empty(start(), minute(MINUTES)), noise: Noise::new(seed) }
    }

    fn series(&mut self, scatter: f64, level: impl Fn(usize) -> f64) -> Vec<Option<f64>> {
        (0..MINUTES).map(|i| Some((level(i) * (1.0 + scatter * self.noise.normal())).max(0.0))).collect()
    }

    /// A service with `calls` a minute, an error share and a p95 in milliseconds by minute.
    pub(crate) fn service(
        &mut self,
        name: &str,
        calls: impl Fn(usize) -> f64,
        share: impl Fn(usize) -> f64,
        p95_ms: impl Fn(usize) -> f64,
    ) -> &mut Self {
        let calls = self.series(0.03, calls);
        let shares = self.series(0.15, share);
        let errors =
            calls.iter().zip(&shares).map(|(c, s)| Some((c.unwrap() * s.unwrap()).round())).collect();
        let p95_ms = self.series(0.05, p95_ms);
        let p50_ms = p95_ms.iter().map(|p| p.map(|p| p / 3.0)).collect();
        let log_errors = vec![None; MINUTES];
        self.telemetry
            .services
            .insert(name.to_owned(), ServiceSeries { calls, errors, p50_ms, p95_ms, log_errors });
        self
    }

    /// `per_request` calls from one service to another for each request of the caller.
    pub(crate) fn edge(
        &mut self,
        caller: &str,
        callee: &str,
        resolved: bool,
        per_request: impl Fn(usize) -> f64,
    ) -> &mut Self {
        let requests = self.telemetry.services[caller].calls.clone();
        let calls =
            requests.iter().enumerate().map(|(i, c)| c.map(|c| (c * per_request(i)).round())).collect();
        self.telemetry.edges.push(Edge {
            caller: caller.to_owned(),
            callee: callee.to_owned(),
            resolved,
            calls,
            errors: vec![Some(0.0); MINUTES],
            p95_ms: vec![None; MINUTES],
        });
        self
    }

    /// A version that runs in some of the minutes, with the errors that the service has in them.
    pub(crate) fn version(
        &mut self,
        service: &str,
        version: &str,
        during: std::ops::Range<usize>,
    ) -> &mut Self {
        let whole = &self.telemetry.services[service];
        let part = |series: &[Option<f64>]| -> Vec<Option<f64>> {
            series.iter().enumerate().map(|(i, v)| v.filter(|_| during.contains(&i))).collect()
        };
        let (calls, errors) = (part(&whole.calls), part(&whole.errors));
        self.telemetry.versions.push(VersionSeries {
            service: service.to_owned(),
            version: version.to_owned(),
            spans: calls.clone(),
            calls,
            errors,
        });
        self
    }

    pub(crate) fn gauge(&mut self, service: &str, metric: &str, level: impl Fn(usize) -> f64) -> &mut Self {
        let values = self.series(0.03, level);
        self.telemetry.gauges.push(GaugeSeries {
            service: service.to_owned(),
            metric: metric.to_owned(),
            attributes: "{}".to_owned(),
            unit: "1".to_owned(),
            values,
        });
        self
    }
}

/// `after` from the onset until `end`, `before` otherwise.
pub(crate) fn during(end: usize, before: f64, after: f64) -> impl Fn(usize) -> f64 {
    move |i| if (ONSET..end).contains(&i) { after } else { before }
}

pub(crate) fn always(level: f64) -> impl Fn(usize) -> f64 {
    move |_| level
}

/// A shop in which a new version of `checkout` sends its database ten times the queries from six minutes before the
/// onset; the database saturates, checkout fails, and the rollback ends it at minute 105.
pub(crate) fn deploy_world(seed: u64) -> World {
    let mut world = World::new(seed);
    let bad = 105;
    world
        .service("gateway", always(600.0), during(bad, 0.002, 0.07), during(bad, 120.0, 900.0))
        .service("checkout", always(300.0), during(bad, 0.002, 0.14), during(bad, 80.0, 850.0))
        .service("catalog", always(800.0), always(0.03), always(20.0))
        .service(
            "orders",
            move |i| if (ONSET - 6..bad).contains(&i) { 3_000.0 } else { 300.0 },
            during(bad, 0.0, 0.02),
            during(bad, 10.0, 700.0),
        )
        .edge("gateway", "checkout", true, always(0.5))
        .edge("gateway", "catalog", true, always(1.3))
        .edge("checkout", "orders", true, move |i| if (ONSET - 6..bad).contains(&i) { 10.0 } else { 1.0 })
        .edge("orders", "orders-db", false, always(1.0))
        .version("checkout", "4.1.9", 0..ONSET - 6)
        .version("checkout", "4.2.0", ONSET - 6..bad)
        .version("checkout", "4.1.9", bad..MINUTES)
        .gauge("orders", "db.client.connection.usage", during(bad, 0.3, 1.0));
    // The two stretches of 4.1.9 are one series, as SQL returns them.
    let later = world.telemetry.versions.remove(2);
    let first = &mut world.telemetry.versions[0];
    for (slot, value) in
        first.spans.iter_mut().zip(&later.spans).chain(first.calls.iter_mut().zip(&later.calls))
    {
        *slot = slot.or(*value);
    }
    for (slot, value) in first.errors.iter_mut().zip(&later.errors) {
        *slot = slot.or(*value);
    }
    world
}
