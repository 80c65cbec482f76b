//! The values of one column in one data page, with what says which rows and lists they belong to.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, ListArray, PrimitiveArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;

use super::bits::{put_hybrid, put_run, put_varint};

/// How a column's values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int32,
    Int64,
    Double,
    Text,
}

impl Kind {
    pub(super) fn of(data_type: &DataType) -> Result<Self, ArrowError> {
        Ok(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int16 | DataType::Int32 => Self::Int32,
            DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Int64,
            DataType::Float64 => Self::Double,
            DataType::Utf8 => Self::Text,
            other => return Err(ArrowError::SchemaError(format!("no block column has type {other}"))),
        })
    }
}

/// Values without the nulls between them.
#[derive(Debug)]
pub(super) enum Values {
    /// Whole numbers and times as they are, booleans as 0 and 1, doubles as their bits.
    Numbers(Vec<i64>),
    /// The valid ones of these.
    Texts(StringArray),
    /// The valid ones of these, each an index into the texts.
    Keyed(Vec<i32>, StringArray),
}

impl Values {
    pub(super) fn of(array: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Texts(array.as_string::<i32>().clone()),
            DataType::Boolean => Self::Numbers(array.as_boolean().iter().flatten().map(i64::from).collect()),
            DataType::Int16 => Self::Numbers(numbers::<Int16Type>(array, i64::from)),
            DataType::Int32 => Self::Numbers(numbers::<Int32Type>(array, i64::from)),
            DataType::Int64 => Self::Numbers(numbers::<Int64Type>(array, |number| number)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Numbers(numbers::<TimestampMicrosecondType>(array, |number| number))
            }
            DataType::Float64 => {
                Self::Numbers(numbers::<Float64Type>(array, |double| double.to_bits().cast_signed()))
            }
            DataType::Dictionary(..) => Self::of_dictionary(array)?,
            other => return Err(ArrowError::SchemaError(format!("no block column has type {other}"))),
        })
    }

    fn of_dictionary(array: &ArrayRef) -> Result<Self, ArrowError> {
        let keyed = array.as_any_dictionary_opt().filter(|keyed| {
            keyed.keys().data_type() == &DataType::Int32
                && keyed.values().data_type() == &DataType::Utf8
                && keyed.values().null_count() == 0
        });
        let Some(keyed) = keyed else { return Self::of(&cast(array, &value_type(array.data_type()))?) };
        let keys = keyed.keys().as_primitive::<Int32Type>();
        Ok(Self::Keyed(present(keys, |key| key), keyed.values().as_string::<i32>().clone()))
    }
}

/// The type of the values themselves, dictionary or not.
pub(super) fn value_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => (**value).clone(),
        other => other.clone(),
    }
}

fn numbers<T: ArrowPrimitiveType>(array: &ArrayRef, wide: impl Fn(T::Native) -> i64) -> Vec<i64> {
    present(array.as_primitive::<T>(), wide)
}

fn present<T: ArrowPrimitiveType, N>(array: &PrimitiveArray<T>, wide: impl Fn(T::Native) -> N) -> Vec<N> {
    match array.nulls() {
        None => array.values().iter().map(|number| wide(*number)).collect(),
        Some(nulls) => nulls.valid_indices().map(|index| wide(array.value(index))).collect(),
    }
}

/// Which of a page's places have a value.
#[derive(Debug)]
pub(super) enum Levels {
    /// One place a row, all with a value.
    Required(usize),
    /// One place a row.
    Optional(usize, Option<NullBuffer>),
    /// As many places as the lists have elements, or one for an empty list.
    List { rows: usize, repetition: Vec<u32>, definition: Vec<u32>, definition_max: u32 },
}

impl Levels {
    /// Of a column that is no list.
    pub(super) fn flat(array: &ArrayRef, optional: bool) -> Result<Self, ArrowError> {
        if optional {
            return Ok(Self::Optional(
                array.len(),
                array.logical_nulls().filter(|nulls| nulls.null_count() > 0),
            ));
        }
        if array.logical_null_count() > 0 {
            return Err(ArrowError::InvalidArgumentError("null where none is allowed".to_owned()));
        }
        Ok(Self::Required(array.len()))
    }

    /// Of a column of the elements: `leaf` has those of `lists` and no others.
    pub(super) fn list(lists: &ListArray, leaf: &ArrayRef, optional: bool) -> Self {
        let start = lists.offsets().first().copied().unwrap_or(0);
        let mut repetition = Vec::with_capacity(lists.len());
        let mut definition = Vec::with_capacity(lists.len());
        let nulls = leaf.logical_nulls();
        for bounds in lists.offsets().windows(2) {
            if bounds[0] == bounds[1] {
                repetition.push(0);
                definition.push(0);
            }
            for element in bounds[0]..bounds[1] {
                let valid = nulls.as_ref().is_none_or(|nulls| nulls.is_valid((element - start) as usize));
                repetition.push(u32::from(element != bounds[0]));
                definition.push(1 + u32::from(optional && valid));
            }
        }
        Self::List { rows: lists.len(), repetition, definition, definition_max: 1 + u32::from(optional) }
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Required(rows) | Self::Optional(rows, _) | Self::List { rows, .. } => *rows,
        }
    }

    /// Places, with a value or without.
    pub(super) fn places(&self) -> usize {
        match self {
            Self::List { repetition, .. } => repetition.len(),
            flat => flat.rows(),
        }
    }

    /// Places without a value.
    pub(super) fn nulls(&self) -> usize {
        match self {
            Self::Required(_) => 0,
            Self::Optional(_, nulls) => nulls.as_ref().map_or(0, NullBuffer::null_count),
            Self::List { definition, definition_max, .. } => {
                definition.iter().filter(|level| *level < definition_max).count()
            }
        }
    }

    /// Appends the levels as a data page begins with them.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Required(_) => {}
            Self::Optional(rows, None) => with_length(out, |out| put_run(1, *rows, 1, out)),
            Self::Optional(rows, Some(nulls)) if nulls.null_count() == *rows => {
                with_length(out, |out| put_run(0, *rows, 1, out));
            }
            Self::Optional(rows, Some(nulls)) => with_length(out, |out| {
                // Bits of one are packed as Arrow packs them.
                put_varint(((rows.div_ceil(8) as u64) << 1) | 1, out);
                out.extend_from_slice(nulls.inner().sliced().as_slice());
                let end = out.len();
                if rows % 8 != 0 {
                    out[end - 1] &= (1 << (rows % 8)) - 1;
                }
            }),
            Self::List { repetition, definition, definition_max, .. } => {
                with_length(out, |out| put_hybrid(repetition, 1, out));
                with_length(out, |out| put_hybrid(definition, *definition_max as u8, out));
            }
        }
    }
}

/// Runs `put` and writes before its bytes how many they are.
fn with_length(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    put(out);
    let length = u32::try_from(out.len() - at - 4).expect("levels of one page");
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}
