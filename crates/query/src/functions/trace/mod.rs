//! `trace_tree('id')` and `critical_path('id')`: table functions over the spans of one trace.
//!
//! Each is a plan over `spans`, as a view is: what rules out files by trace id works here too.

mod nodes;
mod tree;

use std::sync::Arc;

use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};

const NODES: &str = "nodes";

/// Makes the functions known over this query's spans.
pub(super) fn register(state: &mut SessionState, spans: &Arc<dyn TableProvider>) {
    for which in [Which::Tree, Which::Critical] {
        let name = which.name();
        state.register_udtf(name, Arc::new(OfTrace { which, spans: Arc::clone(spans) }));
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    Tree,
    Critical,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Self::Tree => "trace_tree",
            Self::Critical => "critical_path",
        }
    }
}

#[derive(Debug)]
struct OfTrace {
    which: Which,
    spans: Arc<dyn TableProvider>,
}

impl TableFunctionImpl for OfTrace {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let [Expr::Literal(ScalarValue::Utf8(Some(id)) | ScalarValue::Utf8View(Some(id)), _)] = args.exprs()
        else {
            return plan_err!("{0} takes one trace id, not a column: {0}('4bf92f…')", self.which.name());
        };
        let input = nodes::INPUT.into_iter().map(col).collect();
        let plan = LogicalPlanBuilder::scan("spans", provider_as_source(Arc::clone(&self.spans)), None)?
            .filter(col("trace_id").eq(lit(id.to_ascii_lowercase())))?
            .aggregate(Vec::<Expr>::new(), [nodes::udaf().call(input).alias(NODES)])?
            .unnest_column(NODES)?
            .project(nodes::OUTPUT.into_iter().map(|name| get_field(col(NODES), name).alias(name)))?;
        let plan = match self.which {
            Which::Tree => plan,
            Which::Critical => plan.filter(col("critical_nano").gt(lit(0_i64)))?,
        };
        Ok(Arc::new(ViewTable::new(plan.build()?, None)))
    }
}
