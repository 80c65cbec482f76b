//! The signal tables' schemas as the planner sees them: each JSON column says which table it belongs to, each
//! promoted column says which attribute it holds.
//!
//! Texts are read as views, which are copied and compared without touching most of the text; one text serves all
//! rows that share it, and what is found in a JSON text stays where it is. Answers have plain texts again.
//!
//! The marks are field metadata. They travel with a column through aliases, subqueries and CTEs, so that
//! `->>` can find the promoted column wherever both are in scope, and cannot take another column of that name
//! for it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use hindsight_model::{RESOURCE_PROMOTED, Table, promoted_column};

/// On a JSON column: `owner/json column`.
const JSON_OF: &str = "hindsight.json_of";
/// On the JSON column `attributes` when no promoted attribute was left in it.
const ALL_PROMOTED: &str = "hindsight.all_promoted";
/// On a promoted column: `owner/json column/attribute`.
const PROMOTED_FROM: &str = "hindsight.promoted_from";

/// The columns with promoted attributes.
const JSON_COLUMNS: [&str; 2] = ["attributes", "resource_attributes"];

/// In a block's path, and so the same for all of its rows.
const TENANT: &str = "tenant";

/// Whether the column holds the attributes of a signal table, as we wrote them.
pub(crate) fn is_attributes(field: &Field) -> bool {
    field.metadata().contains_key(JSON_OF)
}

/// Whether what the column's rows have of promoted attributes is in the promoted columns alone.
pub(crate) fn is_all_promoted(field: &Field) -> bool {
    field.metadata().contains_key(ALL_PROMOTED)
}

/// Computed from what is stored: `timestamp` and the nanoseconds below its microsecond.
pub(crate) const TIME_UNIX_NANO: &str = "time_unix_nano";

/// All columns of a signal table, marked: those that are stored, then [`TIME_UNIX_NANO`]. `all_promoted` when every
/// promoted attribute of the rows to read is in its column.
pub(crate) fn marked(table: Table, all_promoted: bool) -> SchemaRef {
    static SCHEMAS: LazyLock<[[SchemaRef; 2]; Table::ALL.len()]> =
        LazyLock::new(|| Table::ALL.map(|table| [mark(table, false), mark(table, true)]));
    Arc::clone(&SCHEMAS[table.index()][usize::from(all_promoted)])
}

fn mark(table: Table, all_promoted: bool) -> SchemaRef {
    let schema = table.schema();
    let stored = schema.fields().iter().map(|field| mark_field(table, field, all_promoted));
    let computed = Field::new(TIME_UNIX_NANO, DataType::Int64, true);
    Arc::new(Schema::new(stored.chain([computed]).collect::<Vec<_>>()))
}

fn mark_field(table: Table, field: &Field, all_promoted: bool) -> Field {
    let name = field.name().as_str();
    let is_view = *field.data_type() == DataType::Utf8 && name != TENANT;
    let data_type = if is_view { DataType::Utf8View } else { field.data_type().clone() };
    let field = field.clone().with_data_type(data_type);
    if JSON_COLUMNS.contains(&name) {
        let mark = format!("{}/{name}", owner(table, name));
        let mut marks = HashMap::from([(JSON_OF.to_owned(), mark)]);
        if all_promoted && name == "attributes" {
            marks.insert(ALL_PROMOTED.to_owned(), String::new());
        }
        return field.with_metadata(marks);
    }
    let of_resource = RESOURCE_PROMOTED.iter().map(|promoted| ("resource_attributes", promoted));
    let of_record = table.promoted().iter().map(|promoted| ("attributes", promoted));
    for (json_column, promoted) in of_resource.chain(of_record) {
        if promoted.column == name {
            let mark = promoted_mark(table, json_column, promoted.attribute);
            return field.with_metadata(HashMap::from([(PROMOTED_FROM.to_owned(), mark)]));
        }
    }
    field
}

fn promoted_mark(table: Table, json_column: &str, attribute: &str) -> String {
    format!("{}/{json_column}/{attribute}", owner(table, json_column))
}

/// One table that stands for all with the same promoted attributes, so that a union of them keeps its marks.
fn owner(table: Table, json_column: &str) -> Table {
    match (json_column, table) {
        ("attributes", Table::Spans | Table::Logs) => table,
        _ => Table::Metrics,
    }
}

/// The mark and name of the promoted column that `json->>attribute` must look into, if there is one.
pub(crate) fn promoted_for(json: &Field, attribute: &str) -> Option<(String, &'static str)> {
    let (table, json_column) = json.metadata().get(JSON_OF)?.split_once('/')?;
    let table = Table::from_name(table)?;
    let promoted = promoted_column(table, json_column, attribute)?;
    Some((promoted_mark(table, json_column, attribute), promoted.column))
}

/// The attribute that `column` holds, when it is a promoted column of `json`.
pub(crate) fn promoted_beside<'a>(json: &Field, column: &'a Field) -> Option<&'a str> {
    let json = json.metadata().get(JSON_OF)?;
    column.metadata().get(PROMOTED_FROM)?.strip_prefix(json.as_str())?.strip_prefix('/')
}

/// Whether this is the promoted column with that mark.
pub(crate) fn has_mark(field: &Field, mark: &str) -> bool {
    field.metadata().get(PROMOTED_FROM).is_some_and(|found| found == mark)
}

/// The same schema without our marks and views, for the answer.
pub(crate) fn unmarked(schema: &Schema) -> SchemaRef {
    let plain_field = |field: &Arc<Field>| {
        let data_type = plain(field.data_type());
        field.as_ref().clone().with_data_type(data_type).with_metadata(HashMap::new())
    };
    Arc::new(Schema::new(schema.fields().iter().map(plain_field).collect::<Vec<_>>()))
}

/// The type with plain texts for views, at any depth.
pub(crate) fn plain(data_type: &DataType) -> DataType {
    let field = |field: &Arc<Field>| {
        let data_type = plain(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        // The second is what `->` gives: JSON of any type.
        DataType::Utf8View | DataType::Union(..) => DataType::Utf8,
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promoted_attribute_finds_its_marked_column() {
        for table in Table::ALL {
            let schema = marked(table, false);
            let lists = [("attributes", table.promoted()), ("resource_attributes", RESOURCE_PROMOTED)];
            for (json_column, list) in lists {
                let json = schema.field_with_name(json_column).unwrap();
                for promoted in list {
                    let (mark, column) = promoted_for(json, promoted.attribute).unwrap();
                    assert!(has_mark(schema.field_with_name(column).unwrap(), &mark), "{mark}");
                }
            }
            assert!(
                promoted_for(schema.field_with_name("scope_attributes").unwrap(), "service.name").is_none()
            );
        }
    }
}
