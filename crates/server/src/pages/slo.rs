//! `/slos/{name}`: what was promised, how much of the budget is left, how fast it burns, and what spent it.

mod budget;

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::Response;
use hindsight_incidents::Change;
use hindsight_model::{AlertInstance, AlertState, Incident, SloSlice, Tenant};
use hindsight_postmortem::chart::{
    EventLine, LineChart, Series, Threshold, Unit, exact, gauge, line_chart, people_duration,
};
use hindsight_rules::{LedgerEntry, LedgerEvent, LedgerKind, SloView, TierView, ledger};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::alert_words::{Moment, moment, number, slo_path, sql_text, state_class};
use super::deploys::{deploys, event_lines};
use super::frame::{Frame, PageError, html, sql_link};
use super::range::{Range, RangeQuery};
use super::silences::{self, Panel, PanelQuery, Silences};
use super::slos::{Standing, burn_words, gone_words, standing};
use crate::app::App;
use budget::{Bucket, buckets, burn_down};

/// Entries of the ledger listed.
const LEDGER_MAX: usize = 30;
/// SLOs named when one is not found.
const NAMED_MAX: usize = 12;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct SloQuery {
    from: Option<String>,
    to: Option<String>,
    tz: Option<String>,
    silence: Option<String>,
    silenced: Option<String>,
    expired: Option<String>,
}

#[derive(Template)]
#[template(path = "slo.html")]
struct SloPage {
    frame: Frame,
    display_name: String,
    description: String,
    sentence: String,
    standing: Standing,
    facts: Vec<(&'static str, String)>,
    charts: Vec<String>,
    notes: Vec<String>,
    tiers: Vec<TierRow>,
    ledger: Vec<LedgerRow>,
    ledger_hidden: usize,
    ledger_note: String,
    queries: Vec<(String, String)>,
    file: String,
    line: u64,
    silencing: Panel,
}

struct TierRow {
    name: String,
    severity: &'static str,
    windows: String,
    factor: String,
    long: String,
    long_exact: String,
    long_gauge: String,
    short: String,
    short_exact: String,
    short_gauge: String,
    state: AlertState,
    class: &'static str,
    observed: bool,
    since: Option<Moment>,
    door: String,
    silence_link: Option<String>,
    silenced: Option<String>,
}

struct LedgerRow {
    kind: &'static str,
    class: &'static str,
    title: String,
    link: Option<String>,
    followed: Option<String>,
    at: Option<Moment>,
    bad: String,
    share: String,
    share_exact: String,
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<SloQuery>,
) -> Result<Response<Body>, PageError> {
    let now = app.clock.now();
    let address = RangeQuery { from: query.from.clone(), to: query.to.clone(), tz: query.tz.clone() };
    let range = Range::parse_or(&address, now, "3h").map_err(PageError::bad_request)?;
    let view = app.rules();
    let slo = view.slos.iter().find(|slo| slo.name == name).ok_or_else(|| unknown(&view.slos, &name))?;
    let tenant = Tenant::default();
    let window = window(slo, &range, now);
    let in_window = app.state.slices(&tenant, &slo.name, window.from, window.to).await?;
    let in_range = app.state.slices(&tenant, &slo.name, range.from, range.to).await?;
    let services = BTreeSet::from([slo.service.clone()]);
    let (spending, mut deploys_note) = deploys(&app, &services, &window).await;
    let is_within = range.from >= window.from && range.to <= window.to;
    let mut changes = spending.clone();
    if !is_within || range.from < last_day(&window) {
        (changes, deploys_note) = deploys(&app, &services, &range).await;
    }
    let incidents = app.state.incidents(&tenant).await?;
    let instances = app.state.instances_of(&tenant, &format!("slo/{}", slo.name)).await?;
    let panel_query = PanelQuery { silence: query.silence, silenced: query.silenced, expired: query.expired };
    let silences = Silences::read(&app, &panel_query, now).await?;
    let known: Vec<(&str, &_)> = instances.iter().map(|i| (i.alert.as_str(), &i.labels)).collect();
    let path = slo_path(&slo.name);
    let silencing = silences.panel(&panel_query, &path, None, &known, &range, now);
    // What the budget counts: events, or time slices.
    let units = slo.budgeting.units(&in_window);
    let spent = ledger(
        &units,
        &ledger_events(slo, &incidents, &spending, now),
        1.0 - slo.objective,
        std::time::Duration::from_secs(
            slo.status.as_ref().map_or(slo.period_seconds, |status| status.window_s),
        ),
    );
    let marks = marks(&changes, &incidents, slo);
    let charts = vec![
        burn_down_chart(slo, &units, &window, &range),
        burn_chart(&app, slo, &range, &marks).await?,
        slices_chart(slo, &in_range, &range, &marks, Counted::Bad),
        slices_chart(slo, &in_range, &range, &marks, Counted::All),
    ];
    let rows = ledger_rows(&spent, now, &range);
    Ok(html(&SloPage {
        frame: Frame::new(slo.display_name.clone(), "slos").with_range(path.clone(), &range),
        display_name: slo.display_name.clone(),
        description: slo.description.clone(),
        sentence: sentence(slo),
        standing: standing(slo),
        facts: facts(slo, &in_window, now, &range),
        charts,
        notes: notes(&in_range, deploys_note),
        tiers: slo.tiers.iter().map(|tier| tier_row(slo, tier, &instances, &silences, now, &range)).collect(),
        ledger_hidden: rows.len().saturating_sub(LEDGER_MAX),
        ledger: rows.into_iter().take(LEDGER_MAX).collect(),
        ledger_note: ledger_note(&window),
        queries: slo
            .queries
            .iter()
            .map(|sql| (sql.trim().to_owned(), sql_link(sql.trim(), &range)))
            .collect(),
        file: slo.file.clone(),
        line: slo.line,
        silencing,
    }))
}

fn unknown(slos: &[SloView], name: &str) -> PageError {
    let name: String = name.chars().take(120).collect();
    let names: Vec<&str> = slos.iter().map(|slo| slo.name.as_str()).take(NAMED_MAX).collect();
    let hint = if names.is_empty() {
        "No SLO is loaded; /slos says how to write the first one.".to_owned()
    } else {
        format!("SLOs in force: {}. /slos lists them all.", names.join(", "))
    };
    PageError::not_found(format!("There is no SLO {name}."), hint)
}

/// The budget window that the status speaks of.
fn window(slo: &SloView, range: &Range, now: Timestamp) -> Range {
    let to = slo.status.as_ref().map_or(now, |status| status.at);
    let length = i64::try_from(slo.period_seconds).map_or(SignedDuration::ZERO, SignedDuration::from_secs);
    let rolling = to.checked_sub(length).unwrap_or(Timestamp::MIN);
    // A calendar's period began when it did; a rolling one always lies behind its last minute.
    let from = slo.status.as_ref().map_or(rolling, |status| status.period_start);
    Range { from, to, tz: range.tz.clone(), choice: None }
}

/// Deploys are looked up in the last day of a stretch.
fn last_day(window: &Range) -> Timestamp {
    window.to.checked_sub(SignedDuration::from_hours(24)).unwrap_or(window.from)
}

fn sentence(slo: &SloView) -> String {
    let standing = standing(slo);
    let promise = format!("{} promises {} over {}", slo.service, standing.objective, standing.period);
    match slo.budget_remaining {
        None => format!("{promise}; nothing was observed yet, so the budget is unknown."),
        Some(left) if left <= 0.0 => {
            format!("{promise}, and the promise is broken: the budget is {}.", standing.left)
        }
        Some(_) => format!("{promise}; {} of the budget is left{}.", standing.left, gone_words(slo)),
    }
}

fn facts(
    slo: &SloView,
    in_window: &[SloSlice],
    now: Timestamp,
    range: &Range,
) -> Vec<(&'static str, String)> {
    let standing = standing(slo);
    let mut facts = vec![
        ("Service", slo.service.clone()),
        ("Objective", standing.objective),
        ("Window", standing.period),
        ("Burn, last hour", standing.burn),
        ("Time to exhaust", standing.exhausts),
    ];
    if let Some(status) = &slo.status {
        let counted = if status.method == "Occurrences" { "Events" } else { "Time slices" };
        facts.push((counted, format!("{} of {} bad", exact(status.bad), exact(status.total))));
        facts
            .push(("Observed", format!("{} of the window's minutes", Unit::Percent.format(status.coverage))));
        if let Some(projected) = status.projected {
            let end = moment(status.period_end, now, range).text;
            facts.push((
                "Spent at the period's end",
                format!("{} by {end}, as in the last day", Unit::Percent.format(projected)),
            ));
        }
        facts.extend(status.note.clone().map(|note| ("Note", note)));
        let at = moment(status.at, now, range);
        facts.push(("As of", format!("{} ({})", at.text, at.ago)));
    }
    let since = in_window.first().map(|slice| moment(slice.minute, now, range).text);
    facts.push(("Watched since", since.unwrap_or_else(|| "nothing was observed yet".to_owned())));
    facts
}

fn notes(in_range: &[SloSlice], deploys: Option<String>) -> Vec<String> {
    let revised = in_range.iter().filter(|slice| slice.revision > 0).count();
    let revised = (revised > 0).then(|| {
        format!(
            "{} of the minutes shown {} revised by late data.",
            revised,
            if revised == 1 { "was" } else { "were" }
        )
    });
    revised.into_iter().chain(deploys).collect()
}

/// What happened across the charts of the range.
fn marks(changes: &[Change], incidents: &[Incident], slo: &SloView) -> Vec<EventLine> {
    let mut marks = event_lines(changes);
    for incident in incidents.iter().filter(|incident| concerns(incident, slo)) {
        let at = incident.times.impact_start.unwrap_or(incident.opened_at);
        let label = format!("{}: {}", incident.id, incident.title);
        marks.push(EventLine { at, kind: "impact".to_owned(), label });
    }
    marks
}

/// Whether an incident is about the SLO's service, or one of its alerts opened it.
fn concerns(incident: &Incident, slo: &SloView) -> bool {
    incident.services.contains(&slo.service) || incident.key.values().any(|value| *value == slo.service)
}

fn ledger_events(
    slo: &SloView,
    incidents: &[Incident],
    changes: &[Change],
    now: Timestamp,
) -> Vec<LedgerEvent> {
    let incidents = incidents.iter().filter(|incident| concerns(incident, slo)).map(|incident| {
        let times = &incident.times;
        let from = times.impact_start.unwrap_or(incident.opened_at);
        let over = times.mitigated.or(times.resolved);
        let to = over.unwrap_or(if incident.status.is_live() { now } else { incident.opened_at }).max(from);
        LedgerEvent {
            kind: LedgerKind::Incident,
            id: incident.id.to_string(),
            title: incident.title.clone(),
            from,
            to,
        }
    });
    let changes = changes.iter().map(|change| LedgerEvent {
        kind: if change.flag.is_some() { LedgerKind::FlagChange } else { LedgerKind::Deploy },
        id: format!("{} {} {}", change.service, change.what, change.at),
        title: format!("{}: {}", change.service, change.what),
        from: change.at,
        to: change.at,
    });
    incidents.chain(changes).collect()
}

fn ledger_rows(entries: &[LedgerEntry], now: Timestamp, range: &Range) -> Vec<LedgerRow> {
    let row = |entry: &LedgerEntry| {
        let kind = entry.event.as_ref().map(|event| event.kind);
        LedgerRow {
            kind: match kind {
                Some(LedgerKind::Incident) => "incident",
                Some(LedgerKind::Deploy) => "deploy",
                Some(LedgerKind::FlagChange) => "flag change",
                None => "unexplained",
            },
            class: if kind.is_some() { "warn" } else { "unknown" },
            title: entry.event.as_ref().map_or_else(
                || "Bad minutes that no incident covers and no deploy came before".to_owned(),
                |event| event.title.clone(),
            ),
            link: entry
                .event
                .as_ref()
                .filter(|event| event.kind == LedgerKind::Incident)
                .map(|event| format!("/incidents/{}", event.id)),
            followed: entry.followed.as_ref().map(|change| change.title.clone()),
            at: entry.event.as_ref().map(|event| moment(event.from, now, range)),
            bad: exact(entry.bad),
            share: Unit::Percent.format(entry.budget_share),
            share_exact: exact(entry.budget_share),
        }
    };
    entries.iter().map(row).collect()
}

fn ledger_note(window: &Range) -> String {
    let days = window.to.duration_since(window.from).as_hours() / 24;
    if days > 1 {
        "Every bad minute of the budget window is charged once. Deploys and flag changes are looked up in the last day \
         of the window."
            .to_owned()
    } else {
        "Every bad minute of the budget window is charged once.".to_owned()
    }
}

/// What was left of the budget as the window's bad events came in; it ends at the figure of the status.
fn burn_down_chart(slo: &SloView, slices: &[SloSlice], window: &Range, range: &Range) -> String {
    let from = slices.first().map_or(window.from, |slice| slice.minute);
    let mut chart = LineChart::new("budget", "Budget left", Unit::Percent, from, window.to);
    chart.caption = format!(
        "Of the budget of the {} up to the last tick, as its bad events came in; drawn from the first minute that was watched.",
        standing(slo).period
    );
    chart.timezone = range.tz.clone();
    chart.links = vec![("as SQL".to_owned(), sql_link(&slices_query(&slo.name), window))];
    if let Some(remaining) = slo.budget_remaining {
        let points = burn_down(slices, 1.0 - remaining);
        chart.series.push(Series { name: "budget left".to_owned(), points });
    }
    if slo.budget_remaining.is_some_and(|left| left < 0.0) {
        chart.thresholds.push(Threshold { value: 0.0, label: "below this line it is overspent".to_owned() });
    }
    line_chart(&chart)
}

/// The long windows' burn rates against their factors.
async fn burn_chart(
    app: &App,
    slo: &SloView,
    range: &Range,
    marks: &[EventLine],
) -> Result<String, PageError> {
    let mut chart = LineChart::new("burn", "Burn rate", Unit::None, range.from, range.to);
    chart.caption =
        "How many times faster than planned the budget is spent, over each alert's long window; dashed: the factors."
            .to_owned();
    chart.timezone = range.tz.clone();
    chart.events = marks.to_vec();
    let sql = format!(
        "SELECT timestamp, rule, value, outcome\nFROM rule_evaluations\nWHERE rule LIKE {} AND timestamp >= $from \
         AND timestamp < $to\nORDER BY timestamp",
        sql_text(&format!("slo/{}/%", slo.name))
    );
    chart.links = vec![("as SQL".to_owned(), sql_link(&sql, range))];
    for tier in &slo.tiers {
        let evaluations =
            app.state.evaluations(&Tenant::default(), &tier.id, None, range.from, range.to).await?;
        chart
            .series
            .push(Series { name: tier_name(tier).to_owned(), points: budget::burn_points(&evaluations) });
        let label = format!("{} {}", tier_name(tier), burn_words(tier.factor));
        chart.thresholds.push(Threshold { value: tier.factor, label });
    }
    Ok(line_chart(&chart))
}

#[derive(Clone, Copy)]
enum Counted {
    Bad,
    All,
}

fn slices_chart(
    slo: &SloView,
    slices: &[SloSlice],
    range: &Range,
    marks: &[EventLine],
    counted: Counted,
) -> String {
    let minutes = range.bucket_minutes();
    let each = if minutes == 1 { "minute".to_owned() } else { format!("{minutes} minutes") };
    let (id, name) = match counted {
        Counted::Bad => ("bad", "Bad events"),
        Counted::All => ("all", "All events"),
    };
    let mut chart = LineChart::new(id, format!("{name} per {each}"), Unit::Count, range.from, range.to);
    chart.timezone = range.tz.clone();
    chart.events = marks.to_vec();
    chart.links = vec![("as SQL".to_owned(), sql_link(&slices_query(&slo.name), range))];
    let value = |bucket: &Bucket| match counted {
        Counted::Bad => bucket.total - bucket.good,
        Counted::All => bucket.total,
    };
    let points = buckets(slices, range).into_iter();
    let points = points.map(|(at, bucket)| (at, bucket.as_ref().map(value))).collect();
    chart.series.push(Series { name: name.to_lowercase(), points });
    line_chart(&chart)
}

fn slices_query(slo: &str) -> String {
    format!(
        "SELECT minute, total - good AS bad, total, revision\nFROM slo_slices\nWHERE slo = {} AND minute >= $from \
         AND minute < $to\nORDER BY minute",
        sql_text(slo)
    )
}

/// The last part of its id.
fn tier_name(tier: &TierView) -> &str {
    tier.id.rsplit('/').next().unwrap_or(&tier.id)
}

fn tier_row(
    slo: &SloView,
    tier: &TierView,
    instances: &[AlertInstance],
    silences: &Silences,
    now: Timestamp,
    range: &Range,
) -> TierRow {
    #[expect(clippy::cast_precision_loss, reason = "windows of some days in seconds")]
    let words = |seconds: u64| people_duration(seconds as f64);
    let class = state_class(tier.state);
    let bar = |burn: Option<f64>| gauge(burn, tier.factor, None, class);
    let rate = |burn: Option<f64>| burn.map_or("unknown".to_owned(), burn_words);
    let instance = instances.iter().find(|instance| instance.rule == tier.id);
    let sql = format!(
        "SELECT timestamp, outcome, value AS burn, state\nFROM rule_evaluations\nWHERE rule = {} AND timestamp >= $from \
         AND timestamp < $to\nORDER BY timestamp",
        sql_text(&tier.id)
    );
    TierRow {
        name: tier_name(tier).to_owned(),
        severity: tier.severity,
        windows: format!("{} and {}", words(tier.long_seconds), words(tier.short_seconds)),
        factor: burn_words(tier.factor),
        long: rate(tier.burn_long),
        long_exact: number(tier.burn_long).exact,
        long_gauge: bar(tier.burn_long),
        short: rate(tier.burn_short),
        short_exact: number(tier.burn_short).exact,
        short_gauge: bar(tier.burn_short),
        state: tier.state,
        class,
        observed: tier.observed,
        since: tier.since.map(|at| moment(at, now, range)),
        door: sql_link(&sql, range),
        silence_link: instance.map(|i| silences::link(&slo_path(&slo.name), &i.alert, &i.labels, range)),
        silenced: instance.and_then(|i| silences.until(&i.alert, &i.labels, now, range)),
    }
}
