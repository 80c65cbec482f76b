//! From text to one statement that only reads.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr, SetExpr, Statement as SqlStatement, Value, VisitMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::Tokenizer;
use hindsight_model::{SqlError, SqlParam};
use jiff::Timestamp;

use crate::limits::{SQL_BYTES_MAX, SQL_DEPTH_MAX, SQL_TOKENS_MAX};
use crate::params::Missing;
use crate::{chain, params};

/// Parses one reading statement and binds its parameters; `now` stands for those that the caller left out.
///
/// # Errors
/// [`SqlError::Invalid`] for anything else.
pub(crate) fn parse(
    sql: &str,
    values: &BTreeMap<String, SqlParam>,
    now: Timestamp,
) -> Result<Statement, SqlError> {
    parse_with(sql, values, now, Missing::Refuse)
}

/// The same, with parameters left open that have no value yet.
///
/// # Errors
/// [`SqlError::Invalid`] for anything but one reading statement.
pub(crate) fn parse_open(
    sql: &str,
    values: &BTreeMap<String, SqlParam>,
    now: Timestamp,
) -> Result<Statement, SqlError> {
    parse_with(sql, values, now, Missing::Leave)
}

fn parse_with(
    sql: &str,
    values: &BTreeMap<String, SqlParam>,
    now: Timestamp,
    missing: Missing,
) -> Result<Statement, SqlError> {
    let mut statement = only_one(parse_all(sql)?)?;
    check_reads(&statement)?;
    if let Some(inner) = inner(&mut statement) {
        if let Some(message) = chain::too_long(inner) {
            return Err(invalid(message));
        }
        name_keys(inner);
        params::bind(inner, values, now, missing)?;
    }
    Ok(statement)
}

/// Parses SQL of our own: a view.
pub(crate) fn parse_view(sql: &str) -> Result<Statement, SqlError> {
    parse(sql, &BTreeMap::new(), Timestamp::UNIX_EPOCH)
}

/// Whether the tables it names are all that it looks at; `SHOW` and `DESCRIBE` look at whatever there is.
pub(crate) fn is_query(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(statement) => {
            matches!(statement.as_ref(), SqlStatement::Query(_) | SqlStatement::Explain { .. })
        }
        Statement::Explain(explain) => is_query(&explain.statement),
        _ => false,
    }
}

fn parse_all(sql: &str) -> Result<VecDeque<Statement>, SqlError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(invalid(format!("SQL text has {} bytes; the limit is {SQL_BYTES_MAX}", sql.len())));
    }
    // The dialect in which `a->>'k' = 'v'` compares the attribute, as in PostgreSQL, rather than the key.
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|error| invalid(format!("SQL syntax: {error}")))?;
    if tokens.len() > SQL_TOKENS_MAX {
        return Err(invalid(format!(
            "SQL text has {} words and signs; the limit is {SQL_TOKENS_MAX}",
            tokens.len()
        )));
    }
    let mut parser: DFParser<'_> = DFParserBuilder::new(tokens)
        .with_dialect(&dialect)
        .with_recursion_limit(SQL_DEPTH_MAX)
        .build()
        .map_err(|error| syntax(&error))?;
    parser.parse_statements().map_err(|error| syntax(&error))
}

fn only_one(mut statements: VecDeque<Statement>) -> Result<Statement, SqlError> {
    match (statements.pop_front(), statements.len()) {
        (None, _) => Err(invalid("SQL text is empty; write a SELECT".to_owned())),
        (Some(statement), 0) => Ok(statement),
        (Some(_), more) => Err(invalid(format!("SQL text has {} statements; send exactly one", more + 1))),
    }
}

fn check_reads(statement: &Statement) -> Result<(), SqlError> {
    match statement {
        Statement::Statement(statement) => check_sql_reads(statement),
        Statement::Explain(explain) => check_reads(&explain.statement),
        Statement::CreateExternalTable(_) => Err(refused("CREATE EXTERNAL TABLE")),
        Statement::CopyTo(_) => Err(refused("COPY")),
        Statement::Reset(_) => Err(refused("RESET")),
    }
}

fn check_sql_reads(statement: &SqlStatement) -> Result<(), SqlError> {
    match statement {
        SqlStatement::Query(query) => check_query_reads(&query.body),
        SqlStatement::Explain { statement, .. } => check_sql_reads(statement),
        SqlStatement::ExplainTable { .. }
        | SqlStatement::ShowTables { .. }
        | SqlStatement::ShowColumns { .. }
        | SqlStatement::ShowFunctions { .. }
        | SqlStatement::ShowVariable { .. } => Ok(()),
        other => Err(refused(first_words(&other.to_string()))),
    }
}

/// Changes hidden in a query: `WITH … INSERT`, `SELECT … INTO`.
fn check_query_reads(body: &SetExpr) -> Result<(), SqlError> {
    match body {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Err(refused("a query that changes rows"))
        }
        SetExpr::Select(select) if select.into.is_some() => Err(refused("SELECT INTO")),
        _ => Ok(()),
    }
}

fn refused(what: &str) -> SqlError {
    invalid(format!(
        "{what} is refused: queries only read; use SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS or DESCRIBE"
    ))
}

fn first_words(statement: &str) -> &str {
    let end = statement.match_indices(' ').nth(1).map_or(statement.len(), |(at, _)| at);
    &statement[..end.min(statement.floor_char_boundary(40))]
}

/// The part of a statement that expressions are in.
fn inner(statement: &mut Statement) -> Option<&mut SqlStatement> {
    match statement {
        Statement::Statement(statement) => Some(statement),
        Statement::Explain(explain) => inner(&mut explain.statement),
        _ => None,
    }
}

/// `attributes->>http.route` and `attributes->>"http.route"` mean the key `http.route`, never a column.
fn name_keys<S: VisitMut>(statement: &mut S) {
    let _: ControlFlow<()> = ast::visit_expressions_mut(statement, |expr| {
        if let Expr::BinaryOp { op: BinaryOperator::LongArrow | BinaryOperator::Arrow, right, .. } = expr
            && let Some(key) = written_name(right)
        {
            **right = Expr::value(Value::SingleQuotedString(key));
        }
        ControlFlow::Continue(())
    });
}

fn written_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(name.value.clone()),
        Expr::CompoundIdentifier(names) => {
            Some(names.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join("."))
        }
        _ => None,
    }
}

fn syntax(error: &DataFusionError) -> SqlError {
    let mut root = error;
    while let DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) = root {
        root = inner;
    }
    invalid(match root {
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::RecursionLimitExceeded => {
                format!(
                    "SQL is nested deeper than {SQL_DEPTH_MAX} levels; flatten parentheses and subqueries"
                )
            }
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => {
                format!("SQL syntax: {text}")
            }
        },
        other => format!("SQL syntax: {}", other.message()),
    })
}

fn invalid(message: String) -> SqlError {
    SqlError::Invalid { message }
}
