//! The points that a pod or machine reports every half minute.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
};

use crate::batch::{SCHEMA_URL, Scope};
use crate::fault::Plan;
use crate::instruments::{
    Adds, Named, Span, double_point, exponential, gauge, histogram, int_point, sum, summary,
};
use crate::meters::Pod;
use crate::runtime_metrics;
use crate::topology::{Instance, Service, host_resource};
use crate::values::{int, text};
use crate::world::World;

/// Connections that each checkout pod may hold.
pub(crate) const POOL_SIZE: u64 = 40;

const SERVED: Named =
    Named("http.server.request.duration", "s", "Duration of requests as the server saw them");
const RPC_SERVED: Named = Named("rpc.server.call.duration", "s", "Duration of calls as the server saw them");
const CALLED: Named = Named("app.client.call.duration", "s", "Duration of calls to other services");
const QUERIED: Named = Named("db.client.operation.duration", "s", "Duration of database operations");
const POOL_USAGE: Named = Named("db.client.connections.usage", "1", "Share of the pool's connections in use");
const POOL_MAX: Named = Named("db.client.connections.max", "{connection}", "Connections the pool may hold");
const POOL_PENDING: Named =
    Named("db.client.connections.pending_requests", "{request}", "Requests that wait for a connection");
const POOL_TIMEOUTS: Named =
    Named("db.client.connections.timeouts", "{timeout}", "Requests that waited in vain for a connection");
const ORDERS: Named = Named("app.orders.placed", "{order}", "Orders placed");
const REVENUE: Named = Named("app.orders.value", "EUR", "Value of the orders placed");
const CACHE: Named = Named("app.cache.lookups", "{lookup}", "Lookups in the product cache");
const CHARGES: Named = Named("app.payment.amount", "EUR", "Amounts charged");
const QUOTES: Named = Named("shipping_quote_duration_seconds", "s", "Time that carriers take to quote");
const CONSUMED: Named =
    Named("messaging.client.consumed.messages", "{message}", "Messages taken from the queue");
const LAG: Named = Named("messaging.kafka.consumer.lag", "{message}", "Messages that wait in the queue");

/// Everything that the pods of a node, and the node itself, report at `at`.
pub(crate) fn scrape(world: &mut World, node: usize, at: u64) -> ExportMetricsServiceRequest {
    world.meters.advance(at);
    let mut resource_metrics = vec![host(world, node, at)];
    for index in 0..world.fleet.instances.len() {
        let instance = world.fleet.instances[index].clone();
        let gone_since = at.saturating_sub(instance.until);
        if instance.node != node || at <= instance.from || gone_since > crate::SCRAPE {
            continue;
        }
        let scopes = if instance.alive(at) { pod(world, index, &instance, at) } else { stale(&instance, at) };
        if scopes.is_empty() {
            continue;
        }
        resource_metrics.push(ResourceMetrics {
            resource: Some(world.fleet.resource(index)),
            scope_metrics: scopes,
            schema_url: SCHEMA_URL.to_owned(),
        });
    }
    let request = ExportMetricsServiceRequest { resource_metrics };
    world.truth.saw_metrics(&request);
    request
}

fn host(world: &mut World, node: usize, at: u64) -> ResourceMetrics {
    let start = world.truth.start();
    let metrics = runtime_metrics::host(&mut world.meters, node, Span { start, at });
    ResourceMetrics {
        resource: Some(host_resource(node)),
        scope_metrics: vec![scoped(Scope::Receiver, Service::OrdersDb, metrics)],
        schema_url: SCHEMA_URL.to_owned(),
    }
}

fn pod(world: &mut World, index: usize, instance: &Instance, at: u64) -> Vec<ScopeMetrics> {
    let service = instance.service;
    let counted = &world.meters.pods[index];
    let (span, delta) = (Span { start: counted.start, at }, Span { start: counted.last, at });
    let mut scopes = Vec::new();
    if service == Service::OrdersDb {
        let metrics = runtime_metrics::orders_db(&mut world.meters, &world.plan, span);
        scopes.push(scoped(Scope::Receiver, service, metrics));
    } else {
        let metrics = runtime_metrics::process(&mut world.meters, index, service, span);
        scopes.push(scoped(Scope::Runtime, service, metrics));
    }
    let counted = &mut world.meters.pods[index];
    push(&mut scopes, Scope::Http, service, requests(counted, span, delta));
    push(&mut scopes, Scope::Db, service, queries(counted, delta));
    if service == Service::Checkout {
        let metrics = pool(world, index, instance, span);
        push(&mut scopes, Scope::Db, service, metrics);
    }
    let counted = &mut world.meters.pods[index];
    push(&mut scopes, Scope::App, service, business(counted, service, span, delta));
    counted.last = at;
    scopes
}

/// The last word about a pod that ended: a point that says nothing was recorded.
fn stale(instance: &Instance, at: u64) -> Vec<ScopeMetrics> {
    if instance.service != Service::Checkout {
        return Vec::new();
    }
    let gap = NumberDataPoint {
        attributes: vec![text("pool.name", "orders-db")],
        start_time_unix_nano: instance.from,
        time_unix_nano: at,
        flags: DataPointFlags::NoRecordedValueMask as u32,
        ..NumberDataPoint::default()
    };
    vec![scoped(Scope::Db, instance.service, vec![gauge(POOL_USAGE, vec![gap])])]
}

fn requests(pod: &mut Pod, span: Span, delta: Span) -> Vec<Metric> {
    let mut http = Vec::new();
    let mut rpc = Vec::new();
    for ((route, code), buckets) in &mut pod.served {
        if route.starts_with('/') {
            let attributes = vec![text("http.route", route), int("http.response.status_code", *code)];
            http.push(buckets.point(span, attributes));
        } else {
            let attributes = vec![text("rpc.method", route), int("rpc.grpc.status_code", *code)];
            rpc.push(buckets.point(span, attributes));
        }
    }
    let called: Vec<_> = std::mem::take(&mut pod.called)
        .iter()
        .filter(|(_, seconds)| !seconds.is_empty())
        .map(|(callee, seconds)| seconds.point(delta, vec![text("server.address", callee.name())]))
        .collect();
    let mut metrics = Vec::new();
    if !http.is_empty() {
        metrics.push(histogram(SERVED, AggregationTemporality::Cumulative, http));
    }
    if !rpc.is_empty() {
        metrics.push(histogram(RPC_SERVED, AggregationTemporality::Cumulative, rpc));
    }
    if !called.is_empty() {
        metrics.push(exponential(CALLED, called));
    }
    metrics
}

fn queries(pod: &mut Pod, delta: Span) -> Vec<Metric> {
    let points: Vec<_> = std::mem::take(&mut pod.queried)
        .iter()
        .map(|(operation, seconds)| seconds.point(delta, vec![text("db.operation.name", *operation)]))
        .collect();
    if points.is_empty() { Vec::new() } else { vec![exponential(QUERIED, points)] }
}

fn pool(world: &mut World, index: usize, instance: &Instance, span: Span) -> Vec<Metric> {
    let named = || vec![text("pool.name", "orders-db")];
    let used = pool_used(&world.plan, &mut world.meters.dice, instance.version, span.at);
    let full = used == POOL_SIZE;
    let pending = if full { 6 + world.meters.dice.below(18) } else { 0 };
    let timeouts = world.meters.pods[index].pool_timeouts;
    #[expect(clippy::cast_precision_loss, reason = "at most forty")]
    let usage = used as f64 / POOL_SIZE as f64;
    vec![
        gauge(POOL_USAGE, vec![double_point(span, named(), usage)]),
        sum(POOL_MAX, Adds::UpDown, vec![int_point(span, named(), POOL_SIZE)]),
        sum(POOL_PENDING, Adds::UpDown, vec![int_point(span, named(), pending)]),
        sum(POOL_TIMEOUTS, Adds::Counter, vec![int_point(span, named(), timeouts)]),
    ]
}

/// Connections in use, whole ones.
#[expect(clippy::cast_precision_loss, reason = "forty")]
fn pool_used(plan: &Plan, dice: &mut crate::dice::Dice, version: &str, at: u64) -> u64 {
    let usage = (plan.pool_usage(at, version) + 0.012 * dice.normal()).clamp(0.05, 1.0);
    let usage = if plan.pool_usage(at, version) > 0.985 { 1.0 } else { usage };
    crate::dice::whole((usage * POOL_SIZE as f64).round())
}

#[expect(clippy::cast_precision_loss, reason = "cents of an hour and a half")]
fn business(pod: &mut Pod, service: Service, span: Span, delta: Span) -> Vec<Metric> {
    match service {
        Service::Checkout => {
            let (orders, cents) = (std::mem::take(&mut pod.orders), std::mem::take(&mut pod.revenue_cents));
            vec![
                sum(ORDERS, Adds::DeltaCounter, vec![int_point(delta, Vec::new(), orders)]),
                sum(REVENUE, Adds::DeltaCounter, vec![double_point(delta, Vec::new(), cents as f64 / 100.0)]),
            ]
        }
        Service::Catalog => {
            let points = [("miss", pod.cache[0]), ("hit", pod.cache[1])]
                .map(|(result, count)| int_point(span, vec![text("cache.result", result)], count));
            vec![sum(CACHE, Adds::Counter, points.to_vec())]
        }
        Service::Payment => {
            let point = pod.take_charges().point(delta, Vec::new());
            vec![histogram(CHARGES, AggregationTemporality::Delta, vec![point])]
        }
        Service::Shipping => {
            vec![summary(QUOTES, vec![pod.quotes.point(span, vec![text("carrier", "north")])])]
        }
        Service::Email => {
            let consumed = std::mem::take(&mut pod.consumed);
            let queue = || vec![text("messaging.destination.name", "orders")];
            vec![
                sum(CONSUMED, Adds::DeltaCounter, vec![int_point(delta, queue(), consumed)]),
                gauge(LAG, vec![int_point(span, queue(), consumed % 4)]),
            ]
        }
        _ => Vec::new(),
    }
}

fn push(scopes: &mut Vec<ScopeMetrics>, scope: Scope, service: Service, metrics: Vec<Metric>) {
    if !metrics.is_empty() {
        scopes.push(scoped(scope, service, metrics));
    }
}

fn scoped(scope: Scope, service: Service, metrics: Vec<Metric>) -> ScopeMetrics {
    ScopeMetrics { scope: Some(scope.to_otlp(service)), metrics, schema_url: SCHEMA_URL.to_owned() }
}
