//! The same questions over the same Parquet files, by our SQL and by DuckDB, on random data with every edge: nulls,
//! NaN, infinities, empty texts, duplicates, midnight and the hour when clocks change.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;

use crate::otlp::{self, PROTOBUF};
use crate::python_sdk::python;
use crate::server::{Home, Server, text};
use crate::wait::wait_until;

const CONFIG: &str = "[ingest]\nseal_age = \"100ms\"\n";
const SEEDS: [u64; 2] = [20_261_121, 7];
const ROUNDS: usize = 4;
const ITEMS: usize = 60;
/// 2026-11-01T06:00:00Z, when clocks in New York went back, and midnight before it.
const CLOCKS_BACK: u64 = 1_793_512_800;

struct Edges {
    random: ChaCha8Rng,
    now: u64,
}

impl Edges {
    fn service(&mut self) -> Option<Resource> {
        let name =
            [None, Some("shop"), Some("shop"), Some("cart"), Some("")].choose(&mut self.random)?.as_ref()?;
        Some(Resource { attributes: vec![otlp::text("service.name", name)], ..Resource::default() })
    }

    /// Within the last days, often at or beside an edge.
    fn time(&mut self) -> u64 {
        let second = 1_000_000_000;
        let day = 86_400 * second;
        let midnight = self.now / day * day - self.random.random_range(0..3) * day;
        let edge = *[midnight, midnight - 3_600 * second, self.now - 3_600 * second]
            .choose(&mut self.random)
            .expect("there are three");
        // The hour of the change only while it is within the retention.
        let change = CLOCKS_BACK * second;
        let edge = if self.now - change < 25 * day && self.random.random_bool(0.3) { change } else { edge };
        match self.random.random_range(0..4) {
            0 => edge,
            1 => edge - 1,
            2 => edge + 999,
            _ => edge - self.random.random_range(0..3_000) * second / 7,
        }
    }

    fn body(&mut self) -> Option<AnyValue> {
        let bodies = [
            None,
            Some(""),
            Some("error 17"),
            Some("error 17"),
            Some("Error  "),
            Some("étage"),
            Some("err\tor"),
        ];
        let body = (*bodies.choose(&mut self.random)?)?;
        Some(AnyValue { value: Some(Value::StringValue(body.to_owned())) })
    }

    fn ids(&mut self) -> (Vec<u8>, Vec<u8>) {
        let trace = self.random.random_range(1_u128..20);
        (trace.to_be_bytes().to_vec(), self.random.random_range(1_u64..u64::MAX).to_be_bytes().to_vec())
    }

    fn number(&mut self) -> Number {
        let doubles =
            [0.0, -0.0, 0.5, 1.5, -9.25, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300, 12_345.678];
        match self.random.random_range(0..3) {
            0 => Number::AsInt(
                *[0, 1, 7, -7, i64::MAX, i64::MIN].choose(&mut self.random).expect("there are six"),
            ),
            _ => Number::AsDouble(*doubles.choose(&mut self.random).expect("there are ten")),
        }
    }

    fn logs(&mut self) -> ExportLogsServiceRequest {
        let records = (0..ITEMS).map(|_| {
            let (trace_id, span_id) =
                if self.random.random_bool(0.8) { self.ids() } else { Default::default() };
            LogRecord {
                time_unix_nano: self.time(),
                severity_number: *[0, 1, 9, 13, 17, 21].choose(&mut self.random).expect("there are six"),
                body: self.body(),
                trace_id,
                span_id,
                ..LogRecord::default()
            }
        });
        let scope_logs = vec![ScopeLogs { log_records: records.collect(), ..ScopeLogs::default() }];
        let resource = self.service();
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs { resource, scope_logs, ..Default::default() }],
        }
    }

    fn spans(&mut self) -> ExportTraceServiceRequest {
        let mut before = Vec::new();
        let spans = (0..ITEMS).map(|_| {
            let ((trace_id, span_id), start) = (self.ids(), self.time());
            let parent_span_id =
                if self.random.random_bool(0.5) { std::mem::take(&mut before) } else { Vec::new() };
            before.clone_from(&span_id);
            let code = self.random.random_range(0..3);
            let events = self.random.random_range(0..3);
            Span {
                trace_id,
                span_id,
                parent_span_id,
                name: (*["GET /", "GET /", "", "é"].choose(&mut self.random).expect("there are four"))
                    .to_owned(),
                kind: self.random.random_range(0..6),
                start_time_unix_nano: start,
                end_time_unix_nano: start + self.random.random_range(0..1_000),
                status: Some(Status { code, ..Status::default() }),
                events: vec![
                    Event { time_unix_nano: start, name: "e".to_owned(), ..Event::default() };
                    events
                ],
                ..Span::default()
            }
        });
        let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
        let resource = self.service();
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { resource, scope_spans, ..Default::default() }],
        }
    }

    fn metrics(&mut self) -> ExportMetricsServiceRequest {
        let gauge = |edges: &mut Self, name: &str| {
            let points = (0..ITEMS).map(|_| NumberDataPoint {
                time_unix_nano: edges.time(),
                value: Some(edges.number()),
                ..NumberDataPoint::default()
            });
            let data = Some(Data::Gauge(Gauge { data_points: points.collect() }));
            Metric { name: name.to_owned(), data, ..Metric::default() }
        };
        let metrics = vec![gauge(self, "load"), gauge(self, "queue.length")];
        let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
        let resource = self.service();
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..Default::default() }];
        ExportMetricsServiceRequest { resource_metrics }
    }
}

async fn send(server: &Server, signal: &str, body: Vec<u8>) -> anyhow::Result<()> {
    let post = reqwest::Client::new().post(server.otlp_url(signal)).header("content-type", PROTOBUF);
    let response = post.body(body).send().await?;
    let (status, answer) = (response.status(), response.bytes().await?);
    ensure!(status.is_success() && answer.is_empty(), "{signal}: {status} {answer:?}");
    Ok(())
}

#[tokio::test]
async fn duckdb_answers_the_same_questions_over_the_same_files_alike() -> anyhow::Result<()> {
    for seed in SEEDS {
        let home = Home::new(CONFIG)?;
        let server = home.serve()?;
        let mut edges = Edges { random: ChaCha8Rng::seed_from_u64(seed), now: otlp::now() };
        for _ in 0..ROUNDS {
            send(&server, "logs", edges.logs().encode_to_vec()).await?;
            send(&server, "traces", edges.spans().encode_to_vec()).await?;
            send(&server, "metrics", edges.metrics().encode_to_vec()).await?;
        }
        wait_until("everything is sealed", Duration::from_secs(60), async || {
            let status = reqwest::get(format!("http://{}/api/v1/status", server.web)).await?.text().await?;
            let status: Json = serde_json::from_str(&status)?;
            Ok((status["store"]["head_rows"] == 0).then_some(()))
        })
        .await?;
        let found = ask_both(&server, &home.data_dir().join("tables")).await?;
        let differences = found["differences"].as_array().context("no list of differences")?;
        ensure!(differences.is_empty(), "seed {seed}: {}", serde_json::to_string_pretty(differences)?);
        ensure!(found["asked"].as_u64().is_some_and(|asked| asked > 50), "{}", found["asked"]);
    }
    Ok(())
}

async fn ask_both(server: &Server, tables: &std::path::Path) -> anyhow::Result<Json> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python()?);
    command.arg(here.join("python/differential.py")).arg(format!("http://{}/api/v1/sql", server.web));
    command.arg(text(tables)).arg(here.join("sql/differential.sql")).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "differential.py failed:\n{said}");
    serde_json::from_slice(&output.stdout).context("read what differential.py printed")
}
