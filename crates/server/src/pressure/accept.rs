//! The one loop in which connections are accepted, of any port.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connections::{Admission, Connections};

/// How long to wait when the machine has no room for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How long one that is turned away may take to listen.
pub(crate) const TURN_AWAY_TIMEOUT: Duration = Duration::from_secs(1);

/// Accepts connections until `stop`, so many at once as `connections` has places for: `open` has one that got a place,
/// `turn_away` tells one too many to come back. Then waits until those that are open have ended.
pub(crate) async fn accept<O, T>(
    listener: TcpListener,
    connections: &Connections,
    stop: &CancellationToken,
    open: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit) -> O,
    turn_away: impl Fn(TcpStream) -> T,
) where
    O: Future<Output = ()> + Send + 'static,
    T: Future + Send + 'static,
{
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            _ = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match connections.admit() {
                Admission::Place(place) => drop(tasks.spawn(open(stream, peer, place))),
                Admission::Refusal(place) => {
                    let told = turn_away(stream);
                    tasks.spawn(async move {
                        let _ = tokio::time::timeout(TURN_AWAY_TIMEOUT, told).await;
                        drop(place);
                    });
                }
                Admission::None => {}
            },
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}
