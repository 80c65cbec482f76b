//! Spans: whole traces of ten, spread over four processes, some of them failed.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use super::load::{Plan, Random, resource, scope, text, whole};
use super::words::{AGENTS, DATA_TABLES, ERRORS, METHODS, ROUTES, SERVICES};

const SPANS_A_TRACE: u64 = 10;
/// Which of the request's four processes runs each span of a trace.
const PROCESS_OF: [usize; 10] = [0, 0, 1, 1, 1, 2, 2, 3, 3, 3];
/// Which earlier span of the trace is its parent.
const PARENT_OF: [usize; 10] = [0, 0, 1, 2, 2, 2, 5, 5, 7, 7];
/// `server`, `client`, or a query of a database.
const KINDS: [Kind; 10] = [
    Kind::Server,
    Kind::Client,
    Kind::Server,
    Kind::Query,
    Kind::Client,
    Kind::Server,
    Kind::Query,
    Kind::Server,
    Kind::Query,
    Kind::Inside,
];
const FAILS_ONE_IN: u64 = 50;

#[derive(Clone, Copy)]
enum Kind {
    Server,
    Client,
    Query,
    Inside,
}

/// Spans `first` to `first + items`.
pub(super) fn request(plan: &Plan, first: u64, items: u64, random: &mut Random) -> Vec<u8> {
    let processes: Vec<(usize, u64)> = (0..4).map(|_| random.process()).collect();
    let mut spans: Vec<Vec<Span>> = vec![Vec::new(); processes.len()];
    let mut trace = Trace::begin(plan.at(first), random);
    for number in first..first + items {
        if trace.spans.len() as u64 == SPANS_A_TRACE {
            trace = Trace::begin(plan.at(number), random);
        }
        let place = trace.spans.len();
        let process = PROCESS_OF[place];
        spans[process].push(trace.next(place, processes[process].0, random));
    }
    let groups = processes.into_iter().zip(spans).filter(|(_, spans)| !spans.is_empty());
    let resource_spans = groups.map(|((service, instance), spans)| ResourceSpans {
        resource: resource(service, instance),
        scope_spans: vec![ScopeSpans { scope: scope("shop.http"), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec()
}

struct Trace {
    id: Vec<u8>,
    start: u64,
    duration: f64,
    /// Ids so far.
    spans: Vec<Vec<u8>>,
}

impl Trace {
    fn begin(at: u64, random: &mut Random) -> Self {
        let start = at + random.below(1_000_000);
        Self { id: random.bytes(16), start, duration: random.skewed(60e6), spans: Vec::new() }
    }

    fn next(&mut self, place: usize, service: usize, random: &mut Random) -> Span {
        let span_id = random.bytes(8);
        let parent_span_id = if place == 0 { Vec::new() } else { self.spans[PARENT_OF[place]].clone() };
        self.spans.push(span_id.clone());
        let start = self.start + (self.duration * 0.08 * place as f64) as u64;
        let duration = if place == 0 { self.duration } else { random.skewed(self.duration * 0.1) };
        let end = start + duration as u64;
        let failed = random.one_in(FAILS_ONE_IN);
        let (kind, name, attributes) = describe(KINDS[place], service, failed, random);
        let error = ERRORS[place % ERRORS.len()];
        Span {
            trace_id: self.id.clone(),
            span_id,
            parent_span_id,
            flags: 0x101,
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes,
            events: if failed { vec![exception(end, error)] } else { Vec::new() },
            status: failed.then(|| Status { message: error.to_owned(), code: 2 }),
            ..Span::default()
        }
    }
}

fn exception(at: u64, error: &str) -> Event {
    let (kind, message) = error.split_once(": ").unwrap_or((error, ""));
    let attributes = vec![text("exception.type", kind), text("exception.message", message)];
    Event { time_unix_nano: at, name: "exception".to_owned(), attributes, ..Event::default() }
}

fn describe(kind: Kind, service: usize, failed: bool, random: &mut Random) -> (i32, String, Vec<KeyValue>) {
    let (method, route) = (random.pick(&METHODS), random.pick(&ROUTES));
    let path = route.replace("{id}", &random.below(100_000).to_string());
    let peer = random.pick(&SERVICES);
    match kind {
        Kind::Server => (
            2,
            format!("{method} {route}"),
            vec![
                text("http.request.method", method),
                text("http.route", route),
                text("url.path", path),
                text("url.scheme", "https"),
                whole("http.response.status_code", if failed { 500 } else { 200 }),
                text("server.address", format!("{}.shop.internal", SERVICES[service])),
                whole("server.port", 8443),
                text("client.address", random.address()),
                text("user_agent.original", random.pick(&AGENTS)),
                text("network.protocol.version", "2"),
                text("enduser.id", format!("customer-{:05}", random.below(50_000))),
                text("shop.tier", "web"),
            ],
        ),
        Kind::Client => (
            3,
            method.to_owned(),
            vec![
                text("http.request.method", method),
                text("url.full", format!("https://{peer}.shop.internal{path}")),
                whole("http.response.status_code", if failed { 503 } else { 200 }),
                text("server.address", format!("{peer}.shop.internal")),
                whole("server.port", 8443),
                text("network.protocol.version", "2"),
                text("network.peer.address", random.address()),
                whole("http.request.resend_count", random.below(2)),
                whole("http.request.body.size", random.below(4_000)),
                whole("http.response.body.size", random.below(60_000)),
                text("peer.service", peer),
                text("shop.tier", "web"),
            ],
        ),
        Kind::Query => {
            let table = random.pick(&DATA_TABLES);
            let attributes = vec![
                text("db.system.name", "postgresql"),
                text("db.namespace", "shop"),
                text("db.operation.name", "SELECT"),
                text("db.collection.name", table),
                text("db.query.text", format!("SELECT * FROM {table} WHERE id = $1 AND shop = $2")),
                whole("db.response.returned_rows", random.below(50)),
                text("server.address", "pg-main.shop.internal"),
                whole("server.port", 5432),
                text("network.peer.address", random.address()),
                whole("db.pool.wait_us", random.below(900)),
                text("db.pool.name", "main"),
                text("shop.tier", "data"),
            ];
            (3, format!("SELECT {table}"), attributes)
        }
        Kind::Inside => (
            1,
            "price basket".to_owned(),
            vec![
                whole("shop.lines", 1 + random.below(12)),
                whole("shop.cents", random.below(100_000)),
                text("shop.rule", format!("rule-{}", random.below(40))),
                text("code.function.name", "pricing::basket::price"),
                whole("code.line.number", 118),
                text("thread.name", format!("worker-{}", random.below(32))),
                text("enduser.id", format!("customer-{:05}", random.below(50_000))),
                text("shop.tier", "web"),
            ],
        ),
    }
}
