//! `column = 'text'` where a filter is applied row by row.
//!
//! The engine compares every row's text. Rows of a block lie by service and metric, and their texts came out of a page's
//! dictionary: neighbours of one text are one view, so what was said of the row before holds for this one, and most others
//! differ in their length or first four bytes, which are in the view.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, AsArray, BooleanArray, ByteView, MAX_INLINE_VIEW_LEN, RecordBatch, StringViewArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};

use crate::stand_in::stands_in_for;

/// Puts [`ByViewExec`] in the place of each filter that asks whether a text is one that is given.
#[derive(Debug)]
pub(crate) struct FilterByView;

impl PhysicalOptimizerRule for FilterByView {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let replace = |plan: Arc<dyn ExecutionPlan>| {
            Ok(match plan.downcast_ref::<FilterExec>().map(by_view).transpose()?.flatten() {
                Some(by_view) => Transformed::yes(Arc::new(ByViewExec { filter: plan, by_view }) as _),
                None => Transformed::no(plan),
            })
        };
        plan.transform_up(replace).data()
    }

    fn name(&self) -> &'static str {
        "filter_by_view"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same filter by views; `None` where it compares no text with a given one.
fn by_view(filter: &FilterExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let schema = filter.input().schema();
    let replace = |part: Arc<dyn PhysicalExpr>| {
        Ok(match Equality::of(&part, &schema) {
            Some(equality) => Transformed::yes(Arc::new(equality) as _),
            None => Transformed::no(part),
        })
    };
    let predicate = Arc::clone(filter.predicate()).transform_up(replace)?;
    if !predicate.transformed {
        return Ok(None);
    }
    let by_view = FilterExecBuilder::from(filter).with_predicate(predicate.data).build()?;
    Ok(Some(Arc::new(by_view)))
}

/// A filter of rows.
#[derive(Debug)]
struct ByViewExec {
    /// The engine's own, by which the plan knows it.
    filter: Arc<dyn ExecutionPlan>,
    /// What is executed.
    by_view: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for ByViewExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.filter.downcast_ref::<FilterExec>() {
            Some(filter) => filter.fmt_as(t, f),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ByViewExec {
    fn name(&self) -> &'static str {
        "ByViewExec"
    }

    stands_in_for!(filter);

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filter = Arc::clone(&self.filter).replace_children(children, options)?;
        match filter.downcast_ref::<FilterExec>().map(by_view).transpose()?.flatten() {
            Some(by_view) => Ok(Arc::new(Self { filter, by_view })),
            None => internal_err!("a filter by texts has lost them"),
        }
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.by_view.metrics()
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.by_view.execute(partition, context)
    }
}

/// `column = 'text'` or `column <> 'text'`.
#[derive(Debug)]
struct Equality {
    column: Column,
    text: String,
    is_equal: bool,
    /// The comparison as it was, which says it all.
    whole: Arc<dyn PhysicalExpr>,
}

impl PartialEq for Equality {
    fn eq(&self, other: &Self) -> bool {
        self.whole.eq(&other.whole)
    }
}

impl Eq for Equality {}

impl Hash for Equality {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.whole.hash(state);
    }
}

impl Equality {
    fn of(part: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Self> {
        let comparison = part.downcast_ref::<BinaryExpr>()?;
        let is_equal = match comparison.op() {
            Operator::Eq => true,
            Operator::NotEq => false,
            _ => return None,
        };
        let column = comparison.left().downcast_ref::<Column>()?;
        let ScalarValue::Utf8View(Some(text)) = comparison.right().downcast_ref::<Literal>()?.value() else {
            return None;
        };
        (*schema.fields().get(column.index())?.data_type() == DataType::Utf8View).then(|| Self {
            column: column.clone(),
            text: text.clone(),
            is_equal,
            whole: Arc::clone(part),
        })
    }

    /// Of each view whether it is the wanted one; 64 at a time, which the compiler makes comparisons without a jump.
    fn of_views(&self, views: &[u128], wanted: u128) -> BooleanBuffer {
        let flip = if self.is_equal { 0 } else { u64::MAX };
        let words = views.chunks(u64::BITS as usize).map(|views| {
            let bit = |(place, view): (usize, &u128)| u64::from(*view == wanted) << place;
            flip ^ views.iter().enumerate().map(bit).fold(0, |word, bit| word | bit)
        });
        BooleanBuffer::new(words.collect::<Vec<u64>>().into(), 0, views.len())
    }

    /// Of each row whether its text is the one, nulls left aside.
    fn rows(&self, texts: &StringViewArray) -> BooleanBuffer {
        let views = texts.views();
        let text = self.text.as_bytes();
        let inline = u32::try_from(text.len()).ok().filter(|length| *length <= MAX_INLINE_VIEW_LEN);
        if let Some(length) = inline {
            let mut wanted = [0; size_of::<u128>()];
            wanted[..4].copy_from_slice(&length.to_le_bytes());
            wanted[4..4 + text.len()].copy_from_slice(text);
            let wanted = u128::from_le_bytes(wanted);
            return self.of_views(views, wanted);
        }
        let flip = if self.is_equal { 0 } else { u64::MAX };
        let is_it = |view: u128, row: usize| {
            let ByteView { length, prefix, .. } = ByteView::from(view);
            length as usize == text.len()
                && prefix.to_le_bytes() == text[..4]
                && texts.value(row).as_bytes() == text
        };
        // No view of a longer text is nought.
        let (mut last, mut answer) = (0, 0);
        let words = (0..).step_by(u64::BITS as usize).zip(views.chunks(u64::BITS as usize));
        let words = words.map(|(first, views)| {
            let bit = |(place, view): (usize, &u128)| {
                if *view != last {
                    (last, answer) = (*view, u64::from(is_it(*view, first + place)));
                }
                answer << place
            };
            flip ^ views.iter().enumerate().map(bit).fold(0, |word, bit| word | bit)
        });
        BooleanBuffer::new(words.collect::<Vec<u64>>().into(), 0, views.len())
    }
}

impl fmt::Display for Equality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole.fmt(f)
    }
}

impl PhysicalExpr for Equality {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.column.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let column = self.column.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(texts) = column.as_string_view_opt() else {
            return exec_err!("{} is no text but {}", self.column, column.data_type());
        };
        let rows = BooleanArray::new(self.rows(texts), texts.nulls().cloned());
        Ok(ColumnarValue::Array(Arc::new(rows)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::ArrayRef;
    use arrow::datatypes::Field;
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ab]{0,3}",
            "[ab]".prop_map(|end| format!("twelve long{end}")),
            "[ab]".prop_map(|end| format!("a text that no view holds {end}")),
        ]
    }

    proptest! {
        #[test]
        fn views_say_what_texts_say(
            rows in prop::collection::vec((prop::option::weighted(0.9, text()), 1..4_usize), 0..40),
            wanted in text(),
            is_equal: bool,
        ) {
            let rows = rows.into_iter().flat_map(|(text, times)| vec![text; times]);
            let texts: StringViewArray = rows.collect();
            let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8View, true)]));
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(texts) as ArrayRef]).unwrap();
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new("text", 0));
            let wanted: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(ScalarValue::Utf8View(Some(wanted))));
            let operator = if is_equal { Operator::Eq } else { Operator::NotEq };
            let whole: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(column, operator, wanted));
            let ours = Equality::of(&whole, &schema).unwrap();
            let rows = batch.num_rows();
            let said = |part: &dyn PhysicalExpr| part.evaluate(&batch).unwrap().into_array(rows).unwrap();
            prop_assert_eq!(&said(&ours), &said(whole.as_ref()));
        }
    }
}
