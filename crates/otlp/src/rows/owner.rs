//! What a record belongs to: its resource and scope, turned into texts once for all their rows.

use std::rc::Rc;

use arrow::array::{Int64Builder, StringBuilder};
use hindsight_model::{AnyValue, RESOURCE_PROMOTED, attributes_to_json};
use opentelemetry_proto::tonic::common::v1::{EntityRef, InstrumentationScope};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;

use super::columns::{Finished, push_text};
use super::promoted::{PromotedColumns, take_promoted};
use crate::attributes::read_attributes;
use crate::series::Series;
use crate::tally::Tally;
use crate::{DecodeError, RejectReason};

/// A resource's columns.
pub(super) struct Resource {
    promoted: Vec<Option<AnyValue>>,
    attributes: String,
    dropped: i64,
    entity_refs: String,
    schema_url: String,
    too_many: bool,
    series: Series,
}

impl Resource {
    pub(super) fn read(
        resource: Option<ProtoResource>,
        schema_url: String,
        tally: &mut Tally<'_>,
    ) -> Result<Rc<Self>, DecodeError> {
        let resource = resource.unwrap_or_default();
        let too_many = resource.attributes.len() > tally.context.limits.attributes_max;
        let mut attributes = read_attributes(resource.attributes, tally)?;
        let series = Series::of_resource(&attributes_to_json(&attributes));
        let promoted = take_promoted(&mut attributes, RESOURCE_PROMOTED, tally);
        Ok(Rc::new(Self {
            promoted,
            attributes: attributes_to_json(&attributes),
            dropped: resource.dropped_attributes_count.into(),
            entity_refs: entity_refs_json(&resource.entity_refs),
            schema_url,
            too_many,
            series,
        }))
    }

    fn bytes(&self) -> usize {
        let promoted: usize = self.promoted.iter().flatten().map(promoted_bytes).sum();
        promoted + self.attributes.len() + self.entity_refs.len() + self.schema_url.len()
    }
}

fn promoted_bytes(value: &AnyValue) -> usize {
    match value {
        AnyValue::String(text) => text.len(),
        _ => 8,
    }
}

/// An array of objects with `schema_url`, `type`, `id_keys` and `description_keys`; empty text for none.
fn entity_refs_json(entity_refs: &[EntityRef]) -> String {
    if entity_refs.is_empty() {
        return String::new();
    }
    let object = |entity: &EntityRef| {
        serde_json::json!({
            "schema_url": entity.schema_url,
            "type": entity.r#type,
            "id_keys": entity.id_keys,
            "description_keys": entity.description_keys,
        })
    };
    serde_json::Value::Array(entity_refs.iter().map(object).collect()).to_string()
}

/// A scope within its resource.
pub(super) struct Owner {
    resource: Rc<Resource>,
    name: String,
    version: String,
    attributes: String,
    dropped: i64,
    schema_url: String,
    too_many: bool,
    series: Series,
}

impl Owner {
    pub(super) fn read(
        resource: &Rc<Resource>,
        scope: Option<InstrumentationScope>,
        schema_url: String,
        tally: &mut Tally<'_>,
    ) -> Result<Rc<Self>, DecodeError> {
        let scope = scope.unwrap_or_default();
        let too_many = scope.attributes.len() > tally.context.limits.attributes_max;
        let attributes = attributes_to_json(&read_attributes(scope.attributes, tally)?);
        let series = resource.series.in_scope(&scope.name, &scope.version, &attributes);
        Ok(Rc::new(Self {
            resource: Rc::clone(resource),
            name: scope.name,
            version: scope.version,
            attributes,
            dropped: scope.dropped_attributes_count.into(),
            schema_url,
            too_many,
            series,
        }))
    }

    pub(super) fn service(&self) -> Option<&str> {
        let index = RESOURCE_PROMOTED.iter().position(|promoted| promoted.attribute == "service.name")?;
        match self.resource.promoted.get(index)? {
            Some(AnyValue::String(name)) => Some(name),
            _ => None,
        }
    }

    pub(super) fn series(&self) -> &Series {
        &self.series
    }

    /// Whether records of this owner may come in at all.
    pub(super) fn check(&self) -> Result<(), RejectReason> {
        if self.too_many || self.resource.too_many { Err(RejectReason::TooManyAttributes) } else { Ok(()) }
    }

    /// Bytes of text on every row.
    pub(super) fn bytes(&self) -> usize {
        let own = self.name.len() + self.version.len() + self.attributes.len() + self.schema_url.len();
        own + self.resource.bytes()
    }
}

/// Which rows belong to whom, as runs, because rows of one owner follow each other.
#[derive(Default)]
pub(super) struct OwnerRuns(Vec<(Rc<Owner>, usize)>);

impl OwnerRuns {
    pub(super) fn push(&mut self, owner: &Rc<Owner>) {
        match self.0.last_mut() {
            Some((last, rows)) if Rc::ptr_eq(last, owner) => *rows += 1,
            _ => self.0.push((Rc::clone(owner), 1)),
        }
    }

    pub(super) fn finish(self, finished: &mut Finished) {
        let mut promoted = PromotedColumns::new(RESOURCE_PROMOTED);
        for (owner, rows) in &self.0 {
            promoted.push(&owner.resource.promoted, *rows);
        }
        promoted.finish(finished);
        self.required(finished, "resource_attributes", |owner| &owner.resource.attributes);
        self.counts(finished, "resource_dropped_attributes_count", |owner| owner.resource.dropped);
        self.optional(finished, "resource_entity_refs", |owner| &owner.resource.entity_refs);
        self.optional(finished, "resource_schema_url", |owner| &owner.resource.schema_url);
        self.optional(finished, "scope_name", |owner| &owner.name);
        self.optional(finished, "scope_version", |owner| &owner.version);
        self.required(finished, "scope_attributes", |owner| &owner.attributes);
        self.counts(finished, "scope_dropped_attributes_count", |owner| owner.dropped);
        self.optional(finished, "scope_schema_url", |owner| &owner.schema_url);
    }

    fn required(&self, finished: &mut Finished, column: &str, text: impl Fn(&Owner) -> &String) {
        let mut builder = StringBuilder::new();
        for (owner, rows) in &self.0 {
            for _ in 0..*rows {
                builder.append_value(text(owner));
            }
        }
        finished.put(column, builder.finish());
    }

    fn optional(&self, finished: &mut Finished, column: &str, text: impl Fn(&Owner) -> &String) {
        let mut builder = StringBuilder::new();
        for (owner, rows) in &self.0 {
            for _ in 0..*rows {
                push_text(&mut builder, text(owner));
            }
        }
        finished.put(column, builder.finish());
    }

    fn counts(&self, finished: &mut Finished, column: &str, count: impl Fn(&Owner) -> i64) {
        let mut builder = Int64Builder::new();
        for (owner, rows) in &self.0 {
            builder.append_value_n(count(owner), *rows);
        }
        finished.put(column, builder.finish());
    }
}
