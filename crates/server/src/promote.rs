//! The `[promote]` of `hindsight.toml`: attributes that get columns. Documented in `docs/guide.md`.

use hindsight_model::{Promotion, Table};
use serde::Deserialize;

use crate::{ConfigError, Setting};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromoteFile {
    #[serde(default)]
    logs: Vec<String>,
    #[serde(default)]
    spans: Vec<String>,
}

/// What the file asks for; whether a table can have it, the store says when it opens.
pub(crate) fn load(file: &PromoteFile) -> Result<Setting<Vec<Promotion>>, ConfigError> {
    let lists = [("promote.logs", Table::Logs, &file.logs), ("promote.spans", Table::Spans, &file.spans)];
    let mut all = Vec::new();
    for (key, table, texts) in lists {
        for text in texts {
            let promotion = Promotion::parse(table, text);
            all.push(promotion.map_err(|error| ConfigError::Invalid { key, problem: error.to_string() })?);
        }
    }
    hindsight_model::check_promotions(&all)
        .map_err(|error| ConfigError::Invalid { key: "promote", problem: error.to_string() })?;
    Ok(Setting::pick(None, (!all.is_empty()).then_some(all), Vec::new()))
}

/// For `hindsight config print`: `logs.app.tenant, spans.build.number:int`.
pub(crate) fn describe(all: &[Promotion]) -> String {
    let texts: Vec<_> = all.iter().map(|promotion| format!("{}.{promotion}", promotion.table)).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
