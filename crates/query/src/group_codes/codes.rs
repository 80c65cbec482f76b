//! Numbers in the place of what rows are grouped by.
//!
//! Rows of a block share few values: a service, its operations, steps of time. Their texts came out of a page's
//! dictionary, so that equal texts of a batch mostly are equal views, sixteen bytes that say where the text is. What a view
//! stood for lately is remembered by these bytes alone; the text is looked at where that does not tell.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringViewArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use foldhash::fast::RandomState;

use super::texts::{NONE, Texts};

/// Values of a column that are remembered by their place.
const RECENT_VALUES: usize = 1 << 9;
/// With fewer rows than this for each that was not, remembering costs more than it saves.
const ROWS_PER_MISS_MIN: usize = 4;
/// Pairs of numbers that are.
const RECENT_PAIRS: usize = 1 << 12;
/// About what a value and its place in a map take beside the value itself.
const ENTRY_BYTES: usize = 64;

/// Whether values of this type can be told apart here: texts, and whole numbers and times, which are numbers.
pub(super) fn is_known(data_type: &DataType) -> bool {
    use DataType::{Int16, Int32, Int64, Timestamp, Utf8View};
    matches!(data_type, Utf8View | Int16 | Int32 | Int64 | Timestamp(_, _))
}

/// The groups that rows fall into.
#[derive(Debug)]
pub(super) struct Codes {
    columns: Vec<Column>,
    /// For each column but the first: what numbers of the columns before it were met with which of its own.
    pairs: Vec<Pairs>,
    /// Of each row of the last batch its group.
    rows: Vec<u32>,
    /// Of each row of the last batch its value's number in one column.
    values: Vec<u32>,
}

impl Codes {
    /// No groups yet, by columns of these types, of which there is at least one, all of them [known](is_known).
    pub(super) fn new(types: Vec<DataType>) -> Self {
        let pairs = types.iter().skip(1).map(|_| Pairs::default()).collect();
        let columns = types.into_iter().map(Column::new).collect();
        Self { columns, pairs, rows: Vec::new(), values: Vec::new() }
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        match self.pairs.last() {
            Some(pairs) => pairs.all.len(),
            None => self.columns.first().map_or(0, |column| column.values.len()),
        }
    }

    /// The group of each row of a batch, given its columns.
    pub(super) fn of(&mut self, columns: &[ArrayRef]) -> Result<&[u32], ArrowError> {
        let Self { columns: known, pairs, rows, values } = self;
        for (place, (known, column)) in known.iter_mut().zip(columns).enumerate() {
            if place == 0 {
                known.numbers(column, rows)?;
                continue;
            }
            known.numbers(column, values)?;
            pairs[place - 1].numbers(rows, values);
        }
        Ok(&self.rows)
    }

    /// What the groups are told by, a row each, in the order of their numbers, as columns of the types they came in.
    pub(super) fn columns(&self) -> Result<Vec<ArrayRef>, ArrowError> {
        let mut numbers: Vec<u32> = (0..self.len()).map(|group| u32::try_from(group).unwrap_or(0)).collect();
        let mut columns = Vec::with_capacity(self.columns.len());
        for (column, pairs) in self.columns.iter().skip(1).zip(&self.pairs).rev() {
            let own = numbers.iter().map(|number| pairs.all[*number as usize].1).collect();
            columns.push(column.values.of(&own)?);
            numbers.iter_mut().for_each(|number| *number = pairs.all[*number as usize].0);
        }
        if let Some(first) = self.columns.first() {
            columns.push(first.values.of(&UInt32Array::from(numbers))?);
        }
        columns.reverse();
        Ok(columns)
    }

    /// Bytes that this takes, about.
    pub(super) fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(|column| column.values.bytes()).sum::<usize>();
        let pairs = self.pairs.iter().map(|pairs| pairs.all.len() * ENTRY_BYTES).sum::<usize>();
        columns + pairs + (self.rows.capacity() + self.values.capacity()) * size_of::<u32>()
    }
}

/// What was found lately, by a hash of the key; a place is overwritten by the next key that falls on it.
#[derive(Debug)]
struct Recent<K, const PLACES: usize> {
    keys: Box<[K; PLACES]>,
    /// [`NONE`] where there is none.
    numbers: Box<[u32; PLACES]>,
    /// How often there was none since all were forgotten.
    misses: usize,
}

impl<K: Copy + Default + Eq, const PLACES: usize> Recent<K, PLACES> {
    fn new() -> Self {
        Self { keys: Box::new([K::default(); PLACES]), numbers: Box::new([NONE; PLACES]), misses: 0 }
    }

    /// The number that the key had lately, or else has.
    #[inline]
    fn number(&mut self, key: K, hash: u64, number: impl FnOnce() -> u32) -> u32 {
        // PLACES is a power of two.
        let place = (hash >> u32::BITS) as usize & (PLACES - 1);
        if self.keys[place] != key || self.numbers[place] == NONE {
            (self.keys[place], self.numbers[place]) = (key, number());
            self.misses += 1;
        }
        self.numbers[place]
    }

    fn forget(&mut self) {
        self.numbers.fill(NONE);
        self.misses = 0;
    }
}

/// Spreads a number's bits to the upper end (the multiplier of Fibonacci hashing, Knuth TAOCP 6.4).
fn spread(bits: u64) -> u64 {
    bits.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A column's values, numbered.
#[derive(Debug)]
struct Column {
    values: Values,
    views: Recent<u128, RECENT_VALUES>,
    /// Whether its texts mostly are such as did not come lately.
    is_varied: bool,
    numbers: Recent<i64, RECENT_VALUES>,
}

impl Column {
    fn new(data_type: DataType) -> Self {
        Self {
            values: Values::new(data_type),
            views: Recent::new(),
            is_varied: false,
            numbers: Recent::new(),
        }
    }

    /// The number of each row's value.
    fn numbers(&mut self, column: &ArrayRef, rows: &mut Vec<u32>) -> Result<(), ArrowError> {
        rows.clear();
        rows.reserve(column.len());
        if let Values::Texts(known) = &mut self.values {
            let column = column.as_string_view();
            if self.is_varied {
                known.numbers(column, rows);
            } else {
                // A view is only worth something beside the texts it points into.
                self.views.forget();
                texts(known, &mut self.views, column, rows);
                self.is_varied = self.views.misses * ROWS_PER_MISS_MIN > column.len();
            }
            number_nulls(rows, || known.null());
        } else if let Values::Numbers(known, _) = &mut self.values {
            let column = cast(column, &DataType::Int64)?;
            whole(known, &mut self.numbers, column.as_primitive::<Int64Type>(), rows);
        }
        Ok(())
    }
}

fn texts(
    known: &mut Texts,
    recent: &mut Recent<u128, RECENT_VALUES>,
    column: &StringViewArray,
    rows: &mut Vec<u32>,
) {
    let (mut before, mut last) = (0, NONE);
    let mut number = |(row, view): (usize, &u128)| {
        if *view != before || last == NONE {
            let halves = [*view as u64, (*view >> u64::BITS) as u64];
            let hash = spread(halves[0] ^ spread(halves[1]));
            before = *view;
            last = recent.number(*view, hash, || known.number(column.value(row)));
        }
        last
    };
    let views = column.views().iter().enumerate();
    let Some(nulls) = column.nulls() else { return rows.extend(views.map(number)) };
    rows.extend(views.map(|(row, view)| if nulls.is_valid(row) { number((row, view)) } else { NONE }));
}

fn whole(
    known: &mut Numbers,
    recent: &mut Recent<i64, RECENT_VALUES>,
    column: &Int64Array,
    rows: &mut Vec<u32>,
) {
    let mut number =
        |value: &i64| recent.number(*value, spread(value.cast_unsigned()), || known.number(*value));
    let values = column.values().iter();
    let Some(nulls) = column.nulls() else { return rows.extend(values.map(number)) };
    rows.extend(values.zip(nulls).map(|(value, is_valid)| if is_valid { number(value) } else { NONE }));
    number_nulls(rows, || known.null());
}

/// Gives the rows that have no number that of null.
fn number_nulls(rows: &mut [u32], mut null: impl FnMut() -> u32) {
    for number in rows.iter_mut().filter(|number| **number == NONE) {
        *number = null();
    }
}

/// Different numbers in the order in which they first came.
#[derive(Debug, Default)]
struct Numbers {
    places: HashMap<i64, u32, RandomState>,
    /// None is null, which comes once at most.
    all: Vec<Option<i64>>,
    null: Option<u32>,
}

impl Numbers {
    fn next(&self) -> u32 {
        u32::try_from(self.all.len()).unwrap_or(NONE)
    }

    fn null(&mut self) -> u32 {
        let next = self.next();
        *self.null.get_or_insert_with(|| {
            self.all.push(None);
            next
        })
    }

    fn number(&mut self, value: i64) -> u32 {
        let next = self.next();
        *self.places.entry(value).or_insert_with(|| {
            self.all.push(Some(value));
            next
        })
    }
}

#[derive(Debug)]
enum Values {
    Texts(Texts),
    /// And the type they came in.
    Numbers(Numbers, DataType),
}

impl Values {
    fn new(data_type: DataType) -> Self {
        match data_type {
            DataType::Utf8View => Self::Texts(Texts::default()),
            other => Self::Numbers(Numbers::default(), other),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Texts(known) => known.len(),
            Self::Numbers(known, _) => known.all.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Texts(known) => known.bytes(),
            Self::Numbers(known, _) => known.all.len() * ENTRY_BYTES,
        }
    }

    /// The values with these numbers.
    fn of(&self, numbers: &UInt32Array) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Texts(known) => known.of(numbers),
            Self::Numbers(known, data_type) => {
                let all: Int64Array = known.all.iter().copied().collect();
                cast(&take(&all, numbers, None)?, data_type)
            }
        }
    }
}

/// Which numbers were met with which.
#[derive(Debug)]
struct Pairs {
    places: HashMap<u64, u32, RandomState>,
    all: Vec<(u32, u32)>,
    recent: Recent<u64, RECENT_PAIRS>,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { places: HashMap::default(), all: Vec::new(), recent: Recent::new() }
    }
}

impl Pairs {
    /// Puts the pair's number in the place of the first of each two.
    fn numbers(&mut self, rows: &mut [u32], values: &[u32]) {
        let Self { places, all, recent } = self;
        for (first, second) in rows.iter_mut().zip(values) {
            let pair = u64::from(*first) << u32::BITS | u64::from(*second);
            *first = recent.number(pair, spread(pair), || {
                let next = u32::try_from(all.len()).unwrap_or(NONE);
                *places.entry(pair).or_insert_with(|| {
                    all.push((*first, *second));
                    next
                })
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::{Int16Array, TimestampMicrosecondArray};
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<String>, Option<i64>, Option<i16>);

    fn row() -> impl Strategy<Value = Row> {
        let text = prop_oneof![
            1 => Just(None),
            4 => "[ab]{0,2}".prop_map(Some),
            4 => "[ab]".prop_map(|end| Some(format!("a text that no view holds {end}"))),
        ];
        (text, prop::option::weighted(0.8, -2..3_i64), prop::option::weighted(0.8, 0..3_i16))
    }

    fn columns(rows: &[Row]) -> Vec<ArrayRef> {
        let texts: StringViewArray = rows.iter().map(|row| row.0.as_deref()).collect();
        let times: TimestampMicrosecondArray = rows.iter().map(|row| row.1).collect();
        let small: Int16Array = rows.iter().map(|row| row.2).collect();
        vec![Arc::new(texts), Arc::new(times.with_timezone("UTC")), Arc::new(small)]
    }

    proptest! {
        #[test]
        fn rows_have_one_number_where_they_are_alike(
            batches in prop::collection::vec(prop::collection::vec(row(), 0..30), 0..5),
            width in 1..=3_usize,
        ) {
            let types = columns(&[]).iter().take(width).map(|column| column.data_type().clone()).collect();
            let mut codes = Codes::new(types);
            let (mut numbers, mut rows) = (Vec::new(), Vec::new());
            for batch in &batches {
                numbers.extend_from_slice(codes.of(&columns(batch)[..width]).unwrap());
                rows.extend(batch.iter().cloned().map(|row| match width {
                    1 => (row.0, None, None),
                    2 => (row.0, row.1, None),
                    _ => row,
                }));
            }
            let mut first = BTreeMap::new();
            for (row, number) in rows.iter().zip(&numbers) {
                prop_assert_eq!(first.entry(row.clone()).or_insert(*number), number);
            }
            prop_assert_eq!(codes.len(), first.len());
            // The groups lead back to the rows.
            let mut groups: Vec<_> = first.into_iter().collect();
            groups.sort_by_key(|(_, number)| *number);
            let groups: Vec<Row> = groups.into_iter().map(|(row, _)| row).collect();
            let found = codes.columns().unwrap();
            for (found, expected) in found.iter().zip(columns(&groups)) {
                prop_assert_eq!(found, &expected);
            }
            prop_assert_eq!(found.len(), width);
        }
    }

    #[test]
    fn more_values_than_are_remembered_keep_their_numbers() {
        let texts: Vec<String> = (0..5_000).map(|number| format!("value {}", number % 2_500)).collect();
        let column: ArrayRef = Arc::new(texts.iter().map(Some).collect::<StringViewArray>());
        let times: ArrayRef = Arc::new((0..5_000).map(|number| Some(number % 2_500)).collect::<Int64Array>());
        let mut codes = Codes::new(vec![DataType::Utf8View, DataType::Int64]);
        let numbers = codes.of(&[column, times]).unwrap().to_vec();
        assert_eq!(numbers[..2_500], numbers[2_500..]);
        assert_eq!((codes.len(), codes.bytes() > 2_500 * 20), (2_500, true));
    }
}
