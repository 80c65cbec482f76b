//! Metric points: request by request the scrapes of 200 processes, each with 40 gauges, 40 counters, 20 histograms.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    number_data_point,
};
use prost::Message as _;

use super::load::{Plan, Random, resource, scope, text};
use super::words::{INSTANCES, METHODS, ROUTES, SERVICES};

const SCRAPE_POINTS: u64 = 100;
const PROCESSES: u64 = SERVICES.len() as u64 * INSTANCES;
const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0];
const GAUGES: [&str; 4] =
    ["process.memory.usage", "db.client.connection.count", "queue.length", "cpu.utilization"];
const COUNTERS: [&str; 4] =
    ["http.server.requests", "network.io.bytes", "db.client.operations", "messages.consumed"];
const HISTOGRAMS: [&str; 2] = ["http.server.request.duration", "db.client.operation.duration"];
const CUMULATIVE: i32 = 2;

/// Points `first` to `first + items`; a request of 100 is one scrape of one process.
pub(super) fn request(plan: &Plan, first: u64, items: u64, random: &mut Random) -> Vec<u8> {
    let process = first / SCRAPE_POINTS % PROCESSES;
    let scrape = first / SCRAPE_POINTS / PROCESSES;
    // All processes are scraped within one interval, each at its own moment of it.
    let at = plan.at(first) + random.below(1_000);
    let start = plan.end_nanos.saturating_sub(2 * plan.window_nanos);
    let mut metrics: Vec<Metric> = Vec::new();
    for number in 0..items {
        let slot = (first + number) % SCRAPE_POINTS;
        let attributes = labels(slot);
        let (name, data) = match slot {
            0..40 => (GAUGES[slot as usize % 4], gauge(at, start, attributes, random)),
            40..80 => (COUNTERS[slot as usize % 4], counter(at, start, attributes, scrape, slot)),
            _ => (HISTOGRAMS[slot as usize % 2], histogram(at, start, attributes, scrape, random)),
        };
        metrics.push(Metric {
            name: name.to_owned(),
            unit: "1".to_owned(),
            data: Some(data),
            ..Metric::default()
        });
    }
    let service = usize::try_from(process / INSTANCES).unwrap_or(0);
    let scope_metrics =
        vec![ScopeMetrics { scope: scope("shop.metrics"), metrics, ..ScopeMetrics::default() }];
    let resource = resource(service, process % INSTANCES);
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

/// What tells the series of one metric and one process apart.
fn labels(slot: u64) -> Vec<KeyValue> {
    let slot = usize::try_from(slot).unwrap_or(0);
    vec![
        text("http.route", ROUTES[slot / 4 % ROUTES.len()]),
        text("http.request.method", METHODS[slot % METHODS.len()]),
        text("pool", if slot % 40 < 20 { "main" } else { "replica" }),
    ]
}

fn number(
    at: u64,
    start: u64,
    attributes: Vec<KeyValue>,
    value: number_data_point::Value,
) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: at,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn gauge(at: u64, start: u64, attributes: Vec<KeyValue>, random: &mut Random) -> Data {
    let value = (random.skewed(100.0) * 100.0).round() / 100.0;
    let point = number(at, start, attributes, number_data_point::Value::AsDouble(value));
    Data::Gauge(Gauge { data_points: vec![point] })
}

fn counter(at: u64, start: u64, attributes: Vec<KeyValue>, scrape: u64, slot: u64) -> Data {
    let value = i64::try_from(scrape * (17 + slot * 13) + slot * 1_009).unwrap_or(i64::MAX);
    let point = number(at, start, attributes, number_data_point::Value::AsInt(value));
    let data_points = vec![point];
    Data::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true })
}

fn histogram(at: u64, start: u64, attributes: Vec<KeyValue>, scrape: u64, random: &mut Random) -> Data {
    let bucket_counts: Vec<u64> =
        (0..=BOUNDS.len() as u64).map(|bucket| scrape * (40 / (1 + bucket)) + random.below(4)).collect();
    let count = bucket_counts.iter().sum::<u64>();
    let point = HistogramDataPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: at,
        count,
        sum: Some(count as f64 * 0.0625),
        bucket_counts,
        explicit_bounds: BOUNDS.to_vec(),
        ..HistogramDataPoint::default()
    };
    Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: CUMULATIVE })
}
