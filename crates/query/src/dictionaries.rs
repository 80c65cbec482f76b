//! The distinct values of groups of rows out of the dictionaries of a column, in the place of the rows.
//!
//! A dictionary of a block of ours has the values that the rows of its group have, and no others. Where every page of a
//! column's chunk is keys into it, it is all that `DISTINCT` has to know of them: a page of a few hundred values for a
//! hundred thousand rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringViewBuilder, new_null_array};
use arrow::buffer::Buffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema};
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::datasource::listing::PartitionedFile;
use parquet::arrow::async_reader::AsyncFileReader as _;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageReader as _};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use crate::block_reader::{BlockReaders, bounds_of};

/// Chunks that hold so much together when unpacked, keys included, are read at once. The dictionary of a larger chunk is
/// not read: blocks of ours have none.
const UNPACKED_BYTES_MAX: u64 = 8 << 20;
/// Values are handed on by so many.
const BATCH_ROWS: usize = 8192;

/// A file that this program wrote: a dictionary there has no value that no row has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ours;

/// The dictionaries of a block's column that say all about their groups of rows.
#[derive(Debug)]
pub(crate) struct Dictionaries {
    footer: Arc<ParquetMetaData>,
    data_type: DataType,
    column: String,
    /// Where the column lies in the block.
    place: usize,
    /// The groups whose values they are.
    groups: Vec<usize>,
}

impl Dictionaries {
    /// Whether values of this type are read.
    pub(crate) fn are_of(data_type: &DataType) -> bool {
        physical_type(data_type).is_some()
    }

    /// Those of a column of a block of ours with this schema, for those of `groups` that have one. `None` without any.
    pub(crate) fn of(
        footer: &Arc<ParquetMetaData>,
        schema: &Schema,
        column: &str,
        groups: impl Iterator<Item = usize>,
    ) -> Option<Self> {
        let (place, _) = bounds_of(footer, schema, column)?;
        let data_type = schema.field_with_name(column).ok()?.data_type().clone();
        let wanted = physical_type(&data_type)?;
        let has_one = |group: &usize| {
            let chunk = footer.row_groups().get(*group).and_then(|group| group.columns().get(place));
            chunk.is_some_and(|chunk| chunk.column_type() == wanted && says_all(chunk))
        };
        let groups: Vec<usize> = groups.filter(has_one).collect();
        let footer = Arc::clone(footer);
        (!groups.is_empty()).then(|| Self { footer, data_type, column: column.to_owned(), place, groups })
    }

    pub(crate) fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// Reads those of some of the groups, a few at a time, and hands on their values: each at least once, and null where
    /// a row of them has none.
    ///
    /// # Errors
    /// When they cannot be read or are damaged.
    pub(crate) async fn read(
        &self,
        readers: &BlockReaders,
        file: &PartitionedFile,
        groups: &[usize],
        mut found: impl FnMut(ArrayRef),
    ) -> Result<()> {
        let chunks = groups.iter().filter_map(|group| {
            let chunk = self.footer.row_groups().get(*group)?.columns().get(self.place)?;
            Some((*group, chunk, page_of(chunk)?))
        });
        let chunks: Vec<_> = chunks.collect();
        let mut reader = readers.open(file)?;
        let mut left = chunks.as_slice();
        while !left.is_empty() {
            let mut unpacked = 0;
            let together = left.iter().take_while(|(_, chunk, _)| {
                unpacked += unpacked_bytes(chunk);
                unpacked <= UNPACKED_BYTES_MAX
            });
            let (now, later) = left.split_at(together.count().max(1));
            let pages = now.iter().map(|(_, _, page)| page.clone()).collect();
            let pages = reader.get_byte_ranges(pages).await?;
            let mut values = Values::of(&self.data_type);
            for ((group, chunk, _), page) in now.iter().zip(pages) {
                let put = unpacked_page(chunk, page).and_then(|(plain, count)| values.put(&plain, count));
                put.map_err(|error| self.damaged(file, *group, &error))?;
            }
            let values = values.finish(&self.data_type).map_err(|error| {
                let group = now.first().map_or(0, |(group, _, _)| *group);
                self.damaged(file, group, &error)
            })?;
            let has_null = now.iter().any(|(_, chunk, _)| nulls(chunk) != Some(0));
            for from in (0..values.len()).step_by(BATCH_ROWS) {
                found(values.slice(from, BATCH_ROWS.min(values.len() - from)));
            }
            if has_null {
                found(new_null_array(&self.data_type, 1));
            }
            left = later;
            // What was found is handed on before more of it is read.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn damaged(&self, file: &PartitionedFile, group: usize, error: &ParquetError) -> DataFusionError {
        let (path, column) = (&file.object_meta.location, &self.column);
        exec_datafusion_err!(
            "{path} has a damaged dictionary of `{column}` in its group of rows {group}: {error}; run `hindsight verify`"
        )
    }
}

/// How values of a type lie in a block; `None` of types whose dictionaries are not read.
fn physical_type(data_type: &DataType) -> Option<Type> {
    Some(match data_type {
        DataType::Utf8View => Type::BYTE_ARRAY,
        DataType::Int16 | DataType::Int32 => Type::INT32,
        DataType::Int64 => Type::INT64,
        _ => return None,
    })
}

/// Whether all rows have their values from the chunk's dictionary, or none, and it is known which.
fn says_all(chunk: &ColumnChunkMetaData) -> bool {
    let has_keys_only =
        chunk.page_encoding_stats_mask().is_some_and(|of| of.is_only(Encoding::RLE_DICTIONARY));
    has_keys_only
        && nulls(chunk).is_some()
        && page_of(chunk).is_some()
        && unpacked_bytes(chunk) <= UNPACKED_BYTES_MAX
}

fn nulls(chunk: &ColumnChunkMetaData) -> Option<u64> {
    chunk.statistics()?.null_count_opt()
}

fn unpacked_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    u64::try_from(chunk.uncompressed_size()).unwrap_or(u64::MAX)
}

/// Where the page of a chunk's dictionary lies.
fn page_of(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let from = u64::try_from(chunk.dictionary_page_offset()?).ok()?;
    let to = u64::try_from(chunk.data_page_offset()).ok()?;
    let size = to.checked_sub(from)?;
    (1..=UNPACKED_BYTES_MAX).contains(&size).then_some(from..to)
}

/// The values of a dictionary's page as they lie one after the other, and how many they are.
fn unpacked_page(chunk: &ColumnChunkMetaData, page: Bytes) -> ParquetResult<(Bytes, usize)> {
    let size = i64::try_from(page.len())?;
    let alone = ColumnChunkMetaData::builder(chunk.column_descr_ptr())
        .set_compression(chunk.compression())
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(size)
        .set_total_compressed_size(size)
        .build()?;
    match SerializedPageReader::new(Arc::new(page), &alone, 0, None)?.get_next_page()? {
        Some(Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, .. }) => {
            Ok((buf, usize::try_from(num_values)?))
        }
        _ => Err(ParquetError::General("there is another page in its place".to_owned())),
    }
}

/// Values of dictionaries, one after the other.
enum Values {
    Texts(StringViewBuilder),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
}

impl Values {
    fn of(data_type: &DataType) -> Self {
        match physical_type(data_type) {
            Some(Type::INT64) => Self::Int64(Vec::new()),
            Some(Type::INT32) => Self::Int32(Vec::new()),
            _ => Self::Texts(StringViewBuilder::new()),
        }
    }

    /// Adds so many values as Parquet's plain encoding has them.
    fn put(&mut self, plain: &Bytes, count: usize) -> ParquetResult<()> {
        match self {
            Self::Texts(builder) => put_texts(builder, plain, count),
            Self::Int32(numbers) => put_numbers(numbers, plain, count, i32::from_le_bytes),
            Self::Int64(numbers) => put_numbers(numbers, plain, count, i64::from_le_bytes),
        }
    }

    fn finish(self, data_type: &DataType) -> ParquetResult<ArrayRef> {
        let values: ArrayRef = match self {
            Self::Texts(mut builder) => Arc::new(builder.finish()),
            Self::Int32(numbers) => Arc::new(Int32Array::from(numbers)),
            Self::Int64(numbers) => Arc::new(Int64Array::from(numbers)),
        };
        let all = CastOptions { safe: false, ..CastOptions::default() };
        Ok(cast_with_options(&values, data_type, &all)?)
    }
}

fn put_texts(builder: &mut StringViewBuilder, plain: &Bytes, count: usize) -> ParquetResult<()> {
    let block = builder.append_block(Buffer::from(plain.clone()));
    let mut at = 0;
    for _ in 0..count {
        let length = plain.get(at..).and_then(<[u8]>::first_chunk::<4>).copied();
        let length = u32::from_le_bytes(length.ok_or_else(|| unlike(plain, count))?);
        at += size_of::<u32>();
        builder.try_append_view(block, u32::try_from(at)?, length)?;
        at = at.saturating_add(usize::try_from(length)?);
    }
    if at == plain.len() { Ok(()) } else { Err(unlike(plain, count)) }
}

fn put_numbers<const SIZE: usize, N>(
    numbers: &mut Vec<N>,
    plain: &[u8],
    count: usize,
    number: impl Fn([u8; SIZE]) -> N,
) -> ParquetResult<()> {
    let (values, rest) = plain.as_chunks::<SIZE>();
    if values.len() != count || !rest.is_empty() {
        return Err(unlike(plain, count));
    }
    numbers.extend(values.iter().map(|bytes| number(*bytes)));
    Ok(())
}

fn unlike(plain: &[u8], count: usize) -> ParquetError {
    ParquetError::General(format!("its {} bytes are not {count} values", plain.len()))
}
