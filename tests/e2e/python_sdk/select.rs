//! Rows of the signal tables in the shape that `python/canonical.py` prints.

use std::collections::BTreeMap;

use anyhow::Context as _;
use hindsight_model::{Promoted, RESOURCE_PROMOTED, Table};
use serde_json::{Map, Value, json};

use crate::answer::Row;
use crate::server::Server;

const ORIGIN: &str = "resource_attributes, resource_schema_url, scope_name, scope_version, scope_attributes, \
     scope_schema_url, attributes";

pub(super) async fn spans(server: &Server, run: &str) -> anyhow::Result<Vec<Value>> {
    let fields = "trace_id, span_id, parent_span_id, name, kind, CAST(time_unix_nano AS VARCHAR) AS start, \
         CAST(duration_nano AS VARCHAR) AS duration, status_code, status_message";
    let event = "span_id AS of, e['name'] AS name, e['attributes'] AS attributes";
    let events = nested(server, run, Table::Spans, "events", "span_id", event).await?;
    let link =
        "span_id AS of, e['trace_id'] AS trace_id, e['span_id'] AS span_id, e['attributes'] AS attributes";
    let links = nested(server, run, Table::Spans, "links", "span_id", link).await?;
    let mut spans = rows(server, run, Table::Spans, fields).await?;
    for span in &mut spans {
        let id = span["span_id"].as_str().unwrap_or_default().to_owned();
        span["events"] = json!(events.get(&id).cloned().unwrap_or_default());
        span["links"] = json!(links.get(&id).cloned().unwrap_or_default());
    }
    Ok(spans)
}

pub(super) async fn logs(server: &Server, run: &str) -> anyhow::Result<Vec<Value>> {
    let fields = "CAST(time_unix_nano AS VARCHAR) AS time, \
         CAST(CAST(observed_timestamp AS BIGINT) * 1000 + observed_timestamp_nanos AS VARCHAR) AS observed, \
         severity_number, severity_text, body, body_type, event_name, trace_id, span_id";
    let mut logs = rows(server, run, Table::Logs, fields).await?;
    for log in &mut logs {
        if log["body_type"] != "string" {
            let text = log["body"].as_str().context("a body is text")?;
            log["body"] = serde_json::from_str(text).with_context(|| format!("read the body {text}"))?;
        }
    }
    Ok(logs)
}

pub(super) async fn points(server: &Server, run: &str, table: &str) -> anyhow::Result<Vec<Value>> {
    let table = Table::from_name(table).context("a table's name")?;
    let shared = "metric_name, metric_type, unit, description, temporality, is_monotonic, \
         CAST(time_unix_nano AS VARCHAR) AS time, \
         CAST(CAST(start_timestamp AS BIGINT) * 1000 + start_timestamp_nanos AS VARCHAR) AS start";
    let counts = "CAST(count AS VARCHAR) AS count, sum, min, max";
    let own = match table {
        Table::Metrics => "value, value_int".to_owned(),
        Table::MetricHistograms => format!(
            "{counts}, array_to_string(explicit_bounds, ' ') AS explicit_bounds, \
             array_to_string(bucket_counts, ' ') AS bucket_counts"
        ),
        _ => format!(
            "{counts}, scale, CAST(zero_count AS VARCHAR) AS zero_count, positive_offset, \
             array_to_string(positive_counts, ' ') AS positive_counts"
        ),
    };
    let key = "metric_name || attributes";
    let exemplar = format!(
        "{key} AS of, e['value'] AS value, e['value_int'] AS value_int, e['trace_id'] AS trace_id, \
         e['span_id'] AS span_id, e['filtered_attributes'] AS filtered_attributes"
    );
    let exemplars = nested(server, run, table, "exemplars", "metric_name, attributes", &exemplar).await?;
    let raw = key_of_rows(server, run, table, key).await?;
    let mut points = rows(server, run, table, &format!("{shared}, {own}")).await?;
    for (point, key) in points.iter_mut().zip(raw) {
        point["exemplars"] = json!(exemplars.get(&key).cloned().unwrap_or_default());
        tidy_point(point)?;
    }
    Ok(points)
}

/// Whole numbers as such, lists of numbers as lists.
fn tidy_point(point: &mut Value) -> anyhow::Result<()> {
    exact(point);
    for exemplar in point["exemplars"].as_array_mut().into_iter().flatten() {
        exact(exemplar);
    }
    for list in ["bucket_counts", "positive_counts"] {
        if let Some(text) = point[list].as_str() {
            point[list] = text.split_whitespace().collect();
        }
    }
    if let Some(text) = point["explicit_bounds"].as_str() {
        let bounds: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
        point["explicit_bounds"] = json!(bounds.with_context(|| format!("read the bounds {text}"))?);
    }
    for double in ["sum", "min", "max"] {
        if let Some(number) = point[double].as_f64() {
            point[double] = json!(number);
        }
    }
    Ok(())
}

/// `value` is the integer where there is one, else the double; `value_int` is then told.
fn exact(item: &mut Value) {
    let int = item.as_object_mut().and_then(|item| item.remove("value_int")).unwrap_or_default();
    if !int.is_null() {
        item["value"] = int;
    } else if let Some(number) = item["value"].as_f64() {
        item["value"] = json!(number);
    }
}

async fn rows(server: &Server, run: &str, table: Table, fields: &str) -> anyhow::Result<Vec<Value>> {
    let promoted = RESOURCE_PROMOTED.iter().chain(table.promoted());
    let columns: Vec<&str> = promoted.map(|promoted| promoted.column).collect();
    let columns = columns.join(", ");
    let sql = format!(
        "SELECT {fields}, {ORIGIN}, {columns} FROM {table} WHERE service_instance_id = $run \
         ORDER BY time_unix_nano, attributes"
    );
    let answer = server.sql_with(&sql, json!({"run": run})).await?;
    answer.by_name().into_iter().map(|row| item(row, table)).collect()
}

/// The keys by which nested rows were collected, in the order of [`rows`].
async fn key_of_rows(server: &Server, run: &str, table: Table, key: &str) -> anyhow::Result<Vec<String>> {
    let sql = format!(
        "SELECT {key} AS key FROM {table} WHERE service_instance_id = $run ORDER BY time_unix_nano, attributes, \
         metric_name"
    );
    let answer = server.sql_with(&sql, json!({"run": run})).await?;
    answer.rows.iter().map(|row| Ok(row[0].as_str().context("a key is text")?.to_owned())).collect()
}

/// A row with its JSON columns read and its promoted columns put back among the attributes.
fn item(mut row: Row, table: Table) -> anyhow::Result<Value> {
    let scope = object(&row, "scope_attributes")?;
    let resource = restore(&mut row, "resource_attributes", RESOURCE_PROMOTED)?;
    let attributes = restore(&mut row, "attributes", table.promoted())?;
    let mut item: Map<String, Value> = row.into_iter().collect();
    item.insert("scope_attributes".to_owned(), scope);
    item.insert("resource".to_owned(), resource);
    item.insert("attributes".to_owned(), attributes);
    Ok(Value::Object(item))
}

fn restore(row: &mut Row, column: &str, promoted: &[Promoted]) -> anyhow::Result<Value> {
    let mut attributes = object(row, column)?;
    for promoted in promoted {
        let value = row.remove(promoted.column).unwrap_or(Value::Null);
        if !value.is_null() {
            attributes[promoted.attribute] = value;
        }
    }
    Ok(attributes)
}

fn object(row: &Row, column: &str) -> anyhow::Result<Value> {
    let text = row.get(column).and_then(Value::as_str).with_context(|| format!("{column} is text"))?;
    serde_json::from_str(text).with_context(|| format!("read {column}: {text}"))
}

/// The structs of a list column, by the `of` of the row they stand in, in their order.
async fn nested(
    server: &Server,
    run: &str,
    table: Table,
    list: &str,
    keys: &str,
    fields: &str,
) -> anyhow::Result<BTreeMap<String, Vec<Value>>> {
    let time = if list == "links" {
        ""
    } else {
        ", CAST(CAST(e['timestamp'] AS BIGINT) * 1000 + e['timestamp_nanos'] AS VARCHAR) AS time"
    };
    let sql = format!(
        "SELECT {fields}{time} FROM (SELECT {keys}, unnest({list}) AS e FROM {table} \
         WHERE service_instance_id = $run)"
    );
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for mut row in server.sql_with(&sql, json!({"run": run})).await?.by_name() {
        let of = row.remove("of").unwrap_or_default();
        let of = of.as_str().context("the key of a nested row is text")?.to_owned();
        for json_column in ["attributes", "filtered_attributes"] {
            if row.contains_key(json_column) {
                let read = object(&row, json_column)?;
                row.insert(json_column.to_owned(), read);
            }
        }
        found.entry(of).or_default().push(Value::Object(row.into_iter().collect()));
    }
    Ok(found)
}
