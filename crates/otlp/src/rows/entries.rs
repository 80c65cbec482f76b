//! Attribute lists from the wire into promoted columns and canonical JSON.
//!
//! The usual list (each key once, plain values within the limits) is written straight from the request's bytes.
//! Any other goes through [`crate::attributes`], which knows all the rules.

use arrow::array::StringBuilder;
use arrow::datatypes::Int64Type;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hindsight_model::{AnyValue, Attributes, Promoted, PromotedKind, PromotedList, attributes_to_json};
use opentelemetry_proto::tonic::common::v1::{AnyValue as ProtoAny, KeyValue};
use prost::Message as _;

use super::columns::{Finished, Numbers, Room, Texts};
use super::promoted::take_promoted;
use super::reader::{Fields, Odd, once};
use super::stop::Stop;
use crate::attributes::{read_attributes, read_body};
use crate::tally::Tally;

/// One attribute as it stands in the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    key: &'a str,
    value: Value<'a>,
    /// The whole `KeyValue`, for the general reader.
    wire: &'a [u8],
    /// Whether the key points into a profile's string table.
    foreign: bool,
}

/// One `AnyValue` as it stands in the request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// Empty, nested or foreign: for the general reader.
    Other,
}

impl<'a> Entry<'a> {
    pub(super) fn read(wire: &'a [u8]) -> Result<Self, Odd> {
        let mut fields = Fields::of(wire);
        let (mut key, mut value, mut foreign) = ("", None, false);
        while let Some((field, found)) = fields.next()? {
            match field {
                1 => key = found.text()?,
                2 => once(&mut value, Value::read(found.bytes()?)?)?,
                3 => foreign = found.int32()? != 0,
                _ => {}
            }
        }
        Ok(Self { key, value: value.unwrap_or(Value::Other), wire, foreign })
    }

    fn is_plain(&self, value_bytes_max: usize) -> bool {
        let fits = match self.value {
            Value::Text(text) => text.len() <= value_bytes_max,
            Value::Bytes(bytes) => bytes.len() <= value_bytes_max,
            Value::Other => false,
            _ => true,
        };
        fits && !self.foreign
    }
}

impl<'a> Value<'a> {
    pub(super) fn read(wire: &'a [u8]) -> Result<Self, Odd> {
        let mut fields = Fields::of(wire);
        let mut value = None;
        while let Some((field, found)) = fields.next()? {
            let read = match field {
                1 => Self::Text(found.text()?),
                2 => Self::Bool(found.varint()? != 0),
                3 => Self::Int(found.varint()?.cast_signed()),
                4 => Self::Double(found.double()?),
                5 | 6 => {
                    found.bytes()?;
                    Self::Other
                }
                7 => Self::Bytes(found.bytes()?),
                8 => {
                    found.varint()?;
                    Self::Other
                }
                _ => continue,
            };
            once(&mut value, read)?;
        }
        match value {
            // What is nested is checked as a whole now, whatever becomes of the record.
            Some(Self::Other) => ProtoAny::decode(wire).map(|_| Self::Other).map_err(|_| Odd),
            other => Ok(other.unwrap_or(Self::Other)),
        }
    }

    fn write(self, out: &mut String) {
        match self {
            Self::Text(text) => write_string(text, out),
            Self::Bool(flag) => out.push_str(if flag { "true" } else { "false" }),
            Self::Int(number) => out.push_str(itoa::Buffer::new().format(number)),
            Self::Double(number) => out.push_str(&AnyValue::Double(number).to_json_text()),
            Self::Bytes(bytes) => {
                out.push_str(r#"{"$bytes":""#);
                BASE64.encode_string(bytes, out);
                out.push_str(r#""}"#);
            }
            // Never plain: lists with one go through the general reader.
            Self::Other => {}
        }
    }
}

/// As `serde_json` writes a string.
fn write_string(text: &str, out: &mut String) {
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).expect("a string always serialises"));
    }
}

/// A log's body as text and type name.
pub(super) fn write_body(
    wire: &[u8],
    builder: &mut StringBuilder,
    tally: &mut Tally<'_>,
) -> Result<&'static str, Stop> {
    match Value::read(wire)? {
        Value::Text(text) if text.len() <= tally.context.limits.value_bytes_max => {
            builder.append_value(text);
            Ok("string")
        }
        _ => {
            let body = ProtoAny::decode(wire).map_err(|_| Odd)?;
            let body = read_body(body, tally)?;
            match &body {
                AnyValue::String(text) => builder.append_value(text),
                other => builder.append_value(other.to_json_text()),
            }
            Ok(body.type_name())
        }
    }
}

/// The canonical JSON of a list that has no promoted attributes.
pub(super) fn json<'a>(entries: &mut [Entry<'a>], tally: &mut Tally<'_>) -> Result<String, Stop> {
    let mut out = String::new();
    if sort_plain(entries, tally) {
        write_object(entries, &mut out);
    } else {
        out = attributes_to_json(&general(entries, tally)?);
    }
    Ok(out)
}

/// Sorts by key; `false`, with the order kept, when the general reader must look at the list.
fn sort_plain(entries: &mut [Entry<'_>], tally: &Tally<'_>) -> bool {
    let max = tally.context.limits.value_bytes_max;
    if !entries.iter().all(|entry| entry.is_plain(max)) {
        return false;
    }
    if entries.is_sorted_by(|a, b| a.key < b.key) {
        return true;
    }
    let mut keys: Vec<&str> = entries.iter().map(|entry| entry.key).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return false;
    }
    entries.sort_unstable_by(|a, b| a.key.cmp(b.key));
    true
}

fn write_object(entries: &[Entry<'_>], out: &mut String) {
    out.push('{');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(entry.key, out);
        out.push(':');
        entry.value.write(out);
    }
    out.push('}');
}

/// The list as the general reader understands it.
fn general(entries: &[Entry<'_>], tally: &mut Tally<'_>) -> Result<Attributes, Stop> {
    let list: Result<Vec<_>, _> = entries.iter().map(|entry| KeyValue::decode(entry.wire)).collect();
    Ok(read_attributes(list.map_err(|_| Odd)?, tally)?)
}

/// The attributes of a table's records: promoted columns, and JSON for the rest.
pub(super) struct AttributeColumns {
    promoted: &'static PromotedList,
    columns: Vec<Column>,
    json: Texts,
    rest: String,
    /// Whether a promoted attribute did not fit its column and is in the JSON.
    left_one: bool,
}

enum Column {
    Text(Texts),
    Int(Numbers<Int64Type>),
}

impl AttributeColumns {
    pub(super) fn new(promoted: &'static PromotedList, room: Room) -> Self {
        let column = |promoted: &Promoted| match promoted.kind {
            PromotedKind::String => Column::Text(room.texts(16)),
            PromotedKind::Int => Column::Int(room.numbers()),
        };
        Self {
            promoted,
            columns: promoted.iter().map(column).collect(),
            json: room.texts(200),
            rest: String::new(),
            left_one: false,
        }
    }

    /// Writes a record's attributes; `entries` is left in any order.
    pub(super) fn push<'a>(
        &mut self,
        row: usize,
        entries: &mut [Entry<'a>],
        tally: &mut Tally<'_>,
    ) -> Result<(), Stop> {
        if !self.push_plain(row, entries, tally) {
            // Of a key that comes twice the last counts: back into the order of the request.
            entries.sort_unstable_by_key(|entry| entry.wire.as_ptr());
            self.push_general(row, entries, tally)?;
        }
        Ok(())
    }

    /// `false`, with nothing written, when the list needs the general reader.
    fn push_plain(&mut self, row: usize, entries: &mut [Entry<'_>], tally: &Tally<'_>) -> bool {
        let Some(kept) = self.set_promoted_aside(entries) else { return false };
        let (rest, promoted) = entries.split_at_mut(kept);
        let max = tally.context.limits.value_bytes_max;
        if !promoted.iter().all(|entry| entry.is_plain(max)) || !sort_plain(rest, tally) {
            return false;
        }
        for entry in promoted {
            let column = self.promoted.position(entry.key).map(|index| &mut self.columns[index]);
            match (column, entry.value) {
                (Some(Column::Text(texts)), Value::Text(text)) => texts.set(row, text),
                (Some(Column::Int(numbers)), Value::Int(number)) => numbers.set(row, number),
                _ => {}
            }
        }
        self.rest.clear();
        write_object(rest, &mut self.rest);
        self.json.set(row, &self.rest);
        true
    }

    /// Moves the promoted attributes to the end and says where they begin; `None` when one comes twice or has
    /// another type than its column.
    fn set_promoted_aside(&self, entries: &mut [Entry<'_>]) -> Option<usize> {
        let (mut kept, mut taken) = (0, 0_u64);
        for at in 0..entries.len() {
            let Some(index) = self.promoted.position(entries[at].key) else {
                entries.swap(kept, at);
                kept += 1;
                continue;
            };
            let fits = matches!(
                (self.promoted[index].kind, entries[at].value),
                (PromotedKind::String, Value::Text(_)) | (PromotedKind::Int, Value::Int(_))
            );
            if !fits || taken & (1 << index) != 0 {
                return None;
            }
            taken |= 1 << index;
        }
        Some(kept)
    }

    fn push_general(&mut self, row: usize, entries: &[Entry<'_>], tally: &mut Tally<'_>) -> Result<(), Stop> {
        let mut attributes = general(entries, tally)?;
        let taken = take_promoted(&mut attributes, self.promoted, tally);
        for (column, value) in self.columns.iter_mut().zip(taken) {
            match (column, value) {
                (Column::Text(texts), Some(AnyValue::String(text))) => texts.set(row, &text),
                (Column::Int(numbers), Some(AnyValue::Int(number))) => numbers.set(row, number),
                _ => {}
            }
        }
        self.left_one |= self.promoted.iter().any(|promoted| attributes.contains_key(promoted.attribute));
        self.json.set(row, &attributes_to_json(&attributes));
        Ok(())
    }

    pub(super) fn finish(self, finished: &mut Finished) {
        finished.set_all_promoted(!self.left_one);
        let rows = finished.rows();
        for (promoted, column) in self.promoted.iter().zip(self.columns) {
            finished.put(
                promoted.column,
                match column {
                    Column::Text(texts) => texts.finish(rows),
                    Column::Int(numbers) => numbers.finish(rows),
                },
            );
        }
        finished.put("attributes", self.json.finish(rows));
    }
}
