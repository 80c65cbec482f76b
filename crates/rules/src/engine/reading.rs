use std::collections::BTreeMap;
use std::time::Duration;

use hindsight_model::{Labels, SqlAnswer, SqlError, SqlValue};
use jiff::Timestamp;

use crate::rule::CheckedRule;

/// Longest label name or value kept, in characters; longer values are cut and marked with `…`.
const LABEL_CHARS_MAX: usize = 512;
/// Most label columns a rule's query may return.
const LABEL_COLUMNS_MAX: usize = 64;
/// A rule may keep track of this many times its limit, vanished instances included.
const TRACKED_PER_LIMIT: usize = 4;

/// What one tick learned about one rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RuleReading {
    pub(super) found: Found,
    pub(super) watermark: Option<Timestamp>,
    pub(super) duration: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// Value of each instance, by its labels.
    Values(BTreeMap<Labels, f64>),
    /// The query failed or its result cannot be used; a sentence.
    Error(String),
    /// The window is not complete yet.
    Unobserved,
}

/// Reads the answer to a rule's query.
pub(super) fn found(
    rule: &CheckedRule,
    limit: usize,
    tracked: usize,
    answer: Result<&SqlAnswer, &SqlError>,
) -> Found {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Found::Error(error.to_string()),
    };
    match values(rule, limit, answer) {
        Ok(values) if tracked.saturating_add(values.len()) > limit.saturating_mul(TRACKED_PER_LIMIT) => {
            Found::Error(format!(
                "the rule would keep track of more than {TRACKED_PER_LIMIT} times its limit of {limit} instances; \
                 group by fewer columns, raise `limit`, or let `on_missing` resolve"
            ))
        }
        Ok(values) => Found::Values(values),
        Err(message) => Found::Error(message),
    }
}

/// The instances of an answer with their values.
///
/// # Errors
/// A sentence for the rule's author.
pub(crate) fn values(
    rule: &CheckedRule,
    limit: usize,
    answer: &SqlAnswer,
) -> Result<BTreeMap<Labels, f64>, String> {
    let columns = answer.columns();
    let Some(value_at) = columns.iter().position(|column| column.eq_ignore_ascii_case("value")) else {
        return Err(format!(
            "the query returns no column `value`; it returns {}; name the measured column `AS value`",
            columns.join(", ")
        ));
    };
    if columns.len() > LABEL_COLUMNS_MAX {
        return Err(format!("the query returns more than {LABEL_COLUMNS_MAX} columns"));
    }
    if answer.row_count() > limit {
        return Err(format!(
            "the query returns {} instances and the limit is {limit}; group by fewer columns or raise `limit`",
            answer.row_count()
        ));
    }
    let mut values = BTreeMap::new();
    for row in answer.rows().map_err(|e| format!("read the query's rows: {e}"))? {
        let value = match &row[value_at] {
            // Nobody measured it: as if the row were not there (ADR 0004).
            SqlValue::Null => continue,
            cell => cell.as_f64().ok_or_else(|| format!("column `value` holds `{cell}`, not a number"))?,
        };
        if value.is_nan() {
            continue;
        }
        let labels = instance_labels(rule, &query_labels(&columns, value_at, &row));
        if values.insert(labels.clone(), value).is_some() {
            return Err(format!(
                "two rows have the same labels {labels:?}; group by the columns that differ"
            ));
        }
    }
    Ok(values)
}

fn query_labels(columns: &[&str], value_at: usize, row: &[SqlValue]) -> Labels {
    let mut labels = Labels::new();
    for (at, (column, cell)) in columns.iter().zip(row).enumerate() {
        if at != value_at && *cell != SqlValue::Null {
            labels.insert((*column).to_owned(), cut(&cell.to_string()));
        }
    }
    labels
}

/// The query's labels and, over them, the rule's own.
pub(super) fn instance_labels(rule: &CheckedRule, query_labels: &Labels) -> Labels {
    let mut labels = query_labels.clone();
    for (name, template) in &rule.labels {
        labels.insert(name.clone(), cut(&template.render(query_labels, None)));
    }
    labels
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LABEL_CHARS_MAX {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(LABEL_CHARS_MAX - 1).collect();
    out.push('…');
    out
}
