//! The functions of a window, over rows of several series side by side.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat;
use datafusion::common::{Result, internal_err};
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_plan::windows::WindowUDFExpr;

use crate::functions::{OverSeries, over_series};

/// The functions that are asked of the same rows.
#[derive(Debug)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug)]
struct Call {
    function: Arc<dyn WindowExpr>,
    /// Asks it of many series at once.
    at_once: Option<OverSeries>,
}

impl Calls {
    /// `None` when one looks at a part of its series for each row, which the engine does better.
    pub(super) fn of(functions: &[Arc<dyn WindowExpr>]) -> Result<Option<Self>> {
        let mut calls = Vec::with_capacity(functions.len());
        for function in functions {
            let Some(standard) = function.as_any().downcast_ref::<StandardWindowExpr>() else {
                return Ok(None);
            };
            let standard = standard.get_standard_func_expr();
            if standard.create_evaluator()?.uses_window_frame() {
                return Ok(None);
            }
            let at_once = standard.as_any().downcast_ref::<WindowUDFExpr>();
            let at_once = at_once.and_then(|function| over_series(function.fun()));
            calls.push(Call { function: Arc::clone(function), at_once });
        }
        Ok(Some(Self(calls)))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|call| call.function.name())
    }

    /// What each function says of the rows; `begins` has the first row of each series, which all end among them.
    pub(super) fn over(&self, rows: &RecordBatch, begins: &[usize]) -> Result<Vec<ArrayRef>> {
        self.0.iter().map(|call| call.over(rows, begins)).collect()
    }
}

impl Call {
    fn over(&self, rows: &RecordBatch, begins: &[usize]) -> Result<ArrayRef> {
        let said = match self.at_once {
            Some(at_once) => at_once(&self.function.evaluate_args(rows)?, rows.num_rows(), begins)?,
            None => {
                let ends = begins.iter().skip(1).copied().chain([rows.num_rows()]);
                let each = begins
                    .iter()
                    .zip(ends)
                    .map(|(begin, end)| self.function.evaluate(&rows.slice(*begin, end - begin)));
                let each = each.collect::<Result<Vec<_>>>()?;
                match each.as_slice() {
                    [one] => Arc::clone(one),
                    each => concat(&each.iter().map(AsRef::as_ref).collect::<Vec<_>>())?,
                }
            }
        };
        if said.len() != rows.num_rows() {
            return internal_err!(
                "{} gave {} values for {} rows",
                self.function.name(),
                said.len(),
                rows.num_rows()
            );
        }
        Ok(said)
    }
}
