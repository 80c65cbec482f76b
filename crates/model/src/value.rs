//! Attribute values and their canonical JSON text.
//!
//! JSON alone cannot tell 1 from 1.0 nor bytes from text, so the canonical form fixes it: an int has no point or
//! exponent, a double always has one, and the kinds JSON lacks are one-key objects: `{"$bytes":"<base64>"}`,
//! `{"$double":"NaN"}`, `{"$empty":true}`. A key-value list whose only key starts with `$` is wrapped as
//! `{"$kvlist":{…}}`, so that no sender can forge the others. Keys are sorted.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Number, Value as Json};

/// OTLP's `AnyValue`. (OTLP.md rule 22: any kind may appear anywhere.)
#[derive(Clone, Debug, PartialEq)]
pub enum AnyValue {
    /// A value that was sent with nothing in it.
    Empty,
    /// Text.
    String(String),
    /// True or false.
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// A double, NaN and the infinities included.
    Double(f64),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// Values in order, of any mix of kinds.
    Array(Vec<AnyValue>),
    /// Named values.
    KvList(Attributes),
}

/// Attributes by name, sorted.
pub type Attributes = BTreeMap<String, AnyValue>;

/// A stored attribute text that is not canonical JSON.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// Not JSON at all.
    #[error("read attribute JSON")]
    Json(#[source] serde_json::Error),
    /// JSON, but not an object.
    #[error("attribute JSON is not an object")]
    NotObject,
    /// A `$bytes`, `$double` or number this form does not have.
    #[error("attribute JSON holds `{0}`, which is not in the canonical form")]
    NotCanonical(String),
}

impl AnyValue {
    /// `string`, `int`, `double`, `bool`, `bytes`, `array`, `kvlist` or `empty`: what `logs.body_type` says.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::String(_) => "string",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "array",
            Self::KvList(_) => "kvlist",
        }
    }

    /// The canonical JSON text.
    pub fn to_json_text(&self) -> String {
        let mut out = String::new();
        write_value(self, &mut out);
        out
    }

    /// Reads what [`AnyValue::to_json_text`] wrote.
    ///
    /// # Errors
    /// When the text is not canonical JSON.
    pub fn from_json_text(text: &str) -> Result<Self, ValueError> {
        read_value(serde_json::from_str(text).map_err(ValueError::Json)?)
    }
}

/// The canonical JSON object of a set of attributes; `{}` when there are none.
pub fn attributes_to_json(attributes: &Attributes) -> String {
    let mut out = String::with_capacity(2 + attributes.len() * 32);
    write_object(attributes, &mut out);
    out
}

/// Reads what [`attributes_to_json`] wrote.
///
/// # Errors
/// When the text is not a canonical JSON object.
pub fn attributes_from_json(text: &str) -> Result<Attributes, ValueError> {
    match serde_json::from_str(text).map_err(ValueError::Json)? {
        Json::Object(object) => read_object(object),
        _ => Err(ValueError::NotObject),
    }
}

fn write_value(value: &AnyValue, out: &mut String) {
    match value {
        AnyValue::Empty => out.push_str(r#"{"$empty":true}"#),
        AnyValue::String(text) => write_string(text, out),
        AnyValue::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        AnyValue::Int(number) => out.push_str(&number.to_string()),
        AnyValue::Double(number) => write_double(*number, out),
        AnyValue::Bytes(bytes) => {
            out.push_str(r#"{"$bytes":""#);
            BASE64.encode_string(bytes, out);
            out.push_str(r#""}"#);
        }
        AnyValue::Array(items) => write_array(items, out),
        AnyValue::KvList(entries) if looks_tagged(entries) => {
            out.push_str(r#"{"$kvlist":"#);
            write_object(entries, out);
            out.push('}');
        }
        AnyValue::KvList(entries) => write_object(entries, out),
    }
}

fn write_array(items: &[AnyValue], out: &mut String) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_value(item, out);
    }
    out.push(']');
}

fn write_object(entries: &Attributes, out: &mut String) {
    out.push('{');
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

fn write_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a string always serialises"));
}

fn write_double(number: f64, out: &mut String) {
    if number.is_finite() {
        // Rust's `{:?}` is the shortest text that reads back to the same bits, always with a point or exponent.
        out.push_str(&format!("{number:?}"));
    } else {
        let word = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        out.push_str(&format!(r#"{{"$double":"{word}"}}"#));
    }
}

fn looks_tagged(entries: &Attributes) -> bool {
    entries.len() == 1 && entries.keys().all(|key| key.starts_with('$'))
}

fn read_value(json: Json) -> Result<AnyValue, ValueError> {
    Ok(match json {
        Json::Null => return Err(ValueError::NotCanonical("null".to_owned())),
        Json::Bool(flag) => AnyValue::Bool(flag),
        Json::Number(number) => read_number(&number)?,
        Json::String(text) => AnyValue::String(text),
        Json::Array(items) => AnyValue::Array(items.into_iter().map(read_value).collect::<Result<_, _>>()?),
        Json::Object(object) => read_maybe_tagged(object)?,
    })
}

fn read_number(number: &Number) -> Result<AnyValue, ValueError> {
    if let Some(int) = number.as_i64() {
        return Ok(AnyValue::Int(int));
    }
    match number.as_f64() {
        Some(double) if number.is_f64() => Ok(AnyValue::Double(double)),
        _ => Err(ValueError::NotCanonical(number.to_string())),
    }
}

fn read_maybe_tagged(mut object: Map<String, Json>) -> Result<AnyValue, ValueError> {
    let tag = match object.keys().next() {
        Some(key) if object.len() == 1 && key.starts_with('$') => key.clone(),
        _ => return Ok(AnyValue::KvList(read_object(object)?)),
    };
    let inner = object.remove(&tag).expect("the key was just read");
    match (tag.as_str(), inner) {
        ("$empty", Json::Bool(true)) => Ok(AnyValue::Empty),
        ("$bytes", Json::String(text)) => {
            BASE64.decode(&text).map(AnyValue::Bytes).map_err(|_| ValueError::NotCanonical(tag))
        }
        ("$double", Json::String(word)) => match word.as_str() {
            "NaN" => Ok(AnyValue::Double(f64::NAN)),
            "Infinity" => Ok(AnyValue::Double(f64::INFINITY)),
            "-Infinity" => Ok(AnyValue::Double(f64::NEG_INFINITY)),
            _ => Err(ValueError::NotCanonical(word)),
        },
        ("$kvlist", Json::Object(entries)) => Ok(AnyValue::KvList(read_object(entries)?)),
        _ => Err(ValueError::NotCanonical(tag)),
    }
}

fn read_object(object: Map<String, Json>) -> Result<Attributes, ValueError> {
    object.into_iter().map(|(key, value)| Ok((key, read_value(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = AnyValue> {
        let leaf = prop_oneof![
            Just(AnyValue::Empty),
            any::<String>().prop_map(AnyValue::String),
            any::<bool>().prop_map(AnyValue::Bool),
            any::<i64>().prop_map(AnyValue::Int),
            any::<f64>()
                .prop_filter("NaN is not equal to itself", |d| !d.is_nan())
                .prop_map(AnyValue::Double),
            any::<Vec<u8>>().prop_map(AnyValue::Bytes),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            let key = prop_oneof![any::<String>(), Just("$bytes".to_owned()), Just("$kvlist".to_owned())];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(AnyValue::Array),
                prop::collection::btree_map(key, inner, 0..4).prop_map(AnyValue::KvList),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_survives_its_json_text(value in any_value()) {
            let text = value.to_json_text();
            prop_assert_eq!(AnyValue::from_json_text(&text).unwrap(), value);
        }
    }

    #[test]
    fn kinds_that_json_lacks_are_kept_apart() {
        for (value, text) in [
            (AnyValue::Int(1), "1"),
            (AnyValue::Double(1.0), "1.0"),
            (AnyValue::Double(1e300), "1e300"),
            (AnyValue::Bytes(vec![1, 2]), r#"{"$bytes":"AQI="}"#),
            (AnyValue::Empty, r#"{"$empty":true}"#),
            (AnyValue::Double(f64::INFINITY), r#"{"$double":"Infinity"}"#),
        ] {
            assert_eq!(value.to_json_text(), text);
        }
        assert_eq!(AnyValue::Double(f64::NAN).to_json_text(), r#"{"$double":"NaN"}"#);
    }
}
