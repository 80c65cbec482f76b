//! Service level objectives from every source, over OTLP and the real query engine: the numbers in `slo_status` are
//! those that can be worked out by hand from what was sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use prost::Message as _;
use serde_json::Value;

use crate::answer::Row;
use crate::binary;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server};
use crate::wait::wait_until;

/// A tick a minute, at any second of it, and the rest is for a busy machine.
const TICKED_WITHIN: Duration = Duration::from_secs(150);
const MINUTE: u64 = 60_000_000_000;
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
const DELTA: i32 = AggregationTemporality::Delta as i32;

/// When things happened: minutes after twenty minutes ago, ten seconds into each.
struct Past(u64);

impl Past {
    fn new() -> Self {
        Self(otlp::now() / MINUTE * MINUTE - 20 * MINUTE)
    }

    fn minute(&self, minute: u64) -> u64 {
        self.0 + minute * MINUTE + 10_000_000_000
    }

    /// Points of one series: start (in minutes) and value, a minute apart.
    fn numbers(&self, status: &str, points: &[(u64, f64)]) -> Vec<NumberDataPoint> {
        let point = |(at, (start, value)): (u64, &(u64, f64))| NumberDataPoint {
            attributes: vec![otlp::text("status", status)],
            start_time_unix_nano: self.0 + start * MINUTE,
            time_unix_nano: self.minute(at),
            value: Some(Number::AsDouble(*value)),
            ..NumberDataPoint::default()
        };
        (1..).zip(points).map(point).collect()
    }

    fn sum(&self, name: &str, temporality: i32, series: &[(&str, &[(u64, f64)])]) -> Metric {
        let data_points = series.iter().flat_map(|(status, points)| self.numbers(status, points)).collect();
        let sum = Sum { data_points, aggregation_temporality: temporality, is_monotonic: true };
        Metric { name: name.to_owned(), data: Some(Data::Sum(sum)), ..Metric::default() }
    }

    fn explicit(&self) -> Metric {
        let point = |(at, start, counts): (u64, u64, [u64; 4])| HistogramDataPoint {
            start_time_unix_nano: self.0 + start * MINUTE,
            time_unix_nano: self.minute(at),
            count: counts.iter().sum(),
            bucket_counts: counts.to_vec(),
            explicit_bounds: vec![0.25, 0.5, 1.0],
            ..HistogramDataPoint::default()
        };
        // Seventeen values in the second minute; after a restart six more in the third.
        let points = [(1, 0, [1, 1, 1, 1]), (2, 0, [11, 5, 3, 2]), (3, 2, [5, 0, 0, 1])];
        let histogram = Histogram {
            data_points: points.into_iter().map(point).collect(),
            aggregation_temporality: CUMULATIVE,
        };
        Metric {
            name: "http.duration".to_owned(),
            data: Some(Data::Histogram(histogram)),
            ..Metric::default()
        }
    }

    fn exponential(&self) -> Metric {
        // Base 2: about nought, in (2, 4] and in (4, 8].
        let point = |(at, start, zeros, counts): (u64, u64, u64, [u64; 2])| ExponentialHistogramDataPoint {
            start_time_unix_nano: self.0 + start * MINUTE,
            time_unix_nano: self.minute(at),
            count: zeros + counts.iter().sum::<u64>(),
            scale: 0,
            zero_count: zeros,
            positive: Some(Buckets { offset: 1, bucket_counts: counts.to_vec() }),
            ..ExponentialHistogramDataPoint::default()
        };
        let points = [(1, 0, 1, [2, 2]), (2, 0, 4, [10, 10]), (3, 2, 3, [8, 8])];
        let histogram = ExponentialHistogram {
            data_points: points.into_iter().map(point).collect(),
            aggregation_temporality: CUMULATIVE,
        };
        Metric {
            name: "rpc.duration".to_owned(),
            data: Some(Data::ExponentialHistogram(histogram)),
            ..Metric::default()
        }
    }

    fn gauge(&self) -> Metric {
        let data_points = self.numbers("", &[(0, 50.0), (0, 150.0), (0, 80.0), (0, 90.0)]);
        let data = Some(Data::Gauge(Gauge { data_points }));
        Metric { name: "queue.length".to_owned(), data, ..Metric::default() }
    }
}

/// A document whose ratio has this part and this total.
fn slo(name: &str, indicator: &str, objective: &str) -> String {
    format!(
        "apiVersion: openslo/v1\nkind: SLO\nmetadata: {{name: {name}}}\nspec:\n  service: api\n  indicator: {{spec: {indicator}}}\n  timeWindow: [{{duration: 30d, isRolling: true}}]\n  budgetingMethod: Occurrences\n  objectives: [{{{objective}}}]\n---\n"
    )
}

fn ratio(part: &str, source: &str, total: &str) -> String {
    format!(
        "{{ratioMetric: {{counter: true, {part}: {{metricSource: {{spec: {{{source}}}}}}}, total: {{metricSource: {{spec: {{{total}}}}}}}}}}}"
    )
}

/// All SLOs of the test; `started` is a civil time within this period of a quarter of a year.
fn documents(started: &str) -> String {
    let counters = ratio(
        "bad",
        "from: metrics, metric: http.requests, where: \"attributes->>'status' = 'err'\"",
        "from: metrics, metric: http.requests",
    );
    let mut text = String::new();
    for (name, indicator) in [
        ("counters", counters.clone()),
        (
            "deltas",
            ratio(
                "bad",
                "from: metrics, metric: jobs.done, where: \"attributes->>'status' = 'err'\"",
                "from: metrics, metric: jobs.done",
            ),
        ),
        (
            "exact",
            ratio(
                "good",
                "from: metric_histograms, metric: http.duration, threshold: 0.5",
                "from: metric_histograms, metric: http.duration",
            ),
        ),
        (
            "between",
            ratio(
                "good",
                "from: metric_histograms, metric: http.duration, threshold: 0.3",
                "from: metric_histograms, metric: http.duration",
            ),
        ),
        (
            "slow",
            ratio(
                "bad",
                "from: metric_histograms, metric: http.duration, threshold: 0.3",
                "from: metric_histograms, metric: http.duration",
            ),
        ),
        (
            "exponential",
            ratio(
                "good",
                "from: metric_exp_histograms, metric: rpc.duration, threshold: 5.656854249492381",
                "from: metric_exp_histograms, metric: rpc.duration",
            ),
        ),
        ("sampled", ratio("bad", "from: spans, where: status_code = 'error'", "from: spans, where: 'true'")),
        ("quick", ratio("good", "from: spans, where: 'true', threshold: 1s", "from: spans, where: 'true'")),
        (
            "written",
            ratio(
                "bad",
                "sql: \"SELECT date_bin(INTERVAL '1 minute', timestamp) AS minute, sum(value) AS value FROM metrics WHERE metric_name = 'jobs.done' AND attributes->>'status' = 'err' AND timestamp >= $from AND timestamp < $to GROUP BY 1\"",
                "from: metrics, metric: jobs.done",
            ),
        ),
    ] {
        let _ = write!(text, "{}", slo(name, &indicator, "target: 0.9"));
    }
    let points = |from: &str| format!("{{thresholdMetric: {{metricSource: {{spec: {{{from}}}}}}}}}");
    let gauge = points("from: metrics, metric: queue.length");
    let _ = write!(text, "{}", slo("points", &gauge, "target: 0.9, op: lte, value: 100"));
    let histogram = points("from: metric_histograms, metric: http.duration");
    let _ = write!(text, "{}", slo("values", &histogram, "target: 0.9, op: gt, value: 0.5"));
    let raw = "{ratioMetric: {rawType: failure, raw: {metricSource: {spec: {sql: \"SELECT date_bin(INTERVAL '1 minute', timestamp) AS minute, value / 200 AS value FROM metrics WHERE metric_name = 'queue.length' AND timestamp >= $from AND timestamp < $to\"}}}}}";
    let _ = write!(text, "{}", slo("raw", raw, "target: 0.9"));
    let sliced = slo("sliced", &counters, "target: 0.9, timeSliceWindow: 1m, timeSliceTarget: 0.95")
        .replace("Occurrences", "Timeslices")
        .replace(
            "{duration: 30d, isRolling: true}",
            &format!("{{duration: 1Q, calendar: {{startTime: {started}, timeZone: Europe/Berlin}}}}"),
        );
    text + &sliced
}

async fn send(server: &Server, signal: &str, body: Vec<u8>) -> anyhow::Result<()> {
    let post = reqwest::Client::new().post(server.otlp_url(signal)).header("content-type", PROTOBUF);
    let status = post.body(body).send().await?.status();
    ensure!(status == 200, "{signal} were answered {status}");
    Ok(())
}

async fn send_all(server: &Server, past: &Past) -> anyhow::Result<()> {
    // The first point of a series opens it. The third ends with a restart, of the others' start or by a fall.
    let requests = past.sum(
        "http.requests",
        CUMULATIVE,
        &[
            ("ok", &[(0, 100.0), (0, 200.0), (0, 300.0), (3, 50.0), (3, 150.0)]),
            ("err", &[(0, 0.0), (0, 10.0), (0, 10.0), (0, 1.0), (0, 1.0)]),
        ],
    );
    let jobs = past.sum("jobs.done", DELTA, &[("ok", &[(0, 20.0); 5]), ("err", &[(0, 1.0); 5])]);
    let metrics = vec![requests, jobs, past.explicit(), past.exponential(), past.gauge()];
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    send(server, "metrics", ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()).await?;
    for (count, fails) in [(2, false), (1, true)] {
        let at = past.minute(2) + u64::from(fails);
        let mut spans = otlp::spans("api", at, &vec![("GET", vec![]); count]);
        for span in
            spans.resource_spans.iter_mut().flat_map(|r| &mut r.scope_spans).flat_map(|s| &mut s.spans)
        {
            // Three of four were thrown away.
            span.trace_state = "ot=th:c".to_owned();
        }
        let spans = if fails { otlp::failed(spans) } else { spans };
        send(server, "traces", spans.encode_to_vec()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_source_and_method_gives_the_numbers_that_were_sent() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let past = Past::new();
    send_all(&server, &past).await?;
    // The SLOs come after their data, so that one tick sees all of it.
    std::fs::create_dir(home.workspace().join("slos"))?;
    let started = jiff::Timestamp::from_second(i64::try_from(past.0 / 1_000_000_000)?)?
        .to_zoned(jiff::tz::TimeZone::get("Europe/Berlin")?)
        .datetime()
        .checked_sub(jiff::Span::new().days(10))?;
    let documents = documents(&started.strftime("%Y-%m-%d %H:%M:%S").to_string());
    std::fs::write(home.workspace().join("slos/all.yaml"), &documents)?;
    let count = i64::try_from(documents.matches("kind: SLO").count())?;
    wait_until("every SLO was read", TICKED_WITHIN, async || {
        Ok((server.count("slo_status", "true").await? == count).then_some(()))
    })
    .await?;
    let rows = server.sql("SELECT * FROM slo_status").await?.by_name();
    let slos: BTreeMap<String, Row> =
        rows.into_iter().map(|row| (row["slo"].as_str().unwrap_or_default().to_owned(), row)).collect();
    for (name, total, bad) in [
        // 100, 100, 50 after the restart, 100; and 10, 0, 1 after the fall, 0.
        ("counters", 361.0, 11.0),
        ("deltas", 105.0, 5.0),
        // At or under 0.5 are 14 of 17 and 5 of 6; at or under 0.3 are 10 of 17 for certain, and 5 of 6.
        ("exact", 23.0, 4.0),
        ("between", 23.0, 8.0),
        ("slow", 23.0, 8.0),
        // 3 + 8 + half of 8, twice.
        ("exponential", 38.0, 8.0),
        // Each of the three stands for four.
        ("sampled", 12.0, 4.0),
        ("quick", 12.0, 0.0),
        ("written", 105.0, 5.0),
        ("points", 4.0, 1.0),
        // Good is what is over 0.5.
        ("values", 23.0, 19.0),
        // 50, 150, 80 and 90 of 200 are shares of bad.
        ("raw", 4.0, 1.85),
        // Of the four minutes with increments the first failed by 10 in 110.
        ("sliced", 4.0, 1.0),
    ] {
        let row = slos.get(name).with_context(|| format!("there is no SLO {name}"))?;
        let number = |column: &str| row[column].as_f64().with_context(|| format!("{name}.{column}: {row:?}"));
        ensure!((number("total")? - total).abs() < 1e-6, "{name}: {row:?}");
        ensure!((number("bad")? - bad).abs() < 1e-6, "{name}: {row:?}");
        assert_eq!(number("coverage")?, 1.0, "{name}");
        ensure!((number("budget_remaining")? - (1.0 - number("budget_consumed")?)).abs() < 1e-9, "{name}");
        let note = row["note"].as_str().unwrap_or_default();
        let is_open = ["between", "slow"].contains(&name);
        assert_eq!(
            note.contains("between the bucket bounds 0.25 and 0.5: of the last 23 events 15 to 19"),
            is_open,
            "{name}: {note}"
        );
        assert_eq!(row["projected"].is_null(), name != "sliced", "{name}");
    }
    assert_eq!(slos["sliced"]["method"], "Timeslices");

    let listed = reqwest::get(format!("http://{}/api/v1/slos", server.web)).await?.text().await?;
    let listed: Value = serde_json::from_str(&listed)?;
    assert_eq!(listed["slos"].as_array().map(Vec::len), Some(usize::try_from(count)?));
    let shown = binary::run_well(&["slo", "status", "--url", &format!("http://{}", server.web), "--json"])?;
    for column in ["budget_remaining", "projected", "time_to_exhaust_s", "coverage", "note"] {
        ensure!(shown.contains(&format!("\"{column}\"")), "{column} is not in {shown}");
    }
    Ok(())
}
