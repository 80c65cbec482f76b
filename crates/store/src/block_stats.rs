//! The range of a block's columns: computed when it is written, kept in the Delta log as JSON, read back at open.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, max, max_string, min, min_string};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use hindsight_model::to_micros;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{ColumnStats, StatValue};

/// Longer text bounds are shortened: a prefix is still a lower bound; an upper bound is left out.
const TEXT_BOUND_BYTES_MAX: usize = 256;

/// What a block's `stats` in the Delta log says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BlockStats {
    pub(crate) rows: u64,
    pub(crate) columns: BTreeMap<String, ColumnStats>,
}

/// The range of one column. Types that are neither whole numbers, text nor timestamps have only a null count.
pub(crate) fn column_stats(column: &ArrayRef) -> ColumnStats {
    let (low, high) = match column.data_type() {
        DataType::Utf8 => {
            let text = column.as_string::<i32>();
            (min_string(text).map(lower_text), max_string(text).and_then(upper_text))
        }
        DataType::Timestamp(..) => whole_numbers(column, StatValue::Micros),
        DataType::Int16 | DataType::Int32 | DataType::Int64 => whole_numbers(column, StatValue::Int),
        _ => (None, None),
    };
    ColumnStats { min: low, max: high, null_count: Some(column.null_count() as u64) }
}

fn whole_numbers(column: &ArrayRef, wrap: fn(i64) -> StatValue) -> (Option<StatValue>, Option<StatValue>) {
    let Ok(numbers) = cast(column, &DataType::Int64) else { return (None, None) };
    let numbers = numbers.as_primitive::<Int64Type>();
    (min(numbers).map(wrap), max(numbers).map(wrap))
}

fn lower_text(text: &str) -> StatValue {
    StatValue::Text(text[..text.floor_char_boundary(TEXT_BOUND_BYTES_MAX)].to_owned())
}

fn upper_text(text: &str) -> Option<StatValue> {
    (text.len() <= TEXT_BOUND_BYTES_MAX).then(|| StatValue::Text(text.to_owned()))
}

/// Microseconds in a bound, if that is what it holds.
pub(crate) fn micros_of(bound: &Option<StatValue>) -> Option<i64> {
    match bound {
        Some(StatValue::Micros(micros)) => Some(*micros),
        _ => None,
    }
}

impl BlockStats {
    /// The text for the Delta log (Delta protocol, per-file statistics). Timestamps keep their microseconds.
    pub(crate) fn to_json(&self) -> String {
        let bounds = |of: fn(&ColumnStats) -> &Option<StatValue>| {
            let known = self
                .columns
                .iter()
                .filter_map(|(name, stats)| Some((name.clone(), value(of(stats).as_ref()?)?)));
            Value::Object(known.collect::<Map<_, _>>())
        };
        let nulls =
            self.columns.iter().filter_map(|(name, stats)| Some((name.clone(), json!(stats.null_count?))));
        json!({
            "numRecords": self.rows,
            "minValues": bounds(|stats| &stats.min),
            "maxValues": bounds(|stats| &stats.max),
            "nullCount": Value::Object(nulls.collect::<Map<_, _>>()),
        })
        .to_string()
    }

    /// The inverse, for columns of `schema`; anything else in the text is left aside.
    pub(crate) fn from_json(text: &str, schema: &SchemaRef) -> Result<Self, String> {
        let stats: Value =
            serde_json::from_str(text).map_err(|error| format!("its statistics are not JSON: {error}"))?;
        let rows = stats["numRecords"].as_u64().ok_or("its statistics lack numRecords")?;
        let mut columns: BTreeMap<String, ColumnStats> = BTreeMap::new();
        for field in schema.fields() {
            let name = field.name();
            let bound = |side: &str| parse(&stats[side][name], field.data_type());
            let found = ColumnStats {
                min: bound("minValues"),
                max: bound("maxValues"),
                null_count: stats["nullCount"][name].as_u64(),
            };
            if found != ColumnStats::default() {
                columns.insert(name.clone(), found);
            }
        }
        Ok(Self { rows, columns })
    }
}

/// The range over several blocks, given their rows and ranges. What one of them does not know, the whole does not.
pub(crate) fn merge_stats(blocks: &[(u64, &BTreeMap<String, ColumnStats>)]) -> BTreeMap<String, ColumnStats> {
    let Some((_, first)) = blocks.first() else { return BTreeMap::new() };
    let of = |name: &String| {
        let parts = blocks.iter().map(|(rows, columns)| Some((*rows, columns.get(name)?)));
        parts.collect::<Option<Vec<_>>>()
    };
    first.keys().filter_map(|name| Some((name.clone(), merge_column(&of(name)?)))).collect()
}

fn merge_column(parts: &[(u64, &ColumnStats)]) -> ColumnStats {
    // A part whose values are all null says nothing about the others' range.
    let valued =
        parts.iter().filter(|(rows, stats)| stats.null_count != Some(*rows)).map(|(_, stats)| *stats);
    let bounds = |of: fn(&ColumnStats) -> &Option<StatValue>| {
        valued.clone().map(|stats| of(stats).clone()).collect::<Option<Vec<_>>>()
    };
    let by_value = |a: &StatValue, b: &StatValue| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal);
    ColumnStats {
        min: bounds(|stats| &stats.min).and_then(|mins| mins.into_iter().min_by(by_value)),
        max: bounds(|stats| &stats.max).and_then(|maxs| maxs.into_iter().max_by(by_value)),
        null_count: parts.iter().map(|(_, stats)| stats.null_count).sum(),
    }
}

fn value(bound: &StatValue) -> Option<Value> {
    match bound {
        StatValue::Int(number) => Some(json!(number)),
        StatValue::Text(text) => Some(json!(text)),
        StatValue::Micros(micros) => {
            let at = Timestamp::from_microsecond(*micros).ok()?;
            Some(json!(format!("{at:.6}")))
        }
    }
}

fn parse(value: &Value, data_type: &DataType) -> Option<StatValue> {
    match data_type {
        DataType::Utf8 => value.as_str().map(|text| StatValue::Text(text.to_owned())),
        DataType::Int16 | DataType::Int32 | DataType::Int64 => value.as_i64().map(StatValue::Int),
        DataType::Timestamp(..) => {
            let at: Timestamp = value.as_str()?.parse().ok()?;
            Some(StatValue::Micros(to_micros(at)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray, TimestampMicrosecondArray};
    use hindsight_model::Table;

    use super::*;

    #[test]
    fn statistics_read_back_to_the_microsecond() {
        let times: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![1_777_905_119_000_001, 3]).with_timezone("UTC"));
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("a")]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![17, 9]));
        let stats = BlockStats {
            rows: 3,
            columns: BTreeMap::from([
                ("timestamp".to_owned(), column_stats(&times)),
                ("service_name".to_owned(), column_stats(&names)),
                ("severity_number".to_owned(), column_stats(&numbers)),
            ]),
        };
        assert_eq!(stats.columns["service_name"].null_count, Some(1));
        assert_eq!(stats.columns["timestamp"].max, Some(StatValue::Micros(1_777_905_119_000_001)));
        let read = BlockStats::from_json(&stats.to_json(), &Table::Logs.schema()).unwrap();
        assert_eq!(read, stats);
    }

    #[test]
    fn a_merged_range_covers_its_parts_and_knows_no_more_than_they_do() {
        let stats = |min: Option<&str>, max: Option<&str>, nulls: Option<u64>| {
            let text = |text: Option<&str>| text.map(|text| StatValue::Text(text.to_owned()));
            let column = ColumnStats { min: text(min), max: text(max), null_count: nulls };
            BTreeMap::from([("service_name".to_owned(), column)])
        };
        let (a, b) = (stats(Some("b"), Some("c"), Some(1)), stats(Some("a"), Some("b"), Some(2)));
        assert_eq!(merge_stats(&[(5, &a), (5, &b)]), stats(Some("a"), Some("c"), Some(3)));
        let nulls = stats(None, None, Some(4));
        assert_eq!(merge_stats(&[(5, &a), (4, &nulls)]), stats(Some("b"), Some("c"), Some(5)));
        let unknown = stats(Some("a"), None, None);
        assert_eq!(merge_stats(&[(5, &a), (5, &unknown)]), stats(Some("a"), None, None));
        assert_eq!(merge_stats(&[(5, &a), (5, &BTreeMap::new())]), BTreeMap::new());
    }

    #[test]
    fn a_long_text_still_has_a_lower_bound() {
        let long = "ü".repeat(300);
        let column: ArrayRef = Arc::new(StringArray::from(vec![long.clone()]));
        let stats = column_stats(&column);
        assert_eq!(stats.max, None);
        assert!(matches!(stats.min, Some(StatValue::Text(low)) if low.len() <= 256 && low <= long));
    }

    #[test]
    fn statistics_of_another_program_are_read_as_far_as_they_go() {
        assert!(BlockStats::from_json("no", &Table::Logs.schema()).is_err());
        assert!(BlockStats::from_json("{}", &Table::Logs.schema()).is_err());
        let sparse =
            r#"{"numRecords":4,"minValues":{"timestamp":"2026-05-04T14:32:00.001Z","body":7},"other":1}"#;
        let read = BlockStats::from_json(sparse, &Table::Logs.schema()).unwrap();
        assert_eq!(read.rows, 4);
        assert_eq!(read.columns.len(), 1);
    }
}
