//! The names of the attributes that a row has, in its JSON and in columns of their own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringViewBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// A function of the JSON and the columns that hold the attributes of these names, in this order.
pub(crate) fn udf(names: &[&str]) -> Arc<ScalarUDF> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Arc::new(ScalarUDF::new_from_impl(AttributeKeys {
        names,
        signature: Signature::variadic_any(Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AttributeKeys {
    names: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for AttributeKeys {
    fn name(&self) -> &'static str {
        "attribute_keys"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new("item", DataType::Utf8View, true))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.into_iter().map(|value| value.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let Some((json, columns)) = arrays.split_first() else { return exec_err!("no attributes") };
        Ok(ColumnarValue::Array(self.keys(json, columns)?))
    }
}

impl AttributeKeys {
    /// Null where there is no JSON, which every row of a signal table has.
    fn keys(&self, json: &ArrayRef, columns: &[ArrayRef]) -> Result<ArrayRef> {
        let json = arrow::compute::cast(json, &DataType::Utf8View)?;
        let json = json.as_string_view();
        let mut keys = StringViewBuilder::new().with_deduplicate_strings();
        let mut lengths = Vec::with_capacity(json.len());
        // Rows of one series, or of one sender, often have the same text; its keys are read once.
        let mut last: Option<(&str, Vec<String>)> = None;
        for row in 0..json.len() {
            let mut length = 0;
            let beside = self.names.iter().zip(columns).filter(|(_, column)| column.is_valid(row));
            for (name, _) in beside {
                keys.append_value(name);
                length += 1;
            }
            if json.is_valid(row) && json.value(row) != "{}" {
                let text = json.value(row);
                if last.as_ref().is_none_or(|(known, _)| *known != text) {
                    last = Some((text, names_in(text)));
                }
                for name in last.iter().flat_map(|(_, names)| names) {
                    keys.append_value(name);
                    length += 1;
                }
            }
            lengths.push(length);
        }
        let item = Arc::new(Field::new("item", DataType::Utf8View, true));
        let keys = Arc::new(keys.finish());
        let list =
            ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), keys, json.nulls().cloned())?;
        Ok(Arc::new(list))
    }
}

/// The names of a JSON object's members, none of anything else.
fn names_in(json: &str) -> Vec<String> {
    let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json);
    object.map(|object| object.into_iter().map(|(name, _)| name).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn names_come_from_columns_and_json_alike() {
        let of = AttributeKeys {
            names: vec!["http.route".into(), "code".into()],
            signature: Signature::variadic_any(Volatility::Immutable),
        };
        let json = [Some(r#"{"b":1,"a":{"deep":2}}"#), Some("{}"), Some("not json"), None];
        let json: ArrayRef = Arc::new(StringViewArray::from_iter(json));
        let route: ArrayRef = Arc::new(StringViewArray::from_iter([None, Some("/x"), Some(""), None]));
        let code: ArrayRef = Arc::new(Int64Array::from(vec![Some(200), None, None, Some(1)]));
        let keys = of.keys(&json, &[route, code]).unwrap();
        let keys = keys.as_list::<i32>();
        let row = |row: usize| {
            let names = keys.value(row);
            names.as_string_view().iter().map(|name| name.unwrap().to_owned()).collect::<Vec<_>>()
        };
        let mut first = row(0);
        first.sort();
        assert_eq!(
            (first, row(1), row(2)),
            (
                vec!["a".into(), "b".into(), "code".into()],
                vec!["http.route".to_owned()],
                vec!["http.route".to_owned()]
            )
        );
        assert!(keys.is_null(3));
    }
}
