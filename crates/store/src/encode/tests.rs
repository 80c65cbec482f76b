//! Any rows are read back as they were, sorted, by Parquet's own reader, and what the file says of itself is true.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema};
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use hindsight_model::{Rows, Table};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Encoding;
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageReader as _};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::statistics::Statistics;
use proptest::prelude::*;

use super::batches::write_sorted;
use super::page::value_type;
use super::{BlockSink, blocks};
use crate::block_writer::{file_schema, stats_columns};
use crate::{ColumnStats, StatValue};

pub(crate) mod generate;

use generate::Generator;

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::tests::cases(96), ..ProptestConfig::default() })]

    #[test]
    fn rows_of_any_shape_read_back_sorted_and_the_file_tells_the_truth(
        seed in any::<u64>(),
        table in prop::sample::select(Table::ALL.to_vec()),
        batches in prop::collection::vec(1usize..60, 1..6),
        row_group_rows in prop::sample::select(vec![1usize, 7, 64, 100_000]),
    ) {
        let mut generator = Generator::new(table, seed);
        let flat: Vec<RecordBatch> = batches.iter().map(|rows| generator.batch(*rows)).collect();
        check(table, &flat, row_group_rows);
    }
}

#[test]
fn more_rows_than_a_page_read_back() {
    for table in Table::ALL {
        let mut generator = Generator::new(table, 7);
        let flat: Vec<RecordBatch> = (0..3).map(|_| generator.batch(15_000)).collect();
        check(table, &flat, 40_000);
    }
}

fn check(table: Table, flat: &[RecordBatch], row_group_rows: usize) {
    let rows: Vec<Rows> = flat.iter().map(|batch| Rows::from_batch(table, batch).unwrap()).collect();
    let expected = sorted(table, flat);
    let files = blocks(table, &rows, row_group_rows).unwrap();
    let mut start = 0;
    for (day, file) in files {
        let count = usize::try_from(file.rows).unwrap();
        let expected = expected.slice(start, count);
        start += count;
        let dates = expected.column_by_name("date").unwrap();
        assert!(
            dates.as_primitive::<arrow::datatypes::Date32Type>().values().iter().all(|date| *date == day)
        );
        let expected = without_partition_columns(table, &expected);
        check_file(&expected, &file.file.into(), row_group_rows);
        check_stats(table, &expected, &file.columns);
        check_pushed(table, &expected, row_group_rows);
    }
    assert_eq!(start, expected.num_rows(), "every row is in one file");
}

/// The reference: a stable sort of the flat rows by date, sort key and nanoseconds.
fn sorted(table: Table, flat: &[RecordBatch]) -> RecordBatch {
    let all = concat_batches(&table.schema(), flat).unwrap();
    let key: Vec<ArrayRef> = ["date"]
        .iter()
        .chain(table.sort_key())
        .chain(&["timestamp_nanos"])
        .map(|name| Arc::clone(all.column_by_name(name).unwrap()))
        .collect();
    let fields = key.iter().map(|array| SortField::new(array.data_type().clone())).collect();
    let converted = RowConverter::new(fields).unwrap().convert_columns(&key).unwrap();
    let mut order: Vec<u32> = (0..all.num_rows() as u32).collect();
    order.sort_by_key(|row| converted.row(*row as usize));
    take_record_batch(&all, &UInt32Array::from(order)).unwrap()
}

fn without_partition_columns(table: Table, batch: &RecordBatch) -> RecordBatch {
    let schema = file_schema(table);
    let columns = schema.fields().iter().map(|field| Arc::clone(batch.column_by_name(field.name()).unwrap()));
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

fn check_file(expected: &RecordBatch, file: &Bytes, row_group_rows: usize) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
    assert_eq!(reader.schema().fields(), expected.schema().fields());
    let batches: Vec<RecordBatch> =
        reader.with_batch_size(1000).build().unwrap().map(Result::unwrap).collect();
    let read = concat_batches(&expected.schema(), &batches).unwrap();
    for (index, field) in expected.schema().fields().iter().enumerate() {
        assert_eq!(read.column(index), expected.column(index), "{}", field.name());
    }
    let metadata = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(file)
        .unwrap();
    check_dictionaries(file);
    let mut start = 0;
    for group in 0..metadata.num_row_groups() {
        let rows = usize::try_from(metadata.row_group(group).num_rows()).unwrap();
        assert!(rows <= row_group_rows);
        check_row_group(&expected.slice(start, rows), &metadata, group, file);
        start += rows;
    }
}

fn check_row_group(expected: &RecordBatch, metadata: &ParquetMetaData, group: usize, file: &Bytes) {
    for (leaf, chunk) in metadata.row_group(group).columns().iter().enumerate() {
        let Some(column) = expected.column_by_name(&chunk.column_path().string()) else { continue };
        let name = chunk.column_path().string();
        let statistics = chunk.statistics().unwrap();
        assert_eq!(statistics.null_count_opt(), Some(column.logical_null_count() as u64), "{name}");
        assert_bounds(&name, column, chunk_bounds(statistics));
        let index = &metadata.column_index().unwrap()[group][leaf];
        let pages = metadata.offset_index().unwrap()[group][leaf].page_locations();
        let starts: Vec<usize> =
            pages.iter().map(|page| usize::try_from(page.first_row_index).unwrap()).collect();
        for (page, start) in starts.iter().enumerate() {
            let end = starts.get(page + 1).copied().unwrap_or(column.len());
            let values = column.slice(*start, end - start);
            if !matches!(index, ColumnIndexMetaData::NONE) {
                assert_eq!(index.null_count(page), Some(values.logical_null_count() as i64), "{name}");
                assert_eq!(index.is_null_page(page), values.logical_null_count() == values.len(), "{name}");
                assert_bounds(&name, &values, page_bounds(index, page));
            }
        }
        if chunk.bloom_filter_offset().is_some() {
            let filter = Sbbf::read_from_column_chunk(chunk, file).unwrap().unwrap();
            assert!(column.as_string::<i32>().iter().flatten().all(|id| filter.check(id)), "{name}");
        } else {
            // Spans have one of trace ids only.
            let is_spans = expected.column_by_name("parent_span_id").is_some();
            let filtered = name == "trace_id" || name == "span_id" && !is_spans;
            assert!(!filtered || column.null_count() == column.len(), "{name}");
        }
    }
}

/// A dictionary has the values that the rows of its group have, each once, and no others: queries read it in their place.
/// Of the first groups only, of which some files here have hundreds.
pub(crate) fn check_dictionaries(file: &Bytes) {
    let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).unwrap();
    for (number, group) in metadata.metadata().row_groups().iter().enumerate().take(2) {
        let mut sizes = Vec::new();
        for (leaf, chunk) in group.columns().iter().enumerate() {
            let has_keys_only = chunk.page_encoding_stats_mask().unwrap().is_only(Encoding::RLE_DICTIONARY);
            assert_eq!(has_keys_only, chunk.dictionary_page_offset().is_some(), "{}", chunk.column_path());
            if has_keys_only && chunk.column_descr().max_rep_level() == 0 {
                let file = Arc::new(file.clone());
                let mut pages = SerializedPageReader::new(file, chunk, 0, None).unwrap();
                let Some(Page::DictionaryPage { num_values, .. }) = pages.get_next_page().unwrap() else {
                    panic!("{} begins with another page", chunk.column_path());
                };
                sizes.push((leaf, usize::try_from(num_values).unwrap()));
            }
        }
        let leaves = ProjectionMask::leaves(metadata.parquet_schema(), sizes.iter().map(|(leaf, _)| *leaf));
        let rows = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone())
            .with_row_groups(vec![number])
            .with_projection(leaves)
            .with_batch_size(usize::try_from(group.num_rows()).unwrap())
            .build()
            .unwrap();
        for batch in rows {
            for (column, (leaf, size)) in batch.unwrap().columns().iter().zip(&sizes) {
                let field = SortField::new(column.data_type().clone());
                let all =
                    RowConverter::new(vec![field]).unwrap().convert_columns(&[Arc::clone(column)]).unwrap();
                let valid = (0..column.len()).filter(|row| column.is_valid(*row));
                let values: HashSet<_> = valid.map(|row| all.row(row)).collect();
                assert_eq!(*size, values.len(), "{}", group.column(*leaf).column_path());
            }
        }
    }
}

/// A bound as something that compares as the column does.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Bound {
    Number(i64),
    Double(f64),
    Text(Vec<u8>),
}

fn assert_bounds(name: &str, values: &ArrayRef, bounds: Option<(Bound, Bound)>) {
    let values = comparable(values);
    let Some((low, high)) = bounds else {
        assert!(values.is_empty(), "{name} has values and no bounds");
        return;
    };
    assert!(
        values.iter().all(|value| low <= *value && *value <= high),
        "{name}: {low:?} {high:?} {values:?}"
    );
    let short = |bound: &Bound| !matches!(bound, Bound::Text(text) if text.len() > 60);
    if short(&low) && short(&high) {
        assert!(values.contains(&low) && values.contains(&high), "{name}: the bounds are values");
    }
}

fn comparable(values: &ArrayRef) -> Vec<Bound> {
    match values.data_type() {
        DataType::Utf8 => {
            values.as_string::<i32>().iter().flatten().map(|text| Bound::Text(text.into())).collect()
        }
        DataType::Float64 => values
            .as_primitive::<Float64Type>()
            .iter()
            .flatten()
            .filter(|double| !double.is_nan())
            .map(Bound::Double)
            .collect(),
        _ => {
            let numbers = cast(values, &DataType::Int64).unwrap();
            numbers.as_primitive::<Int64Type>().iter().flatten().map(Bound::Number).collect()
        }
    }
}

fn chunk_bounds(statistics: &Statistics) -> Option<(Bound, Bound)> {
    Some(match statistics {
        Statistics::Boolean(s) => {
            (Bound::Number(i64::from(*s.min_opt()?)), Bound::Number(i64::from(*s.max_opt()?)))
        }
        Statistics::Int32(s) => {
            (Bound::Number(i64::from(*s.min_opt()?)), Bound::Number(i64::from(*s.max_opt()?)))
        }
        Statistics::Int64(s) => (Bound::Number(*s.min_opt()?), Bound::Number(*s.max_opt()?)),
        Statistics::Double(s) => (Bound::Double(*s.min_opt()?), Bound::Double(*s.max_opt()?)),
        Statistics::ByteArray(s) => {
            (Bound::Text(s.min_opt()?.data().into()), Bound::Text(s.max_opt()?.data().into()))
        }
        _ => panic!("a type no block has"),
    })
}

fn page_bounds(index: &ColumnIndexMetaData, page: usize) -> Option<(Bound, Bound)> {
    Some(match index {
        ColumnIndexMetaData::BOOLEAN(i) => {
            (Bound::Number(i64::from(*i.min_value(page)?)), Bound::Number(i64::from(*i.max_value(page)?)))
        }
        ColumnIndexMetaData::INT32(i) => {
            (Bound::Number(i64::from(*i.min_value(page)?)), Bound::Number(i64::from(*i.max_value(page)?)))
        }
        ColumnIndexMetaData::INT64(i) => {
            (Bound::Number(*i.min_value(page)?), Bound::Number(*i.max_value(page)?))
        }
        ColumnIndexMetaData::DOUBLE(i) => {
            (Bound::Double(*i.min_value(page)?), Bound::Double(*i.max_value(page)?))
        }
        ColumnIndexMetaData::BYTE_ARRAY(i) => {
            (Bound::Text(i.min_value(page)?.into()), Bound::Text(i.max_value(page)?.into()))
        }
        _ => panic!("a type no block has"),
    })
}

fn check_stats(
    table: Table,
    expected: &RecordBatch,
    found: &std::collections::BTreeMap<String, ColumnStats>,
) {
    assert_eq!(found.len(), stats_columns(table).len());
    for name in stats_columns(table) {
        let column = expected.column_by_name(name).unwrap();
        let stats = &found[name];
        assert_eq!(stats.null_count, Some(column.logical_null_count() as u64), "{name}");
        let bound = |bound: &Option<StatValue>| {
            bound.clone().map(|bound| match bound {
                StatValue::Int(number) | StatValue::Micros(number) => Bound::Number(number),
                StatValue::Text(text) => Bound::Text(text.into_bytes()),
            })
        };
        if let (Some(low), Some(high)) = (bound(&stats.min), bound(&stats.max)) {
            assert_bounds(name, column, Some((low, high)));
        } else {
            assert!(
                comparable(column).iter().all(|value| matches!(value, Bound::Text(text) if text.len() > 256))
            );
        }
    }
}

/// The same rows as arrays, as a merge has them: in pieces, texts now flat, now as dictionaries.
fn check_pushed(table: Table, expected: &RecordBatch, row_group_rows: usize) {
    let mut sink = BlockSink::new(table, Vec::new()).unwrap();
    let mut start = 0;
    let mut piece = 1;
    let mut batches = Vec::new();
    while start < expected.num_rows() {
        let rows = piece.min(expected.num_rows() - start);
        let batch = expected.slice(start, rows);
        batches.push(if piece % 2 == 0 { keyed(&batch) } else { batch });
        start += rows;
        piece = (piece * 3) % 10_007 + 1;
    }
    write_sorted(&mut sink, &batches, row_group_rows).unwrap();
    let finished = sink.finish().unwrap();
    assert_eq!(finished.rows, expected.num_rows() as u64);
    check_file(expected, &finished.file.into(), row_group_rows);
    check_stats(table, expected, &finished.columns);
}

fn keyed(batch: &RecordBatch) -> RecordBatch {
    let keyed = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let columns: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .map(|array| match array.data_type() {
            DataType::Utf8 => cast(array, &keyed).unwrap(),
            _ => Arc::clone(array),
        })
        .collect();
    let fields: Vec<_> = batch
        .schema()
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, array)| field.as_ref().clone().with_data_type(array.data_type().clone()))
        .collect();
    assert_eq!(value_type(&keyed), DataType::Utf8);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}
