use std::time::Duration;

use jiff::Timestamp;

use crate::gather::queries;
use crate::series::{observed, total};
use crate::{Onset, Telemetry, close_up};

/// How much was lost, on the service whose indicator was violated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Impact {
    /// That service; `None` when no onset was found.
    pub service: Option<String>,
    /// Requests that failed between start and end.
    pub failed_requests: u64,
    /// All requests between start and end.
    pub total_requests: u64,
    /// Worst minute's share of failed requests, 0 to 1.
    pub error_share_peak: f64,
    /// Share of failed requests before the start, 0 to 1.
    pub error_share_before: f64,
    /// Worst minute's 95th percentile in milliseconds.
    pub p95_ms_peak: Option<f64>,
    /// When it began.
    pub from: Option<Timestamp>,
    /// When it ended, or the end of the telemetry while it lasts.
    pub to: Option<Timestamp>,
    /// `to − from`.
    pub duration: Duration,
    /// Whether it still lasted at the end of the telemetry.
    pub ongoing: bool,
    /// Services whose errors or latency rose, the violated one first.
    pub services: Vec<String>,
    /// The SQL behind the counts.
    pub sql: Option<String>,
}

/// Counts what `onset` did until `mitigated`, or until the telemetry ends.
pub(crate) fn of(telemetry: &Telemetry, onset: &Onset, mitigated: Option<Timestamp>) -> Impact {
    let to = mitigated.unwrap_or(telemetry.to);
    let Some(service) = telemetry.services.get(&onset.service) else { return Impact::default() };
    let during = telemetry.range(onset.at, to);
    let before = 0..during.start;
    let (failed, all) = close_up::counts(telemetry, &onset.service, onset.at, to);
    let share = service.error_share();
    let most = |values: Vec<f64>| values.into_iter().reduce(f64::max);
    let calls_before = total(&service.calls, before.clone());
    Impact {
        service: Some(onset.service.clone()),
        failed_requests: whole(failed),
        total_requests: whole(all),
        error_share_peak: most(observed(&share, during.clone())).unwrap_or(0.0),
        error_share_before: if calls_before > 0.0 {
            total(&service.errors, before) / calls_before
        } else {
            0.0
        },
        p95_ms_peak: most(observed(&service.p95_ms, during)),
        from: Some(onset.at),
        to: Some(to),
        duration: Duration::try_from(to.duration_since(onset.at)).unwrap_or_default(),
        ongoing: mitigated.is_none(),
        services: Vec::new(),
        sql: Some(queries::impact(onset.at, to, &onset.service)),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sum of counts; the cast saturates"
)]
fn whole(count: f64) -> u64 {
    count.round().max(0.0) as u64
}
