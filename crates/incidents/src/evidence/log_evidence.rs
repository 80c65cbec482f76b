//! Logs: templates that are new, surging or gone, by how many of the service's requests carry them.

use std::collections::BTreeMap;

use super::shown::Shown;
use super::span_evidence::{SpanView, add, parts, z_of};
use super::{Finding, Findings, Kind, Observations, Window};
use crate::format;
use crate::statistics::count;

/// OpenTelemetry's severity number of a warning.
pub(super) const WARNING: i64 = 13;
/// Fewest requests or records on either side.
const SEEN_MIN: f64 = 2.0;
/// Longest template shown.
const TEXT_CHARS: usize = 120;

/// Times of records, for `parts`.
type Times = Vec<(f64, ())>;

/// Records by service and template, in order of time.
pub(super) struct LogView<'a> {
    seen: &'a Observations,
    spans: &'a SpanView<'a>,
    by_template: BTreeMap<(u32, u32), (i64, Times)>,
    by_service: BTreeMap<u32, Times>,
}

impl<'a> LogView<'a> {
    pub(super) fn new(seen: &'a Observations, spans: &'a SpanView<'a>) -> Self {
        let mut by_template: BTreeMap<(u32, u32), (i64, Times)> = BTreeMap::new();
        let mut by_service: BTreeMap<u32, Times> = BTreeMap::new();
        for log in &seen.logs {
            let of_template = by_template.entry((log.service, log.template)).or_default();
            of_template.0 = of_template.0.max(log.severity);
            of_template.1.push((log.at_s, ()));
            by_service.entry(log.service).or_default().push((log.at_s, ()));
        }
        for (_, times) in by_template.values_mut() {
            times.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        for times in by_service.values_mut() {
            times.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        Self { seen, spans, by_template, by_service }
    }

    pub(super) fn findings(&self, window: Window) -> Findings {
        let mut found = Findings::new();
        for ((service, template), (severity, times)) in &self.by_template {
            let (n0, n1, of_requests) = self.requests(*service, window);
            if n0 < SEEN_MIN || n1 < SEEN_MIN {
                continue;
            }
            let (before, after) = parts(times, window);
            let (c0, c1) = (count(before.len()).min(n0), count(after.len()).min(n1));
            let (z, change) = (z_of(c0, n0, c1, n1), c1 / n1 - c0 / n0);
            let is_complaint = *severity >= WARNING && change > 0.0;
            let weight = if is_complaint {
                if z < 2.5 { 0.0 } else { ((z - 1.0) / 5.0).min(1.0) * change.sqrt() }
            } else if z.abs() < 3.5 {
                0.0
            } else {
                0.5 * ((z.abs() - 2.0) / 5.0).min(1.0) * change.abs().sqrt()
            };
            let name = self.seen.names.text(*service);
            let text: String = self.seen.template(*template).chars().take(TEXT_CHARS).collect();
            let text = format!(
                "{name} logs `{text}` in {} of its requests, {} before",
                format::percent(c1 / n1),
                format::percent(c0 / n0)
            );
            let complains = *severity >= WARNING;
            let shown = Shown::Log { service: *service, template: *template, complains, of_requests };
            add(&mut found, name, Finding { kind: Kind::Logs, weight, text, shown });
        }
        found
    }

    /// Requests of a service before and after; its records, and `false`, where it has no spans.
    fn requests(&self, service: u32, window: Window) -> (f64, f64, bool) {
        let (n0, n1) = self.spans.requests(service, window);
        if n0 + n1 >= 4.0 {
            return (n0, n1, true);
        }
        self.by_service.get(&service).map_or((0.0, 0.0, false), |times| {
            let (before, after) = parts(times, window);
            (count(before.len()), count(after.len()), false)
        })
    }
}
