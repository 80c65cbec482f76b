//! Attributes that have a typed column of their own (DESIGN §7): a fixed list, which grows from one version of the
//! program to the next and never loses a name, and behind it what the operator [promotes](crate::promote).

use std::ops::Deref;
use std::sync::OnceLock;

use arrow::datatypes::DataType;

use crate::Table;
use crate::promotion::{self, Promotion, PromotionError};

/// The type that a promoted attribute's column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromotedKind {
    /// `VARCHAR`; takes string values only.
    String,
    /// `BIGINT`; takes int values only.
    Int,
}

impl PromotedKind {
    /// The Arrow type of the column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::String => DataType::Utf8,
            Self::Int => DataType::Int64,
        }
    }
}

/// A well-known attribute that has a typed column of its own.
///
/// A value of the promoted type moves to the column and leaves the JSON; a value of another type stays in the
/// JSON, so nothing is dropped and the way back to OTLP is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promoted {
    /// OTel attribute name.
    pub attribute: &'static str,
    /// Column name.
    pub column: &'static str,
    /// Column type.
    pub kind: PromotedKind,
    /// The version of the list that has it first.
    pub since: Since,
}

/// When an attribute was promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// In this version of the fixed list.
    Version(u32),
    /// By the operator; what the documentation of tables says of the column.
    Operator(&'static str),
}

const fn text(attribute: &'static str, column: &'static str) -> Promoted {
    Promoted { attribute, column, kind: PromotedKind::String, since: Since::Version(1) }
}

const fn int(attribute: &'static str, column: &'static str) -> Promoted {
    Promoted { attribute, column, kind: PromotedKind::Int, since: Since::Version(1) }
}

impl Promoted {
    const fn since(self, version: u32) -> Self {
        Self { since: Since::Version(version), ..self }
    }

    /// For as long as the process lives.
    pub(crate) fn of_operator(attribute: &str, column: &str, kind: PromotedKind) -> Self {
        let keep = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        let doc = keep(format!("attribute {attribute}, promoted by your configuration"));
        let (attribute, column) = (keep(attribute.to_owned()), keep(column.to_owned()));
        Self { attribute, column, kind, since: Since::Operator(doc) }
    }
}

/// The version of the lists below. Rows written under an earlier one may have in the JSON what has a column now.
const VERSION: u32 = 2;
/// How rows of version 1 were marked.
const MARK_OF_1: &str = "true";

/// Resource attributes with a column on every signal table.
pub const RESOURCE_PROMOTED: &[Promoted] = &[
    text("service.name", "service_name"),
    text("service.namespace", "service_namespace"),
    text("service.instance.id", "service_instance_id"),
    text("service.version", "service_version"),
    text("deployment.environment.name", "deployment_environment_name"),
    text("host.name", "host_name"),
    text("k8s.namespace.name", "k8s_namespace_name"),
    text("k8s.pod.name", "k8s_pod_name"),
];

/// Span attributes with a column on `spans` (semantic conventions: HTTP, RPC, database, messaging, error, and who was
/// affected).
const SPANS: &[Promoted] = &[
    text("http.request.method", "http_request_method"),
    text("http.route", "http_route"),
    int("http.response.status_code", "http_response_status_code"),
    text("url.path", "url_path"),
    text("url.full", "url_full"),
    text("server.address", "server_address"),
    int("server.port", "server_port"),
    text("rpc.system", "rpc_system"),
    text("rpc.service", "rpc_service"),
    text("rpc.method", "rpc_method"),
    int("rpc.grpc.status_code", "rpc_grpc_status_code"),
    text("db.system.name", "db_system_name"),
    text("db.namespace", "db_namespace"),
    text("db.operation.name", "db_operation_name"),
    text("db.query.text", "db_query_text"),
    text("messaging.system", "messaging_system"),
    text("messaging.destination.name", "messaging_destination_name"),
    text("messaging.operation.name", "messaging_operation_name"),
    text("peer.service", "peer_service"),
    text("error.type", "error_type"),
    text("client.address", "client_address").since(2),
    text("enduser.id", "enduser_id").since(2),
    text("user.id", "user_id").since(2),
    text("session.id", "session_id").since(2),
];

/// Log attributes with a column on `logs`.
const LOGS: &[Promoted] = &[
    text("exception.type", "exception_type"),
    text("exception.message", "exception_message"),
    text("exception.stacktrace", "exception_stacktrace"),
    text("enduser.id", "enduser_id").since(2),
    text("user.id", "user_id").since(2),
    text("session.id", "session_id").since(2),
];

/// The list of a table that every process has.
pub(crate) fn fixed(table: Table) -> &'static [Promoted] {
    match table {
        Table::Spans => SPANS,
        Table::Logs => LOGS,
        _ => &[],
    }
}

/// The promoted attributes of a table's records, in the order of their columns. Of metrics' points there are none:
/// labels of series are too varied to guess.
#[derive(Debug)]
pub struct PromotedList {
    all: Vec<Promoted>,
    /// Positions by the length of the name: most names are ruled out by that alone.
    by_length: Vec<Vec<usize>>,
}

impl PromotedList {
    fn new(all: Vec<Promoted>) -> Self {
        let longest = all.iter().map(|promoted| promoted.attribute.len()).max().unwrap_or(0);
        let mut by_length = vec![Vec::new(); longest + 1];
        for (position, promoted) in all.iter().enumerate() {
            by_length[promoted.attribute.len()].push(position);
        }
        Self { all, by_length }
    }

    /// Where in the list the attribute of this name is.
    pub fn position(&self, attribute: &str) -> Option<usize> {
        let candidates = self.by_length.get(attribute.len())?;
        candidates.iter().copied().find(|position| self.all[*position].attribute == attribute)
    }

    fn mark(&self) -> String {
        let is_first = |promoted: &Promoted| promoted.since == Since::Version(1);
        if self.all.iter().all(is_first) {
            return MARK_OF_1.to_owned();
        }
        let operators = self.all.iter().filter(|promoted| matches!(promoted.since, Since::Operator(_)));
        operators.fold(VERSION.to_string(), |mark, promoted| format!("{mark} {}", promoted.attribute))
    }

    fn is_within(&self, mark: &str) -> bool {
        let mut words = mark.split(' ');
        let version =
            words.next().and_then(|word| if word == MARK_OF_1 { Some(1) } else { word.parse().ok() });
        let names: Vec<&str> = words.collect();
        let is_within = |promoted: &Promoted| match promoted.since {
            Since::Version(since) => version.is_some_and(|version: u32| since <= version),
            Since::Operator(_) => false,
        };
        version.is_some()
            && self.all.iter().all(|promoted| is_within(promoted) || names.contains(&promoted.attribute))
    }
}

impl Deref for PromotedList {
    type Target = [Promoted];

    fn deref(&self) -> &[Promoted] {
        &self.all
    }
}

type Lists = [PromotedList; Table::ALL.len()];

static LISTS: OnceLock<Lists> = OnceLock::new();

/// The lists of this process: the fixed ones with these behind them, unless they are settled.
///
/// # Errors
/// When one cannot have a column.
pub(crate) fn settle(more: &[Promotion]) -> Result<&'static Lists, PromotionError> {
    let mut lists = Vec::with_capacity(Table::ALL.len());
    for table in Table::ALL {
        lists.push(PromotedList::new(promotion::with(table, more)?));
    }
    let lists = lists.try_into().expect("one list was pushed for each table");
    Ok(LISTS.get_or_init(|| lists))
}

impl Table {
    /// The attributes of this table's records that have a column of their own.
    pub fn promoted(self) -> &'static [Promoted] {
        self.promoted_list()
    }

    /// The same, with a quick way to find one by its name.
    pub fn promoted_list(self) -> &'static PromotedList {
        let fixed = || Self::ALL.map(|table| PromotedList::new(fixed(table).to_vec()));
        &LISTS.get_or_init(fixed)[self.index()]
    }

    /// What the operator has promoted of it.
    pub fn promotions(self) -> Vec<Promotion> {
        let operators =
            self.promoted().iter().filter(|promoted| matches!(promoted.since, Since::Operator(_)));
        let promotion = |promoted: &Promoted| Promotion {
            table: self,
            attribute: promoted.attribute.to_owned(),
            kind: promoted.kind,
        };
        operators.map(promotion).collect()
    }

    /// The mark of files none of whose rows has a promoted attribute in the JSON (see [`crate::Rows::all_promoted`]):
    /// the version of the list, and behind it what the operator had promoted.
    pub fn promoted_mark(self) -> String {
        self.promoted_list().mark()
    }

    /// Whether a file with this mark has no attribute in the JSON that is promoted now.
    pub fn is_promoted_by(self, mark: &str) -> bool {
        self.promoted_list().is_within(mark)
    }
}

/// The promoted column behind `json_column->>'attribute'`, if there is one: the answer is looked up among the
/// resource attributes for `resource_attributes`, among the record's for `attributes`, and nowhere else.
pub fn promoted_column(table: Table, json_column: &str, attribute: &str) -> Option<Promoted> {
    match json_column {
        "resource_attributes" => {
            RESOURCE_PROMOTED.iter().copied().find(|promoted| promoted.attribute == attribute)
        }
        "attributes" => {
            let list = table.promoted_list();
            list.position(attribute).map(|position| list[position])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        for table in Table::ALL {
            let list = table.promoted_list();
            for (position, promoted) in list.iter().enumerate() {
                assert_eq!(list.position(promoted.attribute), Some(position));
                assert_eq!(promoted.column, promoted.attribute.replace('.', "_"));
                let Since::Version(since) = promoted.since else { panic!("{} is fixed", promoted.attribute) };
                assert!((1..=VERSION).contains(&since), "{}", promoted.attribute);
            }
            assert_eq!(list.position(""), None);
            assert_eq!(list.position("http.rouge"), None);
        }
    }

    #[test]
    fn a_mark_holds_until_the_list_grows() {
        for table in Table::ALL {
            assert!(table.is_promoted_by(&table.promoted_mark()), "{table}");
            assert!(table.is_promoted_by("7"), "a later list has all of ours");
            for mark in ["false", "", "-1", " 2"] {
                assert!(!table.is_promoted_by(mark), "{table} {mark}");
            }
        }
        let by_the_first = Table::ALL.map(|table| table.is_promoted_by("true"));
        assert_eq!(by_the_first, Table::ALL.map(|table| !matches!(table, Table::Logs | Table::Spans)));
    }

    #[test]
    fn a_mark_names_what_the_operator_promoted() {
        let list = |texts: &[&str]| {
            let more: Vec<_> =
                texts.iter().map(|text| Promotion::parse(Table::Logs, text).unwrap()).collect();
            PromotedList::new(promotion::with(Table::Logs, &more).unwrap())
        };
        let (none, one, two) = (list(&[]), list(&["a.b"]), list(&["c:int", "a.b"]));
        assert_eq!([none.mark(), one.mark(), two.mark()], ["2", "2 a.b", "2 c a.b"]);
        for (list, marks) in
            [(&none, [true, true, true]), (&one, [false, true, true]), (&two, [false, false, true])]
        {
            assert_eq!(["2", "2 a.b", "2 c a.b"].map(|mark| list.is_within(mark)), marks, "{list:?}");
        }
        assert!(!none.is_within("1 enduser.id"));
    }
}
