use std::fmt::Write as _;

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::Story;
use crate::fault::{NEW_VERSION, OLD_VERSION, Plan};
use crate::topology::Service;

/// Rows that each table must have after everything was sent once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Spans.
    pub spans: u64,
    /// Log records.
    pub logs: u64,
    /// Number points.
    pub metrics: u64,
    /// Explicit-bucket histogram points.
    pub metric_histograms: u64,
    /// Exponential histogram points.
    pub metric_exp_histograms: u64,
    /// Summary points.
    pub metric_summaries: u64,
}

/// Requests of one kind that began while the fault lasted, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    /// All of them.
    pub total: u64,
    /// Those with status `error`.
    pub failed: u64,
}

/// What really happened, as the generator knows it.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Rows by table.
    pub totals: Totals,
    /// Server spans of checkout inside the impact window.
    pub checkout: Impact,
    /// Server spans of the frontend's `/api/checkout` inside the impact window.
    pub frontend: Impact,
    story: Story,
    plan: Plan,
}

/// What was written, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Lines, one request each.
    pub lines: u64,
    /// Bytes before compression, newlines included.
    pub bytes: u64,
    /// SHA-256 of those bytes, lower-case hex.
    pub sha256: String,
}

impl Truth {
    pub(crate) fn new(story: &Story, plan: &Plan) -> Self {
        let (totals, checkout, frontend) = (Totals::default(), Impact::default(), Impact::default());
        Self { totals, checkout, frontend, story: story.clone(), plan: *plan }
    }

    pub(crate) fn start(&self) -> u64 {
        self.story.start_nanos()
    }

    pub(crate) fn saw_span(&mut self, service: Service, span: &Span) {
        self.totals.spans += 1;
        let in_window = (self.plan.saturated..self.plan.recovered).contains(&span.start_time_unix_nano);
        if span.kind != i32::from(SpanKind::Server) || !in_window {
            return;
        }
        let failed = span.status.as_ref().is_some_and(|status| status.code == i32::from(StatusCode::Error));
        let impact = match service {
            Service::Checkout => &mut self.checkout,
            Service::Frontend if route(span) == Some("/api/checkout") => &mut self.frontend,
            _ => return,
        };
        impact.total += 1;
        impact.failed += u64::from(failed);
    }

    pub(crate) fn saw_log(&mut self, _record: &LogRecord) {
        self.totals.logs += 1;
    }

    pub(crate) fn saw_metrics(&mut self, request: &ExportMetricsServiceRequest) {
        let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        for metric in scopes.flat_map(|scope| &scope.metrics) {
            let totals = &mut self.totals;
            match &metric.data {
                Some(Data::Gauge(gauge)) => totals.metrics += gauge.data_points.len() as u64,
                Some(Data::Sum(sum)) => totals.metrics += sum.data_points.len() as u64,
                Some(Data::Histogram(kind)) => totals.metric_histograms += kind.data_points.len() as u64,
                Some(Data::ExponentialHistogram(kind)) => {
                    totals.metric_exp_histograms += kind.data_points.len() as u64;
                }
                Some(Data::Summary(kind)) => totals.metric_summaries += kind.data_points.len() as u64,
                None => {}
            }
        }
    }

    /// The text of `expected.yaml`: what an analysis of this telemetry must find, and how closely.
    pub fn to_yaml(&self, content: &Content) -> String {
        let plan = &self.plan;
        let mut out = String::from(HEAD);
        let seed = self.story.seed;
        let start = time(self.story.start_nanos());
        let Content { lines, bytes, sha256 } = content;
        push(
            &mut out,
            format_args!("generator: {{package: hindsight-sample, seed: {seed}, start: {start}}}"),
        );
        push(
            &mut out,
            format_args!(
                "content: {{file: telemetry.jsonl.zst, lines: {lines}, bytes: {bytes}, sha256: {sha256}}}"
            ),
        );
        push(&mut out, format_args!("time_range: {{from: {start}, to: {}}}", time(self.story.end_nanos())));
        out.push('\n');
        let at = time(plan.rollout);
        push(
            &mut out,
            format_args!(
                "trigger: {{service: checkout, change: \"{OLD_VERSION} → {NEW_VERSION}\", at: {at}, tolerance_s: 120}}"
            ),
        );
        push(&mut out, format_args!("onset: {{at: {}, tolerance_s: 120}}", time(plan.saturated)));
        out.push_str("detected: {by: alert, within_s: 300}\n");
        out.push_str("suspect: checkout\n");
        out.push_str("decoys: [recommendation]\n");
        let at = time(plan.rollback);
        push(
            &mut out,
            format_args!(
                "rollback: {{service: checkout, change: \"{NEW_VERSION} → {OLD_VERSION}\", at: {at}, tolerance_s: 180}}"
            ),
        );
        push(&mut out, format_args!("recovered: {{at: {}, tolerance_s: 180}}", time(plan.recovered)));
        out.push('\n');
        self.push_impact(&mut out);
        self.push_totals(&mut out);
        out
    }

    fn push_impact(&self, out: &mut String) {
        let (from, to) = (time(self.plan.saturated), time(self.plan.recovered));
        push(out, format_args!("impact_window: {{from: {from}, to: {to}}}"));
        out.push_str("impact:\n");
        push_share(out, "", self.checkout);
        let window = format!("timestamp >= '{from}' AND timestamp < '{to}'");
        push(out, format_args!("  where: \"service_name = 'checkout' AND kind = 'server' AND {window}\""));
        out.push_str("  failed: \"status_code = 'error'\"\n");
        out.push_str("frontend_impact:\n");
        push_share(out, "", self.frontend);
        push(
            out,
            format_args!(
                "  where: \"service_name = 'frontend' AND kind = 'server' AND http_route = '/api/checkout' AND {window}\""
            ),
        );
        out.push_str("  failed: \"status_code = 'error'\"\n");
    }

    fn push_totals(&self, out: &mut String) {
        let Totals { spans, logs, metrics, metric_histograms, metric_exp_histograms, metric_summaries } =
            self.totals;
        out.push_str("\ntotals:\n");
        for (table, rows) in [
            ("spans", spans),
            ("logs", logs),
            ("metrics", metrics),
            ("metric_histograms", metric_histograms),
            ("metric_exp_histograms", metric_exp_histograms),
            ("metric_summaries", metric_summaries),
        ] {
            push(out, format_args!("  {table}: {rows}"));
        }
    }
}

const HEAD: &str = "\
# What must be found in telemetry.jsonl.zst. Written by the generator from what it did; do not edit.
# `impact` counts server spans by their start, `from` included and `to` not; `where` and `failed` are the SQL.
schema: hindsight/expected/v1
";

fn route(span: &Span) -> Option<&str> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == "http.route")?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn push_share(out: &mut String, indent: &str, Impact { total, failed }: Impact) {
    let share = if total == 0 { 0.0 } else { failed as f64 / total as f64 };
    push(out, format_args!("{indent}  failed_requests: {failed}"));
    push(out, format_args!("{indent}  total_requests: {total}"));
    push(out, format_args!("{indent}  failed_share: {share:.4}"));
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a string cannot fail");
}

fn time(nanos: u64) -> String {
    Timestamp::from_nanosecond(i128::from(nanos)).expect("64 bits of nanoseconds end in 2554").to_string()
}
