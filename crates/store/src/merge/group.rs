//! A row group of the merged file: each column is gathered from the inputs when it is its turn to be written.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, Int64Array, StringArray, new_null_array,
};
use arrow::compute::{cast, concat, interleave};
use arrow::datatypes::{ArrowNativeType as _, DataType, Field, Int32Type, SchemaRef};
use arrow::error::ArrowError;
use hindsight_model::{Cell, Table};

use super::Pace;
use super::input::{Input, Taken, joined};
use super::order::Run;
use crate::block_writer::file_schema;
use crate::encode::{Failure, RowGroup, Source};
use crate::{Error, Result};

/// From this mean length of runs on, copying runs is cheaper than picking rows.
const LONG_RUN_ROWS: usize = 32;
/// Above this many bytes of text, dictionaries of all inputs together are looked up value by value instead.
const DICTIONARY_BYTES_MAX: usize = 4 << 20;

static NULL: Cell = Cell::Null;

/// Rows of several inputs in their new order.
pub(super) struct Group<'a> {
    table: Table,
    schema: SchemaRef,
    inputs: &'a [Input],
    runs: Vec<Run>,
    /// How many rows of each input.
    taken: Vec<usize>,
    /// For each row its input.
    origins: Vec<u32>,
    pacing: RefCell<Pacing<'a>>,
}

/// What may end the merge between two columns, and why it did.
struct Pacing<'a> {
    pace: &'a mut Pace<'a>,
    /// Bytes of input that a column stands for.
    bytes: u64,
    reason: Option<Error>,
}

impl<'a> Group<'a> {
    /// `bytes` of input become this group.
    pub(super) fn new(
        table: Table,
        inputs: &'a [Input],
        runs: Vec<Run>,
        bytes: u64,
        pace: &'a mut Pace<'a>,
    ) -> Self {
        let schema = file_schema(table);
        let mut taken = vec![0; inputs.len()];
        let mut origins = Vec::with_capacity(runs.iter().map(|run| run.rows).sum());
        for run in &runs {
            taken[run.input] += run.rows;
            origins.extend(std::iter::repeat_n(run.input as u32, run.rows));
        }
        let bytes = bytes / schema.fields().len().max(1) as u64;
        let pacing = RefCell::new(Pacing { pace, bytes, reason: None });
        Self { table, schema, inputs, runs, taken, origins, pacing }
    }

    /// Why writing it failed, if the inputs or the pace are to blame.
    pub(super) fn reason(self) -> Option<Error> {
        self.pacing.into_inner().reason
    }

    fn gather(&self, index: usize) -> Result<Source<'_>> {
        let mut parts = Vec::with_capacity(self.inputs.len());
        for (input, rows) in self.inputs.iter().zip(&self.taken) {
            parts.push(if *rows == 0 { None } else { Some(input.take(index, *rows)?) });
        }
        self.source(self.schema.field(index), parts).map_err(Error::arrow(self.table))
    }

    fn source(&self, field: &Field, parts: Vec<Option<Taken<'a>>>) -> Result<Source<'_>, ArrowError> {
        let uniform = |part: &Option<Taken<'_>>| !matches!(part, Some(Taken::Arrays(_)));
        if parts.iter().all(uniform) {
            return Ok(self.shared(&parts));
        }
        let parts = parts.into_iter().zip(&self.taken);
        let arrays = parts.map(|(part, rows)| match part {
            None => Ok(Vec::new()),
            Some(Taken::Arrays(arrays)) => Ok(arrays),
            Some(Taken::Uniform(cell)) => Ok(vec![repeated(cell, field, *rows)?]),
        });
        let mut arrays = arrays.collect::<Result<Vec<Vec<ArrayRef>>, ArrowError>>()?;
        let values = same_dictionary(&mut arrays, field)?;
        let pieces = pieces(&self.runs, &arrays);
        let columns = Columns { pieces, sources: arrays.concat(), values };
        Ok(Source::Rows(Box::new(move |rows| Ok(columns.take(rows)?))))
    }

    /// One value an input, whatever the row.
    fn shared(&self, parts: &[Option<Taken<'a>>]) -> Source<'_> {
        let cell = |part: &Option<Taken<'a>>| match part {
            Some(Taken::Uniform(cell)) => *cell,
            _ => &NULL,
        };
        let cells: Vec<&Cell> = parts.iter().map(cell).collect();
        // An input without rows has a null too, which nobody asks for.
        if cells.iter().all(|cell| **cell == Cell::Null) {
            return Source::Default;
        }
        Source::Shared { keys: &self.origins, cells }
    }
}

impl RowGroup for Group<'_> {
    fn rows(&self) -> usize {
        self.origins.len()
    }

    fn column(&self, index: usize) -> Result<Source<'_>, Failure> {
        let mut pacing = self.pacing.borrow_mut();
        let bytes = pacing.bytes;
        let source = (pacing.pace)(bytes).and_then(|()| self.gather(index));
        source.map_err(|error| {
            pacing.reason = Some(error);
            Failure::Shape("the inputs of a merge cannot be read")
        })
    }
}

/// A column's values of all inputs, and the order in which they come.
struct Columns {
    pieces: Vec<Piece>,
    /// Arrays of one type.
    sources: Vec<ArrayRef>,
    /// What the sources are keys into, if they are.
    values: Option<ArrayRef>,
}

/// Neighbouring rows of one array that stay neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// The place of its first row among all.
    start: usize,
    source: usize,
    /// The place of its first row in the array.
    at: usize,
    rows: usize,
}

/// The runs, cut where the arrays of an input end.
fn pieces(runs: &[Run], arrays: &[Vec<ArrayRef>]) -> Vec<Piece> {
    // For each input the array that is next, its place among all arrays, and how much of it is used.
    let mut first = 0;
    let mut next: Vec<(usize, usize, usize)> = Vec::with_capacity(arrays.len());
    for parts in arrays {
        next.push((0, first, 0));
        first += parts.len();
    }
    let (mut pieces, mut start) = (Vec::with_capacity(runs.len()), 0);
    for run in runs {
        let (part, source, used) = &mut next[run.input];
        let mut missing = run.rows;
        while missing > 0 {
            let rows = missing.min(arrays[run.input][*part].len() - *used);
            if rows > 0 {
                pieces.push(Piece { start, source: *source, at: *used, rows });
            }
            (start, missing, *used) = (start + rows, missing - rows, *used + rows);
            if *used == arrays[run.input][*part].len() && missing > 0 {
                (*part, *source, *used) = (*part + 1, *source + 1, 0);
            }
        }
    }
    pieces
}

impl Columns {
    fn take(&self, rows: Range<usize>) -> Result<ArrayRef, ArrowError> {
        let first = self.pieces.partition_point(|piece| piece.start + piece.rows <= rows.start);
        let cut = self.pieces[first..].iter().map_while(|piece| {
            let (from, to) = (rows.start.max(piece.start), rows.end.min(piece.start + piece.rows));
            (from < to).then(|| (piece.source, piece.at + from - piece.start, to - from))
        });
        let cut: Vec<(usize, usize, usize)> = cut.collect();
        let array = if rows.len() >= cut.len() * LONG_RUN_ROWS {
            let slices: Vec<ArrayRef> =
                cut.iter().map(|(source, at, rows)| self.sources[*source].slice(*at, *rows)).collect();
            joined(&slices)?
        } else {
            let picks = cut.iter().flat_map(|(source, at, rows)| (*at..at + rows).map(|row| (*source, row)));
            let sources: Vec<&dyn Array> = self.sources.iter().map(AsRef::as_ref).collect();
            interleave(&sources, &picks.collect::<Vec<_>>())?
        };
        let Some(values) = &self.values else { return Ok(array) };
        let keys = array.as_primitive::<Int32Type>().clone();
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::clone(values))?))
    }
}

/// `rows` rows of one value.
fn repeated(cell: &Cell, field: &Field, rows: usize) -> Result<ArrayRef, ArrowError> {
    match cell {
        Cell::Null => match field.data_type() {
            DataType::List(element) => {
                let none = arrow::array::new_empty_array(element.data_type());
                let offsets = arrow::buffer::OffsetBuffer::from_lengths(std::iter::repeat_n(0, rows));
                let lists = arrow::array::ListArray::try_new(Arc::clone(element), offsets, none, None)?;
                Ok(Arc::new(lists))
            }
            other => Ok(new_null_array(other, rows)),
        },
        Cell::Text(text) => {
            let values = StringArray::from(vec![text.as_ref()]);
            let keys = Int32Array::from(vec![0; rows]);
            Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(values))?))
        }
        Cell::Int(number) => cast(&Int64Array::from(vec![*number; rows]), field.data_type()),
        Cell::Bool(flag) => Ok(Arc::new(arrow::array::BooleanArray::from(vec![*flag; rows]))),
    }
}

/// Makes all arrays keys into one dictionary, which is returned, if they are all keys or null and their values are not
/// too large; else makes all flat.
fn same_dictionary(arrays: &mut [Vec<ArrayRef>], field: &Field) -> Result<Option<ArrayRef>, ArrowError> {
    if field.data_type() != &DataType::Utf8 {
        return Ok(None);
    }
    let all = || arrays.iter().flatten();
    let has_keys = all().all(|array| {
        array.as_dictionary_opt::<Int32Type>().is_some() || array.logical_null_count() == array.len()
    });
    if !has_keys || all().all(|array| array.as_dictionary_opt::<Int32Type>().is_none()) {
        flatten(arrays)?;
        return Ok(None);
    }
    let mut dictionaries = Dictionaries::default();
    let offsets = arrays
        .iter()
        .map(|parts| parts.iter().map(|array| dictionaries.offset(array)).collect::<Vec<_>>())
        .collect::<Vec<_>>();
    if dictionaries.bytes > DICTIONARY_BYTES_MAX {
        flatten(arrays)?;
        return Ok(None);
    }
    for (parts, offsets) in arrays.iter_mut().zip(offsets) {
        for (array, offset) in parts.iter_mut().zip(offsets) {
            let keys = match array.as_dictionary_opt::<Int32Type>() {
                Some(keyed) if offset == 0 => keyed.keys().clone(),
                Some(keyed) => keyed.keys().unary::<_, Int32Type>(|key| key.wrapping_add(offset)),
                None => Int32Array::new_null(array.len()),
            };
            *array = Arc::new(keys);
        }
    }
    let values: Vec<&dyn Array> = dictionaries.values.iter().map(AsRef::as_ref).collect();
    Ok(Some(concat(&values)?))
}

fn flatten(arrays: &mut [Vec<ArrayRef>]) -> Result<(), ArrowError> {
    for array in arrays.iter_mut().flatten() {
        if array.as_dictionary_opt::<Int32Type>().is_some() {
            *array = cast(array, &DataType::Utf8)?;
        }
    }
    Ok(())
}

/// Different dictionaries one after the other.
#[derive(Default)]
struct Dictionaries {
    values: Vec<ArrayRef>,
    /// How many values come before each.
    offsets: Vec<i32>,
    len: usize,
    bytes: usize,
}

impl Dictionaries {
    /// How many values come before those of `array`.
    fn offset(&mut self, array: &ArrayRef) -> i32 {
        let Some(keyed) = array.as_dictionary_opt::<Int32Type>() else { return 0 };
        let values = keyed.values();
        let place = |array: &ArrayRef| {
            let texts = array.as_string::<i32>();
            (texts.values().as_ptr(), texts.offsets().as_ptr(), texts.len())
        };
        // Batches of one input share theirs, and come one after the other.
        if let (Some(last), Some(offset)) = (self.values.last(), self.offsets.last())
            && place(last) == place(values)
        {
            return *offset;
        }
        let offset = i32::from_usize(self.len).unwrap_or(i32::MAX);
        self.len += values.len();
        self.bytes += values.as_string::<i32>().values().len();
        self.values.push(Arc::clone(values));
        self.offsets.push(offset);
        offset
    }
}
