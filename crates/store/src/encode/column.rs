//! One column of a row group becomes a chunk: by dictionary where values repeat, else by the encoding of its type.

use std::ops::Range as Rows;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::DataType;
use hindsight_model::Cell;
use parquet::basic::Encoding;
use parquet::bloom_filter::Sbbf;
use parquet::schema::types::ColumnDescPtr;

use super::bits::{pack, put_hybrid, put_run, width_of};
use super::chunk::{Chunk, ChunkWriter, Codecs};
use super::delta::{put_delta, put_delta_32};
use super::dictionary::{Dictionary, Pages};
use super::filter::{self, IdFilter};
use super::page::{Kind, Levels, Values};
use super::plan::{Effort, Plan, Use};
use super::range::Range;
use crate::encode::Failure;

/// Rows of a data page at most.
pub(super) const PAGE_ROWS: usize = 20 * 1024;
/// Text pages end before they hold much more than this, so that a reader of few rows decompresses little.
const PAGE_BYTES: usize = 1 << 20;

/// Where a column of a row group comes from.
pub(crate) enum Source<'a> {
    /// Every row has the default of [`hindsight_model::default_array`].
    Default,
    /// Row `n` has the value `cells[keys[n]]`.
    Shared { keys: &'a [u32], cells: Vec<&'a Cell> },
    /// Any rows of the column, as often as asked for.
    Rows(Box<dyn Fn(Rows<usize>) -> Result<ArrayRef, Failure> + 'a>),
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Default => "Default",
            Self::Shared { .. } => "Shared",
            Self::Rows(_) => "Rows",
        })
    }
}

/// A leaf column of the file.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) column: ColumnDescPtr,
    pub(super) kind: Kind,
    /// Whether the value itself may be null.
    pub(super) optional: bool,
    pub(super) plan: Plan,
}

/// The chunk of a column that is no list.
pub(super) fn encode_flat(
    leaf: &Leaf,
    source: &Source<'_>,
    rows: usize,
    codecs: &mut Codecs,
) -> Result<Chunk, Failure> {
    match source {
        Source::Default => encode_default(leaf, rows),
        Source::Shared { keys, cells } => encode_shared(leaf, keys, cells, codecs),
        Source::Rows(gather) => {
            let per_page = rows_per_page(leaf, rows, gather)?;
            let page = |index: usize| {
                let array = gather(index * per_page..rows.min((index + 1) * per_page))?;
                Ok((Levels::flat(&array, leaf.optional)?, Values::of(&array)?))
            };
            encode_pages(leaf, rows, rows.div_ceil(per_page), &page, codecs)
        }
    }
}

/// How many rows make about a page's bytes, judged by the first ones.
fn rows_per_page(
    leaf: &Leaf,
    rows: usize,
    gather: &dyn Fn(Rows<usize>) -> Result<ArrayRef, Failure>,
) -> Result<usize, Failure> {
    const LOOKED_AT: usize = 512;
    if leaf.kind != Kind::Text {
        return Ok(PAGE_ROWS);
    }
    let first = gather(0..rows.min(LOOKED_AT))?;
    let Values::Texts(texts) = Values::of(&first)? else { return Ok(PAGE_ROWS) };
    let bytes = texts.offsets().last().copied().unwrap_or(0) - texts.offsets().first().copied().unwrap_or(0);
    Ok((PAGE_BYTES * texts.len() / (bytes as usize).max(1)).clamp(LOOKED_AT, PAGE_ROWS))
}

/// The chunks of a list's leaves, each with its elements' values.
pub(super) fn encode_list(
    leaves: &[Leaf],
    source: &Source<'_>,
    rows: usize,
    codecs: &mut Codecs,
) -> Result<Vec<Chunk>, Failure> {
    let Source::Rows(gather) = source else {
        return leaves.iter().map(|leaf| encode_empty_lists(leaf, rows)).collect();
    };
    let mut pages = Vec::new();
    for start in (0..rows).step_by(PAGE_ROWS) {
        pages.push(gather(start..rows.min(start + PAGE_ROWS))?);
    }
    let encode = |(index, leaf): (usize, &Leaf)| {
        let page = |page: usize| {
            let lists = pages[page].as_list::<i32>();
            let values = leaf_of(lists, index)?;
            Ok((Levels::list(lists, &values, leaf.optional), Values::of(&values)?))
        };
        encode_pages(leaf, rows, pages.len(), &page, codecs)
    };
    leaves.iter().enumerate().map(encode).collect()
}

/// The elements' values of the leaf at `index`.
fn leaf_of(lists: &ListArray, index: usize) -> Result<ArrayRef, Failure> {
    let bounds = lists.offsets();
    let (start, end) = (bounds[0] as usize, bounds[bounds.len() - 1] as usize);
    let elements = lists.values().slice(start, end - start);
    if lists.null_count() > 0 || elements.null_count() > 0 && elements.data_type().is_nested() {
        return Err(Failure::Shape("a list or its element is null"));
    }
    Ok(match elements.data_type() {
        DataType::Struct(_) => Arc::clone(StructArray::column(elements.as_struct(), index)),
        _ => elements,
    })
}

fn encode_default(leaf: &Leaf, rows: usize) -> Result<Chunk, Failure> {
    let mut writer = ChunkWriter::new(Arc::clone(&leaf.column), leaf.kind, None);
    let mut body = Vec::new();
    if leaf.optional {
        let levels = Levels::Optional(rows, Some(NullBuffer::new_null(rows)));
        levels.put(&mut body);
        writer.page(&levels, &body, Encoding::PLAIN, None)?;
        return Ok(writer.finish(None)?);
    }
    let default = match leaf.kind {
        Kind::Text => Cell::Text("{}".into()),
        _ => Cell::Int(0),
    };
    let mut dictionary = Dictionary::new(leaf.kind, leaf.plan.dictionary);
    dictionary.put_cell(&default).ok_or(Failure::Shape("a default is no value of its column"))?;
    write_constant(leaf, &dictionary, rows, writer)
}

/// A dictionary of one value and one run of it.
fn write_constant(
    leaf: &Leaf,
    dictionary: &Dictionary,
    rows: usize,
    mut writer: ChunkWriter<'_>,
) -> Result<Chunk, Failure> {
    let levels = if leaf.optional { Levels::Optional(rows, None) } else { Levels::Required(rows) };
    let mut body = Vec::new();
    levels.put(&mut body);
    if leaf.kind == Kind::Bool {
        let bit = dictionary.bit(0);
        pack(std::iter::repeat_n(bit, rows), 1, &mut body);
        writer.page(&levels, &body, Encoding::PLAIN, dictionary.range(&[0]))?;
        return Ok(writer.finish(None)?);
    }
    writer.dictionary(1, &dictionary.plain())?;
    body.push(0);
    put_run(0, rows, 0, &mut body);
    writer.page(&levels, &body, Encoding::RLE_DICTIONARY, dictionary.range(&[0]))?;
    Ok(writer.finish(filter_of(leaf, dictionary))?)
}

fn encode_empty_lists(leaf: &Leaf, rows: usize) -> Result<Chunk, Failure> {
    let definition_max = 1 + u32::from(leaf.optional);
    let levels = Levels::List { rows, repetition: vec![0; rows], definition: vec![0; rows], definition_max };
    let mut body = Vec::new();
    levels.put(&mut body);
    let mut writer = ChunkWriter::new(Arc::clone(&leaf.column), leaf.kind, None);
    writer.page(&levels, &body, Encoding::PLAIN, None)?;
    Ok(writer.finish(None)?)
}

fn encode_shared(leaf: &Leaf, keys: &[u32], cells: &[&Cell], codecs: &mut Codecs) -> Result<Chunk, Failure> {
    // Only cells that a row of this group has go into its dictionary.
    let mut used = vec![false; cells.len()];
    keys.iter().for_each(|key| used[*key as usize] = true);
    let mut dictionary = Dictionary::new(leaf.kind, leaf.plan.dictionary);
    let mut numbers = vec![None; cells.len()];
    for ((number, cell), _) in numbers.iter_mut().zip(cells).zip(&used).filter(|(_, used)| **used) {
        if **cell != Cell::Null {
            let put = dictionary.put_cell(cell);
            *number = Some(put.ok_or(Failure::Shape("an owner's value is not of its column's type"))?);
        }
    }
    let has_null = numbers.iter().zip(&used).any(|(number, used)| *used && number.is_none());
    if dictionary.len() == 0 && leaf.optional {
        return encode_default(leaf, keys.len());
    }
    if dictionary.len() == 1 && !has_null {
        let writer = ChunkWriter::new(Arc::clone(&leaf.column), leaf.kind, None);
        return write_constant(leaf, &dictionary, keys.len(), writer);
    }
    if has_null && !leaf.optional {
        return Err(Failure::Shape("an owner has null where none is allowed"));
    }
    let pages =
        keys.chunks(PAGE_ROWS).map(|keys| shared_page(keys, &numbers, leaf.optional, has_null)).collect();
    write_dictionary(leaf, &dictionary, pages, codecs)
}

fn shared_page(keys: &[u32], numbers: &[Option<u32>], optional: bool, has_null: bool) -> (Levels, Vec<u32>) {
    let rows = keys.len();
    if !has_null {
        let found = keys.iter().map(|key| numbers[*key as usize].unwrap_or(0)).collect();
        return (if optional { Levels::Optional(rows, None) } else { Levels::Required(rows) }, found);
    }
    let found = keys.iter().filter_map(|key| numbers[*key as usize]).collect();
    let nulls: NullBuffer = keys.iter().map(|key| numbers[*key as usize].is_some()).collect();
    (Levels::Optional(rows, Some(nulls)), found)
}

/// A page's levels and values, by number of the page.
type PageOf<'a> = dyn Fn(usize) -> Result<(Levels, Values), Failure> + 'a;

fn encode_pages(
    leaf: &Leaf,
    rows: usize,
    pages: usize,
    page: &PageOf<'_>,
    codecs: &mut Codecs,
) -> Result<Chunk, Failure> {
    if leaf.plan.dictionary != Use::Never
        && let Some((dictionary, pages)) = number_values(leaf, pages, page)?
    {
        if dictionary.len() == 1
            && pages
                .iter()
                .all(|(levels, _)| matches!(levels, Levels::Required(_) | Levels::Optional(_, None)))
        {
            let writer = ChunkWriter::new(Arc::clone(&leaf.column), leaf.kind, None);
            return write_constant(leaf, &dictionary, rows, writer);
        }
        return write_dictionary(leaf, &dictionary, pages, codecs);
    }
    let mut filter = leaf.plan.filter.then(IdFilter::default);
    let mut body = Vec::new();
    let mut encode = |index: usize, body: &mut Vec<u8>| -> Result<_, Failure> {
        let (levels, values) = page(index)?;
        let values = unkeyed(values)?;
        body.clear();
        levels.put(body);
        let encoding = put_values(leaf, &values, body);
        let range = range_of(leaf.kind, &values);
        if let (Some(filter), Values::Texts(texts)) = (&mut filter, values) {
            filter.push(texts);
        }
        Ok((levels, encoding, range))
    };
    let mut first = Some(encode(0, &mut body)?);
    let effort = effort_of(leaf, &body, pages, codecs)?;
    let mut writer = ChunkWriter::new(Arc::clone(&leaf.column), leaf.kind, Some(codecs.get(effort)?));
    for index in 0..pages {
        let (levels, encoding, range) = match first.take() {
            Some(first) => first,
            None => encode(index, &mut body)?,
        };
        writer.page(&levels, &body, encoding, range)?;
    }
    Ok(writer.finish(filter.map(IdFilter::finish))?)
}

/// How hard to compress the pages of a chunk, of which `first` is one.
fn effort_of(leaf: &Leaf, first: &[u8], pages: usize, codecs: &mut Codecs) -> Result<Effort, Failure> {
    let nested = leaf.column.max_rep_level() > 0;
    Ok(match leaf.kind {
        Kind::Text if leaf.plan.ids => Effort::Ids,
        Kind::Text => codecs.best_for_text(first, pages)?,
        _ if nested => Effort::Lists,
        Kind::Double => Effort::Doubles,
        _ => Effort::Near,
    })
}

/// Numbers all values, unless they turn out too many for a dictionary to pay.
fn number_values(
    leaf: &Leaf,
    pages: usize,
    page: &PageOf<'_>,
) -> Result<Option<(Dictionary, Pages)>, Failure> {
    let mut dictionary = Dictionary::new(leaf.kind, leaf.plan.dictionary);
    let mut numbered = Vec::with_capacity(pages);
    let mut seen = 0;
    for index in 0..pages {
        let (levels, values) = page(index)?;
        let Some(numbers) = dictionary.put_all(&values, seen) else { return Ok(None) };
        seen += numbers.len();
        numbered.push((levels, numbers));
    }
    let pays = leaf.kind != Kind::Bool && dictionary.pays(seen);
    Ok(pays.then_some((dictionary, numbered)))
}

fn write_dictionary(
    leaf: &Leaf,
    dictionary: &Dictionary,
    pages: Pages,
    codecs: &mut Codecs,
) -> Result<Chunk, Failure> {
    let mut writer = ChunkWriter::new(Arc::clone(&leaf.column), leaf.kind, Some(codecs.get(Effort::Keys)?));
    let mut body = Vec::new();
    let width = width_of(u32::try_from(dictionary.len().saturating_sub(1)).unwrap_or(u32::MAX));
    let width = if leaf.plan.dictionary == Use::Always { width } else { super::plan::aligned(width) };
    if leaf.kind != Kind::Bool {
        writer.dictionary(dictionary.len(), &dictionary.plain())?;
    }
    for (levels, numbers) in pages {
        body.clear();
        levels.put(&mut body);
        let encoding = if leaf.kind == Kind::Bool {
            pack(numbers.iter().map(|number| dictionary.bit(*number)), 1, &mut body);
            Encoding::PLAIN
        } else {
            body.push(width);
            put_hybrid(&numbers, width, &mut body);
            Encoding::RLE_DICTIONARY
        };
        writer.page(&levels, &body, encoding, dictionary.range(&numbers))?;
    }
    Ok(writer.finish(filter_of(leaf, dictionary))?)
}

fn unkeyed(values: Values) -> Result<Values, Failure> {
    let Values::Keyed(keys, texts) = values else { return Ok(values) };
    let texts = take(&texts, &arrow::array::Int32Array::from(keys), None)?;
    Ok(Values::Texts(texts.as_string::<i32>().clone()))
}

fn put_values(leaf: &Leaf, values: &Values, out: &mut Vec<u8>) -> Encoding {
    match (values, leaf.kind) {
        (Values::Numbers(numbers), Kind::Bool) => {
            pack(numbers.iter().map(|bit| bit.cast_unsigned()), 1, out);
            Encoding::PLAIN
        }
        (Values::Numbers(numbers), Kind::Int32) if leaf.plan.delta => {
            put_delta_32(numbers, out);
            Encoding::DELTA_BINARY_PACKED
        }
        (Values::Numbers(numbers), Kind::Int64) if leaf.plan.delta => {
            put_delta(numbers, out);
            Encoding::DELTA_BINARY_PACKED
        }
        (Values::Numbers(numbers), Kind::Int32) => {
            numbers.iter().for_each(|number| out.extend_from_slice(&(*number as i32).to_le_bytes()));
            Encoding::PLAIN
        }
        (Values::Numbers(numbers), _) => {
            numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
            Encoding::PLAIN
        }
        (Values::Texts(texts), _) if same_length(texts) => {
            put_texts_after_lengths(texts, out);
            Encoding::DELTA_LENGTH_BYTE_ARRAY
        }
        (Values::Texts(texts), _) => {
            put_plain_texts(texts, out);
            Encoding::PLAIN
        }
        (Values::Keyed(..), _) => unreachable!("keys are resolved before"),
    }
}

fn same_length(texts: &StringArray) -> bool {
    let mut lengths = valid(texts).map(<[u8]>::len);
    let first = lengths.next();
    lengths.all(|length| Some(length) == first)
}

/// Each text after its length. The lengths compress better here than packed in front of all texts, because most of
/// them begin a repetition.
fn put_plain_texts(texts: &StringArray, out: &mut Vec<u8>) {
    out.reserve(texts.value_data().len() + texts.len() * size_of::<u32>());
    for text in valid(texts) {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text);
    }
}

/// Lengths as differences, then all bytes.
fn put_texts_after_lengths(texts: &StringArray, out: &mut Vec<u8>) {
    let lengths: Vec<i64> = valid(texts).map(|text| text.len() as i64).collect();
    put_delta_32(&lengths, out);
    let bounds = texts.offsets();
    let (start, end) = (bounds[0], bounds[bounds.len() - 1]);
    if lengths.iter().sum::<i64>() == i64::from(end - start) {
        out.extend_from_slice(&texts.value_data()[start as usize..end as usize]);
    } else {
        valid(texts).for_each(|text| out.extend_from_slice(text));
    }
}

/// The texts that are not null.
pub(super) fn valid(texts: &StringArray) -> impl Iterator<Item = &[u8]> {
    let present = (0..texts.len()).filter(|index| texts.is_valid(*index));
    present.map(|index| texts.value(index).as_bytes())
}

fn range_of(kind: Kind, values: &Values) -> Option<Range> {
    match values {
        Values::Numbers(numbers) => Range::of_numbers(kind, numbers),
        Values::Texts(texts) => Range::of_texts(valid(texts)),
        Values::Keyed(..) => unreachable!("keys are resolved before"),
    }
}

/// The filter of a column that has one.
fn filter_of(leaf: &Leaf, dictionary: &Dictionary) -> Option<Sbbf> {
    leaf.plan.filter.then(|| filter::of(dictionary.len(), dictionary.texts()))
}
