use std::collections::BTreeMap;

use hindsight_incidents::gather::gather_comparison;
use hindsight_model::{SqlParam, SqlSource};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::book::Book;
use super::facts::{Facts, Resource, Traces, VersionWork, Window};
use super::words::{code, plain};
use super::{DraftInput, baseline, queries, timeline};
use crate::chart::{Series, Unit, shorten};
use crate::document::Times;
use crate::evidence::{ChartSpec, Evidence, EvidenceSpec};
use crate::{Error, Result};

/// Services on one chart.
const MAX_AFFECTED: usize = 6;
/// Reasons of the first suspect that are told.
const MAX_REASONS: usize = 5;
/// Minutes in a row at the baseline that count as recovered.
const CALM_MINUTES: usize = 3;
/// Two sights of the return to normal this close are one.
const SAME_MOMENT: SignedDuration = SignedDuration::from_secs(120);
/// Least context on each side of the incident.
const MIN_CONTEXT: SignedDuration = SignedDuration::from_mins(15);

/// Asks everything. What the draft cannot do without is an error; what fails beyond that is left out with a warning.
pub(super) async fn gather(
    input: &DraftInput<'_>,
    zone: &TimeZone,
    sql: &dyn SqlSource,
    book: &mut Book,
) -> Result<Facts> {
    let times = times_of(input)?;
    let window = window_of(input, &times);
    let mut asking = Asking { input, sql, book, window, times };
    let blast = asking
        .must("Blast radius: every service before and during", queries::blast_radius(), Vec::new(), None)
        .await?;
    let (primary, affected) = affected(input, &blast);
    let row = (0..blast.rows.len()).find(|row| blast.text(*row, "service_name").as_deref() == Some(&primary));
    let number = |column: &str| row.and_then(|row| blast.number(row, column)).unwrap_or(0.0);
    let (requests, failed) = (number("requests"), number("failed"));
    let suspect = input.incident.suspects.first().map(|suspect| suspect.service.clone());
    let looked_at = with_suspects(&affected, input);
    let (error_rate, band) = asking.error_rate(&affected).await?;
    let main = error_rate.series().into_iter().find(|series| series.name == primary);
    let returned_at = band
        .as_ref()
        .zip(main.as_ref())
        .and_then(|(band, series)| baseline::returned(series, band, window.impact_start, CALM_MINUTES))
        // The incident knows the same moment more finely than whole minutes show it.
        .map(|at| times.mitigated.filter(|well| at.duration_since(*well).abs() <= SAME_MOMENT).unwrap_or(at));
    let request_rate = asking.request_rate(&affected).await;
    let blast_kept = asking.book.keep(blast.clone()).unwrap_or(blast);
    let latency = asking.latency(&primary).await;
    let resource = asking.resource(&looked_at).await;
    let changed = suspect.clone().unwrap_or_else(|| primary.clone());
    let (by_version, work) = asking.versions(&changed).await;
    let errors = asking
        .may("What the failing spans say", queries::errors(looked_at.len()), services(&looked_at), None)
        .await;
    let alerts = asking.may("Alert history", queries::alerts(), Vec::new(), None).await;
    let slo = asking.may("Error budget spent by the incident", queries::slo_budget(), Vec::new(), None).await;
    let diagram = ChartSpec::services(affected.clone(), suspect.clone());
    let map = asking
        .may("Services and the calls between them", queries::service_map(), Vec::new(), Some(diagram))
        .await;
    let reasons = asking.reasons().await;
    let traces = asking.traces(&primary).await;
    let change = input.incident.suspects.first().and_then(|s| Some((s.change.clone()?, s.changed_at)));
    let mut facts = Facts {
        zone: zone.clone(),
        window,
        times,
        primary,
        affected,
        requests,
        failed,
        suspect,
        change,
        reasons,
        traces,
        returned_at,
        error_rate,
        request_rate,
        blast: blast_kept,
        latency,
        resource,
        by_version,
        work,
        errors,
        alerts,
        slo,
        map,
        entries: Vec::new(),
    };
    facts.entries = timeline::entries(input, &facts, sql, asking.book).await;
    Ok(facts)
}

/// The incident's milestones, made consistent: an alert cannot fire before the impact it saw, and what came after
/// the impact did not trigger it.
fn times_of(input: &DraftInput<'_>) -> Result<Times> {
    let known = &input.incident.times;
    let missing = Error::Incomplete { incident: input.incident.id.to_string(), what: "start of impact" };
    let impact_start = known.impact_start.or(known.detected).ok_or(missing)?;
    let impact_start = known.detected.map_or(impact_start, |detected| detected.min(impact_start));
    Ok(Times {
        trigger: known.trigger.filter(|trigger| *trigger <= impact_start),
        impact_start: Some(impact_start),
        detected: known.detected,
        acknowledged: known.acknowledged,
        cause_identified: known.cause_identified,
        mitigated: known.mitigated,
        resolved: known.resolved,
    })
}

fn window_of(input: &DraftInput<'_>, times: &Times) -> Window {
    let known_to = input.watermark.unwrap_or(input.now);
    let impact_start = times.impact_start.unwrap_or(known_to);
    let start = times.trigger.unwrap_or(impact_start);
    let impact_end = times.resolved.or(times.mitigated).unwrap_or(known_to).max(impact_start);
    let context = (impact_end.duration_since(start) / 2).max(MIN_CONTEXT);
    let from = floor_minute(start.checked_sub(context).unwrap_or(start));
    let to = floor_minute(impact_end.checked_add(context).unwrap_or(impact_end));
    Window { from, to, until: to.min(floor_minute(known_to)).max(from), start, impact_start, impact_end }
}

fn floor_minute(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(60) * 60).unwrap_or(at)
}

/// The customer-facing service, and every service that failed clearly more than before.
fn affected(input: &DraftInput<'_>, blast: &Evidence) -> (String, Vec<String>) {
    let share = |row: usize, failed: &str, requests: &str| {
        let requests = blast.number(row, requests).unwrap_or(0.0);
        if requests > 0.0 { blast.number(row, failed).unwrap_or(0.0) / requests } else { 0.0 }
    };
    let worse: Vec<String> = (0..blast.rows.len())
        .filter(|row| {
            share(*row, "failed", "requests") - share(*row, "failed_before", "requests_before") >= 0.01
        })
        .filter_map(|row| blast.text(row, "service_name"))
        .collect();
    let named = &input.incident.services;
    let primary = named
        .iter()
        .find(|service| worse.contains(service))
        .or(named.first())
        .or(worse.first())
        .cloned()
        .or_else(|| blast.text(0, "service_name"))
        .unwrap_or_else(|| "the service".to_owned());
    let mut affected = vec![primary.clone()];
    for service in worse {
        if !affected.contains(&service) && affected.len() < MAX_AFFECTED {
            affected.push(service);
        }
    }
    (primary, affected)
}

fn with_suspects(affected: &[String], input: &DraftInput<'_>) -> Vec<String> {
    let mut all = affected.to_vec();
    for suspect in input.incident.suspects.iter().take(3) {
        if !all.contains(&suspect.service) {
            all.push(suspect.service.clone());
        }
    }
    all
}

fn services(names: &[String]) -> Vec<(String, SqlParam)> {
    let param =
        |(index, name): (usize, &String)| (format!("service_{}", index + 1), SqlParam::from(name.clone()));
    names.iter().enumerate().map(param).collect()
}

/// One draft's questions.
struct Asking<'a, 'b> {
    input: &'a DraftInput<'a>,
    sql: &'a dyn SqlSource,
    book: &'b mut Book,
    window: Window,
    times: Times,
}

impl Asking<'_, '_> {
    /// Asks without keeping.
    async fn must(
        &mut self,
        title: &str,
        sql: String,
        params: Vec<(String, SqlParam)>,
        chart: Option<ChartSpec>,
    ) -> Result<Evidence> {
        let window = &self.window;
        let mut all: BTreeMap<String, SqlParam> = params.into_iter().collect();
        for (name, at) in [
            ("until", window.until),
            ("impact_start", window.impact_start),
            ("impact_end", window.impact_end),
            ("quiet_until", window.start),
        ] {
            if sql.contains(&format!("${name}")) {
                all.insert(name.to_owned(), SqlParam::Time(at));
            }
        }
        let chart = chart.map(|spec| ChartSpec { events: Facts::events(&self.times), ..spec });
        let spec = EvidenceSpec {
            id: String::new(),
            title: title.to_owned(),
            caption: caption(title, &self.input.incident.services).to_owned(),
            sql,
            params: all,
            from: window.from,
            to: window.to,
            chart,
        };
        self.book.ask(self.sql, spec).await
    }

    /// Asks and keeps what has rows; a failure is logged and left out.
    async fn may(
        &mut self,
        title: &str,
        sql: String,
        params: Vec<(String, SqlParam)>,
        chart: Option<ChartSpec>,
    ) -> Option<Evidence> {
        match self.must(title, sql, params, chart).await {
            Ok(evidence) if evidence.rows.is_empty() => None,
            Ok(evidence) => self.book.keep(evidence),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(title, error = %error, cause, "left evidence out of the draft");
                None
            }
        }
    }

    async fn error_rate(&mut self, affected: &[String]) -> Result<(Evidence, Option<crate::chart::Band>)> {
        let spec =
            ChartSpec { series: vec!["service_name".to_owned()], ..line(&["error_rate"], Unit::Percent) };
        let sql = queries::error_rate(affected.len());
        let mut evidence =
            self.must("Error rate of the affected services", sql, services(affected), Some(spec)).await?;
        let band = baseline::before(&evidence.series(), self.window.start);
        set_baseline(&mut evidence, band.clone());
        let kept = self.book.keep(evidence.clone()).unwrap_or(evidence);
        Ok((kept, band))
    }

    async fn request_rate(&mut self, affected: &[String]) -> Option<Evidence> {
        let spec = ChartSpec {
            series: vec!["service_name".to_owned()],
            ..line(&["requests_per_second"], Unit::PerSecond)
        };
        let sql = queries::request_rate(affected.len());
        self.may("Request rate of the affected services", sql, services(affected), Some(spec)).await
    }

    async fn latency(&mut self, primary: &str) -> Option<Evidence> {
        let title = format!("Latency of {primary}: p50, p95, p99");
        let spec = line(&["p50", "p95", "p99"], Unit::Nanoseconds);
        self.may(&title, queries::latency(), vec![("service".into(), primary.into())], Some(spec)).await
    }

    async fn versions(&mut self, service: &str) -> (Option<Evidence>, Option<(Evidence, Vec<VersionWork>)>) {
        let param = || vec![("service".to_owned(), SqlParam::from(service))];
        let title = format!("What each version of {service} did");
        let work = self.may(&title, queries::work_by_version(), param(), None).await;
        let work = work.map(|evidence| {
            let versions = versions_of(&evidence);
            (evidence, versions)
        });
        let spec = ChartSpec { series: vec!["version".to_owned()], ..line(&["error_rate"], Unit::Percent) };
        let title = format!("Error rate of {service} by version");
        let several = work.as_ref().is_some_and(|(_, versions)| versions.len() > 1);
        let chart = if several {
            self.may(&title, queries::error_rate_by_version(), param(), Some(spec)).await
        } else {
            None
        };
        (chart, work)
    }

    /// Why the first suspect is one, each with its own SQL frozen where it has one.
    async fn reasons(&mut self) -> Vec<(String, Option<String>)> {
        let Some(suspect) = self.input.incident.suspects.first() else { return Vec::new() };
        let mut reasons = Vec::new();
        for reason in suspect.reasons.iter().take(MAX_REASONS) {
            let evidence = match &reason.sql {
                Some(sql) => self.reason(&suspect.service, &reason.text, sql).await,
                None => None,
            };
            reasons.push((reason.text.clone(), evidence));
        }
        reasons
    }

    async fn reason(&mut self, service: &str, text: &str, sql: &str) -> Option<String> {
        let title = format!("Suspect {service}: {}", shorten(text, 80));
        let caption = "Shows the figures behind one reason: the level before, and the level after.";
        self.as_it_is(title, caption, sql.to_owned()).await
    }

    /// One bad request of the impact and a good one from before, where there are both.
    async fn traces(&mut self, primary: &str) -> Option<Traces> {
        let (from, to) = (self.window.impact_start, self.window.impact_end);
        let entries = [primary.to_owned()];
        let tenant = &self.input.incident.tenant;
        // Boxed: a handful of queries after one another is a large future.
        let found = Box::pin(gather_comparison(self.sql, tenant, &entries, from, to)).await;
        let found =
            found.map_err(|error| tracing::warn!(error = %error, "no traces were compared")).ok()??;
        found.good.as_ref()?;
        let title = format!("A bad and a good trace of {} {}", found.service, shorten(&found.operation, 80));
        let caption = "Shows one request of the impact and one from before span by span: which step differs.";
        let evidence = self.as_it_is(title, caption, found.sql()).await?;
        Some(Traces {
            differences: found.told(|service, name| format!("{} {}", code(service), code(name)), plain),
            failed: found.bad.failed,
            service: found.service,
            operation: found.operation,
            evidence,
        })
    }

    /// Asks SQL that has its times in its text. A failure is logged and left out.
    async fn as_it_is(&mut self, title: String, caption: &str, sql: String) -> Option<String> {
        let spec = EvidenceSpec {
            id: String::new(),
            title: title.clone(),
            caption: caption.to_owned(),
            sql,
            params: BTreeMap::new(),
            from: self.window.from,
            to: self.window.to,
            chart: None,
        };
        match self.book.ask(self.sql, spec).await {
            Ok(evidence) => self.book.keep(evidence).map(|evidence| evidence.id),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(title, error = %error, cause, "left evidence out of the draft");
                None
            }
        }
    }

    /// The gauge of the services in question whose level changed most, resources with a ceiling first.
    async fn resource(&mut self, looked_at: &[String]) -> Option<Resource> {
        let title = "Resource levels before and during";
        let ranking = self.must(title, queries::gauges(looked_at.len()), services(looked_at), None).await;
        let ranking = ranking.map_err(|error| tracing::warn!(error = %error, "no resource levels")).ok()?;
        let row = most_changed(&ranking)?;
        let (metric, service) = (ranking.text(row, "metric_name")?, ranking.text(row, "service_name")?);
        let unit = unit_of(ranking.text(row, "unit").as_deref().unwrap_or(""));
        let params = ["metric", "service", "attributes"].into_iter().zip([
            metric.clone(),
            service.clone(),
            ranking.text(row, "attributes").unwrap_or_default(),
        ]);
        let params = params.map(|(name, value)| (name.to_owned(), SqlParam::from(value))).collect();
        let title = format!("{metric} of {service}");
        let spec = ChartSpec { series: vec!["service_name".to_owned()], ..line(&["peak"], unit) };
        let mut evidence = self.must(&title, queries::gauge(), params, Some(spec)).await.ok()?;
        let series: Vec<Series> = evidence.series();
        set_baseline(&mut evidence, baseline::before(&series, self.window.start));
        let evidence = self.book.keep(evidence)?;
        let (start, end) = (self.window.start, self.window.impact_end);
        let within = |low: Timestamp, high: Timestamp| {
            let points = series.iter().flat_map(|s| &s.points).filter(move |p| p.0 >= low && p.0 < high);
            points.filter_map(|p| p.1).collect::<Vec<f64>>()
        };
        let before = within(self.window.from, start);
        Some(Resource {
            metric,
            service,
            before: before.iter().sum::<f64>() / before.len().max(1) as f64,
            peak: within(start, end).into_iter().fold(f64::NEG_INFINITY, f64::max),
            unit,
            evidence,
        })
        .filter(|resource| resource.peak.is_finite())
    }
}

fn line(values: &[&str], unit: Unit) -> ChartSpec {
    ChartSpec::line("minute", values, unit)
}

fn set_baseline(evidence: &mut Evidence, band: Option<crate::chart::Band>) {
    if let Some(chart) = &mut evidence.chart {
        chart.baseline = band;
    }
}

fn versions_of(evidence: &Evidence) -> Vec<VersionWork> {
    let read = |row: usize| {
        Some(VersionWork {
            version: evidence.text(row, "version")?,
            first_seen: evidence.time(row, "first_seen"),
            error_rate: evidence.number(row, "error_rate"),
            calls: evidence.number(row, "calls_per_request"),
            database_calls: evidence.number(row, "database_calls_per_request"),
        })
    };
    (0..evidence.rows.len()).filter_map(read).collect()
}

/// A resource near its ceiling outranks any other; else the largest step against the usual spread.
fn most_changed(ranking: &Evidence) -> Option<usize> {
    let number = |row: usize, column: &str| ranking.number(row, column);
    let score = |row: usize| -> Option<f64> {
        let (before, during) = (number(row, "mean_before")?, number(row, "mean_during")?);
        let peak = number(row, "peak_during")?;
        let spread = number(row, "spread_before").unwrap_or(0.0).max(before.abs() * 0.05).max(1e-9);
        let step = (during - before).abs() / spread;
        let name = ranking.text(row, "metric_name").unwrap_or_default();
        let share = ranking.text(row, "unit").as_deref() == Some("1");
        let full = share && (0.9..=1.5).contains(&peak) && during - before >= 0.15;
        let scarce = ["usage", "utilization", "pool", "queue", "pending"].iter().any(|w| name.contains(w));
        (step >= 3.0)
            .then_some(step.min(1e6) + if full { 1e9 } else { 0.0 } + if full && scarce { 1e9 } else { 0.0 })
    };
    let scored = (0..ranking.rows.len()).filter_map(|row| Some((row, score(row)?)));
    scored.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|best| best.0)
}

/// The OTLP unit as ours.
fn unit_of(unit: &str) -> Unit {
    match unit {
        "1" => Unit::Percent,
        "By" => Unit::Bytes,
        "s" => Unit::Seconds,
        "ns" => Unit::Nanoseconds,
        text if text.starts_with('{') => Unit::Count,
        _ => Unit::None,
    }
}

/// What a piece of evidence shows and why it matters.
fn caption(title: &str, _named: &[String]) -> &'static str {
    let captions: [(&str, &str); 11] = [
        (
            "Blast radius",
            "Shows how many requests each service answered and failed before and during the impact: who was hurt, and who was not.",
        ),
        (
            "Error rate of the affected",
            "Shows the share of requests that failed, minute by minute: when customers began to be hurt and when it ended. The band is what was normal before.",
        ),
        (
            "Error rate of",
            "Shows the share of failed requests of each running version: whether old and new behaved differently at the same time.",
        ),
        (
            "Request rate",
            "Shows how much traffic arrived: whether load explains the failures, and how much business passed by.",
        ),
        ("Latency", "Shows how long requests took: whether customers waited before they failed."),
        (
            "What each version",
            "Shows the work that one request caused in each version: what the change changed.",
        ),
        (
            "What the failing",
            "Shows the errors that the failing spans carry, most frequent first: where to look for the mechanism.",
        ),
        (
            "Alert history",
            "Shows each change of state of each alert: when the system told people, and what it said.",
        ),
        ("Error budget", "Shows what the incident cost against the promise made to customers."),
        (
            "Services and",
            "Shows who calls whom, and along which calls the failure travelled; the thick path is affected.",
        ),
        ("Timeline", "Shows the telemetry behind one row of the timeline."),
    ];
    let found = captions.into_iter().find(|(start, _)| title.starts_with(start));
    found.map_or(
        "Shows the level of the resource minute by minute: whether it ran out, and when. The band is what was normal before.",
        |(_, text)| text,
    )
}
