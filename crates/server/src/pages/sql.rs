//! `/sql`: a question, its rows, and a line when the rows are a time series. The query stands in the address.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::Response;
use hindsight_model::{Clearance, SqlAnswer, SqlRequest, SqlSource as _, SqlValue};
use hindsight_postmortem::chart::{LineChart, Series, Unit, line_chart, shorten};
use jiff::Timestamp;
use serde::Deserialize;

use super::frame::{Frame, PageError, html};
use super::range::{Range, RangeQuery};
use crate::app::App;

/// Characters of a cell printed.
const CELL_CHARS_MAX: usize = 300;
/// Distinct lines drawn before the chart is left out.
const SERIES_MAX: usize = 40;

/// Questions to begin with.
const EXAMPLES: [(&str, &str); 4] = [
    (
        "Error share by service",
        "SELECT service_name, count(*) AS calls,\n       count(*) FILTER (WHERE status_code = 'error') AS errors\nFROM spans\nWHERE kind = 'server' AND timestamp >= $from AND timestamp < $to\nGROUP BY 1 ORDER BY errors DESC",
    ),
    (
        "Latency by minute",
        "SELECT date_trunc('minute', timestamp) AS minute, service_name,\n       approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_nano) / 1e6 AS p95_ms\nFROM spans\nWHERE kind = 'server' AND timestamp >= $from AND timestamp < $to\nGROUP BY 1, 2 ORDER BY 1",
    ),
    (
        "Newest error logs",
        "SELECT timestamp, service_name, body, trace_id\nFROM logs\nWHERE severity = 'error' AND timestamp >= $from AND timestamp < $to\nORDER BY timestamp DESC LIMIT 50",
    ),
    ("What tables are there", "SHOW TABLES"),
];

#[derive(Debug, Default, Deserialize)]
pub(crate) struct SqlQuery {
    #[serde(default)]
    q: String,
    from: Option<String>,
    to: Option<String>,
    tz: Option<String>,
}

#[derive(Template)]
#[template(path = "sql.html")]
struct SqlPage {
    frame: Frame,
    query: String,
    from: String,
    to: String,
    examples: Vec<(&'static str, &'static str)>,
    error: Option<String>,
    answer: Option<AnswerView>,
}

struct AnswerView {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    summary: String,
    chart: Option<String>,
    curl: String,
}

struct Column {
    name: String,
    class: &'static str,
}

struct Cell {
    text: String,
    class: &'static str,
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    Query(query): Query<SqlQuery>,
) -> Result<Response<Body>, PageError> {
    let range = RangeQuery { from: query.from.clone(), to: query.to.clone(), tz: query.tz.clone() };
    let range = Range::parse(&range, app.clock.now()).map_err(PageError::bad_request)?;
    let mut page = SqlPage {
        frame: Frame::new("SQL", "sql"),
        from: query.from.unwrap_or_else(|| "1h".to_owned()),
        to: query.to.unwrap_or_default(),
        query: query.q,
        examples: EXAMPLES.to_vec(),
        error: None,
        answer: None,
    };
    if page.query.trim().is_empty() {
        return Ok(html(&page));
    }
    let mut request = SqlRequest::new(page.query.clone()).clearance(clearance);
    for (name, at) in [("from", range.from), ("to", range.to), ("now", range.to)] {
        if page.query.contains(&format!("${name}")) {
            request = request.param(name, at);
        }
    }
    match app.query.sql(request).await {
        Ok(answer) => page.answer = Some(view(&answer, &page.query, &range, &app)?),
        Err(error) => page.error = Some(error.to_string()),
    }
    Ok(html(&page))
}

fn view(answer: &SqlAnswer, query: &str, range: &Range, app: &App) -> Result<AnswerView, PageError> {
    // The API gives them all.
    let rows_shown_max = app.config.query.page_rows_max.value;
    let rows = answer.rows().map_err(|error| PageError::internal(&error))?;
    let total = rows.len();
    let columns: Vec<&str> = answer.columns();
    let chart = chart(&columns, &rows, range);
    let class = |index: usize| match rows.iter().map(|row| &row[index]).find(|cell| **cell != SqlValue::Null)
    {
        Some(SqlValue::Int(_) | SqlValue::Double(_)) => "num",
        _ => "",
    };
    let shown = if total > rows_shown_max {
        format!("first {rows_shown_max} of {total} rows")
    } else {
        format!("{total} rows")
    };
    let stats = answer.stats;
    Ok(AnswerView {
        columns: columns
            .iter()
            .enumerate()
            .map(|(index, name)| Column { name: (*name).to_owned(), class: class(index) })
            .collect(),
        summary: format!(
            "{shown} · {} ms · {} rows read · {} blocks opened, {} ruled out",
            stats.elapsed.as_millis(),
            stats.rows_scanned,
            stats.files_scanned,
            stats.files_pruned
        ),
        rows: rows.iter().take(rows_shown_max).map(|row| row.iter().map(cell).collect()).collect(),
        chart,
        curl: curl(query, range, app.addresses.web),
    })
}

fn cell(value: &SqlValue) -> Cell {
    match value {
        SqlValue::Null => Cell { text: "null".to_owned(), class: "null" },
        SqlValue::Int(_) | SqlValue::Double(_) => Cell { text: value.to_string(), class: "num" },
        SqlValue::Time(at) => Cell { text: at.strftime("%Y-%m-%d %H:%M:%S%.f").to_string(), class: "time" },
        _ => Cell { text: shorten(&value.to_string(), CELL_CHARS_MAX), class: "" },
    }
}

/// A line chart when a column is a time and another a number; one text column splits the lines.
fn chart(columns: &[&str], rows: &[Vec<SqlValue>], range: &Range) -> Option<String> {
    let first = rows.first()?;
    let time = first.iter().position(|cell| matches!(cell, SqlValue::Time(_)))?;
    let is_number = |index: &usize| {
        let mut cells =
            rows.iter().map(|row| &row[*index]).filter(|cell| **cell != SqlValue::Null).peekable();
        cells.peek().is_some() && cells.all(|cell| cell.as_f64().is_some())
    };
    let numbers: Vec<usize> = (0..columns.len()).filter(is_number).collect();
    let texts: Vec<usize> =
        (0..columns.len()).filter(|i| *i != time && matches!(first[*i], SqlValue::Text(_))).collect();
    if numbers.is_empty() || texts.len() > 1 {
        return None;
    }
    let mut lines: BTreeMap<String, Vec<(Timestamp, Option<f64>)>> = BTreeMap::new();
    for row in rows {
        let Some(at) = row[time].as_time() else { continue };
        for number in &numbers {
            let name = match texts.first() {
                Some(text) if numbers.len() == 1 => row[*text].to_string(),
                Some(text) => format!("{} {}", row[*text], columns[*number]),
                None => columns[*number].to_owned(),
            };
            lines.entry(name).or_default().push((at, row[*number].as_f64()));
            if lines.len() > SERIES_MAX {
                return None;
            }
        }
    }
    let series: Vec<Series> = lines
        .into_iter()
        .map(|(name, mut points)| {
            points.sort_by_key(|(at, _)| *at);
            Series { name, points }
        })
        .filter(|series| series.points.len() > 1)
        .collect();
    let times = || series.iter().flat_map(|line| line.points.iter().map(|(at, _)| *at));
    let (from, to) = (times().min()?, times().max()?);
    let title = numbers.iter().map(|number| columns[*number]).collect::<Vec<_>>().join(", ");
    let mut chart = LineChart::new("answer", title, Unit::None, from, to);
    chart.series = series;
    chart.timezone = range.tz.clone();
    Some(line_chart(&chart))
}

fn curl(query: &str, range: &Range, web: std::net::SocketAddr) -> String {
    let mut params = serde_json::Map::new();
    for (name, at) in [("from", range.from), ("to", range.to), ("now", range.to)] {
        if query.contains(&format!("${name}")) {
            params.insert(name.to_owned(), at.to_string().into());
        }
    }
    let body = serde_json::json!({"sql": query, "params": params}).to_string().replace('\'', r"'\''");
    format!("curl -s http://{web}/api/v1/sql -H 'accept: text/csv' -d '{body}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> Range {
        Range::parse(&RangeQuery::default(), "2026-05-04T22:00:00Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_time_and_a_number_make_a_line() {
        let at = |minute: i64| SqlValue::Time(Timestamp::from_second(1_777_000_000 + minute * 60).unwrap());
        let rows: Vec<Vec<SqlValue>> =
            (0..3).map(|m| vec![at(m), SqlValue::Text("checkout".into()), SqlValue::Int(m)]).collect();
        let chart = chart(&["minute", "service", "calls"], &rows, &range()).unwrap();
        assert!(chart.contains("<svg") && chart.contains("checkout"));
        assert!(super::chart(&["n"], &[vec![SqlValue::Int(1)]], &range()).is_none());
    }

    #[test]
    fn a_quote_cannot_leave_the_curl_command() {
        let web = "127.0.0.1:4320".parse().unwrap();
        let text = curl("SELECT 'x'; rm", &range(), web);
        assert!(text.contains(r"'\''x'\''"), "{text}");
    }
}
