//! SQL over PostgreSQL's wire protocol 3.0, for `psql`, drivers and tools that speak nothing else. Off unless an
//! address is configured.
//!
//! The port only reads: every query goes through the same engine, limits, log and cancellation as `POST /api/v1/sql`.
//! The messages, their bounds and the encoding are our own (ADR 9).

mod cancel;
mod catalog;
mod connection;
mod constants;
mod encode;
mod fault;
mod message;
mod numeric;
mod params;
mod select_list;
mod session;
mod split;
mod statement;
mod text;
mod tls;
mod types;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use hindsight_query::QueryEngine;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::app::App;
use crate::pressure::{Connections, TURN_AWAY_TIMEOUT, accept};
use cancel::Cancels;
use fault::PgFault;
use wire::Wire;

pub(crate) use tls::acceptor;

/// What the connections of this port share.
struct Port {
    query: QueryEngine,
    access: Access,
    /// Required of every client when there is one.
    tls: Option<TlsAcceptor>,
    cancels: Arc<Cancels>,
    header_timeout: Duration,
    idle_timeout: Duration,
}

/// Serves clients, so many at once, until `stop`; then lets the queries that were begun come to their end.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Arc<App>,
    connections: Arc<Connections>,
    stop: CancellationToken,
) {
    let port = Arc::new(Port {
        query: app.query.clone(),
        access: Access::new(&app.config),
        tls,
        cancels: Arc::default(),
        header_timeout: app.config.limits.header_timeout.value,
        idle_timeout: app.config.limits.idle_timeout.value,
    });
    drop(app);
    let open = |stream, peer, place| {
        let (port, stop) = (Arc::clone(&port), stop.clone());
        async move {
            connection::run(stream, port, stop).await;
            tracing::debug!(%peer, "a connection ended");
            drop(place);
        }
    };
    let turn_away = |stream| turn_away(stream, Arc::clone(&port));
    accept(listener, &connections, &stop, open, turn_away).await;
}

/// Tells one connection too many to come back. A cancel request is still heard: it may be what makes room.
async fn turn_away(stream: TcpStream, port: Arc<Port>) {
    let mut wire = Wire::new(stream, TURN_AWAY_TIMEOUT);
    if let Ok(Some(_)) = connection::hear_opening(&mut wire, &port).await {
        let fault = PgFault::new("53300", "too many connections").hint("try again a little later");
        connection::refuse(&mut wire, fault).await;
    }
}
