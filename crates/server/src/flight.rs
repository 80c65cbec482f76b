//! Arrow Flight SQL on the gRPC port: queries of ADBC and other Arrow clients, behind the same token, through the same
//! engine as `POST /api/v1/sql`, in batches as they come.
//!
//! Handles are the SQL texts themselves, so the server keeps nothing between calls. Nothing is written, and prepared
//! statements take no parameters.

use std::pin::Pin;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use hindsight_model::{SqlError, SqlRequest, Tenant};
use hindsight_query::QueryEngine;
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::fault::chain;

const CATALOG: &str = "hindsight";
const SCHEMA: &str = "public";
/// Longest message of a client: room for the longest SQL text.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

type Rows = Pin<Box<dyn Stream<Item = Result<arrow_flight::FlightData, Status>> + Send>>;

/// The service for the router of the gRPC port.
pub(crate) fn service(query: QueryEngine) -> FlightServiceServer<impl FlightService> {
    FlightServiceServer::new(FlightSql { query }).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

#[derive(Clone, Debug)]
struct FlightSql {
    query: QueryEngine,
}

#[tonic::async_trait]
impl FlightSqlService for FlightSql {
    type FlightService = Self;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        // A statement that is wrong is told here, before anyone fetches.
        self.describe(&query.query).await?;
        let ticket = TicketStatementQuery { statement_handle: query.query.into_bytes().into() };
        // The stream has its own schema; one of the plan could differ from it in what may be null.
        Ok(info(request.into_inner(), &ticket))
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.rows(&ticket.statement_handle).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let described = self.query.describe(SqlRequest::new(&query.query).tenant(Tenant::default()));
        let described = described.await.map_err(status)?;
        if !described.params.is_empty() {
            return Err(Status::unimplemented("statements over Flight SQL take no parameters; write the values"));
        }
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: query.query.into_bytes().into(),
            dataset_schema: Vec::new().into(),
            parameter_schema: Vec::new().into(),
        })
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
        _: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.rows(&query.prepared_statement_handle).await
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        Ok(())
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
                true => self.describe(&format!("SELECT * FROM {}", table.name)).await?,
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

fn about_us() -> Result<SqlInfoData, arrow_flight::error::FlightError> {
    let mut known = SqlInfoDataBuilder::new();
    known.append(SqlInfo::FlightSqlServerName, "Hindsight");
    known.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    known.append(SqlInfo::FlightSqlServerReadOnly, true);
    // None.
    known.append(SqlInfo::FlightSqlServerTransaction, 0_i32);
    known.build().map_err(Into::into)
}

impl FlightSql {
    async fn describe(&self, sql: &str) -> Result<SchemaRef, Status> {
        let request = SqlRequest::new(sql).tenant(Tenant::default());
        Ok(self.query.describe(request).await.map_err(status)?.schema)
    }

    /// Runs the text that a handle is.
    async fn rows(&self, handle: &[u8]) -> Result<Response<Rows>, Status> {
        let sql = std::str::from_utf8(handle).map_err(|_| Status::invalid_argument("the handle is not ours"))?;
        let request = SqlRequest::new(sql).tenant(Tenant::default());
        let rows = self.query.begin(request).rows().await.map_err(status)?;
        let schema = std::sync::Arc::clone(rows.schema());
        let batches = stream::unfold(rows, |mut rows| async move {
            let batch = rows.next().await?;
            Some((batch.map_err(|error| FlightError::Tonic(Box::new(status(error)))), rows))
        });
        let encoded = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
        Ok(Response::new(encoded.map_err(Status::from).boxed()))
    }
}

/// One place where the answer is, which is here.
fn info(descriptor: FlightDescriptor, ticket: &impl ProstMessageExt) -> Response<FlightInfo> {
    let ticket = Ticket::new(ticket.as_any().encode_to_vec());
    let endpoint = FlightEndpoint::new().with_ticket(ticket);
    Response::new(FlightInfo::new().with_descriptor(descriptor).with_endpoint(endpoint))
}

fn one<E: Into<FlightError>>(batch: Result<RecordBatch, E>) -> Result<Response<Rows>, Status> {
    let batch = batch.map_err(Into::into)?;
    let encoded = FlightDataEncoderBuilder::new().with_schema(batch.schema()).build(stream::iter([Ok(batch)]));
    Ok(Response::new(encoded.map_err(Status::from).boxed()))
}

fn fault(error: &dyn std::error::Error) -> Status {
    tracing::error!(error = chain(error), "Flight SQL call failed");
    Status::internal("the server could not answer; its log has the cause")
}

fn status(error: SqlError) -> Status {
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
