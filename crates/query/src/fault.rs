//! From the engine's errors to ours: who must act, and in words for people.

use datafusion::common::{Column, DataFusionError, SchemaError};
use hindsight_model::SqlError;

use crate::limits::{memory_reached, spill_reached};
use crate::suggest::closest;

/// Most column names that an error lists.
const LISTED_COLUMNS_MAX: usize = 12;

/// The error that the asker sees. `memory_limit` is named when memory ran out.
pub(crate) fn explain(error: &DataFusionError, memory_limit: usize) -> SqlError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            explain(inner, memory_limit)
        }
        DataFusionError::Shared(inner) => explain(inner, memory_limit),
        DataFusionError::Collection(all) => match all.first() {
            Some(first) => explain(first, memory_limit),
            None => failed("the engine reported no cause"),
        },
        DataFusionError::ResourcesExhausted(_) => memory_reached(memory_limit),
        DataFusionError::SchemaError(error, _) => invalid(schema_text(error)),
        DataFusionError::Plan(text) | DataFusionError::Execution(text) => invalid(plain(text)),
        DataFusionError::NotImplemented(text) => invalid(format!("not supported: {}", plain(text))),
        DataFusionError::SQL(error, _) => invalid(format!("SQL syntax: {}", plain(&error.to_string()))),
        DataFusionError::Configuration(text) => invalid(plain(text)),
        DataFusionError::ArrowError(error, _) => arrow_fault(error, memory_limit),
        DataFusionError::External(error) => external(error.as_ref(), memory_limit),
        DataFusionError::ObjectStore(error) => failed(&format!("read a block: {}", chain(error.as_ref()))),
        DataFusionError::ParquetError(error) => failed(&format!("read a block: {}", chain(error.as_ref()))),
        DataFusionError::IoError(error) if is_spill_limit(&error.to_string()) => spill_reached(),
        DataFusionError::IoError(error) => failed(&format!("read a block: {}", chain(error))),
        other => failed(&format!("the SQL engine failed: {}", plain(&other.message()))),
    }
}

/// The engine has no kind of its own for it.
fn is_spill_limit(text: &str) -> bool {
    text.contains("used disk space during the spilling process")
}

fn arrow_fault(error: &arrow::error::ArrowError, memory_limit: usize) -> SqlError {
    use arrow::error::ArrowError;
    match error {
        ArrowError::ExternalError(error) => external(error.as_ref(), memory_limit),
        ArrowError::MemoryError(_) => memory_reached(memory_limit),
        ArrowError::IoError(text, _) if is_spill_limit(text) => spill_reached(),
        ArrowError::IoError(text, _) | ArrowError::ParquetError(text) => {
            failed(&format!("read a block: {text}"))
        }
        ArrowError::DivideByZero => invalid("division by zero; guard it with nullif(divisor, 0)".to_owned()),
        ArrowError::CastError(text) | ArrowError::ParseError(text) | ArrowError::ComputeError(text) => {
            invalid(plain(text))
        }
        other => invalid(plain(&other.to_string())),
    }
}

fn external(error: &(dyn std::error::Error + Send + Sync + 'static), memory_limit: usize) -> SqlError {
    if let Some(error) = error.downcast_ref::<SqlError>() {
        return error.clone();
    }
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return explain(error, memory_limit);
    }
    failed(&chain(error))
}

fn schema_text(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => unknown_column(field, valid_fields),
        SchemaError::AmbiguousReference { field } => {
            format!(
                "column `{0}` is in several of the tables; write which one, for example `t.{0}`",
                field.name
            )
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            format!("column `{name}` appears twice; name one of them with AS")
        }
    }
}

fn unknown_column(wrong: &Column, known: &[Column]) -> String {
    let name = wrong.name();
    let what = match &wrong.relation {
        Some(table) => format!("there is no column `{name}` in `{}`", table.table()),
        None => format!("there is no column `{name}`"),
    };
    if let Some(right) = closest(name, known.iter().map(Column::name)) {
        return format!("{what}; did you mean `{right}`?");
    }
    if name.contains('.') {
        return format!("{what}; an attribute is asked for as attributes->>'{name}'");
    }
    let listed: Vec<&str> = known.iter().map(Column::name).take(LISTED_COLUMNS_MAX).collect();
    if listed.is_empty() {
        return what;
    }
    let more = if known.len() > listed.len() { ", …" } else { "" };
    format!("{what}; there are {}{more}", listed.join(", "))
}

/// The engine's text without its own prefixes and internal table names.
fn plain(text: &str) -> String {
    let mut text = text.trim();
    // What a function says of its arguments is all there is to say.
    if let Some((_, said)) = text.split_once(" user-defined coercion failed with: ") {
        text = said.split(" No function matches the given name").next().unwrap_or(said).trim_end_matches('.');
    }
    for prefix in
        ["Error during planning: ", "Execution error: ", "Arrow error: ", "Schema error: ", "SQL error: "]
    {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    for tail in ["\n\nbacktrace:", ".\nThis issue was likely caused"] {
        text = text.split(tail).next().unwrap_or(text);
    }
    text.replace("datafusion.public.", "").replace("hindsight.public.", "")
}

/// An error with all its causes, one after the other.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

fn invalid(message: String) -> SqlError {
    SqlError::Invalid { message }
}

fn failed(message: &str) -> SqlError {
    SqlError::Failed { message: message.to_owned() }
}
