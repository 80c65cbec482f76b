//! One client from its first byte to its last.

use std::collections::BTreeMap;
use std::sync::Arc;

use hindsight_model::{Clearance, SqlParam, SqlRequest, Tenant};
use hindsight_query::Description;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Port;
use super::cancel::Cancels;
use super::constants::TOLD;
use super::fault::PgFault;
use super::message::{Bind, Column, Kind, MESSAGE_BYTES_MAX, Opening, STARTUP_BYTES_MAX, Said, say};
use super::session::{Cursor, Described, Names, Portal, Prepared, Source, columns_of};
use super::statement::{self, Asker, Command, Statement, Tag};
use super::types::{PgType, Scalar};
use super::wire::{End, Gone, Wire};
use super::{params, split};

/// Refusals of encryption before a client must begin: TLS, GSS, and once more.
const ENCRYPTIONS_MAX: usize = 3;

/// Serves one connection until it ends.
pub(super) async fn run(stream: TcpStream, port: Arc<Port>, stop: CancellationToken) {
    // Answers are gathered before they are sent.
    let _ = stream.set_nodelay(true);
    let mut wire = Wire::new(stream, port.idle_timeout);
    let started = tokio::time::timeout(port.header_timeout, start(&mut wire, &port)).await;
    let (asker, entered) = match started {
        Ok(Ok(Some(started))) => started,
        Ok(Err(End::Fault(fault))) => return refuse(&mut wire, fault).await,
        _ => return,
    };
    let names = Names::default();
    let mut connection = Connection {
        wire,
        port,
        asker,
        names,
        transaction: Transaction::None,
        skipping: false,
        _entered: entered,
    };
    if let Err(End::Fault(fault)) = connection.serve(&stop).await {
        refuse(&mut connection.wire, fault).await;
    }
}

/// Tells a client why nothing comes after this.
pub(super) async fn refuse(wire: &mut Wire, fault: PgFault) {
    say::fault(&mut wire.out, &fault.fatal());
    let _ = wire.flush().await;
}

/// Reads up to the wish to begin; `None` when it was a cancel request.
pub(super) async fn hear_opening(
    wire: &mut Wire,
    port: &Port,
) -> Result<Option<(u32, Vec<(String, String)>)>, End> {
    for _ in 0..ENCRYPTIONS_MAX {
        match wire.opening().await? {
            Opening::Encrypt { tls: wanted } => match &port.tls {
                Some(acceptor) if wanted && !wire.is_encrypted() => wire.encrypt(acceptor).await?,
                _ => wire.refuse_encryption().await?,
            },
            Opening::Cancel { pid, secret } => {
                port.cancels.cancel(pid, secret, &port.query);
                return Ok(None);
            }
            // Cancel requests may come in the clear, as libpq sends them: they carry a secret of their own.
            Opening::Start { .. } if port.tls.is_some() && !wire.is_encrypted() => {
                let fault =
                    PgFault::new("28000", "this port is encrypted").hint("connect with sslmode=require");
                return Err(fault.into());
            }
            Opening::Start { minor, settings } => return Ok(Some((minor, settings))),
        }
    }
    Err(PgFault::protocol("encryption was refused; begin without it").into())
}

async fn start(wire: &mut Wire, port: &Arc<Port>) -> Result<Option<(Asker, Entered)>, End> {
    let Some((minor, settings)) = hear_opening(wire, port).await? else { return Ok(None) };
    let unknown: Vec<&str> =
        settings.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with("_pq_.")).collect();
    if minor > 0 || !unknown.is_empty() {
        say::only_3_0(&mut wire.out, &unknown);
    }
    let setting =
        |name: &str| settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let user = setting("user").unwrap_or_default();
    let clearance = check_password(wire, port, &user).await?;
    let (pid, secret) = port.cancels.enter();
    let entered = Entered { cancels: Arc::clone(&port.cancels), pid };
    let database =
        setting("database").filter(|name| !name.is_empty()).unwrap_or_else(|| "hindsight".to_owned());
    say::welcome(&mut wire.out);
    for (name, value) in TOLD {
        say::setting(&mut wire.out, name, value);
    }
    say::setting(&mut wire.out, "session_authorization", &user);
    say::setting(&mut wire.out, "application_name", &setting("application_name").unwrap_or_default());
    say::key(&mut wire.out, pid, secret);
    say::ready(&mut wire.out, Transaction::None.letter());
    wire.flush().await?;
    Ok(Some((Asker { user, database, pid, clearance, statement_timeout: None }, entered)))
}

/// SEC-1: a token is the password, of any user. What it may see.
async fn check_password(wire: &mut Wire, port: &Port, user: &str) -> Result<Clearance, End> {
    let refused = || {
        let message = format!("password authentication failed for user \"{user}\"");
        PgFault::new("28P01", message).hint("the password is the server's token; any user will do")
    };
    if !port.access.is_guarded() {
        return port.access.admit(None).ok_or_else(|| refused().into());
    }
    say::ask_for_password(&mut wire.out);
    wire.flush().await?;
    match wire.next(STARTUP_BYTES_MAX).await? {
        Said::Password(password) => port.access.admit(Some(&password)).ok_or_else(|| refused().into()),
        _ => Err(PgFault::protocol("a password was expected").into()),
    }
}

/// A place in the list of who can be cancelled.
#[derive(Debug)]
struct Entered {
    cancels: Arc<Cancels>,
    pid: i32,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.cancels.leave(self.pid);
    }
}

/// Nothing is written, so a transaction is only what the client believes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transaction {
    None,
    Open,
    Failed,
}

impl Transaction {
    fn letter(self) -> u8 {
        match self {
            Self::None => b'I',
            Self::Open => b'T',
            Self::Failed => b'E',
        }
    }
}

struct Connection {
    wire: Wire,
    port: Arc<Port>,
    asker: Asker,
    names: Names,
    transaction: Transaction,
    /// After a fault in a row of messages, up to the Sync that ends it.
    skipping: bool,
    _entered: Entered,
}

impl Connection {
    async fn serve(&mut self, stop: &CancellationToken) -> Result<(), End> {
        loop {
            let heard = tokio::time::timeout(self.port.idle_timeout, self.wire.next(MESSAGE_BYTES_MAX));
            let said = tokio::select! {
                () = stop.cancelled() => {
                    return Err(PgFault::new("57P01", "the server is stopping").into());
                }
                heard = heard => heard.unwrap_or_else(|_| {
                    let limit = self.port.idle_timeout;
                    Err(PgFault::new("57P05", format!("the connection said nothing for {limit:?}")).into())
                })?,
            };
            match said {
                Said::Terminate => return Ok(()),
                Said::Sync => self.sync().await?,
                Said::Query(sql) => {
                    let outcome = self.simple(&sql).await;
                    self.tell(outcome)?;
                    self.sync().await?;
                }
                _ if self.skipping => {}
                said => {
                    let outcome = self.extended(said).await;
                    self.skipping = outcome.is_err();
                    self.tell(outcome)?;
                    self.wire.flush_if_much().await?;
                }
            }
        }
    }

    /// A fault of a statement is told, and the connection goes on; others end it.
    fn tell(&mut self, outcome: Result<(), End>) -> Result<(), End> {
        match outcome {
            Err(End::Fault(fault)) if !fault.fatal => {
                say::fault(&mut self.wire.out, &fault);
                if self.transaction == Transaction::Open {
                    self.transaction = Transaction::Failed;
                }
                Ok(())
            }
            other => other,
        }
    }

    /// The end of a statement, or of a row of messages.
    async fn sync(&mut self) -> Result<(), End> {
        self.skipping = false;
        if self.transaction != Transaction::Open {
            self.names.drop_portals();
            self.port.cancels.runs(self.asker.pid, None);
        }
        say::ready(&mut self.wire.out, self.transaction.letter());
        Ok(self.wire.flush().await?)
    }

    /// A text of any number of statements; the first fault ends it.
    async fn simple(&mut self, sql: &str) -> Result<(), End> {
        let statements = split::statements(sql);
        if statements.is_empty() {
            say::empty_query(&mut self.wire.out);
        }
        for sql in statements {
            let statement = self.sort(sql)?;
            if let Statement::Command(command) = &statement {
                self.obey(command);
                continue;
            }
            let mut cursor = self.open(sql, &statement, BTreeMap::new(), &[], None).await?;
            say::columns(&mut self.wire.out, &cursor.columns, &cursor.formats);
            self.send(&mut cursor, 0).await?;
            say::complete(&mut self.wire.out, &cursor.completion());
        }
        Ok(())
    }

    fn sort(&self, sql: &str) -> Result<Statement, PgFault> {
        let sorted = statement::sort(sql, &self.asker, self.port.query.tables());
        self.check_transaction(sorted.as_ref().ok())?;
        sorted
    }

    fn check_transaction(&self, statement: Option<&Statement>) -> Result<(), PgFault> {
        let ends = matches!(statement, Some(Statement::Command(Command::Commit | Command::Rollback)));
        if self.transaction == Transaction::Failed && !ends {
            return Err(PgFault::new(
                "25P02",
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        Ok(())
    }

    fn obey(&mut self, command: &Command) {
        let tag = match command {
            Command::Begin => {
                self.transaction = Transaction::Open;
                "BEGIN"
            }
            Command::Commit | Command::Rollback => {
                let good = *command == Command::Commit && self.transaction != Transaction::Failed;
                self.transaction = Transaction::None;
                self.names.drop_portals();
                if good { "COMMIT" } else { "ROLLBACK" }
            }
            Command::Nothing(tag) | Command::Set(tag) => tag,
            Command::StatementTimeout(limit) => {
                self.asker.statement_timeout = *limit;
                "SET"
            }
            Command::Deallocate(Some(name)) => {
                self.names.drop_statement(name);
                "DEALLOCATE"
            }
            Command::Deallocate(None) => {
                self.names.drop_statements();
                "DEALLOCATE ALL"
            }
            Command::DiscardAll => {
                self.names.drop_statements();
                self.names.drop_portals();
                self.asker.statement_timeout = None;
                "DISCARD ALL"
            }
        };
        say::complete(&mut self.wire.out, tag);
    }

    /// Begins a statement that gives rows.
    async fn open(
        &mut self,
        sql: &str,
        statement: &Statement,
        params: BTreeMap<String, SqlParam>,
        formats: &[i16],
        promised: Option<&[Column]>,
    ) -> Result<Cursor, End> {
        let tag = match statement {
            Statement::Fixed { rows, tag } => {
                let columns = columns_of(&rows.schema());
                return Ok(Cursor::new(columns, formats, Source::Fixed(Some(rows.clone())), *tag));
            }
            Statement::Query { tag } => *tag,
            Statement::Command(_) => Tag::Select,
        };
        let request = SqlRequest::new(sql).tenant(Tenant::default());
        let mut request = request.clearance(self.asker.clearance);
        request.params = params;
        request.timeout = self.asker.statement_timeout;
        let pending = self.port.query.begin(request);
        self.port.cancels.runs(self.asker.pid, Some(pending.id()));
        let rows = tokio::select! {
            rows = pending.rows() => rows.map_err(PgFault::from)?,
            gone = self.wire.gone() => return Err(gone.into()),
        };
        let mut columns = columns_of(rows.schema());
        if let Some(promised) = promised {
            if promised.len() != columns.len() {
                return Err(
                    PgFault::unsupported("the statement's columns have changed; prepare it again").into()
                );
            }
            columns = promised.to_vec();
        }
        Ok(Cursor::new(columns, formats, Source::Query(Box::new(rows)), tag))
    }

    /// Sends up to `rows_max` rows, 0 for all; true when it stopped there.
    async fn send(&mut self, cursor: &mut Cursor, rows_max: usize) -> Result<bool, End> {
        let mut sent = 0;
        loop {
            if rows_max > 0 && sent == rows_max {
                return Ok(true);
            }
            let mut out = std::mem::take(&mut self.wire.out);
            let row = if cursor.has_row() {
                cursor.write_row(&mut out).await
            } else {
                tokio::select! {
                    row = cursor.write_row(&mut out) => row,
                    Gone = self.wire.gone() => return Err(End::Gone),
                }
            };
            self.wire.out = out;
            if !row? {
                return Ok(false);
            }
            sent += 1;
            self.wire.flush_if_much().await?;
        }
    }

    /// One message of the extended protocol.
    async fn extended(&mut self, said: Said) -> Result<(), End> {
        match said {
            Said::Parse { name, sql, types } => Ok(self.parse(name, &sql, types)?),
            Said::Bind(bind) => self.bind(bind).await,
            Said::Describe { kind: Kind::Statement, name } => self.describe_statement(&name).await,
            Said::Describe { kind: Kind::Portal, name } => self.describe_portal(name).await,
            Said::Execute { portal, rows_max } => self.execute(portal, rows_max).await,
            Said::Close { kind, name } => {
                match kind {
                    Kind::Statement => self.names.drop_statement(&name),
                    Kind::Portal => self.names.drop_portal(&name),
                }
                say::closed(&mut self.wire.out);
                Ok(())
            }
            Said::Flush => Ok(self.wire.flush().await?),
            Said::Password(_) => Err(PgFault::protocol("nobody asked for a password").into()),
            // Seen by `serve`.
            Said::Query(_) | Said::Sync | Said::Terminate => Ok(()),
        }
    }

    fn parse(&mut self, name: String, sql: &str, declared: Vec<u32>) -> Result<(), PgFault> {
        let statements = split::statements(sql);
        let (sql, statement) = match statements[..] {
            [] => (String::new(), None),
            [one] => (one.to_owned(), Some(self.sort(one)?)),
            _ => {
                return Err(PgFault::new(
                    "42601",
                    "cannot insert multiple commands into a prepared statement",
                ));
            }
        };
        let prepared = Prepared { sql, statement, declared, described: tokio::sync::OnceCell::new() };
        self.names.keep_statement(name, prepared)?;
        say::parsed(&mut self.wire.out);
        Ok(())
    }

    async fn bind(&mut self, bind: Bind) -> Result<(), End> {
        let prepared = self.names.statement(&bind.statement)?;
        if prepared.has_untyped_parameters() {
            // What is wrong with the statement is told when it runs.
            let _ = self.described(&prepared).await;
        }
        let params = prepared.read(&bind)?;
        let portal = Portal { prepared, params, formats: bind.result_formats, cursor: None };
        self.names.keep_portal(bind.portal, portal)?;
        say::bound(&mut self.wire.out);
        Ok(())
    }

    async fn describe_statement(&mut self, name: &str) -> Result<(), End> {
        let prepared = self.names.statement(name)?;
        let described = self.described(&prepared).await?.clone();
        say::parameters(&mut self.wire.out, &described.parameters);
        match &described.columns {
            // The client says at Bind in which format it wants them.
            Some(columns) => {
                let formats = vec![super::encode::Format::Text; columns.len()];
                say::columns(&mut self.wire.out, columns, &formats);
            }
            None => say::no_rows_to_come(&mut self.wire.out),
        }
        Ok(())
    }

    /// The parameters are known, so the query begins, and its own columns are told.
    async fn describe_portal(&mut self, name: String) -> Result<(), End> {
        let mut portal = self.names.take_portal(&name)?;
        self.begin(&mut portal).await?;
        match &portal.cursor {
            Some(cursor) => say::columns(&mut self.wire.out, &cursor.columns, &cursor.formats),
            None => say::no_rows_to_come(&mut self.wire.out),
        }
        self.names.put_back(name, portal);
        Ok(())
    }

    /// Opens the portal's rows, if it has not yet and gives any.
    async fn begin(&mut self, portal: &mut Portal) -> Result<(), End> {
        let prepared = Arc::clone(&portal.prepared);
        self.check_transaction(prepared.statement.as_ref())?;
        let Some(statement @ (Statement::Fixed { .. } | Statement::Query { .. })) = &prepared.statement
        else {
            return Ok(());
        };
        if portal.cursor.is_none() {
            let promised = prepared.described.get().and_then(|described| described.columns.as_deref());
            let params = std::mem::take(&mut portal.params);
            let cursor = self.open(&prepared.sql, statement, params, &portal.formats, promised).await?;
            portal.cursor = Some(cursor);
        }
        Ok(())
    }

    async fn execute(&mut self, name: String, rows_max: usize) -> Result<(), End> {
        let mut portal = self.names.take_portal(&name)?;
        self.begin(&mut portal).await?;
        let prepared = Arc::clone(&portal.prepared);
        let Some(cursor) = &mut portal.cursor else {
            match &prepared.statement {
                Some(Statement::Command(command)) => self.obey(command),
                _ => say::empty_query(&mut self.wire.out),
            }
            return Ok(());
        };
        cursor.count_anew();
        if self.send(cursor, rows_max).await? {
            say::suspended(&mut self.wire.out);
            self.names.put_back(name, portal);
        } else {
            say::complete(&mut self.wire.out, &cursor.completion());
        }
        Ok(())
    }

    /// What a statement takes and gives, planned once.
    async fn described<'a>(&self, prepared: &'a Prepared) -> Result<&'a Described, PgFault> {
        prepared.described.get_or_try_init(|| self.plan(prepared)).await
    }

    async fn plan(&self, prepared: &Prepared) -> Result<Described, PgFault> {
        match &prepared.statement {
            None | Some(Statement::Command(_)) => return Ok(Described::default()),
            Some(Statement::Fixed { rows, .. }) => {
                return Ok(Described { parameters: Vec::new(), columns: Some(columns_of(&rows.schema())) });
            }
            Some(Statement::Query { .. }) => {}
        }
        let count = prepared.parameter_count();
        let mut request = SqlRequest::new(&prepared.sql).tenant(Tenant::default());
        for at in 0..count {
            if let Some(value) = params::example(prepared.parameter_type(at)) {
                request = request.param((at + 1).to_string(), value);
            }
        }
        let found = match self.port.query.describe(request.clone()).await {
            Ok(found) => found,
            // The type of the answer hangs on a parameter of unknown type: such a one is text.
            Err(_) if request.params.len() < count => {
                for at in 0..count {
                    let name = (at + 1).to_string();
                    request.params.entry(name).or_insert_with(|| SqlParam::Text(String::new()));
                }
                self.port.query.describe(request).await?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Described {
            parameters: (0..count).map(|at| parameter_type(prepared, &found, at)).collect(),
            columns: Some(columns_of(&found.schema)),
        })
    }
}

fn parameter_type(prepared: &Prepared, found: &Description, at: usize) -> u32 {
    match prepared.parameter_type(at) {
        0 => {
            let inferred = found.params.get(&(at + 1).to_string()).and_then(Option::as_ref);
            inferred.map_or(Scalar::Text.oid(), |kind| PgType::of(kind).oid())
        }
        declared => declared,
    }
}
