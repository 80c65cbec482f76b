//! Joins give other queries a turn, and notice that they were cancelled.
//!
//! The engine gives up its thread where it reads, after so many batches read. A join may make a billion rows of one
//! batch, and would hold its thread through all of them, long after its query was given up. So each batch that a join
//! makes counts as well.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

/// Operators that make many rows of few.
const MULTIPLYING: [&str; 7] = [
    "CrossJoinExec",
    "HashJoinExec",
    "NestedLoopJoinExec",
    "PiecewiseMergeJoinExec",
    "SortMergeJoinExec",
    "SymmetricHashJoinExec",
    "UnnestExec",
];

/// Puts a point to yield above each of [`MULTIPLYING`]; comes last of the rules.
#[derive(Debug)]
pub(crate) struct YieldAfterJoins;

impl PhysicalOptimizerRule for YieldAfterJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let wrap = |plan: Arc<dyn ExecutionPlan>| {
            if MULTIPLYING.contains(&plan.name()) {
                let yielding: Arc<dyn ExecutionPlan> = Arc::new(CooperativeExec::new(plan));
                return Ok(Transformed::yes(yielding));
            }
            Ok(Transformed::no(plan))
        };
        plan.transform_up(wrap).data()
    }

    fn name(&self) -> &'static str {
        "yield_after_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
