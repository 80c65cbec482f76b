//! OTLP attribute lists to the model's values, within the limits, and back.

use hindsight_model::{AnyValue, Attributes};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue as Proto, ArrayValue, KeyValue, KeyValueList, any_value::Value,
};

use crate::DecodeError;
use crate::reject::cut;
use crate::tally::{Remark, Tally};

/// The list as sorted attributes; of a key that comes twice the last value stays (rule 22).
pub(crate) fn read_attributes(list: Vec<KeyValue>, tally: &mut Tally<'_>) -> Result<Attributes, DecodeError> {
    let mut attributes = Attributes::new();
    for KeyValue { key, value, key_strindex } in list {
        if key_strindex != 0 {
            tally.remark(Remark::ForeignValues);
        }
        let value =
            read_top(value.and_then(|any| any.value), tally, || format!("attribute `{}`", cut(&key, 80)))?;
        if attributes.insert(key, value).is_some() {
            tally.remark(Remark::DuplicateKeys);
        }
    }
    Ok(attributes)
}

/// One value that is no attribute: a log's body.
pub(crate) fn read_body(body: Proto, tally: &mut Tally<'_>) -> Result<AnyValue, DecodeError> {
    read_top(body.value, tally, || "a log body".to_owned())
}

fn read_top(
    value: Option<Value>,
    tally: &mut Tally<'_>,
    place: impl Fn() -> String,
) -> Result<AnyValue, DecodeError> {
    let limits = tally.context.limits;
    let (bytes_left, depth_max) = (limits.value_bytes_max, limits.depth_max);
    let mut reader = Reader { tally, bytes_left, depth_max, cut: false };
    let value =
        reader.value(value, 0).ok_or_else(|| DecodeError::TooDeep { place: place(), max: depth_max })?;
    if reader.cut {
        tally.remark(Remark::CutValues);
    }
    Ok(value)
}

/// Reads one top-level value. All that is nested in it shares one budget of bytes.
struct Reader<'t, 'a> {
    tally: &'t mut Tally<'a>,
    bytes_left: usize,
    depth_max: usize,
    cut: bool,
}

impl Reader<'_, '_> {
    /// `None` when it nests too deep.
    fn value(&mut self, value: Option<Value>, depth: usize) -> Option<AnyValue> {
        if depth > self.depth_max {
            return None;
        }
        Some(match value {
            None => AnyValue::Empty,
            Some(Value::StringValue(text)) => AnyValue::String(self.text(text)),
            Some(Value::BoolValue(flag)) => AnyValue::Bool(flag),
            Some(Value::IntValue(number)) => AnyValue::Int(number),
            Some(Value::DoubleValue(number)) => AnyValue::Double(number),
            Some(Value::BytesValue(bytes)) => AnyValue::Bytes(self.bytes(bytes)),
            Some(Value::ArrayValue(array)) => AnyValue::Array(self.array(array, depth + 1)?),
            Some(Value::KvlistValue(list)) => AnyValue::KvList(self.kvlist(list, depth + 1)?),
            // Only profiles have the string table that this points into.
            Some(Value::StringValueStrindex(_)) => {
                self.tally.remark(Remark::ForeignValues);
                AnyValue::Empty
            }
        })
    }

    fn array(&mut self, array: ArrayValue, depth: usize) -> Option<Vec<AnyValue>> {
        let mut items = Vec::new();
        for item in array.values {
            if !self.take_item() {
                break;
            }
            items.push(self.value(item.value, depth)?);
        }
        Some(items)
    }

    fn kvlist(&mut self, list: KeyValueList, depth: usize) -> Option<Attributes> {
        let mut entries = Attributes::new();
        for KeyValue { key, value, key_strindex } in list.values {
            if !self.take_item() {
                break;
            }
            if key_strindex != 0 {
                self.tally.remark(Remark::ForeignValues);
            }
            let key = self.text(key);
            let value = self.value(value.and_then(|any| any.value), depth)?;
            if entries.insert(key, value).is_some() {
                self.tally.remark(Remark::DuplicateKeys);
            }
        }
        Some(entries)
    }

    /// Each nested value costs one byte, so that empty ones cannot come in millions.
    fn take_item(&mut self) -> bool {
        self.cut |= self.bytes_left == 0;
        let room = self.bytes_left > 0;
        self.bytes_left = self.bytes_left.saturating_sub(1);
        room
    }

    fn text(&mut self, mut text: String) -> String {
        if text.len() > self.bytes_left {
            text.truncate(text.floor_char_boundary(self.bytes_left));
            self.cut = true;
            self.bytes_left = 0;
        }
        self.bytes_left = self.bytes_left.saturating_sub(text.len());
        text
    }

    fn bytes(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.len() > self.bytes_left {
            bytes.truncate(self.bytes_left);
            self.cut = true;
        }
        self.bytes_left -= bytes.len();
        bytes
    }
}

/// The way back: a list in key order.
pub(crate) fn write_attributes(attributes: Attributes) -> Vec<KeyValue> {
    attributes
        .into_iter()
        .map(|(key, value)| KeyValue { key, value: Some(write_value(value)), key_strindex: 0 })
        .collect()
}

/// The way back for one value.
pub(crate) fn write_value(value: AnyValue) -> Proto {
    let value = match value {
        AnyValue::Empty => None,
        AnyValue::String(text) => Some(Value::StringValue(text)),
        AnyValue::Bool(flag) => Some(Value::BoolValue(flag)),
        AnyValue::Int(number) => Some(Value::IntValue(number)),
        AnyValue::Double(number) => Some(Value::DoubleValue(number)),
        AnyValue::Bytes(bytes) => Some(Value::BytesValue(bytes)),
        AnyValue::Array(items) => {
            Some(Value::ArrayValue(ArrayValue { values: items.into_iter().map(write_value).collect() }))
        }
        AnyValue::KvList(entries) => {
            Some(Value::KvlistValue(KeyValueList { values: write_attributes(entries) }))
        }
    };
    Proto { value }
}
