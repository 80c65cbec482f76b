//! The range of a block's columns: computed when it is written, kept in the Delta log as JSON, read back at open.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, SchemaRef};
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

/// The text or a shorter one that sorts before it.
pub(crate) fn lower_text(text: &str) -> StatValue {
    StatValue::Text(text[..text.floor_char_boundary(TEXT_BOUND_BYTES_MAX)].to_owned())
}

/// The text, unless it is too long.
pub(crate) fn upper_text(text: &str) -> Option<StatValue> {
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
    use hindsight_model::Table;

    use super::*;

    fn stats(min: StatValue, max: StatValue, nulls: u64) -> ColumnStats {
        ColumnStats { min: Some(min), max: Some(max), null_count: Some(nulls) }
    }

    #[test]
    fn statistics_read_back_to_the_microsecond() {
        let text = |text: &str| StatValue::Text(text.to_owned());
        let stats = BlockStats {
            rows: 3,
            columns: BTreeMap::from([
                (
                    "timestamp".to_owned(),
                    stats(StatValue::Micros(3), StatValue::Micros(1_777_905_119_000_001), 0),
                ),
                ("service_name".to_owned(), stats(text("a"), text("b"), 1)),
                ("severity_number".to_owned(), stats(StatValue::Int(9), StatValue::Int(17), 0)),
            ]),
        };
        let read = BlockStats::from_json(&stats.to_json(), &Table::Logs.schema()).unwrap();
        assert_eq!(read, stats);
    }

    #[test]
    fn a_long_text_still_has_a_lower_bound() {
        let long = "ü".repeat(300);
        assert_eq!(upper_text(&long), None);
        assert!(matches!(lower_text(&long), StatValue::Text(low) if low.len() <= 256 && low <= long));
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
