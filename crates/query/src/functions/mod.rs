//! Our own SQL functions, one idea to a file. What each computes is told to users in `docs/sql-functions.md`.

mod arguments;
mod counter;
mod fill;
mod histogram;
mod increment;
mod percentile;
mod points;
mod rate;
mod severity;
mod span_weight;
mod text;
mod time_bucket;
mod time_buckets;
mod top_k;
mod trace;

use std::any::Any;
use std::sync::Arc;

pub(crate) use text::text_wanted;

use arrow::array::ArrayRef;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::WindowUDF;

/// Makes the functions known that are the same for every query.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    for function in [
        time_bucket::udf(),
        severity::udf(),
        span_weight::udf(),
        histogram::quantile(),
        histogram::at_most(),
        histogram::subtract(),
        histogram::exp_subtract(),
        text::udf(),
    ] {
        state.register_udf(Arc::new(function))?;
    }
    let others = histogram::merges().into_iter().chain([
        histogram::increase(),
        histogram::exp_increase(),
        top_k::udaf(),
    ]);
    for function in rate::udafs().into_iter().chain(percentile::udafs()).chain(others) {
        state.register_udaf(Arc::new(function))?;
    }
    for function in [fill::locf(), fill::interpolate(), increment::udwf(), histogram::increment()] {
        state.register_udwf(Arc::new(function))?;
    }
    state.register_udtf("time_buckets", Arc::new(time_buckets::TimeBuckets));
    Ok(())
}

/// What a window function says of rows of several series side by side: given its arguments, how many rows, and the
/// first row of each series, of which the first is nought.
pub(crate) type OverSeries = fn(&[ArrayRef], usize, &[usize]) -> Result<ArrayRef>;

/// The window function as one over many series at once, where it is one of ours that can.
pub(crate) fn over_series(function: &WindowUDF) -> Option<OverSeries> {
    let function: &dyn Any = function.inner().as_ref();
    if function.is::<increment::Increment>() {
        return Some(increment::over_series);
    }
    histogram::increments(function)
}

#[cfg(test)]
pub(crate) fn increment() -> WindowUDF {
    increment::udwf()
}

/// Makes the functions known that read this query's spans.
pub(crate) fn register_over_spans(state: &mut SessionState, spans: &Arc<dyn TableProvider>) {
    trace::register(state, spans);
}
