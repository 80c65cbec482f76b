//! What one connection remembers: prepared statements, portals, its transaction.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::BytesMut;
use hindsight_model::SqlParam;
use hindsight_query::RowStream;
use tokio::sync::OnceCell;

use super::encode::{Format, Rows};
use super::fault::PgFault;
use super::message::{Bind, Column, say};
use super::statement::{Statement, Tag};
use super::types::{PgType, Scalar};
use super::{params, split};

/// Prepared statements of one connection.
pub(super) const STATEMENTS_MAX: usize = 256;
/// Bytes of their texts.
const STATEMENT_BYTES_MAX: usize = 1 << 20;
/// Portals of one connection.
pub(super) const PORTALS_MAX: usize = 64;
/// Parameters of one statement.
const PARAMETERS_MAX: usize = 1_000;

/// A statement that was parsed.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) sql: String,
    /// None for a text of nothing but comments.
    pub(super) statement: Option<Statement>,
    /// The types that the client gave the parameters; 0 leaves it to us.
    pub(super) declared: Vec<u32>,
    /// Filled when somebody asks, since it costs a planning.
    pub(super) described: OnceCell<Described>,
}

/// What is known of a statement before it runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Described {
    /// The type of each parameter, by its place.
    pub(super) parameters: Vec<u32>,
    /// None when it gives no rows, or when nobody can say before the parameters are known.
    pub(super) columns: Option<Vec<Column>>,
}

/// A statement with its parameters, perhaps half read.
#[derive(Debug)]
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) params: BTreeMap<String, SqlParam>,
    pub(super) formats: Vec<i16>,
    pub(super) cursor: Option<Cursor>,
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) columns: Vec<Column>,
    pub(super) formats: Vec<Format>,
    pub(super) source: Source,
    pub(super) tag: Tag,
    batch: Option<(Rows, usize)>,
    sent: u64,
}

#[derive(Debug)]
pub(super) enum Source {
    Fixed(Option<RecordBatch>),
    Query(Box<RowStream>),
}

impl Prepared {
    /// How many parameters the text has: the highest `$n` in it, or as many types as the client gave.
    pub(super) fn parameter_count(&self) -> usize {
        let numbered =
            split::words(&self.sql).into_iter().filter_map(|word| word.strip_prefix('$')?.parse().ok());
        let highest: usize = numbered.max().unwrap_or(0);
        highest.max(self.declared.len()).min(PARAMETERS_MAX)
    }

    /// The type of a parameter: the client's word before ours; 0 while nobody knows.
    pub(super) fn parameter_type(&self, at: usize) -> u32 {
        let declared = self.declared.get(at).copied().filter(|oid| *oid != 0 && *oid != params::UNKNOWN);
        let counts_rows = || self.counts_rows(at).then(|| Scalar::Int8.oid());
        let ours = || self.described.get().and_then(|described| described.parameters.get(at).copied());
        declared.or_else(counts_rows).or_else(ours).unwrap_or(0)
    }

    /// Whether it stands after LIMIT or OFFSET, of which the engine does not say that they want a number.
    fn counts_rows(&self, at: usize) -> bool {
        let name = format!("${}", at + 1);
        split::words(&self.sql).windows(2).any(|pair| {
            pair[1] == name && ["LIMIT", "OFFSET"].iter().any(|word| pair[0].eq_ignore_ascii_case(word))
        })
    }

    pub(super) fn has_untyped_parameters(&self) -> bool {
        (0..self.parameter_count()).any(|at| self.parameter_type(at) == 0)
    }

    /// The parameters of a bind, by the names that the engine knows them by.
    ///
    /// # Errors
    /// Another number of them than the statement has, or a value that cannot be read.
    pub(super) fn read(&self, bind: &Bind) -> Result<BTreeMap<String, SqlParam>, PgFault> {
        let wanted = self.parameter_count();
        if bind.parameters.len() != wanted {
            let given = bind.parameters.len();
            return Err(PgFault::new(
                "08P01",
                format!("{given} parameters were bound and the statement has {wanted}"),
            ));
        }
        let mut found = BTreeMap::new();
        for (at, value) in bind.parameters.iter().enumerate() {
            let format = format_of(&bind.parameter_formats, at);
            let value = match value {
                None => SqlParam::Null,
                Some(bytes) => params::read(at + 1, self.parameter_type(at), format, bytes)?,
            };
            found.insert((at + 1).to_string(), value);
        }
        Ok(found)
    }
}

/// None is text for all, one is for all, else each has its own.
pub(super) fn format_of(codes: &[i16], at: usize) -> Format {
    let code = match codes {
        [one] => *one,
        codes => codes.get(at).copied().unwrap_or(0),
    };
    if code == 1 { Format::Binary } else { Format::Text }
}

/// The columns of an answer as they are announced.
pub(super) fn columns_of(schema: &Schema) -> Vec<Column> {
    let column = |field: &Arc<arrow::datatypes::Field>| Column {
        name: field.name().clone(),
        kind: PgType::of(field.data_type()),
    };
    schema.fields().iter().map(column).collect()
}

impl Cursor {
    pub(super) fn new(columns: Vec<Column>, formats: &[i16], source: Source, tag: Tag) -> Self {
        let formats = (0..columns.len()).map(|at| format_of(formats, at)).collect();
        Self { columns, formats, source, tag, batch: None, sent: 0 }
    }

    /// Writes the next row; false after the last.
    ///
    /// # Errors
    /// What stopped the query.
    pub(super) async fn write_row(&mut self, out: &mut BytesMut) -> Result<bool, PgFault> {
        loop {
            if let Some((rows, at)) = &mut self.batch {
                if *at < rows.len() {
                    say::row(out, self.columns.len(), |out| rows.write(*at, out))?;
                    *at += 1;
                    self.sent += 1;
                    return Ok(true);
                }
                self.batch = None;
            }
            let next = match &mut self.source {
                Source::Fixed(batch) => batch.take(),
                Source::Query(rows) => rows.next().await.transpose().map_err(PgFault::from)?,
            };
            let Some(batch) = next else { return Ok(false) };
            let types: Vec<PgType> = self.columns.iter().map(|column| column.kind).collect();
            let formats = self.formats.clone();
            // Thousands of rows of JSON would hold an I/O thread for too long.
            let rows = tokio::task::spawn_blocking(move || Rows::new(&batch, &types, &formats));
            let rows =
                rows.await.map_err(|_| PgFault::new("XX000", "rows could not be encoded; see the log"))??;
            self.batch = Some((rows, 0));
        }
    }

    /// Whether the next row is there already, so that writing it waits for nobody.
    pub(super) fn has_row(&self) -> bool {
        self.batch.as_ref().is_some_and(|(rows, at)| *at < rows.len())
    }

    pub(super) fn completion(&self) -> String {
        match self.tag {
            Tag::Select => format!("SELECT {}", self.sent),
            Tag::Show => "SHOW".to_owned(),
            Tag::Explain => "EXPLAIN".to_owned(),
        }
    }

    /// PostgreSQL counts the rows of each part of a portal by itself.
    pub(super) fn count_anew(&mut self) {
        self.sent = 0;
    }
}

/// The statements and portals of one connection, within bounds.
#[derive(Debug, Default)]
pub(super) struct Names {
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
}

impl Names {
    /// Keeps a statement; the one without a name replaces the last such.
    pub(super) fn keep_statement(&mut self, name: String, prepared: Prepared) -> Result<(), PgFault> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(PgFault::new("42P05", format!("there is a prepared statement `{name}` already")));
        }
        let bytes: usize = self.statements.values().map(|kept| kept.sql.len()).sum();
        let full =
            self.statements.len() >= STATEMENTS_MAX || bytes + prepared.sql.len() > STATEMENT_BYTES_MAX;
        if full && !name.is_empty() {
            return Err(PgFault::new(
                "53400",
                format!(
                    "a connection keeps at most {STATEMENTS_MAX} statements of {STATEMENT_BYTES_MAX} bytes"
                ),
            )
            .hint("close some, or let the driver prepare fewer"));
        }
        self.statements.insert(name, Arc::new(prepared));
        Ok(())
    }

    pub(super) fn statement(&self, name: &str) -> Result<Arc<Prepared>, PgFault> {
        let found = self.statements.get(name).map(Arc::clone);
        found.ok_or_else(|| PgFault::new("26000", format!("there is no prepared statement `{name}`")))
    }

    pub(super) fn drop_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    pub(super) fn drop_statements(&mut self) {
        self.statements.clear();
    }

    pub(super) fn keep_portal(&mut self, name: String, portal: Portal) -> Result<(), PgFault> {
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(PgFault::new("42P03", format!("there is a portal `{name}` already")));
        }
        if self.portals.len() >= PORTALS_MAX && !name.is_empty() {
            return Err(PgFault::new("53400", format!("a connection keeps at most {PORTALS_MAX} portals")));
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    /// Takes a portal out, to be put back while it has more rows.
    pub(super) fn take_portal(&mut self, name: &str) -> Result<Portal, PgFault> {
        let found = self.portals.remove(name);
        found.ok_or_else(|| PgFault::new("34000", format!("there is no portal `{name}`")))
    }

    pub(super) fn put_back(&mut self, name: String, portal: Portal) {
        self.portals.insert(name, portal);
    }

    pub(super) fn drop_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    /// At the end of a transaction, and of a statement outside of one.
    pub(super) fn drop_portals(&mut self) {
        self.portals.clear();
    }
}
