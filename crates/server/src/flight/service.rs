//! The calls of Flight SQL.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo,
    CommandGetTableTypes, CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery,
    DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse,
    IpcMessage, SchemaAsIpc, Ticket,
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use hindsight_model::{Clearance, SqlError};
use hindsight_query::{Description, QueryEngine};
use prost::Message as _;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::handle::Handle;
use super::params;
use crate::auth::sent_token;
use crate::fault::chain;

const CATALOG: &str = "hindsight";
const SCHEMA: &str = "public";

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Rows = Messages<FlightData>;

#[derive(Clone, Debug)]
pub(super) struct FlightSql {
    query: QueryEngine,
}

#[tonic::async_trait]
impl FlightSqlService for FlightSql {
    type FlightService = Self;

    /// For clients that know a user and a password only: the token goes back as the one to send with each call. A
    /// wrong one does not come this far.
    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Messages<HandshakeResponse>>, Status> {
        let mut response: Response<Messages<HandshakeResponse>> =
            Response::new(stream::iter([Ok(HandshakeResponse::default())]).boxed());
        if let Some(bearer) = bearer(request.metadata()) {
            response.metadata_mut().insert("authorization", bearer);
        }
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let handle = Handle::new(&query.query);
        // A statement that is wrong is told here, before anyone fetches.
        self.describe(&handle).await?;
        let ticket = TicketStatementQuery { statement_handle: handle.write().into() };
        Ok(info(request.into_inner(), &ticket))
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.rows(&ticket.statement_handle, clearance(&request)).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let handle = Handle::new(&query.query);
        let Description { schema, params } = self.describe(&handle).await?;
        let parameter_schema = match params.is_empty() {
            true => Bytes::new(),
            false => written(&params::schema(&params))?,
        };
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.write().into(),
            dataset_schema: written(&as_sent(schema))?,
            parameter_schema,
        })
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let Handle { sql, .. } = Handle::read(&query.prepared_statement_handle)?;
        let open = self.describe(&Handle::new(&sql)).await?.params;
        let row = params::row(request.into_inner()).await?;
        let bound = Handle { sql, params: params::bind(&open, &row)? };
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(bound.write().into()) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Ok(info(request.into_inner(), &query))
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.rows(&query.prepared_statement_handle, clearance(&request)).await
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        // There is nothing to forget.
        Ok(())
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        let name: String = request.get_ref().r#type.chars().take(120).collect();
        Err(Status::unimplemented(format!("there is no action `{name}` here; the port only reads")))
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Ok(info(request.into_inner(), &query))
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        let mut found = query.into_builder();
        found.append(CATALOG);
        one(found.build())
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Ok(info(request.into_inner(), &query))
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        let mut found = query.into_builder();
        found.append(CATALOG, SCHEMA);
        one(found.build())
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Ok(info(request.into_inner(), &query))
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        let with_columns = query.include_schema;
        let mut found = query.into_builder();
        for table in self.query.tables() {
            let schema = match with_columns {
                true => {
                    let all = Handle::new(&format!("SELECT * FROM {}", table.name));
                    as_sent(self.describe(&all).await?.schema)
                }
                false => Schema::empty().into(),
            };
            let kind = if table.is_view { "VIEW" } else { "TABLE" };
            found.append(CATALOG, SCHEMA, &table.name, kind, &schema).map_err(|error| fault(&error))?;
        }
        one(found.build())
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Ok(info(request.into_inner(), &query))
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        let mut found = query.into_builder();
        found.append("TABLE");
        found.append("VIEW");
        one(found.build())
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Ok(info(request.into_inner(), &query))
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        let known = about_us().map_err(|error| fault(&error))?;
        one(query.into_builder(&known).build())
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

fn about_us() -> Result<SqlInfoData, FlightError> {
    let mut known = SqlInfoDataBuilder::new();
    known.append(SqlInfo::FlightSqlServerName, "Hindsight");
    known.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    known.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
    known.append(SqlInfo::FlightSqlServerReadOnly, true);
    known.append(SqlInfo::FlightSqlServerSql, true);
    known.append(SqlInfo::FlightSqlServerSubstrait, false);
    // None.
    known.append(SqlInfo::FlightSqlServerTransaction, 0_i32);
    known.build()
}

impl FlightSql {
    pub(super) fn new(query: QueryEngine) -> Self {
        Self { query }
    }

    async fn describe(&self, handle: &Handle) -> Result<Description, Status> {
        self.query.describe(handle.request()).await.map_err(|error| status(&error))
    }

    async fn rows(&self, handle: &[u8], clearance: Clearance) -> Result<Response<Rows>, Status> {
        let request = Handle::read(handle)?.request().clearance(clearance);
        let rows = self.query.begin(request).rows().await.map_err(|error| status(&error))?;
        let schema = Arc::clone(rows.schema());
        let batches = stream::unfold(rows, |mut rows| async move {
            let batch = rows.next().await?;
            Some((batch.map_err(|error| FlightError::from(status(&error))), rows))
        });
        let encoded = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
        Ok(Response::new(encoded.map_err(Status::from).boxed()))
    }
}

/// What whoever fetches may see; a handle may have come from somebody else.
fn clearance(request: &Request<Ticket>) -> Clearance {
    request.extensions().get().copied().unwrap_or_default()
}

/// What the client sent as its token, in the form in which to send it again.
fn bearer(metadata: &MetadataMap) -> Option<tonic::metadata::AsciiMetadataValue> {
    format!("Bearer {}", sent_token(metadata.as_ref())?).parse().ok()
}

/// The columns as the stream will have them: values where we hold dictionaries.
fn as_sent(schema: SchemaRef) -> SchemaRef {
    let encoder = FlightDataEncoderBuilder::new().with_schema(Arc::clone(&schema)).build(stream::empty());
    encoder.known_schema().unwrap_or(schema)
}

fn written(schema: &Schema) -> Result<Bytes, Status> {
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()));
    Ok(message.map_err(|error| fault(&error))?.0)
}

/// One place where the answer is, which is here. Without its columns: those of a plan may be null where those of the
/// stream may not, and clients that are told both insist that they are equal.
fn info(descriptor: FlightDescriptor, ticket: &impl ProstMessageExt) -> Response<FlightInfo> {
    let ticket = Ticket::new(ticket.as_any().encode_to_vec());
    let endpoint = FlightEndpoint::new().with_ticket(ticket);
    Response::new(FlightInfo::new().with_descriptor(descriptor).with_endpoint(endpoint))
}

fn one<E: Into<FlightError>>(batch: Result<RecordBatch, E>) -> Result<Response<Rows>, Status> {
    let batch = batch.map_err(|error| fault(&error.into()))?;
    let encoded =
        FlightDataEncoderBuilder::new().with_schema(batch.schema()).build(stream::iter([Ok(batch)]));
    Ok(Response::new(encoded.map_err(Status::from).boxed()))
}

fn fault(error: &dyn std::error::Error) -> Status {
    tracing::error!(error = chain(error), "Flight SQL call failed");
    Status::internal("the server could not answer; its log has the cause")
}

fn status(error: &SqlError) -> Status {
    let message = error.to_string();
    match error {
        SqlError::Invalid { .. } => Status::invalid_argument(message),
        SqlError::Limit { limit: "timeout", .. } => Status::deadline_exceeded(message),
        SqlError::Limit { .. } => Status::resource_exhausted(message),
        SqlError::Cancelled => Status::cancelled(message),
        SqlError::Failed { .. } => {
            tracing::error!(error = message, "query failed");
            Status::internal(message)
        }
    }
}
