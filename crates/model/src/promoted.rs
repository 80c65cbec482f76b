//! Attributes that have a typed column of their own (DESIGN §7): a fixed list, which grows from one version of the
//! program to the next and never loses a name.

use std::ops::Deref;
use std::sync::LazyLock;

use arrow::datatypes::DataType;

use crate::Table;

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
    pub since: u32,
}

const fn text(attribute: &'static str, column: &'static str) -> Promoted {
    Promoted { attribute, column, kind: PromotedKind::String, since: 1 }
}

const fn int(attribute: &'static str, column: &'static str) -> Promoted {
    Promoted { attribute, column, kind: PromotedKind::Int, since: 1 }
}

impl Promoted {
    const fn since(self, since: u32) -> Self {
        Self { since, ..self }
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

/// The promoted attributes of a table's records, in the order of their columns. Of metrics' points there are none:
/// labels of series are too varied to guess.
#[derive(Debug)]
pub struct PromotedList {
    all: &'static [Promoted],
    /// Positions by the length of the name: most names are ruled out by that alone.
    by_length: Vec<Vec<usize>>,
}

impl PromotedList {
    fn new(all: &'static [Promoted]) -> Self {
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
}

impl Deref for PromotedList {
    type Target = [Promoted];

    fn deref(&self) -> &[Promoted] {
        self.all
    }
}

impl Table {
    /// The attributes of this table's records that have a column of their own.
    pub fn promoted(self) -> &'static [Promoted] {
        self.promoted_list()
    }

    /// The same, with a quick way to find one by its name.
    pub fn promoted_list(self) -> &'static PromotedList {
        static LISTS: LazyLock<[PromotedList; Table::ALL.len()]> = LazyLock::new(|| {
            Table::ALL.map(|table| {
                PromotedList::new(match table {
                    Table::Spans => SPANS,
                    Table::Logs => LOGS,
                    _ => &[],
                })
            })
        });
        &LISTS[self.index()]
    }

    /// The mark of files none of whose rows has a promoted attribute in the JSON (see [`crate::Rows::all_promoted`]). It
    /// names the version of the list, since a later one may have more.
    pub fn promoted_mark(self) -> String {
        match self.promoted().iter().map(|promoted| promoted.since).max() {
            Some(2..) => VERSION.to_string(),
            _ => MARK_OF_1.to_owned(),
        }
    }

    /// Whether a file with this mark has no attribute in the JSON that is promoted now.
    pub fn is_promoted_by(self, mark: &str) -> bool {
        let version = if mark == MARK_OF_1 { Some(1) } else { mark.parse().ok() };
        version.is_some_and(|version: u32| self.promoted().iter().all(|promoted| promoted.since <= version))
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
                assert!(promoted.since <= VERSION, "{}", promoted.attribute);
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
            for mark in ["false", "", "-1", "true "] {
                assert!(!table.is_promoted_by(mark), "{table} {mark}");
            }
        }
        let by_the_first = Table::ALL.map(|table| table.is_promoted_by("true"));
        assert_eq!(by_the_first, Table::ALL.map(|table| !matches!(table, Table::Logs | Table::Spans)));
    }
}
