//! A bad trace of an incident beside a good one, as its page shows them.

use hindsight_incidents::gather::{ComparedTrace, TraceComparison};
use hindsight_incidents::{AlignedSpan, Went};
use hindsight_model::Incident;
use hindsight_postmortem::chart::Unit;

use super::frame::sql_link;
use super::range::Range;
use crate::api::incident_traces::compared;
use crate::app::App;
use crate::fault::chain;

/// Rows shown; all of them are in the API.
const ROWS_SHOWN: usize = 60;
/// Levels that are indented.
const LEVELS_MAX: usize = 10;

pub(super) struct TracesView {
    pub(super) of: String,
    pub(super) bad: TraceView,
    pub(super) good: Option<TraceView>,
    pub(super) differences: Vec<String>,
    pub(super) rows: Vec<TraceRow>,
    pub(super) left_out: usize,
    pub(super) link: String,
}

pub(super) struct TraceView {
    pub(super) words: String,
    pub(super) link: String,
}

pub(super) struct TraceRow {
    pub(super) indent: String,
    pub(super) service: String,
    pub(super) operation: String,
    pub(super) bad: String,
    pub(super) bad_status: &'static str,
    pub(super) good: String,
    pub(super) good_status: &'static str,
    pub(super) difference: String,
    /// What the step says about its failure.
    pub(super) message: String,
    pub(super) class: &'static str,
}

/// The comparison, or a sentence why there is none.
pub(super) async fn traces(
    app: &App,
    incident: &Incident,
    range: &Range,
) -> Result<TracesView, &'static str> {
    match compared(app, incident).await {
        Ok(Some(found)) => Ok(view(&found, range)),
        Ok(None) => Err("No request of the services that are hurt was recorded when it began."),
        Err(error) => {
            tracing::warn!(error = chain(&error), "traces could not be compared");
            Err("Traces could not be read; the server's log says why.")
        }
    }
}

fn view(found: &TraceComparison, range: &Range) -> TracesView {
    let has_good = found.good.is_some();
    let shown = found.rows.iter().take(ROWS_SHOWN);
    TracesView {
        of: format!("{} {}", found.service, found.operation),
        bad: trace(&found.bad, range),
        good: found.good.as_ref().map(|good| trace(good, range)),
        differences: found.differences(),
        rows: shown.map(|span| row(span, has_good)).collect(),
        left_out: found.left_out + found.rows.len().saturating_sub(ROWS_SHOWN),
        link: sql_link(&found.sql(), range),
    }
}

fn trace(of: &ComparedTrace, range: &Range) -> TraceView {
    let at = of.at.to_zoned(range.tz.clone()).strftime("%H:%M:%S%.3f");
    let went = if of.failed { "failed" } else { "ok" };
    let sql = format!(
        "SELECT path, service_name, name, duration_nano, self_time_nano, status_code\nFROM trace_tree('{}')\nORDER BY position",
        of.trace_id.replace('\'', "''")
    );
    TraceView { words: format!("{at}, {}, {went}", millis(of.ms)), link: sql_link(&sql, range) }
}

fn row(span: &AlignedSpan, has_good: bool) -> TraceRow {
    let own = |went: &Option<Went>| went.as_ref().map_or_else(|| "–".to_owned(), |went| millis(went.own_ms));
    let (difference, class) = difference(span, has_good);
    TraceRow {
        indent: "\u{2003}".repeat(span.depth.min(LEVELS_MAX)),
        service: span.service.clone(),
        operation: span.operation.clone(),
        bad: own(&span.bad),
        bad_status: status(span.bad.as_ref()),
        good: own(&span.good),
        good_status: status(span.good.as_ref()),
        difference,
        message: span.bad.as_ref().map(|bad| bad.message.trim().to_owned()).unwrap_or_default(),
        class,
    }
}

fn status(went: Option<&Went>) -> &'static str {
    match went {
        Some(went) if went.failed => "failed",
        Some(_) => "ok",
        None => "–",
    }
}

/// What differs in a step, and how loudly it is said.
fn difference(span: &AlignedSpan, has_good: bool) -> (String, &'static str) {
    match (&span.bad, &span.good) {
        _ if !has_good => (String::new(), ""),
        _ if span.fails_anew() => ("fails".to_owned(), "bad"),
        (Some(_), None) => ("new".to_owned(), "warn"),
        (None, _) => ("missing".to_owned(), "warn"),
        _ if span.is_slower() => (format!("{} more", millis(span.lost_ms())), "warn"),
        _ => (String::new(), ""),
    }
}

fn millis(ms: f64) -> String {
    Unit::Nanoseconds.format(ms * 1e6)
}
