//! The rows of one file, batch by batch: sorted, of one date, and within the bounds that queries prune by.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, max, max_string, min, min_string};
use arrow::datatypes::{DataType, Int64Type};
use arrow::row::{OwnedRow, RowConverter, SortField};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::block_stats::BlockStats;
use crate::verify::{Finding, Listed};
use crate::{ColumnStats, StatValue};

const FROM_BACKUP: &str = "restore the file from a backup";

/// Collects what is wrong while batches go by; each kind of fault is told once, with its first row.
pub(super) struct Judge<'a> {
    key: &'static [&'static str],
    stats: &'a BTreeMap<String, ColumnStats>,
    /// The day of the partition, in microseconds: first and last.
    day: (i64, i64),
    converter: Option<RowConverter>,
    last: Option<OwnedRow>,
    rows: u64,
    nulls: BTreeMap<&'a str, u64>,
    findings: BTreeMap<(&'static str, String), Finding>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(listed: &'a Listed, stats: &'a BlockStats) -> Result<Self, String> {
        let date = listed.partition.get("date").and_then(Option::as_deref).unwrap_or("");
        Ok(Self {
            key: listed.table.sort_key(),
            stats: &stats.columns,
            day: day(date)?,
            converter: None,
            last: None,
            rows: 0,
            nulls: BTreeMap::new(),
            findings: BTreeMap::new(),
        })
    }

    /// Compares the next rows.
    ///
    /// # Errors
    /// When the batch lacks a column or has one of another type.
    pub(super) fn look(&mut self, batch: &RecordBatch) -> Result<(), String> {
        self.check_order(batch)?;
        self.check_date(batch)?;
        for (name, stats) in self.stats {
            // A column that another version of the program added may have statistics elsewhere only.
            if let Some(column) = batch.column_by_name(name) {
                *self.nulls.entry(name).or_default() += column.logical_null_count() as u64;
                self.check_bounds(name, column, stats)?;
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// What was found, now that all rows were seen.
    pub(super) fn end(mut self) -> Vec<Finding> {
        for (name, stats) in self.stats {
            let Some(found) = self.nulls.get(name.as_str()).copied() else { continue };
            if let Some(listed) = stats.null_count.filter(|listed| *listed != found) {
                self.tell(
                    "block_stats",
                    name,
                    format!("{name} is null in {found} rows, the statistics say {listed}"),
                );
            }
        }
        self.findings.into_values().collect()
    }

    fn tell(&mut self, kind: &'static str, about: &str, what: String) {
        let advice = match kind {
            "block_stats" => "restore the table's log from a backup: queries skip files by these statistics",
            _ => FROM_BACKUP,
        };
        self.findings
            .entry((kind, about.to_owned()))
            .or_insert_with(|| Finding::problem(kind, String::new(), what, advice));
    }

    /// BLK-2: sorted by the table's key, nulls first, also across batches.
    fn check_order(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let columns =
            self.key.iter().map(|name| column(batch, name).cloned()).collect::<Result<Vec<_>, _>>()?;
        let converter = match &mut self.converter {
            Some(converter) => converter,
            None => {
                let fields =
                    columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
                self.converter.insert(RowConverter::new(fields).map_err(|error| error.to_string())?)
            }
        };
        let rows = converter.convert_columns(&columns).map_err(|error| error.to_string())?;
        let mut wrong = None;
        for (index, row) in rows.iter().enumerate() {
            let sorted = match (index.checked_sub(1), &self.last) {
                (Some(before), _) => rows.row(before) <= row,
                (None, Some(last)) => last.row() <= row,
                (None, None) => true,
            };
            if !sorted {
                wrong = Some(self.rows + index as u64);
                break;
            }
        }
        if let Some(last) = rows.num_rows().checked_sub(1) {
            self.last = Some(rows.row(last).owned());
        }
        if let Some(row) = wrong {
            let key = self.key.join(", ");
            self.tell(
                "block_order",
                "",
                format!("row {row} (from 0) comes before the row above it by {key}"),
            );
        }
        Ok(())
    }

    fn check_date(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let times = whole_numbers(column(batch, "timestamp")?)?;
        let times = times.as_primitive::<Int64Type>();
        let (first, last) = self.day;
        for bound in [min(times), max(times)].into_iter().flatten() {
            if bound < first || bound > last {
                let at = hindsight_model::timestamp_from_micros(bound);
                let at = at.map_or_else(|| format!("{bound} µs"), |at| at.to_string());
                self.tell(
                    "block_date",
                    "",
                    format!("it has a row of {at}, which is not of its folder's date"),
                );
            }
        }
        Ok(())
    }

    fn check_bounds(&mut self, name: &str, column: &ArrayRef, stats: &ColumnStats) -> Result<(), String> {
        let Some((low, high)) = range(column, stats)? else { return Ok(()) };
        if stats.min.as_ref().is_some_and(|bound| low < *bound) {
            self.tell(
                "block_stats",
                name,
                format!("{name} goes down to {}, the statistics say otherwise", text(&low)),
            );
        }
        if stats.max.as_ref().is_some_and(|bound| high > *bound) {
            self.tell(
                "block_stats",
                name,
                format!("{name} goes up to {}, the statistics say otherwise", text(&high)),
            );
        }
        Ok(())
    }
}

/// Smallest and largest value of a column in the kind that its statistics have; `None` when all are null.
fn range(column: &ArrayRef, stats: &ColumnStats) -> Result<Option<(StatValue, StatValue)>, String> {
    let Some(bound) = stats.min.as_ref().or(stats.max.as_ref()) else { return Ok(None) };
    if let StatValue::Text(_) = bound {
        let column = cast(column, &DataType::Utf8).map_err(|error| error.to_string())?;
        let column = column.as_string::<i32>();
        let text = |value: &str| StatValue::Text(value.to_owned());
        return Ok(min_string(column).map(text).zip(max_string(column).map(text)));
    }
    let wrap = if matches!(bound, StatValue::Micros(_)) { StatValue::Micros } else { StatValue::Int };
    let column = whole_numbers(column)?;
    let column = column.as_primitive::<Int64Type>();
    Ok(min(column).map(wrap).zip(max(column).map(wrap)))
}

fn text(value: &StatValue) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    match value {
        StatValue::Int(number) => number.to_string(),
        StatValue::Text(text) => text.chars().take(SHOWN_CHARS_MAX).collect(),
        StatValue::Micros(micros) => hindsight_model::timestamp_from_micros(*micros)
            .map_or_else(|| format!("{micros} µs"), |at| at.to_string()),
    }
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef, String> {
    batch.column_by_name(name).ok_or_else(|| format!("it lacks the column {name}"))
}

fn whole_numbers(column: &ArrayRef) -> Result<ArrayRef, String> {
    cast(column, &DataType::Int64).map_err(|error| error.to_string())
}

/// First and last microsecond of a UTC day.
fn day(date: &str) -> Result<(i64, i64), String> {
    let date: Date = date.parse().map_err(|error| format!("its date is wrong: {error}"))?;
    let start = date.to_zoned(TimeZone::UTC).map_err(|error| format!("its date is wrong: {error}"))?;
    let first = start.timestamp().as_microsecond();
    Ok((first, first + 86_400_000_000 - 1))
}
