use opentelemetry_proto::tonic::metrics::v1::{Exemplar, metric::Data};

use crate::Request;

/// Adds `nanos` to every time in the request: of records, events and exemplars, starts and ends. A time of 0 means
/// "not set" and stays; a sum outside of what OTLP can say stops at 1 or at the largest time.
pub fn shift_request(request: &mut Request, nanos: i64) {
    each_time(request, &mut |time, _| {
        if *time != 0 {
            *time = time.saturating_add_signed(nanos).max(1);
        }
    });
}

/// The earliest and the latest event time in nanoseconds since the epoch: starts and ends of spans, times of
/// points, times (or else observed times) of logs. `None` when nothing has a time.
pub fn time_range(request: &Request) -> Option<(u64, u64)> {
    let mut range: Option<(u64, u64)> = None;
    // Walking changes nothing here; one walk for both keeps the list of times in one place.
    let mut request = request.clone();
    each_time(&mut request, &mut |time, role| {
        if *time != 0 && role == Role::Event {
            let (from, to) = range.unwrap_or((*time, *time));
            range = Some((from.min(*time), to.max(*time)));
        }
    });
    range
}

/// Whether a time says when the record happened, or something beside it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Event,
    Detail,
}

fn each_time(request: &mut Request, visit: &mut impl FnMut(&mut u64, Role)) {
    match request {
        Request::Traces(request) => {
            let scopes = request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
            for span in scopes.flat_map(|scope| &mut scope.spans) {
                visit(&mut span.start_time_unix_nano, Role::Event);
                visit(&mut span.end_time_unix_nano, Role::Event);
                for event in &mut span.events {
                    visit(&mut event.time_unix_nano, Role::Detail);
                }
            }
        }
        Request::Logs(request) => {
            let scopes = request.resource_logs.iter_mut().flat_map(|resource| &mut resource.scope_logs);
            for log in scopes.flat_map(|scope| &mut scope.log_records) {
                let observed = if log.time_unix_nano == 0 { Role::Event } else { Role::Detail };
                visit(&mut log.time_unix_nano, Role::Event);
                visit(&mut log.observed_time_unix_nano, observed);
            }
        }
        Request::Metrics(request) => {
            let scopes = request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics);
            for data in scopes.flat_map(|scope| &mut scope.metrics).filter_map(|metric| metric.data.as_mut())
            {
                each_point_time(data, visit);
            }
        }
    }
}

fn each_point_time(data: &mut Data, visit: &mut impl FnMut(&mut u64, Role)) {
    let mut point = |time: &mut u64, start: &mut u64, exemplars: &mut [Exemplar]| {
        visit(time, Role::Event);
        visit(start, Role::Detail);
        for exemplar in exemplars {
            visit(&mut exemplar.time_unix_nano, Role::Detail);
        }
    };
    match data {
        Data::Gauge(gauge) => {
            for p in &mut gauge.data_points {
                point(&mut p.time_unix_nano, &mut p.start_time_unix_nano, &mut p.exemplars);
            }
        }
        Data::Sum(sum) => {
            for p in &mut sum.data_points {
                point(&mut p.time_unix_nano, &mut p.start_time_unix_nano, &mut p.exemplars);
            }
        }
        Data::Histogram(histogram) => {
            for p in &mut histogram.data_points {
                point(&mut p.time_unix_nano, &mut p.start_time_unix_nano, &mut p.exemplars);
            }
        }
        Data::ExponentialHistogram(histogram) => {
            for p in &mut histogram.data_points {
                point(&mut p.time_unix_nano, &mut p.start_time_unix_nano, &mut p.exemplars);
            }
        }
        Data::Summary(summary) => {
            for p in &mut summary.data_points {
                point(&mut p.time_unix_nano, &mut p.start_time_unix_nano, &mut []);
            }
        }
    }
}
