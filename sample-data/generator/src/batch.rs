use std::collections::BTreeMap;

use hindsight_otlp::Request;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use crate::SECOND;
use crate::topology::{Fleet, Service};
use crate::values::text;

/// How long a node's collector gathers before it sends.
pub(crate) const BATCH: u64 = 10 * SECOND;
/// Between the moments at which the nodes' collectors send.
pub(crate) const NODE_PHASE: u64 = 3 * SECOND;

pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// The instrumentation that emits a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Http,
    Rpc,
    Db,
    Messaging,
    App,
    Runtime,
    Receiver,
}

/// When a collector sends what it gathered, and which node's it is.
pub(crate) type Flush = (u64, usize);

type Grouped<T> = BTreeMap<Flush, BTreeMap<(usize, Scope), Vec<T>>>;

/// Spans and logs that wait in the nodes' collectors.
#[derive(Debug)]
pub(crate) struct Batches {
    start: u64,
    spans: Grouped<Span>,
    logs: Grouped<LogRecord>,
}

impl Batches {
    pub(crate) fn new(start: u64) -> Self {
        Self { start, spans: BTreeMap::new(), logs: BTreeMap::new() }
    }

    pub(crate) fn add_span(&mut self, fleet: &Fleet, instance: usize, scope: Scope, span: Span) {
        let flush = self.flush(fleet.instances[instance].node, span.end_time_unix_nano);
        self.spans.entry(flush).or_default().entry((instance, scope)).or_default().push(span);
    }

    pub(crate) fn add_log(&mut self, fleet: &Fleet, instance: usize, scope: Scope, record: LogRecord) {
        let flush = self.flush(fleet.instances[instance].node, record.observed_time_unix_nano);
        self.logs.entry(flush).or_default().entry((instance, scope)).or_default().push(record);
    }

    /// Takes every request whose sending time is not after `until`: complete, as nothing later can join it.
    pub(crate) fn take_due(&mut self, until: u64, fleet: &Fleet) -> Vec<(Flush, Request)> {
        let mut due = Vec::new();
        while let Some((flush, groups)) = take_first(&mut self.spans, until) {
            due.push((flush, Request::Traces(traces(groups, fleet))));
        }
        while let Some((flush, groups)) = take_first(&mut self.logs, until) {
            due.push((flush, Request::Logs(logs(groups, fleet))));
        }
        due
    }

    /// The node's first sending time after `at`.
    fn flush(&self, node: usize, at: u64) -> Flush {
        let phase = self.start + node as u64 * NODE_PHASE;
        let rounds = (at + BATCH).saturating_sub(phase) / BATCH;
        (phase + rounds * BATCH, node)
    }
}

fn take_first<T>(grouped: &mut BTreeMap<Flush, T>, until: u64) -> Option<(Flush, T)> {
    let entry = grouped.first_entry().filter(|entry| entry.key().0 <= until)?;
    Some(entry.remove_entry())
}

fn traces(groups: BTreeMap<(usize, Scope), Vec<Span>>, fleet: &Fleet) -> ExportTraceServiceRequest {
    let mut resource_spans: Vec<ResourceSpans> = Vec::new();
    let mut last = None;
    for ((instance, scope), mut spans) in groups {
        spans.sort_by_key(|span| span.end_time_unix_nano);
        if last != Some(instance) {
            let resource = Some(fleet.resource(instance));
            let schema_url = SCHEMA_URL.to_owned();
            resource_spans.push(ResourceSpans { resource, schema_url, scope_spans: Vec::new() });
            last = Some(instance);
        }
        let scope = Some(scope.to_otlp(fleet.instances[instance].service));
        let group = ScopeSpans { scope, spans, schema_url: SCHEMA_URL.to_owned() };
        resource_spans.last_mut().expect("one was pushed for this instance").scope_spans.push(group);
    }
    ExportTraceServiceRequest { resource_spans }
}

fn logs(groups: BTreeMap<(usize, Scope), Vec<LogRecord>>, fleet: &Fleet) -> ExportLogsServiceRequest {
    let mut resource_logs: Vec<ResourceLogs> = Vec::new();
    let mut last = None;
    for ((instance, scope), mut log_records) in groups {
        log_records.sort_by_key(|record| record.observed_time_unix_nano);
        if last != Some(instance) {
            let resource = Some(fleet.resource(instance));
            let schema_url = SCHEMA_URL.to_owned();
            resource_logs.push(ResourceLogs { resource, schema_url, scope_logs: Vec::new() });
            last = Some(instance);
        }
        let scope = Some(scope.to_otlp(fleet.instances[instance].service));
        let group = ScopeLogs { scope, log_records, schema_url: String::new() };
        resource_logs.last_mut().expect("one was pushed for this instance").scope_logs.push(group);
    }
    ExportLogsServiceRequest { resource_logs }
}

impl Scope {
    pub(crate) fn to_otlp(self, service: Service) -> InstrumentationScope {
        let (name, version) = match self {
            Self::Http => ("shop.instrumentation.http".to_owned(), "2.14.0"),
            Self::Rpc => ("shop.instrumentation.grpc".to_owned(), "2.14.0"),
            Self::Db => ("shop.instrumentation.db".to_owned(), "2.11.3"),
            Self::Messaging => ("shop.instrumentation.kafka".to_owned(), "2.9.0"),
            Self::App => (format!("shop.{}", service.name()), ""),
            Self::Runtime => ("shop.instrumentation.runtime".to_owned(), "2.14.0"),
            Self::Receiver => ("shop.collector.receiver".to_owned(), "0.131.0"),
        };
        let attributes = match self {
            Self::App => vec![text("team", team(service))],
            _ => Vec::new(),
        };
        InstrumentationScope { name, version: version.to_owned(), attributes, ..Default::default() }
    }
}

fn team(service: Service) -> &'static str {
    match service {
        Service::Checkout | Service::Payment | Service::Cart => "payments",
        Service::Catalog | Service::Search | Service::Recommendation => "discovery",
        Service::Shipping | Service::Inventory | Service::Email => "fulfilment",
        Service::Frontend | Service::Users => "web",
        Service::OrdersDb => "platform",
    }
}
