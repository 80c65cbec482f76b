"""What the SDK exports, as plain JSON: the shape that the Rust test compares SQL's answers with.

Times and other 64-bit integers are decimal strings. Attribute values follow the canonical form of the program:
ints without a point, doubles always with one, bytes as {"$bytes": base64}, an empty value as {"$empty": true}.
"""

import base64
import math

from opentelemetry.sdk.metrics.export import ExponentialHistogram, Gauge, Histogram, Sum
from opentelemetry.trace import format_span_id, format_trace_id

TEMPORALITY = {1: "delta", 2: "cumulative"}


def value(of):
    if of is None:
        return {"$empty": True}
    if isinstance(of, (bool, int, str)):
        return of
    if isinstance(of, float):
        assert math.isfinite(of)
        return of
    if isinstance(of, bytes):
        return {"$bytes": base64.b64encode(of).decode()}
    if hasattr(of, "items"):
        return attributes(of)
    return [value(item) for item in of]


def attributes(of):
    return {key: value(item) for key, item in (of or {}).items()}


def origin(resource, scope):
    return {
        "resource": attributes(resource.attributes),
        "resource_schema_url": resource.schema_url or None,
        "scope_name": scope.name,
        "scope_version": scope.version or None,
        "scope_attributes": attributes(scope.attributes),
        "scope_schema_url": scope.schema_url or None,
    }


def spans(batch):
    for span in batch:
        yield {
            **origin(span.resource, span.instrumentation_scope),
            "trace_id": format_trace_id(span.context.trace_id),
            "span_id": format_span_id(span.context.span_id),
            "parent_span_id": format_span_id(span.parent.span_id) if span.parent else None,
            "name": span.name,
            "kind": span.kind.name.lower(),
            "start": str(span.start_time),
            "duration": str(span.end_time - span.start_time),
            "status_code": span.status.status_code.name.lower(),
            "status_message": span.status.description or None,
            "attributes": attributes(span.attributes),
            "events": [
                {"time": str(event.timestamp), "name": event.name, "attributes": attributes(event.attributes)}
                for event in span.events
            ],
            "links": [
                {
                    "trace_id": format_trace_id(link.context.trace_id),
                    "span_id": format_span_id(link.context.span_id),
                    "attributes": attributes(link.attributes),
                }
                for link in span.links
            ],
        }


def logs(batch):
    for item in batch:
        record = item.log_record
        yield {
            **origin(item.resource, item.instrumentation_scope),
            "time": str(record.timestamp or record.observed_timestamp),
            "observed": str(record.observed_timestamp),
            "severity_number": record.severity_number.value,
            "severity_text": record.severity_text or None,
            "body": value(record.body),
            "event_name": record.event_name or None,
            "trace_id": format_trace_id(record.trace_id) if record.trace_id else None,
            "span_id": format_span_id(record.span_id) if record.span_id else None,
            "attributes": attributes(record.attributes),
        }


def points(batch):
    for resource in batch.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    yield {
                        **origin(resource.resource, scope.scope),
                        "metric_name": metric.name,
                        "unit": metric.unit or None,
                        "description": metric.description or None,
                        "attributes": attributes(point.attributes),
                        "time": str(point.time_unix_nano),
                        "start": str(point.start_time_unix_nano) if point.start_time_unix_nano else None,
                        "exemplars": [exemplar(each) for each in point.exemplars],
                        **data(metric.data, point),
                    }


def data(kind, point):
    temporality = TEMPORALITY.get(int(getattr(kind, "aggregation_temporality", 0)))
    if isinstance(kind, Gauge):
        return {"table": "metrics", "metric_type": "gauge", "temporality": None, "value": point.value}
    if isinstance(kind, Sum):
        monotonic = {"metric_type": "sum", "is_monotonic": kind.is_monotonic, "temporality": temporality}
        return {"table": "metrics", **monotonic, "value": point.value}
    shared = {"temporality": temporality, "count": str(point.count), "sum": float(point.sum)}
    shared |= {"min": float(point.min), "max": float(point.max)}
    if isinstance(kind, Histogram):
        return {
            "table": "metric_histograms",
            "metric_type": "histogram",
            **shared,
            "explicit_bounds": [float(bound) for bound in point.explicit_bounds],
            "bucket_counts": [str(count) for count in point.bucket_counts],
        }
    assert isinstance(kind, ExponentialHistogram), kind
    return {
        "table": "metric_exp_histograms",
        "metric_type": "exponential_histogram",
        **shared,
        "scale": point.scale,
        "zero_count": str(point.zero_count),
        "positive_offset": point.positive.offset,
        "positive_counts": [str(count) for count in point.positive.bucket_counts],
    }


def exemplar(of):
    return {
        "time": str(of.time_unix_nano),
        "value": of.value,
        "trace_id": format_trace_id(of.trace_id) if of.trace_id else None,
        "span_id": format_span_id(of.span_id) if of.span_id else None,
        "filtered_attributes": attributes(of.filtered_attributes),
    }
