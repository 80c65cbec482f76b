use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hindsight_model::{SqlAnswer, SqlParam, SqlRequest, SqlSource as _, parse_duration};
use hindsight_query::output;

use crate::args::{OutputFormat, SqlArgs};
use crate::backend::Backend;
use crate::say;

/// Longest query text read from standard input.
const QUERY_BYTES_MAX: u64 = 1 << 20;

/// `hindsight sql`.
pub(crate) async fn run(args: SqlArgs) -> anyhow::Result<ExitCode> {
    let format = match (args.json, args.csv) {
        (true, _) => OutputFormat::Json,
        (_, true) => OutputFormat::Csv,
        _ => args.format,
    };
    let mut request = SqlRequest::new(text(args.query)?);
    request.timeout = args.timeout.as_deref().map(parse_duration).transpose()?;
    for binding in &args.params {
        let Some((name, value)) = binding.split_once('=') else {
            bail!("--param {binding} has no `=`; write NAME=VALUE");
        };
        request = request.param(name.trim_start_matches('$'), param(value));
    }
    let backend = Backend::open(&args.source).await?;
    let answer = backend.sql(request).await;
    backend.close().await?;
    print(&answer?, format)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn print(answer: &SqlAnswer, format: OutputFormat) -> anyhow::Result<()> {
    match format {
        OutputFormat::Table => say::line(&output::to_table_text(answer)?),
        OutputFormat::Json => say::line(&output::to_json(answer)?.to_string()),
        OutputFormat::Csv => say::bytes(output::to_csv(answer)?.as_bytes()),
        OutputFormat::Ndjson => say::bytes(output::to_ndjson(answer)?.as_bytes()),
    }
}

fn text(query: Option<String>) -> anyhow::Result<String> {
    match query {
        Some(query) if query != "-" => Ok(query),
        _ => {
            let mut text = String::new();
            std::io::stdin()
                .take(QUERY_BYTES_MAX)
                .read_to_string(&mut text)
                .context("read the query from standard input")?;
            Ok(text)
        }
    }
}

fn param(value: &str) -> SqlParam {
    if let Ok(at) = value.parse::<jiff::Timestamp>() {
        return SqlParam::Time(at);
    }
    if let Ok(number) = value.parse::<i64>() {
        return SqlParam::Int(number);
    }
    if let Ok(number) = value.parse::<f64>() {
        return SqlParam::Double(number);
    }
    match value {
        "true" => SqlParam::Bool(true),
        "false" => SqlParam::Bool(false),
        "null" => SqlParam::Null,
        text => SqlParam::Text(text.to_owned()),
    }
}
