//! Typed cells of a batch, or of the structs inside one of its lists.

use std::ops::Range;
use std::str::FromStr;

use arrow::array::{
    Array, ArrayRef, Float64Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use hindsight_model::{
    AnyValue, Attributes, Promoted, PromotedKind, SpanId, TraceId, attributes_from_json, join_nanos,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;

use crate::TableError;
use crate::attributes::write_attributes;
use crate::reject::cut;

#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Batch(&'a RecordBatch),
    Struct(&'a StructArray),
}

impl<'a> Source<'a> {
    pub(super) fn array(self, column: &'static str) -> Result<&'a ArrayRef, TableError> {
        match self {
            Self::Batch(batch) => batch.column_by_name(column),
            Self::Struct(fields) => fields.column_by_name(column),
        }
        .ok_or(TableError::Missing(column))
    }

    pub(super) fn typed<T: 'static>(self, column: &'static str) -> Result<&'a T, TableError> {
        let array = self.array(column)?;
        array
            .as_any()
            .downcast_ref()
            .ok_or_else(|| TableError::Type { column, found: array.data_type().to_string() })
    }

    pub(super) fn texts(self, column: &'static str) -> Result<Texts<'a>, TableError> {
        Ok(Texts { column, array: self.typed(column)? })
    }

    pub(super) fn ints(self, column: &'static str) -> Result<Ints<'a>, TableError> {
        Ok(Ints { column, array: self.typed(column)? })
    }

    pub(super) fn doubles(self, column: &'static str) -> Result<Doubles<'a>, TableError> {
        Ok(Doubles(self.typed(column)?))
    }

    pub(super) fn small(self, column: &'static str) -> Result<&'a Int32Array, TableError> {
        self.typed(column)
    }

    pub(super) fn times(self, column: &'static str, nanos: &'static str) -> Result<Times<'a>, TableError> {
        Ok(Times { column, micros: self.typed(column)?, nanos: self.typed(nanos)? })
    }

    pub(super) fn list(self, column: &'static str) -> Result<List<'a>, TableError> {
        Ok(List { column, array: self.typed(column)? })
    }

    pub(super) fn attributes(
        self,
        column: &'static str,
        promoted: &'static [Promoted],
    ) -> Result<AttributeCells<'a>, TableError> {
        let mut columns = Vec::new();
        for promoted in promoted {
            let column = match promoted.kind {
                PromotedKind::String => PromotedCells::Text(self.texts(promoted.column)?),
                PromotedKind::Int => PromotedCells::Int(self.ints(promoted.column)?),
            };
            columns.push((promoted.attribute, column));
        }
        Ok(AttributeCells { texts: self.texts(column)?, promoted: columns })
    }
}

pub(super) struct Texts<'a> {
    column: &'static str,
    array: &'a StringArray,
}

impl<'a> Texts<'a> {
    pub(super) fn optional(&self, row: usize) -> Option<&'a str> {
        self.array.is_valid(row).then(|| self.array.value(row))
    }

    /// Empty for null.
    pub(super) fn get(&self, row: usize) -> &'a str {
        self.optional(row).unwrap_or("")
    }

    pub(super) fn owned(&self, row: usize) -> String {
        self.get(row).to_owned()
    }

    pub(super) fn wrong(&self, row: usize) -> TableError {
        TableError::Cell { row, column: self.column, value: cut(self.get(row), 80).to_owned() }
    }

    /// The number of a word, or the number that stands for itself.
    pub(super) fn enumeration(&self, row: usize, words: &[&str]) -> Result<i32, TableError> {
        let text = self.get(row);
        let word = words.iter().position(|word| *word == text).and_then(|index| i32::try_from(index).ok());
        word.or_else(|| text.parse().ok()).ok_or_else(|| self.wrong(row))
    }

    pub(super) fn trace_id(&self, row: usize) -> Result<Vec<u8>, TableError> {
        self.id(row, |text| TraceId::from_str(text).map(|id| id.as_bytes().to_vec()).ok())
    }

    pub(super) fn span_id(&self, row: usize) -> Result<Vec<u8>, TableError> {
        self.id(row, |text| SpanId::from_str(text).map(|id| id.as_bytes().to_vec()).ok())
    }

    fn id(&self, row: usize, read: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Vec<u8>, TableError> {
        match self.optional(row) {
            None => Ok(Vec::new()),
            Some(text) => read(text).ok_or_else(|| self.wrong(row)),
        }
    }

    pub(super) fn value(&self, row: usize) -> Result<AnyValue, TableError> {
        AnyValue::from_json_text(self.get(row)).map_err(|source| TableError::Value {
            row,
            column: self.column,
            source,
        })
    }

    pub(super) fn attributes(&self, row: usize) -> Result<Attributes, TableError> {
        attributes_from_json(self.get(row)).map_err(|source| TableError::Value {
            row,
            column: self.column,
            source,
        })
    }

    pub(super) fn key_values(&self, row: usize) -> Result<Vec<KeyValue>, TableError> {
        self.attributes(row).map(write_attributes)
    }
}

pub(super) struct Ints<'a> {
    column: &'static str,
    array: &'a Int64Array,
}

impl Ints<'_> {
    pub(super) fn optional(&self, row: usize) -> Option<i64> {
        self.array.is_valid(row).then(|| self.array.value(row))
    }

    pub(super) fn get(&self, row: usize) -> i64 {
        self.array.value(row)
    }

    pub(super) fn bits(&self, row: usize) -> u64 {
        self.get(row).cast_unsigned()
    }

    pub(super) fn u32(&self, row: usize) -> Result<u32, TableError> {
        u32::try_from(self.get(row)).map_err(|_| TableError::Cell {
            row,
            column: self.column,
            value: self.get(row).to_string(),
        })
    }
}

pub(super) struct Doubles<'a>(&'a Float64Array);

impl Doubles<'_> {
    pub(super) fn optional(&self, row: usize) -> Option<f64> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }

    pub(super) fn get(&self, row: usize) -> f64 {
        self.0.value(row)
    }
}

pub(super) struct Times<'a> {
    column: &'static str,
    micros: &'a TimestampMicrosecondArray,
    nanos: &'a Int16Array,
}

impl Times<'_> {
    /// Nanoseconds since the epoch; 0 for null.
    pub(super) fn get(&self, row: usize) -> Result<u64, TableError> {
        if self.micros.is_null(row) {
            return Ok(0);
        }
        let (micros, nanos) = (self.micros.value(row), self.nanos.value(row));
        join_nanos(micros, nanos).ok_or_else(|| TableError::Cell {
            row,
            column: self.column,
            value: format!("{micros} µs and {nanos} ns"),
        })
    }
}

pub(super) struct List<'a> {
    column: &'static str,
    array: &'a ListArray,
}

impl<'a> List<'a> {
    /// Where the row's elements lie among all elements.
    pub(super) fn range(&self, row: usize) -> Range<usize> {
        let offsets = self.array.value_offsets();
        // Offsets of a valid list array are never negative.
        let at = |index: usize| usize::try_from(offsets[index]).unwrap_or(0);
        at(row)..at(row + 1)
    }

    pub(super) fn structs(&self) -> Result<Source<'a>, TableError> {
        self.elements().map(Source::Struct)
    }

    pub(super) fn elements<T: 'static>(&self) -> Result<&'a T, TableError> {
        let values = self.array.values();
        values
            .as_any()
            .downcast_ref()
            .ok_or_else(|| TableError::Type { column: self.column, found: values.data_type().to_string() })
    }
}

/// Attributes with the promoted ones put back among them.
pub(super) struct AttributeCells<'a> {
    texts: Texts<'a>,
    promoted: Vec<(&'static str, PromotedCells<'a>)>,
}

enum PromotedCells<'a> {
    Text(Texts<'a>),
    Int(Ints<'a>),
}

impl AttributeCells<'_> {
    pub(super) fn read(&self, row: usize) -> Result<Vec<KeyValue>, TableError> {
        let mut attributes = self.texts.attributes(row)?;
        for (name, cells) in &self.promoted {
            let value = match cells {
                PromotedCells::Text(texts) => {
                    texts.optional(row).map(|text| AnyValue::String(text.to_owned()))
                }
                PromotedCells::Int(ints) => ints.optional(row).map(AnyValue::Int),
            };
            if let Some(value) = value {
                attributes.insert((*name).to_owned(), value);
            }
        }
        Ok(write_attributes(attributes))
    }
}
