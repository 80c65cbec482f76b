//! Scripts: SQL and the answer it must have, over every layout of the same rows.
//!
//! A record is `query` or `error`, the SQL, `----`, the expected lines (cells joined by ` | `, NULL as `NULL`) or
//! a part of the error's text; records are parted by an empty line. `tenant NAME` and `param NAME KIND VALUE`
//! hold for the rest of the script.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hindsight_model::{SqlAnswer, SqlError, SqlParam, SqlRequest, SqlSource, Tenant, parse_duration};
use serde_json::Value;

use super::layout::{Layout, lay};
use crate::{QueryEngine, QueryOptions, output};

pub(super) struct Record {
    line: usize,
    pub(super) kind: String,
    pub(super) sql: String,
    expected: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_answer_the_same_from_blocks_and_head() {
    let mut failures = String::new();
    for layout in Layout::ALL {
        let laid = lay(layout, QueryOptions::default());
        for script in scripts() {
            run(&laid.engine, layout, &script, &mut failures).await;
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

pub(super) fn scripts() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("slt");
    let mut scripts: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "slt"));
    scripts.sort();
    assert!(scripts.len() >= 5, "scripts are missing: {scripts:?}");
    scripts
}

async fn run(engine: &QueryEngine, layout: Layout, script: &Path, failures: &mut String) {
    let text = std::fs::read_to_string(script).unwrap();
    let mut base = SqlRequest::new("");
    for record in records(&text) {
        let words: Vec<&str> = record.kind.split(' ').collect();
        match words.as_slice() {
            ["tenant", name] => base.tenant = name.parse::<Tenant>().unwrap(),
            ["param", name, kind, value @ ..] => {
                base.params.insert((*name).to_owned(), param(kind, &value.join(" ")));
            }
            _ => {
                let mut request = base.clone();
                request.sql = record.sql.clone();
                let got = shown(&record.kind, engine.sql(request).await);
                let right = match record.kind.as_str() {
                    "error" => got.contains(&record.expected) && !record.expected.is_empty(),
                    _ => got == record.expected,
                };
                if !right {
                    let name = script.file_name().unwrap().to_string_lossy();
                    writeln!(
                        failures,
                        "{name}:{} ({layout:?})\n{}\nexpected:\n{}\ngot:\n{got}\n",
                        record.line, record.sql, record.expected
                    )
                    .unwrap();
                }
            }
        }
    }
}

pub(super) fn records(text: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut line = 1;
    for chunk in lines.split(|line| line.is_empty()) {
        if let Some((kind, rest)) = chunk.split_first() {
            let split = rest.iter().position(|line| *line == "----").unwrap_or(rest.len());
            let expected = rest.get(split + 1..).unwrap_or_default().join("\n");
            let sql = rest[..split].join("\n");
            records.push(Record { line, kind: (*kind).to_owned(), sql, expected });
        }
        line += chunk.len() + 1;
    }
    records
}

fn param(kind: &str, value: &str) -> SqlParam {
    match kind {
        "null" => SqlParam::Null,
        "bool" => SqlParam::Bool(value.parse().unwrap()),
        "int" => SqlParam::Int(value.parse().unwrap()),
        "double" => SqlParam::Double(value.parse().unwrap()),
        "text" => SqlParam::Text(value.to_owned()),
        "time" => SqlParam::Time(value.parse().unwrap()),
        "interval" => SqlParam::Interval(parse_duration(value).unwrap()),
        other => panic!("no parameter kind {other}"),
    }
}

fn shown(kind: &str, result: Result<SqlAnswer, SqlError>) -> String {
    match (kind, result) {
        ("query", Ok(answer)) => lines(&answer),
        ("error", Ok(answer)) => format!("an answer of {} rows", answer.row_count()),
        (_, Err(error)) => format!("{}: {error}", variant(&error)),
        (other, _) => panic!("no record kind {other}"),
    }
}

fn variant(error: &SqlError) -> &'static str {
    match error {
        SqlError::Invalid { .. } => "invalid",
        SqlError::Limit { limit, .. } => limit,
        SqlError::Cancelled => "cancelled",
        SqlError::Failed { .. } => "failed",
    }
}

fn lines(answer: &SqlAnswer) -> String {
    let json = output::to_json(answer).unwrap();
    let cell = |cell: &Value| match cell {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |row: &Value| row.as_array().unwrap().iter().map(cell).collect::<Vec<_>>().join(" | ");
    json["rows"].as_array().unwrap().iter().map(row).collect::<Vec<_>>().join("\n")
}
