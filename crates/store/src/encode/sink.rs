//! A Parquet file in the making: row groups in, one after the other, each column by its plan.

use std::collections::BTreeMap;
use std::io::Write;

use arrow::datatypes::{DataType, SchemaRef};
use hindsight_model::Table;
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::Failure;
use super::chunk::{Chunk, Codecs};
use super::column::{Leaf, Source, encode_flat, encode_list};
use super::page::Kind;
use super::plan::plan_of;
use super::range::Range;
use crate::ColumnStats;
use crate::block_writer::{file_schema, stats_columns};

/// Rows of a row group at most, unless asked for otherwise: enough to compress well, few enough to skip.
pub(crate) const ROW_GROUP_ROWS_MAX: usize = 128 * 1024;

/// The columns of one row group, asked for one at a time so that few are in memory.
pub(crate) trait RowGroup {
    /// How many rows.
    fn rows(&self) -> usize;

    /// The column at `index` of [`file_schema`].
    fn column(&self, index: usize) -> Result<Source<'_>, Failure>;
}

/// Writes one block. Rows must come sorted by date and [`Table::sort_key`], all of one date.
pub(crate) struct BlockSink<W: Write + Send> {
    table: Table,
    schema: SchemaRef,
    file: SerializedFileWriter<W>,
    /// For each column of the schema its leaves in the file.
    leaves: Vec<Vec<Leaf>>,
    codecs: Codecs,
    rows: u64,
    stats: BTreeMap<&'static str, Found>,
}

/// What is known of a column so far.
#[derive(Debug, Default)]
struct Found {
    range: Option<Range>,
    nulls: u64,
}

/// What a finished block holds.
#[derive(Debug)]
pub(crate) struct Finished<W> {
    /// Where the file was written to.
    pub(crate) file: W,
    /// Rows in it.
    pub(crate) rows: u64,
    /// The ranges of [`stats_columns`].
    pub(crate) columns: BTreeMap<String, ColumnStats>,
}

impl<W: Write + Send> std::fmt::Debug for BlockSink<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockSink")
            .field("table", &self.table)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl<W: Write + Send> BlockSink<W> {
    /// An empty block that is written to `file` as it grows.
    pub(crate) fn new(table: Table, file: W) -> Result<Self, Failure> {
        let schema = file_schema(table);
        let types = ArrowSchemaConverter::new().convert(&schema)?;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("hindsight ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(vec![crate::block_name::format_mark()]))
            .set_sorting_columns(Some(sorting_columns(table, &types)))
            .build();
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let mut columns = types.columns().iter();
        let mut leaves = Vec::new();
        for field in schema.fields() {
            let mut of_field = Vec::new();
            for (data_type, optional) in leaf_types(field.data_type(), field.is_nullable()) {
                let column = columns.next().ok_or(Failure::Shape("fewer leaves than columns"))?;
                let plan = plan_of(table, &column.path().string());
                of_field.push(Leaf {
                    column: std::sync::Arc::clone(column),
                    kind: Kind::of(&data_type)?,
                    optional,
                    plan,
                });
            }
            leaves.push(of_field);
        }
        let file = SerializedFileWriter::new(file, types.root_schema_ptr(), properties.into())?;
        Ok(Self {
            table,
            schema,
            file,
            leaves,
            codecs: Codecs::default(),
            rows: 0,
            stats: stats_columns(table).into_iter().map(|name| (name, Found::default())).collect(),
        })
    }

    /// Appends a row group, whose rows sort after all earlier ones.
    pub(crate) fn write(&mut self, group: &dyn RowGroup) -> Result<(), Failure> {
        let mut writer = self.file.next_row_group()?;
        for (index, leaves) in self.leaves.iter().enumerate() {
            let field = self.schema.field(index);
            let source = group.column(index)?;
            if let DataType::List(_) = field.data_type() {
                for Chunk { bytes, close, .. } in
                    encode_list(leaves, &source, group.rows(), &mut self.codecs)?
                {
                    writer.append_column(&bytes, close)?;
                }
                continue;
            }
            let leaf = leaves.first().ok_or(Failure::Shape("a column without leaf"))?;
            let chunk = encode_flat(leaf, &source, group.rows(), &mut self.codecs)?;
            if let Some(found) = self.stats.get_mut(field.name().as_str()) {
                found.range = Range::join(found.range.take(), chunk.range);
                found.nulls += chunk.nulls;
            }
            writer.append_column(&chunk.bytes, chunk.close)?;
        }
        writer.close()?;
        self.rows += group.rows() as u64;
        Ok(())
    }

    /// Writes the footer.
    pub(crate) fn finish(mut self) -> Result<Finished<W>, Failure> {
        let stats = |(name, found): (&'static str, Found)| {
            let micros = self.schema.field_with_name(name).is_ok_and(|field| field.data_type().is_temporal());
            let (min, max) = found.range.as_ref().map_or((None, None), |range| range.to_stat_values(micros));
            (name.to_owned(), ColumnStats { min, max, null_count: Some(found.nulls) })
        };
        let columns = std::mem::take(&mut self.stats).into_iter().map(stats).collect();
        Ok(Finished { rows: self.rows, columns, file: self.file.into_inner()? })
    }
}

/// The types of a column's leaves and whether their values may be null.
fn leaf_types(data_type: &DataType, optional: bool) -> Vec<(DataType, bool)> {
    match data_type {
        DataType::List(element) => match element.data_type() {
            DataType::Struct(fields) => {
                fields.iter().map(|field| (field.data_type().clone(), field.is_nullable())).collect()
            }
            other => vec![(other.clone(), element.is_nullable())],
        },
        other => vec![(other.clone(), optional)],
    }
}

/// The sort key as Parquet names it: numbers of leaf columns.
fn sorting_columns(table: Table, types: &parquet::schema::types::SchemaDescriptor) -> Vec<SortingColumn> {
    let leaf = |name: &&str| types.columns().iter().position(|leaf| leaf.path().string() == *name);
    let key = table.sort_key().iter().filter_map(leaf).filter_map(|index| i32::try_from(index).ok());
    key.map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true }).collect()
}
