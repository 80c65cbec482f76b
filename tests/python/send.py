"""Sends known telemetry with the stock OpenTelemetry SDK and prints, as JSON, exactly what the SDK exported.

Usage: send.py --protocol grpc|http --endpoint URL [--compression gzip] [--temporality delta] --run NAME

What is printed is taken from the objects the SDK hands to the OTLP exporter, so it is the sender's own account.
Exit code 1 when the server did not take everything.
"""

import argparse
import json
import sys

import canonical
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

TIMEOUT_S = 5


class Recording:
    """An exporter that remembers what passed through it, and whether the server took it."""

    def __init__(self, inner, describe, success):
        self.inner, self.describe, self.success = inner, describe, success
        self.sent, self.failures = [], 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def export(self, batch, **options):
        result = self.inner.export(batch, **options)
        if result is self.success:
            self.sent.extend(self.describe(batch))
        else:
            self.failures += 1
        return result


def exporters(options):
    """The stock span, metric and log exporters of the wanted protocol."""
    temporality = {}
    if options.temporality == "delta":
        temporality = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}
    if options.protocol == "grpc":
        import grpc
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        compression = grpc.Compression.Gzip if options.compression == "gzip" else grpc.Compression.NoCompression
        common = {"insecure": True, "compression": compression, "timeout": TIMEOUT_S}
        paths = {"traces": "", "metrics": "", "logs": ""}
    else:
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        compression = Compression.Gzip if options.compression == "gzip" else Compression.NoCompression
        common = {"compression": compression, "timeout": TIMEOUT_S}
        paths = {signal: f"/v1/{signal}" for signal in ("traces", "metrics", "logs")}
    return (
        OTLPSpanExporter(endpoint=options.endpoint + paths["traces"], **common),
        OTLPMetricExporter(
            endpoint=options.endpoint + paths["metrics"], preferred_temporality=temporality, **common
        ),
        OTLPLogExporter(endpoint=options.endpoint + paths["logs"], **common),
    )


def send_spans(provider):
    """Spans of every kind, with each thing a span can carry. Returns the context of one of them."""
    tracer = provider.get_tracer("python.tests", "0.3.1", "https://opentelemetry.io/schemas/1.37.0", {"scope.kind": "e2e"})
    attributes = {
        "http.request.method": "POST",
        "http.route": "/orders/{id}",
        "http.response.status_code": 201,
        "text": "naïve ☃ \"quoted\" \\ line\nbreak",
        "empty": "",
        "int": -42,
        "big": 2**63 - 1,
        "double": 0.1,
        "whole.double": 3.0,
        "bool": True,
        "texts": ["a", "b"],
        "ints": [1, 2, 3],
        "doubles": [1.5, 2.0],
        "bools": [True, False],
        "nothing": [],
    }
    with tracer.start_as_current_span("POST /orders/{id}", kind=SpanKind.SERVER, attributes=attributes) as server:
        server.add_event("cache.miss", {"key": "basket", "attempt": 2})
        with tracer.start_as_current_span("INSERT orders", kind=SpanKind.CLIENT) as client:
            client.set_attribute("db.system.name", "postgresql")
            client.set_attribute("server.port", 5432)
            client.set_status(Status(StatusCode.OK))
        elsewhere = Link(client.get_span_context(), {"why": "retry", "weight": 0.5})
        with tracer.start_as_current_span("send orders", kind=SpanKind.PRODUCER, links=[elsewhere]) as producer:
            pass
        link = Link(producer.get_span_context())
        with tracer.start_as_current_span("process orders", kind=SpanKind.CONSUMER, links=[link, elsewhere]):
            pass
        with tracer.start_as_current_span("compute") as internal:
            # A wrong type for a promoted attribute must survive too.
            internal.set_attribute("http.response.status_code", "two hundred")
            try:
                raise ValueError("the basket is empty")
            except ValueError as error:
                internal.record_exception(error)
                internal.set_status(Status(StatusCode.ERROR, "the basket is empty"))
    return server.get_span_context()


def send_points(provider, tracer):
    """Points of each kind that the SDK has."""
    meter = provider.get_meter("python.tests", "0.3.1", "https://opentelemetry.io/schemas/1.37.0")
    orders = meter.create_counter("test.orders", unit="{order}", description="Orders placed")
    revenue = meter.create_counter("test.revenue", unit="EUR", description="Value of orders")
    waiting = meter.create_up_down_counter("test.waiting", unit="{request}", description="Requests that wait")
    usage = meter.create_gauge("test.usage", unit="1", description="Share in use")
    duration = meter.create_histogram("test.duration", unit="s", description="Duration of orders")
    sizes = meter.create_histogram("test.sizes", unit="By", description="Size of orders")
    with tracer.start_as_current_span("measured"):
        orders.add(3, {"currency": "EUR"})
        orders.add(2**53 + 1, {"currency": "USD"})
        revenue.add(12.25, {"currency": "EUR"})
        waiting.add(7)
        waiting.add(-9)
        usage.set(0.8725, {"pool.name": "main"})
        usage.set(-0.5, {"pool.name": "spare", "ok": False})
        for seconds in (0.004, 0.3, 0.3, 27.0):
            duration.record(seconds, {"http.route": "/orders"})
        for size in (0, 17, 4096, 1_048_576, 3):
            sizes.record(size)
    provider.force_flush()


def send_logs(provider, span_context):
    """Records with each kind of body and a few severities; some belong to a span."""
    logger = provider.get_logger("python.tests", "0.3.1", "https://opentelemetry.io/schemas/1.37.0", {"scope.kind": "e2e"})
    with trace.use_span(trace.NonRecordingSpan(span_context)):
        bodies = [
            ("plain text ☃", SeverityNumber.INFO, "INFO", None, {"http.route": "/orders"}),
            ({"event": "charge", "amount": 12.0, "tries": 2, "ok": True, "tags": ["a", 1]}, SeverityNumber.WARN, "warning", "payment.charge", {}),
            (["a", 2, 3.5, None], SeverityNumber.DEBUG, "", None, {"list": ["x", "y"]}),
            (b"\x00\xffbytes", SeverityNumber.ERROR3, "E3", None, {"raw": b"\x01\x02"}),
            (42, SeverityNumber.FATAL, "FATAL", None, {"exception.type": "ValueError", "exception.message": "no"}),
            (2.0, SeverityNumber.TRACE, "TRACE", None, {"nested": {"deep": {"er": [1, {"x": 2.5}]}}}),
            (False, SeverityNumber.INFO2, "INFO", "flag.evaluated", {}),
        ]
        for number, (body, severity, text, event, attributes) in enumerate(bodies):
            logger.emit(
                LogRecord(
                    timestamp=instant_of_run() + number * 1_001,
                    observed_timestamp=instant_of_run() + number * 1_001 + 77,
                    severity_number=severity,
                    severity_text=text,
                    body=body,
                    event_name=event,
                    attributes={"number": number, **attributes},
                )
            )
    logger.emit(LogRecord(observed_timestamp=instant_of_run() + 5, severity_number=SeverityNumber.INFO, body="no trace, no time"))


def instant_of_run(_start=[]):
    """The same instant throughout a run, in nanoseconds that are not whole microseconds."""
    import time

    if not _start:
        _start.append(time.time_ns() // 1_000 * 1_000 + 123)
    return _start[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--protocol", choices=["grpc", "http"], required=True)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--compression", choices=["none", "gzip"], default="none")
    parser.add_argument("--temporality", choices=["cumulative", "delta"], default="cumulative")
    parser.add_argument("--run", required=True, help="becomes service.instance.id")
    options = parser.parse_args()

    resource = Resource.create(
        {
            "service.name": "python-sdk",
            "service.version": "0.9.0",
            "service.instance.id": options.run,
            "deployment.environment.name": "test",
            "team": "e2e",
            "weights": [0.25, 4.0],
        },
        "https://opentelemetry.io/schemas/1.37.0",
    )
    spans, metrics, logs = exporters(options)
    spans = Recording(spans, canonical.spans, SpanExportResult.SUCCESS)
    metrics = Recording(metrics, canonical.points, MetricExportResult.SUCCESS)
    logs = Recording(logs, canonical.logs, LogRecordExportResult.SUCCESS)

    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    exponential = View(instrument_name="test.sizes", aggregation=ExponentialBucketHistogramAggregation())
    reader = PeriodicExportingMetricReader(metrics, export_interval_millis=float("inf"))
    meters = MeterProvider(metric_readers=[reader], resource=resource, views=[exponential])
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))

    context = send_spans(tracers)
    send_points(meters, tracers.get_tracer("python.tests.measured"))
    send_logs(loggers, context)
    for provider in (tracers, meters, loggers):
        provider.shutdown()

    failures = spans.failures + metrics.failures + logs.failures
    if failures:
        sys.exit(f"send.py: {failures} exports to {options.endpoint} were not taken")
    json.dump({"spans": spans.sent, "points": metrics.sent, "logs": logs.sent}, sys.stdout, allow_nan=False)


if __name__ == "__main__":
    main()
