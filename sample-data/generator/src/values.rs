use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};

pub(crate) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

pub(crate) fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

pub(crate) fn double(key: &str, value: f64) -> KeyValue {
    attribute(key, Value::DoubleValue(value))
}

pub(crate) fn flag(key: &str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}

pub(crate) fn bytes(key: &str, value: Vec<u8>) -> KeyValue {
    attribute(key, Value::BytesValue(value))
}

pub(crate) fn texts(key: &str, values: &[&str]) -> KeyValue {
    let values = values.iter().map(|text| any(Value::StringValue((*text).to_owned()))).collect();
    attribute(key, Value::ArrayValue(ArrayValue { values }))
}

/// A text as a whole value, for a log's body.
pub(crate) fn text_body(body: impl Into<String>) -> AnyValue {
    any(Value::StringValue(body.into()))
}

/// Named values as a whole value, for a log's structured body.
pub(crate) fn map_body(values: Vec<KeyValue>) -> AnyValue {
    any(Value::KvlistValue(KeyValueList { values }))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}
