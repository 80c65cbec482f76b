//! Spans, one call at a time: a caller's client span around the callee's server span.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use crate::batch::Scope;
use crate::topology::{Runtime, Service};
use crate::values::{int, text};
use crate::world::World;

/// Span flags: sampled, and the parent is (not) from another process.
const SAMPLED: u32 = 1;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// A span that has begun.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) instance: usize,
    pub(crate) trace: [u8; 16],
    pub(crate) id: [u8; 8],
    pub(crate) start: u64,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) links: Vec<Link>,
    events: Vec<Event>,
    state: &'static str,
    parent: Vec<u8>,
    remote: bool,
    kind: SpanKind,
    scope: Scope,
    name: String,
}

/// How and when a piece of work ended.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) end: u64,
    pub(crate) failure: Option<Failure>,
}

/// What went wrong, as the callee says it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error_type: &'static str,
    pub(crate) message: String,
    /// The HTTP status, or the gRPC status where the call is gRPC.
    pub(crate) code: i64,
}

impl Done {
    pub(crate) fn well(end: u64) -> Self {
        Self { end, failure: None }
    }
}

/// How two services talk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Http { callee: Service, method: &'static str, route: &'static str },
    Rpc { callee: Service, service: &'static str, method: &'static str },
}

/// A statement and where it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement {
    pub(crate) system: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) server: &'static str,
    pub(crate) port: i64,
    pub(crate) operation: &'static str,
    pub(crate) text: &'static str,
}

impl Open {
    /// The first span of a trace: a server span with no parent.
    pub(crate) fn root(world: &mut World, instance: usize, name: String, at: u64) -> Self {
        // One visitor in eight comes from the mobile app, which says so in the trace state.
        let state = if world.dice.chance(0.125) { "shop=mobile" } else { "" };
        Self {
            instance,
            trace: world.dice.id(),
            id: world.dice.id(),
            start: world.sharpen(instance, at),
            attributes: Vec::new(),
            links: Vec::new(),
            events: Vec::new(),
            state,
            parent: Vec::new(),
            remote: true,
            kind: SpanKind::Server,
            scope: Scope::Http,
            name,
        }
    }

    /// A span under this one, in the same process or (for servers and consumers) in another.
    pub(crate) fn child(
        &self,
        world: &mut World,
        instance: usize,
        kind: SpanKind,
        scope: Scope,
        name: String,
        at: u64,
    ) -> Self {
        Self {
            instance,
            trace: self.trace,
            id: world.dice.id(),
            start: world.sharpen(instance, at),
            attributes: Vec::new(),
            links: Vec::new(),
            events: Vec::new(),
            state: self.state,
            parent: self.id.to_vec(),
            remote: matches!(kind, SpanKind::Server | SpanKind::Consumer),
            kind,
            scope,
            name,
        }
    }

    pub(crate) fn event(&mut self, at: u64, name: &str, attributes: Vec<KeyValue>) {
        let name = name.to_owned();
        self.events.push(Event { time_unix_nano: at, name, attributes, ..Event::default() });
    }

    pub(crate) fn exception(&mut self, at: u64, kind: &str, message: &str, stack: &str) {
        let attributes = vec![
            text("exception.type", kind),
            text("exception.message", message),
            text("exception.stacktrace", stack),
        ];
        self.event(at, "exception", attributes);
    }

    /// Ends the span and hands it to the collector.
    pub(crate) fn close(self, world: &mut World, done: &Done) {
        let status = done
            .failure
            .as_ref()
            .map(|failure| Status { code: StatusCode::Error.into(), message: failure.message.clone() });
        let mut attributes = self.attributes;
        if let Some(failure) = &done.failure {
            attributes.push(text("error.type", failure.error_type));
        }
        let span = Span {
            trace_id: self.trace.to_vec(),
            span_id: self.id.to_vec(),
            trace_state: self.state.to_owned(),
            parent_span_id: self.parent,
            flags: SAMPLED | HAS_IS_REMOTE | if self.remote { IS_REMOTE } else { 0 },
            name: self.name,
            kind: self.kind.into(),
            start_time_unix_nano: self.start,
            end_time_unix_nano: done.end.max(self.start),
            attributes,
            events: self.events,
            links: self.links,
            status,
            ..Span::default()
        };
        world.record_span(self.instance, self.scope, span);
    }
}

/// Calls another service: the client span, the way there, the server span around `work`, the way back.
pub(crate) fn call(
    world: &mut World,
    caller: &Open,
    at: u64,
    operation: Operation,
    work: impl FnOnce(&mut World, &mut Open, u64) -> Done,
) -> Done {
    let (callee, scope) = match operation {
        Operation::Http { callee, .. } => (callee, Scope::Http),
        Operation::Rpc { callee, .. } => (callee, Scope::Rpc),
    };
    let name = operation.span_name();
    let mut client = caller.child(world, caller.instance, SpanKind::Client, scope, name.clone(), at);
    let begun = at + world.dice.latency(0.35, 0.3);
    let instance = world.fleet.pick(callee, begun, &mut world.dice);
    let mut server = client.child(world, instance, SpanKind::Server, scope, name, begun);
    let ready = begun + world.dice.latency(0.15, 0.3);
    let done = work(world, &mut server, ready);
    client.attributes = operation.attributes(&done);
    client.attributes.push(text("server.address", callee.name()));
    server.attributes.splice(0..0, operation.attributes(&done));
    let back = Done { end: done.end + world.dice.latency(0.35, 0.3), failure: done.failure.clone() };
    world.served(&server, &operation.route(), operation.code(&done), done.end);
    world.called(&client, callee, back.end);
    server.close(world, &done);
    client.close(world, &back);
    back
}

/// Runs a statement: one client span. Returns when it ended.
pub(crate) fn query(world: &mut World, caller: &Open, at: u64, statement: &Statement, median_ms: f64) -> u64 {
    let end = at + world.dice.latency(median_ms, 0.45);
    let name = format!("{} {}", statement.operation, statement.namespace);
    let mut span = caller.child(world, caller.instance, SpanKind::Client, Scope::Db, name, at);
    span.attributes = vec![
        text("db.system.name", statement.system),
        text("db.namespace", statement.namespace),
        text("db.operation.name", statement.operation),
        text("db.query.text", statement.text),
        text("server.address", statement.server),
        int("server.port", statement.port),
    ];
    world.queried(&span, statement, end);
    span.close(world, &Done::well(end));
    end
}

impl Operation {
    fn span_name(self) -> String {
        match self {
            Self::Http { method, route, .. } => format!("{method} {route}"),
            Self::Rpc { service, method, .. } => format!("{service}/{method}"),
        }
    }

    fn route(self) -> String {
        match self {
            Self::Http { route, .. } => route.to_owned(),
            Self::Rpc { .. } => self.span_name(),
        }
    }

    fn code(self, done: &Done) -> i64 {
        let well = if matches!(self, Self::Http { .. }) { 200 } else { 0 };
        done.failure.as_ref().map_or(well, |failure| failure.code)
    }

    fn attributes(self, done: &Done) -> Vec<KeyValue> {
        match self {
            Self::Http { method, route, .. } => vec![
                text("http.request.method", method),
                text("http.route", route),
                int("http.response.status_code", self.code(done)),
            ],
            Self::Rpc { service, method, .. } => vec![
                text("rpc.system", "grpc"),
                text("rpc.service", service),
                text("rpc.method", method),
                int("rpc.grpc.status_code", self.code(done)),
            ],
        }
    }
}

/// Go's clocks tell nanoseconds; the others here tell microseconds.
pub(crate) fn tells_nanoseconds(runtime: Runtime) -> bool {
    runtime == Runtime::Go
}
