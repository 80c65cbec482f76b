//! `/`: is anything wrong, where, and how bad.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::Response;
use hindsight_model::{
    AlertInstance, AlertState, Incident, SloStatus, SqlValue, Tenant, timestamp_from_micros, to_micros,
};
use hindsight_postmortem::chart::{Unit, sparkline};

use super::alert_words::{plural, rule_path, slo_path};
use super::frame::{Frame, PageError, html, rows, sql_link};
use super::range::{Range, RangeQuery};
use crate::app::App;

/// Most services shown.
const SERVICES_MAX: usize = 200;

/// Calls, errors and latency of each service, minute by minute.
fn red_sql(bucket_minutes: i64) -> String {
    format!(
        "SELECT service_name, date_bin(INTERVAL '{bucket_minutes} minutes', timestamp) AS at, count(*) AS calls, \
         count(*) FILTER (WHERE status_code = 'error') AS errors, \
         approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_nano) AS p95_nano \
         FROM spans WHERE kind IN ('server', 'consumer') AND timestamp >= $from AND timestamp < $to \
         GROUP BY 1, 2 ORDER BY 1, 2"
    )
}

const TOTALS_SQL: &str = "SELECT service_name, count(*) AS calls, count(*) FILTER (WHERE status_code = 'error') AS errors, \
     approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_nano) AS p50_nano, \
     approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_nano) AS p95_nano, \
     approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_nano) AS p99_nano \
     FROM spans WHERE kind IN ('server', 'consumer') AND timestamp >= $from AND timestamp < $to \
     GROUP BY 1 ORDER BY 1";

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    sentence: String,
    sentence_state: &'static str,
    alerts: Vec<AlertView>,
    slos: Vec<SloView>,
    incidents: Vec<IncidentView>,
    services: Vec<ServiceView>,
    services_sql: String,
    /// Where telemetry may be sent; nowhere when a capsule is served.
    http_endpoint: Option<String>,
    intake: String,
    problems: usize,
}

struct AlertView {
    state: AlertState,
    class: &'static str,
    name: String,
    path: String,
    labels: String,
    summary: String,
    since: String,
}

struct SloView {
    name: String,
    path: String,
    service: String,
    objective: String,
    left: String,
    burn: String,
    state: String,
    class: &'static str,
}

struct IncidentView {
    id: String,
    severity: String,
    status: String,
    class: &'static str,
    title: String,
    opened: String,
}

struct ServiceView {
    name: String,
    rate: String,
    rate_exact: String,
    rate_spark: String,
    errors: String,
    errors_exact: String,
    errors_spark: String,
    class: &'static str,
    word: &'static str,
    p50: String,
    p95: String,
    p99: String,
    p95_spark: String,
    link: String,
    trouble: f64,
}

#[derive(Default)]
struct Minutes {
    calls: Vec<Option<f64>>,
    errors: Vec<Option<f64>>,
    p95: Vec<Option<f64>>,
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Query(query): Query<RangeQuery>,
) -> Result<Response<Body>, PageError> {
    let range = Range::parse(&query, app.clock.now()).map_err(PageError::bad_request)?;
    let tenant = Tenant::default();
    let totals = rows(&app, TOTALS_SQL, &range).await?;
    let minutes = by_service(&rows(&app, &red_sql(range.bucket_minutes()), &range).await?, &range);
    let mut services: Vec<ServiceView> =
        totals.iter().filter_map(|row| service(row, &minutes, &range)).take(SERVICES_MAX).collect();
    services.sort_by(|a, b| b.trouble.total_cmp(&a.trouble).then_with(|| a.name.cmp(&b.name)));
    let instances = app.state.instances(&tenant).await?;
    let slos = app.state.slo_status(&tenant).await?;
    let incidents = app.state.incidents(&tenant).await?;
    let (sentence, sentence_state) = sentence(&services, &instances, &slos, &incidents);
    let stats = app.store.stats();
    Ok(html(&HomePage {
        frame: Frame::new("Home", "home").with_range("/", &range),
        sentence,
        sentence_state,
        alerts: instances
            .iter()
            .filter(|i| i.state != AlertState::Inactive)
            .map(|i| alert(i, &range))
            .collect(),
        slos: slos.iter().map(slo).collect(),
        incidents: incidents.iter().map(|incident| incident_view(incident, &range)).collect(),
        services,
        services_sql: sql_link(TOTALS_SQL, &range),
        http_endpoint: app.addresses.http.map(|address| format!("http://{address}")),
        intake: format!(
            "{} items accepted, {} rejected since start; {} blocks sealed.",
            stats.items_accepted_total, stats.items_rejected_total, stats.blocks
        ),
        problems: app.rules().problems.len(),
    }))
}

/// The one sentence that a tired person can act on.
fn sentence(
    services: &[ServiceView],
    alerts: &[AlertInstance],
    slos: &[SloStatus],
    incidents: &[Incident],
) -> (String, &'static str) {
    let firing =
        alerts.iter().filter(|a| matches!(a.state, AlertState::Firing | AlertState::Recovering)).count();
    let open: Vec<&Incident> = incidents.iter().filter(|incident| incident.status.is_live()).collect();
    let gone =
        slos.iter().filter_map(|s| s.budget_consumed.map(|c| (c, s))).max_by(|a, b| a.0.total_cmp(&b.0));
    let budget = gone.filter(|(consumed, _)| *consumed >= 0.01).map(|(consumed, status)| {
        format!("; {} of the budget of {} is gone", Unit::Percent.format(consumed), status.slo)
    });
    let budget = budget.unwrap_or_default();
    if let Some(incident) = open.first() {
        let alerts = plural(firing, "alert");
        return (format!("{} is open: {}. {alerts} firing{budget}.", incident.id, incident.title), "bad");
    }
    if firing > 0 {
        return (format!("{} firing, no incident open{budget}.", plural(firing, "alert")), "bad");
    }
    if services.is_empty() {
        return ("No telemetry in this time range.".to_owned(), "unknown");
    }
    let worst = services.iter().find(|service| service.class != "ok");
    let words = worst.map_or_else(
        || format!("All quiet: {} answer, nothing fires{budget}.", plural(services.len(), "service")),
        |worst| format!("Nothing fires; {} has the most errors ({}){budget}.", worst.name, worst.errors),
    );
    (words, "ok")
}

fn by_service(rows: &[Vec<SqlValue>], range: &Range) -> BTreeMap<String, Minutes> {
    let step = range.bucket_minutes() * 60_000_000;
    let first = to_micros(range.from).div_euclid(step);
    let last = (to_micros(range.to) - 1).div_euclid(step);
    let length = usize::try_from(last - first + 1).unwrap_or(0);
    let mut all: BTreeMap<String, Minutes> = BTreeMap::new();
    for row in rows {
        let (Some(name), Some(at)) = (row[0].as_str(), row[1].as_time()) else { continue };
        let Ok(slot) = usize::try_from(to_micros(at).div_euclid(step) - first) else { continue };
        let minutes = all.entry(name.to_owned()).or_insert_with(|| Minutes {
            calls: vec![None; length],
            errors: vec![None; length],
            p95: vec![None; length],
        });
        if slot < length {
            minutes.calls[slot] = row[2].as_f64();
            minutes.errors[slot] = share(row[3].as_f64(), row[2].as_f64());
            minutes.p95[slot] = row[4].as_f64();
        }
    }
    all
}

fn share(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    whole.filter(|whole| *whole > 0.0).and_then(|whole| part.map(|part| part / whole))
}

fn service(row: &[SqlValue], minutes: &BTreeMap<String, Minutes>, range: &Range) -> Option<ServiceView> {
    let name = row[0].as_str()?.to_owned();
    let calls = row[1].as_f64()?;
    let failed = row[2].as_f64()?;
    let error_share = failed / calls.max(1.0);
    let latency =
        |cell: &SqlValue| cell.as_f64().map_or("–".to_owned(), |nano| Unit::Nanoseconds.format(nano));
    let empty = Minutes::default();
    let minutes = minutes.get(&name).unwrap_or(&empty);
    let (class, word) = match error_share {
        share if share >= 0.05 => ("bad", "failing"),
        share if share >= 0.005 => ("warn", "some errors"),
        _ => ("ok", "ok"),
    };
    let sql = format!(
        "SELECT name, count(*) AS calls, count(*) FILTER (WHERE status_code = 'error') AS errors\nFROM spans\n\
         WHERE service_name = '{}' AND kind IN ('server', 'consumer')\n  AND timestamp >= $from AND timestamp < $to\n\
         GROUP BY 1 ORDER BY 3 DESC",
        name.replace('\'', "''")
    );
    Some(ServiceView {
        rate: Unit::PerSecond.format(calls / range.seconds()),
        rate_exact: format!("{calls} calls"),
        rate_spark: sparkline(&format!("{name}: calls"), &minutes.calls),
        errors: Unit::Percent.format(error_share),
        errors_exact: format!("{failed} of {calls} calls failed"),
        errors_spark: sparkline(&format!("{name}: share of errors"), &minutes.errors),
        class,
        word,
        p50: latency(&row[3]),
        p95: latency(&row[4]),
        p99: latency(&row[5]),
        p95_spark: sparkline(&format!("{name}: p95"), &minutes.p95),
        link: sql_link(&sql, range),
        trouble: error_share,
        name,
    })
}

fn alert(instance: &AlertInstance, range: &Range) -> AlertView {
    let labels: Vec<String> = instance.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    AlertView {
        state: instance.state,
        class: match instance.state {
            AlertState::Firing => "bad",
            AlertState::Inactive => "ok",
            _ => "warn",
        },
        name: instance.alert.clone(),
        path: rule_path(&instance.rule),
        labels: labels.join(", "),
        summary: instance.annotations.get("summary").cloned().unwrap_or_default(),
        since: at(to_micros(instance.since), range),
    }
}

fn slo(status: &SloStatus) -> SloView {
    SloView {
        path: slo_path(&status.slo),
        name: status.slo.clone(),
        service: status.service.clone(),
        objective: format!("{} %", hindsight_postmortem::chart::exact(status.objective * 100.0)),
        left: status.budget_consumed.map_or("unknown".to_owned(), |c| Unit::Percent.format(1.0 - c)),
        burn: status.burn_1h.map_or("unknown".to_owned(), |burn| format!("{burn:.1} ×")),
        class: match status.state.as_str() {
            "ok" => "ok",
            "burning" => "warn",
            "exhausted" => "bad",
            _ => "unknown",
        },
        state: status.state.clone(),
    }
}

fn incident_view(incident: &Incident, range: &Range) -> IncidentView {
    IncidentView {
        id: incident.id.to_string(),
        severity: incident.severity.to_string(),
        status: incident.status.to_string(),
        class: if incident.status.is_live() { "bad" } else { "ok" },
        title: incident.title.clone(),
        opened: at(to_micros(incident.opened_at), range),
    }
}

fn at(micros: i64, range: &Range) -> String {
    timestamp_from_micros(micros).map_or_else(String::new, |at| {
        at.to_zoned(range.tz.clone()).strftime("%m-%d %H:%M:%S %Z").to_string()
    })
}
