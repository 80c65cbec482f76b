//! Which groups of a block's rows have an id, by the bloom filters of its columns.
//!
//! The library asks them, too, but only when a share is opened: two of eight groups that have a trace would then be dealt
//! out to one worker as likely as to two.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::Guarantee;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::basic::Type;
use parquet::file::metadata::ParquetMetaData;

use crate::block_reader::{BlockReaders, bounds_of};

/// Those of `groups` that may have a row for which `filter` is true, as far as bloom filters of texts tell.
///
/// # Errors
/// When a filter cannot be read.
pub(crate) async fn may_have(
    readers: &BlockReaders,
    file: &PartitionedFile,
    footer: &Arc<ParquetMetaData>,
    schema: &SchemaRef,
    filter: &Arc<dyn PhysicalExpr>,
    groups: Vec<usize>,
) -> Result<Vec<usize>> {
    let wanted = wanted(footer, schema, filter);
    if wanted.is_empty() || groups.len() < 2 {
        return Ok(groups);
    }
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(footer), options)?;
    let mut reader = ParquetRecordBatchStreamBuilder::new_with_metadata(readers.open(file)?, metadata);
    let mut left = Vec::with_capacity(groups.len());
    for group in groups {
        let mut may = true;
        for (column, texts) in &wanted {
            if let Some(bloom) = reader.get_row_group_column_bloom_filter(group, *column).await? {
                may &= texts.iter().any(|text| bloom.check(text.as_str()));
            }
        }
        if may {
            left.push(group);
        }
    }
    Ok(left)
}

/// The columns with such filters, and the texts of which a row must have one there.
fn wanted(
    footer: &ParquetMetaData,
    schema: &SchemaRef,
    filter: &Arc<dyn PhysicalExpr>,
) -> Vec<(usize, Vec<String>)> {
    let Some(filter) =
        PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).build(Arc::clone(filter))
    else {
        return Vec::new();
    };
    let must = filter.literal_guarantees().iter().filter(|must| must.guarantee == Guarantee::In);
    let column = must.filter_map(|must| {
        let (place, _) = bounds_of(footer, schema, must.column.name())?;
        let chunk = footer.row_groups().first()?.column(place);
        let is_text = chunk.column_descr().physical_type() == Type::BYTE_ARRAY;
        chunk.bloom_filter_offset().filter(|_| is_text)?;
        let texts = must.literals.iter().map(|literal| match literal {
            ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => {
                text.clone()
            }
            _ => None,
        });
        Some((place, texts.collect::<Option<Vec<String>>>()?))
    });
    column.collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch, StringArray};
    use datafusion::execution::runtime_env::RuntimeEnv;
    use datafusion::logical_expr::{Expr, col, lit};
    use datafusion::prelude::SessionContext;
    use object_store::local::LocalFileSystem;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;
    use parquet::schema::types::ColumnPath;

    use super::*;

    /// Eight groups of 64 rows, each id in one row of the first half and one of the second.
    fn block(dir: &std::path::Path) -> (RecordBatch, PartitionedFile) {
        let ids = (0..512).map(|row| format!("{:016x}", (row % 256_u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let rows = RecordBatch::try_from_iter([
            ("id", Arc::new(StringArray::from_iter_values(ids)) as _),
            ("row", Arc::new(Int64Array::from_iter_values(0..512)) as _),
        ])
        .unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(64))
            .set_column_bloom_filter_enabled(ColumnPath::from("id"), true)
            .set_column_bloom_filter_fpp(ColumnPath::from("id"), 0.001)
            .build();
        let file = std::fs::File::create(dir.join("block.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        let size = std::fs::metadata(dir.join("block.parquet")).unwrap().len();
        (rows, PartitionedFile::new("block.parquet", size))
    }

    #[tokio::test]
    async fn a_group_with_the_id_is_left_and_hardly_another() {
        let dir = tempfile::tempdir().unwrap();
        let (rows, file) = block(dir.path());
        let store = Arc::new(LocalFileSystem::new_with_prefix(dir.path()).unwrap());
        let footers = RuntimeEnv::default().cache_manager.get_file_metadata_cache();
        let readers = BlockReaders::new(store, footers);
        let footer = readers.footer(&file).await.unwrap();
        let schema = rows.schema();
        let context = SessionContext::new();
        let left = async |filter: Expr, groups: &[usize]| {
            let known = datafusion::common::DFSchema::try_from(Arc::clone(&schema)).unwrap();
            let filter = context.create_physical_expr(filter, &known).unwrap();
            may_have(&readers, &file, &footer, &schema, &filter, groups.to_vec()).await.unwrap()
        };
        let id = |row: usize| arrow::array::AsArray::as_string::<i32>(rows.column(0)).value(row).to_owned();
        let all: Vec<usize> = (0..8).collect();
        let mut too_many = 0;
        for row in 0..256 {
            let found = left(col("id").eq(lit(id(row))), &all).await;
            let group = row / 64;
            assert!(found.contains(&group) && found.contains(&(group + 4)), "{row} {found:?}");
            too_many += found.len() - 2;
        }
        assert!(too_many < 20, "{too_many}");
        assert!(left(col("id").eq(lit("nowhere")), &all).await.len() < 3);
        let some = left(col("id").in_list(vec![lit(id(0)), lit(id(70))], false), &all).await;
        assert!([0, 1, 4, 5].iter().all(|group| some.contains(group)), "{some:?}");
        // What a filter leaves open, one group, and a column without such filters are left as they are.
        for filter in [col("id").not_eq(lit(id(0))), col("row").eq(lit(3_i64)), col("id").gt(lit("x"))] {
            assert_eq!(left(filter, &all).await, all);
        }
        assert_eq!(left(col("id").eq(lit("nowhere")), &[3]).await, [3]);
    }
}
