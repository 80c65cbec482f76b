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
}

const fn text(attribute: &'static str, column: &'static str) -> Promoted {
    Promoted { attribute, column, kind: PromotedKind::String }
}

const fn int(attribute: &'static str, column: &'static str) -> Promoted {
    Promoted { attribute, column, kind: PromotedKind::Int }
}

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

/// Span attributes with a column on `spans` (semantic conventions: HTTP, RPC, database, messaging, error).
pub const PROMOTED_SPANS: &[Promoted] = &[
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
];

/// Log attributes with a column on `logs`.
pub const PROMOTED_LOGS: &[Promoted] = &[
    text("exception.type", "exception_type"),
    text("exception.message", "exception_message"),
    text("exception.stacktrace", "exception_stacktrace"),
];

/// Point attributes with a column on the metric tables: none yet, labels of series are too varied to guess.
pub const PROMOTED_METRICS: &[Promoted] = &[];

/// The record-level promoted list of a table.
pub(crate) fn of(table: Table) -> &'static [Promoted] {
    match table {
        Table::Spans => PROMOTED_SPANS,
        Table::Logs => PROMOTED_LOGS,
        _ => PROMOTED_METRICS,
    }
}

impl Table {
    /// The attributes of this table's records that have a column of their own.
    pub fn promoted(self) -> &'static [Promoted] {
        of(self)
    }
}

/// The promoted column behind `json_column->>'attribute'`, if there is one: the answer is looked up among the
/// resource attributes for `resource_attributes`, among the record's for `attributes`, and nowhere else.
pub fn promoted_column(table: Table, json_column: &str, attribute: &str) -> Option<Promoted> {
    let list = match json_column {
        "resource_attributes" => RESOURCE_PROMOTED,
        "attributes" => of(table),
        _ => return None,
    };
    list.iter().copied().find(|promoted| promoted.attribute == attribute)
}
