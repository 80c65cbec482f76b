//! Rows of one resource and scope, as runs of neighbours.

use std::cmp::Ordering;
use std::ops::Range;

use arrow::array::{DynComparator, make_comparator};
use arrow::compute::SortOptions;
use hindsight_model::RESOURCE_PROMOTED;
use opentelemetry_proto::tonic::common::v1::{EntityRef, InstrumentationScope};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;

use super::source::{Source, Texts};
use crate::TableError;

pub(super) struct Group {
    pub(super) resource: Resource,
    pub(super) schema_url: String,
    pub(super) scopes: Vec<ScopeGroup>,
}

pub(super) struct ScopeGroup {
    pub(super) scope: InstrumentationScope,
    pub(super) schema_url: String,
    pub(super) rows: Range<usize>,
}

const RESOURCE_COLUMNS: [&str; 4] = [
    "resource_attributes",
    "resource_dropped_attributes_count",
    "resource_entity_refs",
    "resource_schema_url",
];
const SCOPE_COLUMNS: [&str; 5] =
    ["scope_name", "scope_version", "scope_attributes", "scope_dropped_attributes_count", "scope_schema_url"];

pub(super) fn read_groups(source: Source<'_>, rows: usize) -> Result<Vec<Group>, TableError> {
    let mut resource_columns = RESOURCE_COLUMNS.to_vec();
    resource_columns.extend(RESOURCE_PROMOTED.iter().map(|promoted| promoted.column));
    let mut groups = Vec::new();
    for run in runs(source, &resource_columns, 0..rows)? {
        let mut scopes = Vec::new();
        for rows in runs(source, &SCOPE_COLUMNS, run.clone())? {
            scopes.push(ScopeGroup {
                scope: InstrumentationScope {
                    name: source.texts("scope_name")?.owned(rows.start),
                    version: source.texts("scope_version")?.owned(rows.start),
                    attributes: source.texts("scope_attributes")?.key_values(rows.start)?,
                    dropped_attributes_count: source
                        .ints("scope_dropped_attributes_count")?
                        .u32(rows.start)?,
                },
                schema_url: source.texts("scope_schema_url")?.owned(rows.start),
                rows,
            });
        }
        groups.push(Group {
            resource: read_resource(source, run.start)?,
            schema_url: source.texts("resource_schema_url")?.owned(run.start),
            scopes,
        });
    }
    Ok(groups)
}

/// Cuts `rows` where one of the columns changes.
pub(super) fn runs(
    source: Source<'_>,
    columns: &[&'static str],
    rows: Range<usize>,
) -> Result<Vec<Range<usize>>, TableError> {
    let mut comparators: Vec<DynComparator> = Vec::new();
    for column in columns {
        let array = source.array(column)?;
        let comparator = make_comparator(array, array, SortOptions::default())
            .map_err(|_| TableError::Type { column, found: array.data_type().to_string() })?;
        comparators.push(comparator);
    }
    let mut runs: Vec<Range<usize>> = Vec::new();
    for row in rows {
        match runs.last_mut() {
            Some(run) if comparators.iter().all(|compare| compare(row - 1, row) == Ordering::Equal) => {
                run.end = row + 1;
            }
            _ => runs.push(row..row + 1),
        }
    }
    Ok(runs)
}

fn read_resource(source: Source<'_>, row: usize) -> Result<Resource, TableError> {
    Ok(Resource {
        attributes: source.attributes("resource_attributes", RESOURCE_PROMOTED)?.read(row)?,
        dropped_attributes_count: source.ints("resource_dropped_attributes_count")?.u32(row)?,
        entity_refs: read_entity_refs(&source.texts("resource_entity_refs")?, row)?,
    })
}

fn read_entity_refs(texts: &Texts<'_>, row: usize) -> Result<Vec<EntityRef>, TableError> {
    let Some(text) = texts.optional(row) else { return Ok(Vec::new()) };
    let Ok(Value::Array(entities)) = serde_json::from_str(text) else { return Err(texts.wrong(row)) };
    entities.iter().map(|entity| read_entity_ref(entity).ok_or_else(|| texts.wrong(row))).collect()
}

fn read_entity_ref(entity: &Value) -> Option<EntityRef> {
    let text = |name: &str| Some(entity.get(name)?.as_str()?.to_owned());
    let texts = |name: &str| -> Option<Vec<String>> {
        entity.get(name)?.as_array()?.iter().map(|key| key.as_str().map(str::to_owned)).collect()
    };
    Some(EntityRef {
        schema_url: text("schema_url")?,
        r#type: text("type")?,
        id_keys: texts("id_keys")?,
        description_keys: texts("description_keys")?,
    })
}
