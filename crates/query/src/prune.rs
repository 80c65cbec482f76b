//! Which blocks a query can leave closed, judged from the resident catalogue alone.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, StringArray, StringViewArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue, ToDFSchema};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::utils::{Guarantee, LiteralGuarantee};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

use hindsight_model::to_micros;
use hindsight_store::{BlockFile, BlockList, ColumnStats, IdFilters, StatValue};
use jiff::civil::Date;

use crate::time_range::TimeRange;

/// The blocks that may hold a row for which all filters are true.
#[derive(Debug, Default)]
pub(crate) struct Survivors {
    pub(crate) blocks: Vec<Arc<BlockFile>>,
    /// How many more there would be without the filters of ids.
    pub(crate) ruled_out_by_id: usize,
}

/// Looks at the blocks in three steps, each over what the one before left: their time, their bounds, their ids.
pub(crate) fn surviving(
    session: &dyn Session,
    schema: &SchemaRef,
    blocks: &BlockList,
    ids: &IdFilters,
    filters: &[Expr],
) -> Result<Survivors> {
    let Some(filter) = conjunction(filters.to_vec()) else {
        return Ok(Survivors { blocks: blocks.to_vec(), ruled_out_by_id: 0 });
    };
    let range = TimeRange::of(filters);
    let blocks: Vec<_> = blocks.overlapping(range.from, range.to).cloned().collect();
    let filter = session.create_physical_expr(filter, &schema.as_ref().clone().to_dfschema()?)?;
    let predicate = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(filter)?;
    let keep = predicate.prune(&Catalogue { schema, blocks: &blocks, columns: RefCell::default() })?;
    let kept = blocks.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(block, _)| block);
    Ok(by_id(kept.collect(), ids, predicate.literal_guarantees()))
}

/// Leaves the blocks that may hold one of the ids that a row must have.
fn by_id(mut blocks: Vec<Arc<BlockFile>>, ids: &IdFilters, must: &[LiteralGuarantee]) -> Survivors {
    let before = blocks.len();
    for must in must.iter().filter(|must| must.guarantee == Guarantee::In) {
        let column = must.column.name();
        if blocks.first().is_some_and(|block| ids.covers(block.table, column)) {
            blocks.retain(|block| {
                // A null is equal to nothing; a literal that is not text is not ours to judge.
                must.literals.iter().filter(|literal| !literal.is_null()).any(|literal| {
                    literal.try_as_str().flatten().is_none_or(|id| ids.may_contain(block, column, id))
                })
            });
        }
    }
    Survivors { ruled_out_by_id: before - blocks.len(), blocks }
}

/// Days since 1970-01-01, as SQL's `DATE` counts.
pub(crate) fn days(date: Date) -> i32 {
    let hours = date.duration_since(Date::constant(1970, 1, 1)).as_hours();
    i32::try_from(hours / 24).expect("jiff's years −9999 to 9999 are fewer days than an i32 counts")
}

/// The blocks' bounds in the form that the pruning predicate asks for.
struct Catalogue<'a> {
    schema: &'a SchemaRef,
    blocks: &'a [Arc<BlockFile>],
    /// What the blocks say of the columns that were asked for: each is asked for several times.
    columns: RefCell<HashMap<String, Rc<[Option<&'a ColumnStats>]>>>,
}

/// Which end of a column's range.
#[derive(Clone, Copy)]
enum End {
    Min,
    Max,
}

impl<'a> Catalogue<'a> {
    fn column(&self, column: &str) -> Rc<[Option<&'a ColumnStats>]> {
        let mut columns = self.columns.borrow_mut();
        if let Some(known) = columns.get(column) {
            return Rc::clone(known);
        }
        let stats: Rc<[_]> = self.blocks.iter().map(|block| block.columns.get(column)).collect();
        columns.insert(column.to_owned(), Rc::clone(&stats));
        stats
    }

    fn ends(&self, column: &str, end: End) -> Option<ArrayRef> {
        match column {
            "tenant" => {
                let tenants = self.blocks.iter().map(|block| block.tenant.as_str());
                Some(Arc::new(StringArray::from_iter_values(tenants)))
            }
            "date" => {
                let dates = self.blocks.iter().map(|block| days(block.date));
                Some(Arc::new(Date32Array::from_iter_values(dates)))
            }
            "timestamp" => {
                let ends = self.blocks.iter().map(|block| match end {
                    End::Min => block.min_timestamp,
                    End::Max => block.max_timestamp,
                });
                let micros: TimestampMicrosecondArray = ends.map(|at| at.map(to_micros)).collect();
                Some(Arc::new(micros.with_timezone("UTC")))
            }
            _ => self.other_ends(column, end),
        }
    }

    fn other_ends(&self, column: &str, end: End) -> Option<ArrayRef> {
        let columns = self.column(column);
        let bounds = columns.iter().map(|stats| {
            let stats = (*stats)?;
            match end {
                End::Min => stats.min.as_ref(),
                End::Max => stats.max.as_ref(),
            }
        });
        match self.schema.field_with_name(column).ok()?.data_type() {
            DataType::Utf8 | DataType::Utf8View => {
                Some(Arc::new(bounds.map(text).collect::<StringViewArray>()))
            }
            DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                Some(Arc::new(bounds.map(int).collect::<Int64Array>()))
            }
            _ => None,
        }
    }
}

fn text(bound: Option<&StatValue>) -> Option<&str> {
    match bound {
        Some(StatValue::Text(text)) => Some(text),
        _ => None,
    }
}

fn int(bound: Option<&StatValue>) -> Option<i64> {
    match bound {
        Some(StatValue::Int(number)) => Some(*number),
        _ => None,
    }
}

impl PruningStatistics for Catalogue<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column.name(), End::Min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.ends(column.name(), End::Max)
    }

    fn num_containers(&self) -> usize {
        self.blocks.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts = self.column(column.name());
        Some(Arc::new(counts.iter().map(|stats| nulls(*stats)).collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(self.blocks.iter().map(|block| block.rows))))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

fn nulls(stats: Option<&ColumnStats>) -> Option<u64> {
    stats?.null_count
}
