//! Long chains make deep trees: measured before anything walks them without watching its stack.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, SetExpr, Statement, Visit, Visitor};

use crate::limits::{SQL_CHAIN_MAX, SQL_SET_CHAIN_MAX};

/// Says which chain of the statement is too long, if one is.
pub(crate) fn too_long(statement: &Statement) -> Option<String> {
    let mut depth = Depth { expressions: 0 };
    match statement.visit(&mut depth) {
        ControlFlow::Break(message) => Some(message),
        ControlFlow::Continue(()) => None,
    }
}

struct Depth {
    expressions: usize,
}

impl Visitor for Depth {
    type Break = String;

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<String> {
        self.expressions += 1;
        if self.expressions > SQL_CHAIN_MAX {
            return ControlFlow::Break(format!(
                "SQL has a chain of more than {SQL_CHAIN_MAX} operators; use IN (…) or a join instead"
            ));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<String> {
        self.expressions -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        if set_chain(&query.body) > SQL_SET_CHAIN_MAX {
            return ControlFlow::Break(format!("SQL has a chain of more than {SQL_SET_CHAIN_MAX} UNIONs"));
        }
        ControlFlow::Continue(())
    }
}

/// Set operations leave the longer side on the left.
fn set_chain(body: &SetExpr) -> usize {
    let (mut body, mut length) = (body, 0);
    while let SetExpr::SetOperation { left, .. } = body {
        body = left;
        length += 1;
    }
    length
}
