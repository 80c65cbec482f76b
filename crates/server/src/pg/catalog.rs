//! As much of `pg_catalog` as `\d`, `\dt`, `\dv`, `\dn`, `\l` and `\d name` of psql ask for. The questions are known
//! by their shape: which relation they select from, which columns, and which name or oid they narrow it to. Any other
//! question is refused rather than answered wrong; `information_schema` is there for general ones.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use hindsight_query::{ColumnInfo, TableInfo};
use regex::RegexBuilder;

use super::fault::PgFault;
use super::select_list::{Item, Select, cut};
use super::split::{Piece, pieces};
use super::statement::{Asker, unquoted};
use super::types::pg_name;

/// The oid of the first table in the order of names; the first that PostgreSQL gives to users.
const FIRST_OID: usize = 16_384;
/// The oid of schema `public` and of the one database.
const SCHEMA_OID: usize = 2_200;
const DATABASE_OID: usize = 5;
/// What a pattern of psql may take when it is compiled.
const PATTERN_BYTES_MAX: usize = 64 << 10;
/// Relations of things that we never have: whoever asks for them gets no rows.
const EMPTY: [&str; 16] = [
    "pg_inherits",
    "pg_policy",
    "pg_trigger",
    "pg_constraint",
    "pg_index",
    "pg_statistic_ext",
    "pg_publication",
    "pg_publication_rel",
    "pg_publication_tables",
    "pg_rewrite",
    "pg_partitioned_table",
    "pg_foreign_table",
    "pg_extension",
    "pg_event_trigger",
    "pg_subscription",
    "pg_sequence",
];

/// Whether a statement is about the catalog.
pub(super) fn is_asked(sql: &str) -> bool {
    let mut before = "";
    for (piece, _) in pieces(sql) {
        let Piece::Word(word) = piece else { continue };
        if word.eq_ignore_ascii_case("pg_catalog") {
            return true;
        }
        let names_relation = ["FROM", "JOIN", ","].iter().any(|marker| before.eq_ignore_ascii_case(marker));
        if names_relation && word.len() > 3 && word[..word.floor_char_boundary(3)].eq_ignore_ascii_case("pg_")
        {
            return true;
        }
        before = word;
    }
    false
}

/// The rows of such a question.
///
/// # Errors
/// A question of a shape that is not known.
pub(super) fn answer(sql: &str, asker: &Asker, tables: &[TableInfo]) -> Result<RecordBatch, PgFault> {
    let Some(select) = cut(sql) else { return Err(unknown("this statement")) };
    if super::split::words(sql).iter().any(|word| word.starts_with('$')) {
        return Err(unknown("a question with parameters"));
    }
    let mut relations =
        select.from.iter().filter(|word| is_relation(word)).map(|word| word.to_ascii_lowercase());
    let first = relations.next().unwrap_or_default();
    if EMPTY.contains(&first.as_str()) || relations.any(|relation| is_empty(&relation, &select)) {
        return Ok(table(&select.items, &[]));
    }
    let rows: Vec<Vec<Option<String>>> = match first.as_str() {
        "pg_class" => {
            let found = relations_asked(&select, tables)?;
            found.into_iter().map(|found| row(&select, |item| class_value(item, found))).collect()
        }
        "pg_attribute" => attributes(&select, tables)?,
        "pg_namespace" => vec![row(&select, namespace_value)],
        "pg_database" => vec![row(&select, |item| database_value(item, asker))],
        other => return Err(unknown(if other.is_empty() { "this question" } else { other })),
    };
    Ok(table(&select.items, &rows))
}

fn unknown(what: &str) -> PgFault {
    PgFault::unsupported(format!("pg_catalog knows no answer to {what}"))
        .hint("ask information_schema.tables and information_schema.columns, or SHOW TABLES and DESCRIBE")
}

fn is_relation(word: &str) -> bool {
    word.len() > 3
        && word[..word.floor_char_boundary(3)].eq_ignore_ascii_case("pg_")
        && !word.eq_ignore_ascii_case("pg_catalog")
}

/// An outer join leaves the rows of the other side.
fn is_empty(relation: &str, select: &Select<'_>) -> bool {
    EMPTY.contains(&relation) && !select.from.iter().any(|word| word.eq_ignore_ascii_case("LEFT"))
}

/// A table with its oid.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    oid: usize,
    table: &'a TableInfo,
}

fn relations_asked<'a>(select: &Select<'_>, tables: &'a [TableInfo]) -> Result<Vec<Found<'a>>, PgFault> {
    let conditions = &select.rest;
    let name = Condition::on("relname", conditions)?;
    let schema = Condition::on("nspname", conditions)?;
    let oid = Condition::on("oid", conditions)?;
    let kinds = kinds(conditions);
    let all = tables.iter().enumerate().map(|(at, table)| Found { oid: FIRST_OID + at, table });
    Ok(all
        .filter(|found| name.as_ref().is_none_or(|name| name.holds(&found.table.name)))
        .filter(|_| schema.as_ref().is_none_or(|schema| schema.holds("public")))
        .filter(|found| {
            oid.as_ref().is_none_or(|oid| oid.holds(&found.oid.to_string()) || oid.holds(&found.table.name))
        })
        .filter(|found| kinds.is_empty() || kinds.iter().any(|kind| kind == kind_of(found.table)))
        .collect())
}

fn kind_of(table: &TableInfo) -> &'static str {
    if table.is_view { "v" } else { "r" }
}

/// The letters of `relkind IN ('r', …)` or `relkind = 'r'`.
fn kinds(words: &[&str]) -> Vec<String> {
    let Some(at) = words.iter().position(|word| word.eq_ignore_ascii_case("relkind")) else {
        return Vec::new();
    };
    let list = words[at + 1..].iter().take_while(|word| {
        word.starts_with('\'') || matches!(**word, "=" | "(" | ",") || word.eq_ignore_ascii_case("IN")
    });
    list.filter(|word| word.starts_with('\'')).map(|word| unquoted(word)).collect()
}

/// What a name has to be.
#[derive(Debug)]
enum Condition {
    Is(String),
    Matches(regex::Regex),
}

impl Condition {
    /// The first condition on a column that is an equality or a pattern to be matched.
    fn on(column: &str, words: &[&str]) -> Result<Option<Self>, PgFault> {
        for (at, _) in words.iter().enumerate().filter(|(_, word)| word.eq_ignore_ascii_case(column)) {
            let after = &words[at + 1..];
            let Some(end) = after.iter().position(|word| is_value(word)) else { continue };
            let operator = after[..end].concat().to_ascii_lowercase();
            let value = unquoted(after[end]);
            match operator.as_str() {
                "=" => return Ok(Some(Self::Is(value))),
                "~" | "operator(pg_catalog.~)" => {
                    let pattern = RegexBuilder::new(&value).size_limit(PATTERN_BYTES_MAX).build();
                    let pattern =
                        pattern.map_err(|_| PgFault::new("2201B", format!("`{value}` is no pattern")))?;
                    return Ok(Some(Self::Matches(pattern)));
                }
                "like" => {
                    let pattern = regex::escape(&value).replace('%', ".*").replace('_', ".");
                    let pattern =
                        RegexBuilder::new(&format!("^{pattern}$")).size_limit(PATTERN_BYTES_MAX).build();
                    let pattern =
                        pattern.map_err(|_| PgFault::new("2201B", format!("`{value}` is no pattern")))?;
                    return Ok(Some(Self::Matches(pattern)));
                }
                // `<>`, `!~` and the like rule out what we do not have.
                _ => {}
            }
        }
        Ok(None)
    }

    fn holds(&self, name: &str) -> bool {
        match self {
            Self::Is(wanted) => wanted == name || wanted.strip_prefix("public.") == Some(name),
            Self::Matches(pattern) => pattern.is_match(name),
        }
    }
}

fn is_value(word: &str) -> bool {
    word.starts_with('\'') || word.starts_with(|c: char| c.is_ascii_digit())
}

fn row(select: &Select<'_>, value: impl Fn(&Item) -> Option<String>) -> Vec<Option<String>> {
    select.items.iter().map(value).collect()
}

/// A column of `pg_class` and what psql makes of it. NULL is what we have nothing for.
fn class_value(item: &Item, found: Found<'_>) -> Option<String> {
    let expression = item.expression.as_str();
    let is_case = expression.starts_with("case");
    let has = |part: &str| expression.contains(part);
    let text = |text: &str| Some(text.to_owned());
    match expression {
        "''" => text(""),
        "false" => text("f"),
        "true" => text("t"),
        _ if is_case && has("relkind") => text(if found.table.is_view { "view" } else { "table" }),
        _ if is_case && has("relpersistence") => text("permanent"),
        _ if is_case && has("reloftype") => text(""),
        _ if is_case || expression.starts_with('(') => None,
        _ if has("obj_description") => (!found.table.doc.is_empty()).then(|| found.table.doc.to_owned()),
        _ if has("pg_get_userbyid") => text("hindsight"),
        _ if has("nspname") => text("public"),
        _ if has("relname") || has("::regclass") => text(&found.table.name),
        _ if has("relkind") => text(kind_of(found.table)),
        _ if has("relpersistence") => text("p"),
        _ if has("relreplident") => text("d"),
        _ if has("relchecks") || has("reltablespace") || has("reltype") => text("0"),
        _ if has("relnamespace") => Some(SCHEMA_OID.to_string()),
        _ if has("relhas")
            || has("relrowsecurity")
            || has("relforcerowsecurity")
            || has("relispartition") =>
        {
            text("f")
        }
        _ if expression == "oid" || expression.ends_with(".oid") => Some(found.oid.to_string()),
        _ => None,
    }
}

fn attributes(select: &Select<'_>, tables: &[TableInfo]) -> Result<Vec<Vec<Option<String>>>, PgFault> {
    let Some(of) = Condition::on("attrelid", &select.rest)? else {
        return Err(unknown("pg_attribute without one relation"));
    };
    let mut all = tables.iter().enumerate();
    let Some((at, table)) =
        all.find(|(at, table)| of.holds(&(FIRST_OID + at).to_string()) || of.holds(&table.name))
    else {
        return Ok(Vec::new());
    };
    let columns = table.columns.iter().enumerate();
    Ok(columns
        .map(|(number, column)| row(select, |item| attribute_value(item, FIRST_OID + at, number + 1, column)))
        .collect())
}

fn attribute_value(item: &Item, relation: usize, number: usize, column: &ColumnInfo) -> Option<String> {
    let expression = item.expression.as_str();
    let has = |part: &str| expression.contains(part);
    match expression {
        _ if expression.starts_with('(') || expression.starts_with("case") => None,
        _ if has("format_type") => Some(pg_name(&column.sql_type)),
        _ if has("col_description") => (!column.doc.is_empty()).then(|| column.doc.to_owned()),
        _ if has("attname") => Some(column.name.clone()),
        _ if has("attrelid") => Some(relation.to_string()),
        _ if has("attnum") => Some(number.to_string()),
        _ if has("attnotnull") || has("attisdropped") || has("atthasdef") => Some("f".to_owned()),
        _ if has("attidentity") || has("attgenerated") || has("attcompression") => Some(String::new()),
        _ if has("attstorage") => Some("p".to_owned()),
        _ => None,
    }
}

fn namespace_value(item: &Item) -> Option<String> {
    let expression = item.expression.as_str();
    match expression {
        _ if expression.contains("nspname") => Some("public".to_owned()),
        _ if expression.contains("pg_get_userbyid") => Some("hindsight".to_owned()),
        _ if expression == "oid" || expression.ends_with(".oid") => Some(SCHEMA_OID.to_string()),
        _ => None,
    }
}

fn database_value(item: &Item, asker: &Asker) -> Option<String> {
    let expression = item.expression.as_str();
    match expression {
        _ if expression.ends_with("datname") => Some(asker.database.clone()),
        _ if expression.contains("pg_get_userbyid") => Some("hindsight".to_owned()),
        _ if expression.contains("encoding") => Some("UTF8".to_owned()),
        _ if expression.ends_with("datallowconn") => Some("t".to_owned()),
        _ if expression.ends_with("datistemplate") => Some("f".to_owned()),
        _ if expression == "oid" || expression.ends_with(".oid") => Some(DATABASE_OID.to_string()),
        _ => None,
    }
}

fn table(items: &[Item], rows: &[Vec<Option<String>>]) -> RecordBatch {
    let fields: Vec<Field> = items.iter().map(|item| Field::new(&item.name, DataType::Utf8, true)).collect();
    let column = |at: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row[at].as_deref())))
    };
    let columns = (0..items.len()).map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .expect("each row has a cell for each item")
}

#[cfg(test)]
mod tests;
