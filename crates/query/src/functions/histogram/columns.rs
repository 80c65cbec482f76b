//! Histograms as columns: their types, and one row of them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Int32Type, Int64Type};
use datafusion::common::{Result, exec_err};

use super::explicit::Explicit;
use super::exponential::{Buckets, Exponential};
use crate::functions::arguments::{ListRows, list_type, lists, numbers, row_of};

/// The columns of `metric_histograms` that make a histogram.
pub(super) fn explicit_types() -> [(&'static str, DataType); 2] {
    [("explicit_bounds", list_type(DataType::Float64)), ("bucket_counts", list_type(DataType::Int64))]
}

/// The columns of `metric_exp_histograms` that make a histogram.
pub(super) fn exponential_types() -> [(&'static str, DataType); 7] {
    [
        ("scale", DataType::Int32),
        ("zero_count", DataType::Int64),
        ("zero_threshold", DataType::Float64),
        ("positive_offset", DataType::Int32),
        ("positive_counts", list_type(DataType::Int64)),
        ("negative_offset", DataType::Int32),
        ("negative_counts", list_type(DataType::Int64)),
    ]
}

/// One column that holds all of them.
pub(super) fn struct_type<const N: usize>(parts: [(&'static str, DataType); N]) -> DataType {
    DataType::Struct(fields(parts))
}

fn fields<const N: usize>(parts: [(&'static str, DataType); N]) -> Fields {
    parts.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect()
}

/// Whether the type is what [`struct_type`] makes, by its fields' names.
pub(super) fn is_struct_of<const N: usize>(
    data_type: &DataType,
    parts: &[(&'static str, DataType); N],
) -> bool {
    match data_type {
        DataType::Struct(fields) => {
            fields.len() == N && fields.iter().zip(parts).all(|(field, (name, _))| field.name() == name)
        }
        _ => false,
    }
}

/// The parts of a histogram: the columns themselves, or the fields of the one that holds them.
pub(super) fn parts(columns: &[ArrayRef]) -> Vec<ArrayRef> {
    match columns {
        [one] => match one.as_struct_opt() {
            Some(histogram) if histogram.null_count() == 0 => histogram.columns().to_vec(),
            // A null histogram has null parts.
            Some(histogram) => {
                let part = |part: &ArrayRef| arrow::compute::nullif(part, &is_null(histogram)).ok();
                histogram
                    .columns()
                    .iter()
                    .map(|column| part(column).unwrap_or_else(|| Arc::clone(column)))
                    .collect()
            }
            None => columns.to_vec(),
        },
        _ => columns.to_vec(),
    }
}

fn is_null(histogram: &StructArray) -> arrow::array::BooleanArray {
    (0..histogram.len()).map(|row| Some(histogram.is_null(row))).collect()
}

/// Columns of bounds and counts, row by row.
pub(super) struct ExplicitRows<'a> {
    bounds: ListRows<'a, Float64Type>,
    counts: ListRows<'a, Int64Type>,
    function: &'static str,
}

impl<'a> ExplicitRows<'a> {
    /// # Errors
    /// When there are not two columns of lists of numbers.
    pub(super) fn of(parts: &'a [ArrayRef], function: &'static str) -> Result<Self> {
        let [bounds, counts] = parts else {
            return exec_err!("{function} takes bounds and counts");
        };
        let bounds = ListRows::of(lists(bounds, function)?, function)?;
        Ok(Self { bounds, counts: ListRows::of(lists(counts, function)?, function)?, function })
    }

    /// One row's bounds and counts.
    ///
    /// # Errors
    /// When there is not one count more than bounds.
    pub(super) fn row(&self, row: usize) -> Result<(&'a [f64], &'a [i64])> {
        let (bounds, counts) = (self.bounds.row(row), self.counts.row(row));
        if !counts.is_empty() && counts.len() != bounds.len() + 1 {
            return exec_err!(
                "{} needs one count more than bounds; a row has {} bounds and {} counts",
                self.function,
                bounds.len(),
                counts.len()
            );
        }
        Ok((bounds, counts))
    }
}

/// One row's exponential histogram; none where its scale is null.
pub(super) fn exponential_row(parts: &[ArrayRef], row: usize, function: &str) -> Result<Option<Exponential>> {
    let [scale, zeros, threshold, positive_from, positive, negative_from, negative] = parts else {
        return exec_err!("{function} takes the seven columns of an exponential histogram");
    };
    let scales = numbers::<Int32Type>(scale, function)?;
    if scales.is_null(row) {
        return Ok(None);
    }
    let buckets = |from: &ArrayRef, counts: &ArrayRef| -> Result<Buckets> {
        let from = numbers::<Int32Type>(from, function)?;
        let offset = if from.is_valid(row) { i64::from(from.value(row)) } else { 0 };
        let counts = row_of::<Int64Type>(lists(counts, function)?, row, function)?.to_vec();
        Ok(Buckets { offset, counts })
    };
    Ok(Some(Exponential {
        scale: scales.value(row),
        zero_count: numbers::<Int64Type>(zeros, function)?.value(row),
        zero_threshold: numbers::<Float64Type>(threshold, function)?.value(row),
        positive: buckets(positive_from, positive)?,
        negative: buckets(negative_from, negative)?,
    }))
}

/// A column of one row; null when there are no buckets.
pub(super) fn explicit_column(histogram: &Explicit) -> Result<StructArray> {
    explicit_columns(std::slice::from_ref(histogram))
}

/// A column of a row each; null where there are no buckets.
pub(super) fn explicit_columns(histograms: &[Explicit]) -> Result<StructArray> {
    let bounds: Float64Array = histograms.iter().flat_map(|one| one.bounds.iter().copied()).collect();
    let counts: Int64Array = histograms.iter().flat_map(|one| one.counts.iter().copied()).collect();
    let valid: NullBuffer = histograms.iter().map(|one| !one.counts.is_empty()).collect();
    let of = |items: ArrayRef, lengths: Vec<usize>| -> Result<ArrayRef> {
        let item = Arc::new(Field::new("item", items.data_type().clone(), true));
        Ok(Arc::new(ListArray::try_new(
            item,
            OffsetBuffer::from_lengths(lengths),
            items,
            Some(valid.clone()),
        )?))
    };
    let columns = vec![
        of(Arc::new(bounds), histograms.iter().map(|one| one.bounds.len()).collect())?,
        of(Arc::new(counts), histograms.iter().map(|one| one.counts.len()).collect())?,
    ];
    Ok(StructArray::try_new(fields(explicit_types()), columns, Some(valid))?)
}

/// A column of one row.
pub(super) fn exponential_column(histogram: Option<&Exponential>) -> Result<StructArray> {
    let Some(held) = histogram else { return Ok(StructArray::new_null(fields(exponential_types()), 1)) };
    let offset = |buckets: &Buckets| -> ArrayRef {
        Arc::new(Int32Array::from(vec![i32::try_from(buckets.offset).ok()]))
    };
    let counts = |buckets: &Buckets| list(Arc::new(Int64Array::from(buckets.counts.clone())));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![held.scale])),
        Arc::new(Int64Array::from(vec![held.zero_count])),
        Arc::new(Float64Array::from(vec![held.zero_threshold])),
        offset(&held.positive),
        counts(&held.positive)?,
        offset(&held.negative),
        counts(&held.negative)?,
    ];
    Ok(StructArray::try_new(fields(exponential_types()), columns, None)?)
}

/// A column of a row each; null where there is none.
pub(super) fn exponential_rows(histograms: &[Option<Exponential>]) -> Result<ArrayRef> {
    let rows = histograms.iter().map(|one| exponential_column(one.as_ref())).collect::<Result<Vec<_>>>()?;
    if rows.is_empty() {
        return Ok(Arc::new(StructArray::new_null(fields(exponential_types()), 0)));
    }
    let rows: Vec<&dyn Array> = rows.iter().map(|row| row as &dyn Array).collect();
    Ok(arrow::compute::concat(&rows)?)
}

/// All of `values` as the one list of one row.
pub(in crate::functions) fn list(values: ArrayRef) -> Result<ArrayRef> {
    let item = Arc::new(Field::new("item", values.data_type().clone(), true));
    let ends = OffsetBuffer::from_lengths([values.len()]);
    Ok(Arc::new(ListArray::try_new(item, ends, values, None)?))
}
