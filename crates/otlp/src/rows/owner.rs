//! What a record belongs to: its resource and scope, read once and then recognised by their bytes.

use std::sync::Arc;

use hindsight_model::{AnyValue, Cell, Owner, RESOURCE_PROMOTED, attributes_to_json};
use opentelemetry_proto::tonic::common::v1::{EntityRef, InstrumentationScope};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use prost::Message as _;

use super::pass::Pass;
use super::promoted::take_promoted;
use super::reader::{Fields, Odd, once};
use super::script::ScriptPlace;
use super::stop::Stop;
use crate::RejectReason;
use crate::attributes::read_attributes;
use crate::series::SeriesHash;
use crate::tally::Remark;

/// A resource, with what reading it gave rise to.
#[derive(Debug)]
pub(super) struct Resource {
    id: u64,
    cells: Vec<Cell>,
    hash: SeriesHash,
    too_many: bool,
    remarks: Vec<(Remark, u64)>,
}

/// A scope within its resource.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: u64,
    pub(super) owner: Arc<Owner>,
    pub(super) hash: SeriesHash,
    /// The points it sent last.
    pub(super) script: ScriptPlace,
    /// Bytes of text on every row.
    pub(super) row_bytes: usize,
    too_many: bool,
    remarks: Vec<(Remark, u64)>,
}

impl Resource {
    fn read(wire: &[u8], schema_url: &str, pass: &mut Pass<'_>) -> Result<Self, Stop> {
        let resource = ProtoResource::decode(wire).map_err(|_| Odd)?;
        let too_many = resource.attributes.len() > pass.tally.context.limits.attributes_max;
        let before = pass.tally.remarks();
        let mut attributes = read_attributes(resource.attributes, &mut pass.tally)?;
        let hash = SeriesHash::of_resource(&attributes_to_json(&attributes));
        let promoted = take_promoted(&mut attributes, RESOURCE_PROMOTED, &mut pass.tally);
        let remarks = pass.tally.take_remarks_since(before);
        let mut cells: Vec<Cell> = promoted.into_iter().map(promoted_cell).collect();
        cells.push(Cell::Text(attributes_to_json(&attributes).into()));
        cells.push(Cell::Int(resource.dropped_attributes_count.into()));
        cells.push(Cell::optional(&entity_refs_json(&resource.entity_refs)));
        cells.push(Cell::optional(schema_url));
        Ok(Self { id: pass.tally.context.interner.id(), cells, hash, too_many, remarks })
    }
}

impl Group {
    fn read(resource: &Resource, wire: &[u8], schema_url: &str, pass: &mut Pass<'_>) -> Result<Self, Stop> {
        let scope = InstrumentationScope::decode(wire).map_err(|_| Odd)?;
        let too_many = resource.too_many || scope.attributes.len() > pass.tally.context.limits.attributes_max;
        let before = pass.tally.remarks();
        let attributes = attributes_to_json(&read_attributes(scope.attributes, &mut pass.tally)?);
        let remarks = pass.tally.take_remarks_since(before);
        let hash = resource.hash.in_scope(&scope.name, &scope.version, &attributes);
        let mut cells = resource.cells.clone();
        cells.push(Cell::optional(&scope.name));
        cells.push(Cell::optional(&scope.version));
        cells.push(Cell::Text(attributes.into()));
        cells.push(Cell::Int(scope.dropped_attributes_count.into()));
        cells.push(Cell::optional(schema_url));
        let owner = Arc::new(Owner::group(cells));
        let row_bytes = owner.row_bytes();
        Ok(Self {
            id: pass.tally.context.interner.id(),
            owner,
            hash,
            script: ScriptPlace::default(),
            row_bytes,
            too_many,
            remarks,
        })
    }

    pub(super) fn service(&self) -> Option<&str> {
        let index = RESOURCE_PROMOTED.iter().position(|promoted| promoted.attribute == "service.name")?;
        self.owner.cell(0, index).as_text()
    }

    /// Whether records of this owner may come in at all.
    pub(super) fn check(&self) -> Result<(), RejectReason> {
        if self.too_many { Err(RejectReason::TooManyAttributes) } else { Ok(()) }
    }
}

fn promoted_cell(value: Option<AnyValue>) -> Cell {
    match value {
        Some(AnyValue::String(text)) => Cell::Text(text.into()),
        Some(AnyValue::Int(number)) => Cell::Int(number),
        _ => Cell::Null,
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

/// The three levels that every request has: resources, their scopes, and the scopes' records, each of which is
/// given to `record` with its owner.
pub(super) fn each_record<'a, 'c>(
    body: &'a [u8],
    pass: &mut Pass<'c>,
    mut record: impl FnMut(&'a [u8], &Arc<Group>, &mut Pass<'c>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut request = Fields::of(body);
    while let Some((field, value)) = request.next()? {
        if field != 1 {
            continue;
        }
        let level = Level::read(value.bytes()?)?;
        let resource = find_resource(&level, pass)?;
        level.each(|scope| {
            let level = Level::read(scope)?;
            let group = find_group(&resource, &level, pass)?;
            level.each(|wire| record(wire, &group, pass))
        })?;
    }
    Ok(())
}

/// `ResourceSpans`, `ScopeLogs` and their like: field 1 says whose, field 2 holds the parts, field 3 is the schema.
struct Level<'a> {
    head: &'a [u8],
    schema_url: &'a str,
    message: &'a [u8],
}

impl<'a> Level<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Odd> {
        let (mut head, mut schema_url) = (None, "");
        let mut fields = Fields::of(message);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => once(&mut head, value.bytes()?)?,
                2 => drop(value.bytes()?),
                3 => schema_url = value.text()?,
                _ => {}
            }
        }
        Ok(Self { head: head.unwrap_or_default(), schema_url, message })
    }

    fn each(&self, mut part: impl FnMut(&'a [u8]) -> Result<(), Stop>) -> Result<(), Stop> {
        let mut fields = Fields::of(self.message);
        while let Some((field, value)) = fields.next()? {
            if field == 2 {
                part(value.bytes()?)?;
            }
        }
        Ok(())
    }
}

fn find_resource(level: &Level<'_>, pass: &mut Pass<'_>) -> Result<Arc<Resource>, Stop> {
    let interner = pass.tally.context.interner;
    pass.start_key(0);
    pass.add_to_key(level.schema_url.as_bytes());
    pass.add_to_key(level.head);
    let resource = match interner.resources.get(&pass.key) {
        Some(resource) => resource,
        None => {
            pass.charge(level.head.len() * 2)?;
            let resource = Arc::new(Resource::read(level.head, level.schema_url, pass)?);
            interner.resources.add(&pass.key, &resource);
            resource
        }
    };
    pass.tally.repeat_remarks(&resource.remarks);
    Ok(resource)
}

fn find_group(resource: &Resource, level: &Level<'_>, pass: &mut Pass<'_>) -> Result<Arc<Group>, Stop> {
    let interner = pass.tally.context.interner;
    pass.start_key(resource.id);
    pass.add_to_key(level.schema_url.as_bytes());
    pass.add_to_key(level.head);
    let group = match interner.groups.get(&pass.key) {
        Some(group) => group,
        None => {
            let group = Arc::new(Group::read(resource, level.head, level.schema_url, pass)?);
            interner.groups.add(&pass.key, &group);
            group
        }
    };
    pass.tally.repeat_remarks(&group.remarks);
    Ok(group)
}
