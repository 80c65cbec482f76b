//! Rows of every shape a table allows: columns without any value, constant ones, with many values, with nulls.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int16Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, TimestampMicrosecondType};
use hindsight_model::{Place, Table, dates};

pub(crate) struct Generator {
    table: Table,
    state: u64,
    /// For each column how its values are spread; the same for all batches.
    spread: Vec<Spread>,
}

#[derive(Clone, Copy)]
struct Spread {
    distinct: u64,
    nulls_percent: u64,
    text: Text,
}

/// What a column's texts look like.
#[derive(Clone, Copy)]
enum Text {
    Short,
    Long,
    /// All of one length, as ids have.
    Even,
}

impl Generator {
    pub(crate) fn new(table: Table, seed: u64) -> Self {
        let mut generator = Self { table, state: seed, spread: Vec::new() };
        for _ in table.schema().fields() {
            let spread = Spread {
                distinct: [1, 2, 5, 300, 1 << 40][generator.below(5) as usize],
                nulls_percent: [0, 0, 30, 97, 100][generator.below(5) as usize],
                text: [Text::Short, Text::Short, Text::Long, Text::Even][generator.below(4) as usize],
            };
            generator.spread.push(spread);
        }
        generator
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn batch(&mut self, rows: usize) -> RecordBatch {
        let schema = self.table.schema();
        // Few owners, so that rows share them.
        let owners: Vec<usize> = (0..rows).map(|_| self.below(4) as usize).collect();
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            let spread = self.spread[index];
            columns.push(match self.table.places()[index] {
                Place::Tenant => Arc::new(StringArray::from(vec!["default"; rows])),
                Place::Date => Arc::new(Int32Array::from(vec![0; rows])),
                Place::Owner { .. } => {
                    let four = self.column(field, 4, Spread { distinct: spread.distinct.min(4), ..spread });
                    let keys = arrow::array::UInt32Array::from_iter_values(owners.iter().map(|o| *o as u32));
                    arrow::compute::take(&four, &keys, None).unwrap()
                }
                Place::Row(_) if field.name() == "timestamp" => self.times(rows),
                Place::Row(_) => self.column(field, rows, spread),
            });
        }
        let times = columns[2].as_primitive::<TimestampMicrosecondType>();
        columns[1] = Arc::new(dates(times));
        RecordBatch::try_new(schema, columns).unwrap()
    }

    /// Over three days around the epoch and one far off, often equal.
    fn times(&mut self, rows: usize) -> ArrayRef {
        let starts = [-86_400_000_000i64, 0, 1_777_905_119_000_000, 1_777_905_119_000_000];
        let times: Vec<i64> =
            (0..rows).map(|_| starts[self.below(4) as usize] + self.below(40) as i64 * 999_983).collect();
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
    }

    fn column(&mut self, field: &Field, rows: usize, spread: Spread) -> ArrayRef {
        let nulls_percent = if field.is_nullable() { spread.nulls_percent } else { 0 };
        let drawn: Vec<Option<u64>> = (0..rows)
            .map(|_| (self.below(100) >= nulls_percent).then(|| self.below(spread.distinct)))
            .collect();
        let numbers = || drawn.iter().map(|drawn| drawn.map(|n| (n as i64).wrapping_mul(7_919) - 3));
        match field.data_type() {
            DataType::Utf8 => {
                let text = |n: u64| match (n, spread.text) {
                    (_, Text::Even) => format!("{n:016x}"),
                    (0, _) if !field.is_nullable() => "{}".to_owned(),
                    (n, Text::Long) => format!("{}{n}", "ü".repeat(40)),
                    (n, Text::Short) => format!("{n:x}"),
                };
                Arc::new(drawn.iter().map(|drawn| drawn.map(text)).collect::<StringArray>())
            }
            DataType::Int16 => Arc::new(numbers().map(|n| n.map(|n| n as i16)).collect::<Int16Array>()),
            DataType::Int32 => Arc::new(numbers().map(|n| n.map(|n| n as i32)).collect::<Int32Array>()),
            DataType::Int64 => {
                let wide = spread.distinct > 300;
                let number =
                    |n: u64| if wide { n.wrapping_mul(0x9e37_79b9_7f4a_7c15) as i64 } else { n as i64 };
                Arc::new(drawn.iter().map(|drawn| drawn.map(number)).collect::<Int64Array>())
            }
            DataType::Float64 => {
                let double = |n: u64| [0.0, -0.0, f64::NAN, -1.5][(n % 4) as usize] + (n / 4) as f64;
                Arc::new(drawn.iter().map(|drawn| drawn.map(double)).collect::<Float64Array>())
            }
            DataType::Boolean => {
                Arc::new(drawn.iter().map(|drawn| drawn.map(|n| n % 2 == 1)).collect::<BooleanArray>())
            }
            DataType::Timestamp(..) => {
                Arc::new(numbers().collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            DataType::List(element) => {
                let lengths: Vec<usize> = drawn
                    .iter()
                    .map(|drawn| (drawn.unwrap_or(0) % spread.distinct.min(4)) as usize)
                    .collect();
                let values = self.elements(element, lengths.iter().sum(), spread);
                let offsets = OffsetBuffer::from_lengths(lengths);
                Arc::new(ListArray::new(Arc::clone(element), offsets, values, None))
            }
            other => panic!("no table has {other}"),
        }
    }

    fn elements(&mut self, element: &Field, count: usize, spread: Spread) -> ArrayRef {
        let DataType::Struct(fields) = element.data_type() else {
            return self.column(element, count, spread);
        };
        let columns: Vec<ArrayRef> = fields.iter().map(|field| self.column(field, count, spread)).collect();
        if count == 0 {
            return Arc::new(StructArray::new_null(fields.clone(), 0));
        }
        Arc::new(StructArray::new(fields.clone(), columns, None))
    }
}
