use std::collections::BTreeMap;

use anyhow::bail;
use hindsight_model::SqlParam;

/// Reads `NAME=VALUE` as `--param` takes it.
pub(crate) fn bindings(given: &[String]) -> anyhow::Result<BTreeMap<String, SqlParam>> {
    let mut params = BTreeMap::new();
    for binding in given {
        let Some((name, value)) = binding.split_once('=') else {
            bail!("--param {binding} has no `=`; write NAME=VALUE");
        };
        params.insert(name.trim_start_matches('$').to_owned(), param(value));
    }
    Ok(params)
}

/// A value by its looks: an RFC 3339 instant, a number, `true`, `false`, `null`, else text.
pub(crate) fn param(value: &str) -> SqlParam {
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

/// A value as `\set` shows it.
pub(crate) fn shown(param: &SqlParam) -> String {
    match param {
        SqlParam::Null => "null".to_owned(),
        SqlParam::Bool(flag) => flag.to_string(),
        SqlParam::Int(number) => number.to_string(),
        SqlParam::Double(number) => number.to_string(),
        SqlParam::Text(text) => format!("'{}'", text.replace('\'', "''")),
        SqlParam::Time(at) => at.to_string(),
        SqlParam::Interval(span) => format!("{span:?}"),
    }
}
