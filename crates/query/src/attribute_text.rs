//! `->>` on the attributes we wrote: found by looking for the key's bytes instead of reading the JSON.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewArray, StringViewBuilder, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ExpressionPlacement, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_functions_json::udfs::json_as_text_udf;
use memchr::memmem::Finder;

/// The name by which plans show it.
pub(crate) const NAME: &str = "attribute_text";

/// `attribute_text(attributes, 'key')`: what `json_as_text` says, for the compact JSON with keys in order that
/// [`hindsight_model::attributes_to_json`] writes.
pub(crate) fn udf() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(AttributeText {
        signature: Signature::exact(vec![DataType::Utf8View, DataType::Utf8], Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AttributeText {
    signature: Signature,
}

impl ScalarUDFImpl for AttributeText {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(json), ColumnarValue::Scalar(ScalarValue::Utf8(Some(key)))]
                if is_plain(key) =>
            {
                let texts = texts(json.as_string_view(), key, &args)?;
                Ok(ColumnarValue::Array(Arc::new(texts)))
            }
            _ => json_as_text_udf().inner().invoke_with_args(args)?.cast_to(&DataType::Utf8View, None),
        }
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        json_as_text_udf().inner().placement(args)
    }
}

/// Whether the key stands in JSON as it is.
fn is_plain(key: &str) -> bool {
    !key.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
}

/// Where in one row's JSON the text is.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    At(Range<usize>),
    /// The bytes alone do not tell: it must be read as JSON.
    Unclear,
}

/// The texts are copied: a view into the JSON would be checked for UTF-8 one by one, which takes longer, and would keep all
/// of the JSON in memory.
fn texts(json: &StringViewArray, key: &str, args: &ScalarFunctionArgs) -> Result<StringViewArray> {
    let needle = format!("\"{key}\":");
    let finder = Finder::new(needle.as_bytes());
    let mut found = StringViewBuilder::with_capacity(json.len());
    let mut unclear = Vec::new();
    let mut hint = 0;
    for (row, json) in json.iter().enumerate() {
        match json.map_or(Found::Nothing, |json| find(json, &finder, &mut hint)) {
            Found::At(at) => found.append_option(json.and_then(|json| json.get(at))),
            Found::Nothing => found.append_null(),
            Found::Unclear => {
                unclear.push(u32::try_from(row).unwrap_or(u32::MAX));
                found.append_null();
            }
        }
    }
    let found = found.finish();
    if unclear.is_empty() { Ok(found) } else { fill(&found, json, unclear, args) }
}

/// The same with the unclear rows read as JSON.
fn fill(
    found: &StringViewArray,
    json: &StringViewArray,
    unclear: Vec<u32>,
    args: &ScalarFunctionArgs,
) -> Result<StringViewArray> {
    let rows = UInt32Array::from(unclear);
    let mut general = args.clone();
    general.args[0] = ColumnarValue::Array(take(json, &rows, None)?);
    general.number_rows = rows.len();
    let read = json_as_text_udf().inner().invoke_with_args(general)?.into_array(rows.len())?;
    let read = read.as_string::<i32>();
    let mut next = rows.values().iter().zip(read.iter()).peekable();
    let filled = found.iter().enumerate().map(|(row, text)| {
        next.next_if(|(unclear, _)| **unclear as usize == row).map_or(text, |(_, text)| text)
    });
    Ok(filled.collect())
}

/// Looks for `"key":` among an object's own keys. A quote within a text is escaped, so the bytes after `{` or `,`
/// are a key; whether of this object or of one within it, the braces before it tell.
///
/// `hint` is where the key was found last: neighbours mostly have the same keys before it, and values as long. A key is
/// in an object once, so what is found there needs no looking for an earlier one.
fn find(json: &str, key: &Finder<'_>, hint: &mut usize) -> Found {
    let (bytes, needle) = (json.as_bytes(), key.needle());
    let is_key = |at: usize| at > 0 && matches!(bytes[at - 1], b'{' | b',');
    let mut at = *hint;
    if !(bytes.get(at..).is_some_and(|rest| rest.starts_with(needle)) && is_key(at)) {
        let mut from = 0;
        loop {
            let Some(found) = key.find(&bytes[from..]).map(|found| from + found) else {
                return Found::Nothing;
            };
            if is_key(found) {
                at = found;
                break;
            }
            from = found + 1;
        }
    }
    *hint = at;
    if memchr::memchr(b'{', &bytes[1..at]).is_some() {
        return Found::Unclear;
    }
    value(bytes, at + needle.len())
}

/// The value that begins at `start`, as text.
fn value(bytes: &[u8], start: usize) -> Found {
    let rest = bytes.get(start..).unwrap_or_default();
    match rest.first() {
        Some(b'"') => match memchr::memchr2(b'"', b'\\', &rest[1..]) {
            Some(end) if rest[1 + end] == b'"' => Found::At(start + 1..start + 1 + end),
            _ => Found::Unclear,
        },
        Some(b'n') => Found::Nothing,
        Some(b'-' | b'0'..=b'9' | b't' | b'f') => match memchr::memchr2(b',', b'}', rest) {
            Some(end) => Found::At(start..start + end),
            None => Found::Unclear,
        },
        _ => Found::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::config::ConfigOptions;
    use hindsight_model::{AnyValue, attributes_to_json};
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = AnyValue> {
        let leaf = prop_oneof![
            "[a-c\"\\\\{},:\n]{0,20}".prop_map(AnyValue::String),
            any::<i64>().prop_map(AnyValue::Int),
            any::<f64>().prop_map(AnyValue::Double),
            any::<bool>().prop_map(AnyValue::Bool),
            Just(AnyValue::Empty),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(AnyValue::Array),
                proptest::collection::btree_map("[a-c\"{]{0,2}", inner, 0..3).prop_map(AnyValue::KvList),
            ]
        })
    }

    fn ask(udf: &ScalarUDF, json: &StringViewArray, key: &str) -> StringViewArray {
        let field = |name: &str| Arc::new(arrow::datatypes::Field::new(name, DataType::Utf8View, true));
        let args = ScalarFunctionArgs {
            args: vec![
                ColumnarValue::Array(Arc::new(json.clone())),
                ColumnarValue::Scalar(ScalarValue::from(key)),
            ],
            arg_fields: vec![field("json"), field("key")],
            number_rows: json.len(),
            return_field: field("text"),
            config_options: Arc::new(ConfigOptions::default()),
        };
        let texts = udf.inner().invoke_with_args(args).unwrap().into_array(json.len()).unwrap();
        arrow::compute::cast(&texts, &DataType::Utf8View).unwrap().as_string_view().clone()
    }

    proptest! {
        #[test]
        fn it_says_what_reading_the_json_says(
            rows in proptest::collection::vec(
                (proptest::option::of(proptest::collection::btree_map("[a-c\"{:,]{0,3}", value(), 0..4)), 1..3_usize),
                1..6,
            ),
            key in "[a-c\"{:,]{0,3}",
        ) {
            let json: StringViewArray = rows
                .into_iter()
                .flat_map(|(row, times)| vec![row.map(|row| attributes_to_json(&row)); times])
                .collect();
            prop_assert_eq!(ask(&udf(), &json, &key), ask(&json_as_text_udf(), &json, &key), "{:?}", json);
        }
    }
}
