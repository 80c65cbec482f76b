//! Rows of many batches, in any order, as one array.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanBufferBuilder, ListArray, PrimitiveArray,
    StringArray, StringBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};

use super::Failure;
use super::order::Place;

/// Room for text to begin with; counting the bytes first would read every row twice.
const TEXT_BYTES: usize = 16;

/// One column of many batches; a batch may lack it, then its rows have the default.
#[derive(Debug)]
pub(super) struct Gather<'a> {
    optional: bool,
    data_type: &'a DataType,
    arrays: Arrays<'a>,
}

type Each<'a, A> = Vec<Option<&'a A>>;

#[derive(Debug)]
enum Arrays<'a> {
    Text(Each<'a, StringArray>),
    Int16(Each<'a, PrimitiveArray<Int16Type>>),
    Int32(Each<'a, PrimitiveArray<Int32Type>>),
    Int64(Each<'a, PrimitiveArray<Int64Type>>),
    Micros(Each<'a, PrimitiveArray<TimestampMicrosecondType>>),
    Double(Each<'a, PrimitiveArray<Float64Type>>),
    List { lists: Each<'a, ListArray>, element: &'a FieldRef, leaves: Vec<Gather<'a>> },
}

impl<'a> Gather<'a> {
    pub(super) fn new(field: &'a Field, arrays: &[Option<&'a ArrayRef>]) -> Result<Self, Failure> {
        let arrays = match field.data_type() {
            DataType::Utf8 => Arrays::Text(each(arrays, |array| array.as_string::<i32>())),
            DataType::Int16 => Arrays::Int16(each(arrays, |array| array.as_primitive())),
            DataType::Int32 => Arrays::Int32(each(arrays, |array| array.as_primitive())),
            DataType::Int64 => Arrays::Int64(each(arrays, |array| array.as_primitive())),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Arrays::Micros(each(arrays, |array| array.as_primitive()))
            }
            DataType::Float64 => Arrays::Double(each(arrays, |array| array.as_primitive())),
            DataType::List(element) => lists(element, arrays)?,
            _ => return Err(Failure::Shape("a row column of a type that no table has")),
        };
        Ok(Self { optional: field.is_nullable(), data_type: field.data_type(), arrays })
    }

    /// The values of the rows at `places`, in that order.
    pub(super) fn take(&self, places: &[Place]) -> Result<ArrayRef, Failure> {
        Ok(match &self.arrays {
            Arrays::Text(arrays) => self.texts(arrays, places),
            Arrays::Int16(arrays) => self.numbers(arrays, places),
            Arrays::Int32(arrays) => self.numbers(arrays, places),
            Arrays::Int64(arrays) => self.numbers(arrays, places),
            Arrays::Micros(arrays) => self.numbers(arrays, places),
            Arrays::Double(arrays) => self.numbers(arrays, places),
            Arrays::List { lists, element, leaves } => take_lists(lists, element, leaves, places)?,
        })
    }

    fn texts(&self, arrays: &Each<'a, StringArray>, places: &[Place]) -> ArrayRef {
        let default = if self.optional { None } else { Some("{}") };
        let text = |place: &Place| match arrays[place.batch as usize] {
            Some(array) => array.is_valid(place.row as usize).then(|| array.value(place.row as usize)),
            None => default,
        };
        let mut builder = StringBuilder::with_capacity(places.len(), places.len() * TEXT_BYTES);
        places.iter().for_each(|place| builder.append_option(text(place)));
        Arc::new(builder.finish())
    }

    fn numbers<T: ArrowPrimitiveType>(
        &self,
        arrays: &Each<'a, PrimitiveArray<T>>,
        places: &[Place],
    ) -> ArrayRef {
        let number = |place: &Place| match arrays[place.batch as usize] {
            Some(array) => array.values()[place.row as usize],
            None => T::Native::default(),
        };
        let values: Vec<T::Native> = places.iter().map(number).collect();
        let nulls = self.nulls(arrays, places);
        let array = PrimitiveArray::<T>::new(values.into(), nulls);
        Arc::new(array.with_data_type(self.data_type.clone()))
    }

    fn nulls<A: Array>(&self, arrays: &Each<'a, A>, places: &[Place]) -> Option<NullBuffer> {
        if !self.optional {
            return None;
        }
        let mut valid = BooleanBufferBuilder::new(places.len());
        for place in places {
            let array = arrays[place.batch as usize];
            valid.append(array.is_some_and(|array| array.is_valid(place.row as usize)));
        }
        Some(NullBuffer::new(valid.finish())).filter(|nulls| nulls.null_count() > 0)
    }
}

fn each<'a, A>(arrays: &[Option<&'a ArrayRef>], typed: impl Fn(&'a ArrayRef) -> &'a A) -> Each<'a, A> {
    arrays.iter().map(|array| array.map(&typed)).collect()
}

fn lists<'a>(element: &'a FieldRef, arrays: &[Option<&'a ArrayRef>]) -> Result<Arrays<'a>, Failure> {
    let lists = each(arrays, |array| array.as_list::<i32>());
    let values: Vec<Option<&ArrayRef>> = lists.iter().map(|list| list.map(ListArray::values)).collect();
    let leaves = match element.data_type() {
        DataType::Struct(fields) => {
            let leaf = |(index, field): (usize, &'a FieldRef)| {
                let column = |value: &'a ArrayRef| value.as_struct().column(index);
                let columns: Vec<_> = values.iter().map(|value| value.map(column)).collect();
                Gather::new(field, &columns)
            };
            fields.iter().enumerate().map(leaf).collect::<Result<_, _>>()?
        }
        _ => vec![Gather::new(element, &values)?],
    };
    Ok(Arrays::List { lists, element, leaves })
}

fn take_lists(
    lists: &Each<'_, ListArray>,
    element: &FieldRef,
    leaves: &[Gather<'_>],
    places: &[Place],
) -> Result<ArrayRef, Failure> {
    let mut elements = Vec::new();
    let mut lengths = Vec::with_capacity(places.len());
    for place in places {
        let bounds = match lists[place.batch as usize] {
            Some(list) => {
                let bounds = list.value_offsets();
                bounds[place.row as usize] as u32..bounds[place.row as usize + 1] as u32
            }
            None => 0..0,
        };
        lengths.push(bounds.len());
        elements.extend(bounds.map(|row| Place { batch: place.batch, row }));
    }
    let mut columns = leaves.iter().map(|leaf| leaf.take(&elements)).collect::<Result<Vec<_>, _>>()?;
    let values: ArrayRef = match element.data_type() {
        DataType::Struct(fields) => Arc::new(StructArray::try_new(fields.clone(), columns, None)?),
        _ => columns.pop().ok_or(Failure::Shape("a list without elements"))?,
    };
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, None)?))
}
