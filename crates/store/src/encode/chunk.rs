//! Pages become a column chunk: compressed, indexed, with statistics.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, EncodingMask, PageType, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, Strategy};

use super::page::{Kind, Levels};
use super::plan::Effort;
use super::range::{Range, statistics};

/// Compresses page after page with one context.
pub(super) type Codec = Compressor<'static>;

/// The level that is written into the file's settings; readers do not need it.
const LEVEL: i32 = 1;

/// No more than this part of a chunk is compressed to find out how to compress it best.
const SAMPLE_PART: usize = 32;
/// Less says nothing.
const SAMPLE_BYTES_MIN: usize = 32 * 1024;
/// More says nothing new.
const SAMPLE_BYTES_MAX: usize = 256 * 1024;

/// One codec for each effort that is used.
#[derive(Default)]
pub(super) struct Codecs {
    by_effort: BTreeMap<Effort, Codec>,
}

impl Codecs {
    pub(super) fn get(&mut self, effort: Effort) -> Result<&mut Codec> {
        Ok(match self.by_effort.entry(effort) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(codec(effort).map_err(failed)?),
        })
    }

    /// What makes the first of `pages` smallest, judged by its beginning.
    pub(super) fn best_for_text(&mut self, first: &[u8], pages: usize) -> Result<Effort> {
        let sample = (first.len() * pages / SAMPLE_PART).min(SAMPLE_BYTES_MAX).min(first.len());
        let mut best = (Effort::Far, usize::MAX);
        if sample < SAMPLE_BYTES_MIN {
            return Ok(best.0);
        }
        for effort in [Effort::Far, Effort::Near, Effort::Long] {
            let size = self.get(effort)?.compress(&first[..sample]).map_err(failed)?.len();
            // What suits most texts stays unless something else is clearly better.
            if size < best.1 - best.1 / 128 {
                best = (effort, size);
            }
        }
        Ok(best.0)
    }
}

fn codec(effort: Effort) -> std::io::Result<Codec> {
    // A page of text fits the window, and the tables of matches the caches of the processor.
    let (strategy, hash_log, min_match) = match effort {
        Effort::Far => (Strategy::ZSTD_fast, 16, 7),
        Effort::Near => (Strategy::ZSTD_fast, 12, 7),
        Effort::Long => (Strategy::ZSTD_dfast, 15, 7),
        Effort::Ids => (Strategy::ZSTD_fast, 15, 7),
        Effort::Doubles => (Strategy::ZSTD_fast, 16, 4),
        Effort::Lists => (Strategy::ZSTD_fast, 11, 5),
        Effort::Keys => return Compressor::new(3),
    };
    let mut codec = Compressor::new(LEVEL)?;
    for parameter in [
        CParameter::WindowLog(20),
        CParameter::Strategy(strategy),
        CParameter::HashLog(hash_log),
        CParameter::ChainLog(hash_log - 1),
        CParameter::MinMatch(min_match),
    ] {
        codec.set_parameter(parameter)?;
    }
    Ok(codec)
}

fn failed(error: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// A chunk that is ready to be put into its row group.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
    pub(super) range: Option<Range>,
    pub(super) nulls: u64,
}

/// Takes a dictionary page or none, then data pages.
pub(super) struct ChunkWriter<'a> {
    leaf: ColumnDescPtr,
    kind: Kind,
    codec: Option<&'a mut Codec>,
    sink: TrackedWrite<Vec<u8>>,
    index: ColumnIndexBuilder,
    offsets: OffsetIndexBuilder,
    encodings: Vec<PageEncodingStats>,
    dictionary_at: Option<i64>,
    data_at: Option<i64>,
    uncompressed: usize,
    rows: usize,
    places: usize,
    nulls: u64,
    range: Option<Range>,
    last_page: Option<Range>,
    ascending: bool,
}

impl<'a> ChunkWriter<'a> {
    /// Without `codec` the pages stay as they are.
    pub(super) fn new(leaf: ColumnDescPtr, kind: Kind, codec: Option<&'a mut Codec>) -> Self {
        Self {
            index: ColumnIndexBuilder::new(leaf.physical_type()),
            leaf,
            kind,
            codec,
            sink: TrackedWrite::new(Vec::new()),
            offsets: OffsetIndexBuilder::new(),
            encodings: Vec::new(),
            dictionary_at: None,
            data_at: None,
            uncompressed: 0,
            rows: 0,
            places: 0,
            nulls: 0,
            range: None,
            last_page: None,
            ascending: true,
        }
    }

    /// The dictionary: `count` values, written plainly.
    pub(super) fn dictionary(&mut self, count: usize, plain: &[u8]) -> Result<()> {
        let num_values = u32_of(count)?;
        let page =
            |buf| Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
        let written = self.write(plain, page)?;
        self.dictionary_at = Some(i64_of(written.offset)?);
        self.count(PageType::DICTIONARY_PAGE, Encoding::PLAIN);
        Ok(())
    }

    /// A data page: levels and values as they are to be compressed, and the bounds of the values.
    pub(super) fn page(
        &mut self,
        levels: &Levels,
        body: &[u8],
        encoding: Encoding,
        range: Option<Range>,
    ) -> Result<()> {
        let num_values = u32_of(levels.places())?;
        let (def_level_encoding, rep_level_encoding) = (Encoding::RLE, Encoding::RLE);
        let written = self.write(body, |buf| Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding,
            rep_level_encoding,
            statistics: None,
        })?;
        self.data_at = self.data_at.or(Some(i64_of(written.offset)?));
        self.count(PageType::DATA_PAGE, encoding);
        self.offsets.append_row_count(i64_of(levels.rows() as u64)?);
        let size = i32::try_from(written.compressed_size).map_err(|_| too_large())?;
        self.offsets.append_offset_and_size(i64_of(written.offset)?, size);
        self.index_page(levels, range)?;
        self.rows += levels.rows();
        self.places += levels.places();
        self.nulls += levels.nulls() as u64;
        Ok(())
    }

    fn index_page(&mut self, levels: &Levels, range: Option<Range>) -> Result<()> {
        let nulls = i64_of(levels.nulls() as u64)?;
        match &range {
            Some(range) => {
                let (low, high) = range.to_bytes(self.kind);
                self.index.append(false, low, high, nulls);
                self.ascending &= self.last_page.as_ref().is_none_or(|last| last.not_above(range));
                self.last_page = Some(range.clone());
            }
            None if levels.nulls() == levels.places() => self.index.append(true, vec![], vec![], nulls),
            // Values without bounds (only NaN): a reader must not skip any page of this chunk.
            None => self.index.to_invalid(),
        }
        self.range = Range::join(self.range.take(), range);
        Ok(())
    }

    fn count(&mut self, page_type: PageType, encoding: Encoding) {
        match self.encodings.last_mut() {
            Some(last) if last.page_type == page_type && last.encoding == encoding => last.count += 1,
            _ => self.encodings.push(PageEncodingStats { page_type, encoding, count: 1 }),
        }
    }

    fn write(&mut self, body: &[u8], page: impl FnOnce(Bytes) -> Page) -> Result<PageWriteSpec> {
        let stored = match &mut self.codec {
            Some(codec) => codec.compress(body).map_err(failed)?,
            None => body.to_vec(),
        };
        let page = CompressedPage::new(page(stored.into()), body.len());
        let written = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.uncompressed += written.uncompressed_size;
        Ok(written)
    }

    /// The chunk, with the filter of its values if it has one.
    pub(super) fn finish(mut self, bloom_filter: Option<Sbbf>) -> Result<Chunk> {
        let bytes: Bytes = self.sink.into_inner()?.into();
        let used = self.encodings.iter().map(|stats| &stats.encoding).chain([&Encoding::RLE]);
        let compression = match &self.codec {
            Some(_) => Compression::ZSTD(ZstdLevel::try_new(LEVEL)?),
            None => Compression::UNCOMPRESSED,
        };
        let metadata = ColumnChunkMetaData::builder(self.leaf)
            .set_compression(compression)
            .set_encodings_mask(EncodingMask::new_from_encodings(used))
            .set_total_compressed_size(i64_of(bytes.len() as u64)?)
            .set_total_uncompressed_size(i64_of(self.uncompressed as u64)?)
            .set_num_values(i64_of(self.places as u64)?)
            .set_data_page_offset(self.data_at.unwrap_or(0))
            .set_dictionary_page_offset(self.dictionary_at)
            .set_statistics(statistics(self.kind, self.range.as_ref(), self.nulls))
            .set_page_encoding_stats(self.encodings)
            .build()?;
        let order = if self.ascending { BoundaryOrder::ASCENDING } else { BoundaryOrder::UNORDERED };
        self.index.set_boundary_order(order);
        let column_index = if self.index.valid() { Some(self.index.build()?) } else { None };
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter,
            column_index,
            offset_index: Some(self.offsets.build()),
        };
        Ok(Chunk { bytes, close, range: self.range, nulls: self.nulls })
    }
}

fn too_large() -> ParquetError {
    ParquetError::General("a page or chunk is too large".to_owned())
}

fn u32_of(count: usize) -> Result<u32> {
    u32::try_from(count).map_err(|_| too_large())
}

fn i64_of(count: u64) -> Result<i64> {
    i64::try_from(count).map_err(|_| too_large())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of so many kinds by turns, each with a number of its own.
    fn lines(kinds: u64, bytes: usize) -> Vec<u8> {
        let mut text = String::new();
        let mut number = 1u64;
        while text.len() < bytes {
            number = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (number >> 29);
            let kind = (number >> 17) % kinds;
            let words = kind.wrapping_mul(0xD6E8_FEB8_6659_FD93);
            text.push_str(&format!("{words:016x}{kind:06}{words:020}{:05}\n", number % 99_999));
        }
        text.into_bytes()
    }

    #[test]
    fn text_is_compressed_in_the_way_that_suits_it() {
        let mut codecs = Codecs::default();
        for kinds in [2, 50, 1_000] {
            let text = lines(kinds, SAMPLE_BYTES_MAX);
            let chosen = codecs.best_for_text(&text, 40).unwrap();
            let mut size = |effort| codecs.get(effort).unwrap().compress(&text).unwrap().len();
            let least = [Effort::Far, Effort::Near, Effort::Long].map(&mut size).into_iter().min().unwrap();
            assert!(size(chosen) <= least + least / 100, "{kinds} kinds: {chosen:?}");
            assert!(kinds < 1_000 || size(Effort::Near) > size(chosen) * 5 / 4, "the choice matters");
        }
    }

    #[test]
    fn little_text_is_not_tried_and_every_way_gives_it_back() {
        let mut codecs = Codecs::default();
        assert_eq!(codecs.best_for_text(&lines(4, 30_000), 1).unwrap(), Effort::Far);
        let text = lines(50, 2 << 20);
        for effort in [
            Effort::Far,
            Effort::Near,
            Effort::Long,
            Effort::Ids,
            Effort::Doubles,
            Effort::Lists,
            Effort::Keys,
        ] {
            let small = codecs.get(effort).unwrap().compress(&text).unwrap();
            assert!(small.len() * 2 < text.len(), "{effort:?}");
            assert_eq!(zstd::bulk::decompress(&small, text.len()).unwrap(), text, "{effort:?}");
        }
    }
}
