//! What a session can answer out of itself: `version()`, `current_schema`, `SHOW TimeZone`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, RecordBatch, StringArray};

use super::fault::PgFault;
use super::select_list::{Item, cut};
use super::statement::{Asker, unquoted};

/// The version whose questions and settings we know. Clients choose by it what they ask the catalog.
pub(super) const SERVER_VERSION: &str = concat!("15.0 (Hindsight ", env!("CARGO_PKG_VERSION"), ")");

/// The settings of which a client is told at its start.
pub(super) const TOLD: [(&str, &str); 11] = [
    ("server_version", SERVER_VERSION),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "off"),
    ("in_hot_standby", "off"),
    ("default_transaction_read_only", "on"),
];

/// The ones that are told when asked.
const ASKED: [(&str, &str); 7] = [
    ("search_path", "public"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "on"),
    ("max_identifier_length", "63"),
    ("server_version_num", "150000"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
];

/// `SHOW name`, given the words after SHOW.
pub(super) fn show(words: &[&str], asker: &Asker) -> Result<RecordBatch, PgFault> {
    let name = match words {
        [first, second, ..] if first.eq_ignore_ascii_case("TIME") && second.eq_ignore_ascii_case("ZONE") => {
            "TimeZone".to_owned()
        }
        [first, second, ..]
            if first.eq_ignore_ascii_case("TRANSACTION") && second.eq_ignore_ascii_case("ISOLATION") =>
        {
            "transaction_isolation".to_owned()
        }
        [name, ..] => unquoted(name),
        [] => String::new(),
    };
    let value = setting(&name, asker).ok_or_else(|| {
        PgFault::new("42704", format!("there is no setting `{name}`")).hint("`SHOW TABLES` lists the tables")
    })?;
    Ok(one_row(vec![(name, text(&value))]))
}

fn setting(name: &str, asker: &Asker) -> Option<String> {
    match name.to_ascii_lowercase().as_str() {
        "session_authorization" => return Some(asker.user.clone()),
        "application_name" => return Some(String::new()),
        "statement_timeout" => {
            return Some(
                asker.statement_timeout.map_or("0".to_owned(), |limit| format!("{}ms", limit.as_millis())),
            );
        }
        _ => {}
    }
    let known = TOLD.iter().chain(&ASKED).find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(known.1.to_owned())
}

/// A SELECT of nothing but such values; none when it asks for anything else.
pub(super) fn select(sql: &str, asker: &Asker) -> Option<RecordBatch> {
    let select = cut(sql)?;
    if !select.from.is_empty() || !select.rest.is_empty() {
        return None;
    }
    let columns = select.items.iter().map(|item| Some((item.name.clone(), value(item, asker)?)));
    Some(one_row(columns.collect::<Option<Vec<_>>>()?))
}

fn value(item: &Item, asker: &Asker) -> Option<ArrayRef> {
    let expression = item.expression.as_str();
    Some(match expression {
        "version()" => text(&format!("PostgreSQL {SERVER_VERSION}")),
        "current_schema" | "current_schema()" => text("public"),
        "current_database()" | "current_catalog" => text(&asker.database),
        "current_user" | "session_user" | "user" | "current_role" => text(&asker.user),
        "pg_backend_pid()" => Arc::new(Int32Array::from(vec![asker.pid])),
        "pg_is_in_recovery()" => Arc::new(BooleanArray::from(vec![false])),
        _ => {
            let argument = |function: &str| expression.strip_prefix(function)?.strip_suffix(')');
            if argument("pg_get_viewdef(").is_some() {
                return Some(Arc::new(StringArray::from(vec![None::<&str>])));
            }
            if let Some(arguments) = argument("set_config(") {
                let value = arguments.split(',').nth(1)?;
                return Some(text(&unquoted(value)));
            }
            let name = argument("current_setting(")?.split(',').next()?;
            text(&setting(&unquoted(name), asker)?)
        }
    })
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn one_row(columns: Vec<(String, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("columns of one value each make a row")
}

#[cfg(test)]
mod tests {
    use super::super::statement::asker;
    use super::*;

    fn shown(batch: &RecordBatch) -> Vec<String> {
        let cell = |column: &ArrayRef| arrow::util::display::array_value_to_string(column, 0).unwrap();
        batch.columns().iter().map(cell).collect()
    }

    #[test]
    fn a_session_knows_itself() {
        let rows =
            select("select pg_catalog.version() as v, current_schema, current_database()", &asker()).unwrap();
        assert!(shown(&rows)[0].starts_with("PostgreSQL 15.0 (Hindsight"), "{rows:?}");
        assert_eq!(shown(&rows)[1..], ["public", "hindsight"]);
        assert_eq!(rows.schema().field(0).name(), "v");
        let setting = select("SELECT current_setting('server_version_num')", &asker()).unwrap();
        assert_eq!(shown(&setting), ["150000"]);
        for other in ["SELECT 1", "SELECT version(), 1", "SELECT version() FROM logs"] {
            assert!(select(other, &asker()).is_none(), "{other}");
        }
        assert_eq!(shown(&show(&["TIME", "ZONE"], &asker()).unwrap()), ["UTC"]);
        assert!(show(&["shared_buffers"], &asker()).is_err());
    }
}
