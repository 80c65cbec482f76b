//! Accepting connections: so many at once, each with something to do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::Version;
use axum::middleware::{self, Next};
use hindsight_otlp::Encoding;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::accept::accept;
use super::activity::{Activity, Exchange, Patience, watched};
use crate::fault::Fault;
use crate::limits::LimitSettings;

/// Requests at once on one HTTP/2 connection; more wait in the client.
const STREAMS_MAX: u32 = 128;
/// Bytes of headers of one request.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// What one HTTP/1 connection may buffer, headers included.
const HTTP1_BUFFER_BYTES: usize = 128 << 10;
/// What an HTTP/2 client may send ahead of our reading: on one stream and on one connection.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// What we buffer of one answer for a client that reads slowly.
const SEND_BUFFER_BYTES: usize = 128 << 10;
/// Streams that a client opened and reset before we came to them; one more ends the connection (rapid reset).
const RESET_STREAMS_MAX: usize = 32;
/// A connection that does not answer a ping is gone.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Refused connections that hear why; beyond it they are just closed.
const TURNED_AWAY_MAX: usize = 64;
/// Bytes of its request that are looked at.
const HEARD_BYTES_MAX: usize = 4 << 10;
/// How long a connection that is ended for being idle may take to end by itself.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// An empty SETTINGS frame, with which a server begins, and a GOAWAY that says no stream was looked at: the client
/// may send again what it sent.
const HTTP2_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const HTTP2_GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Files that the store and the state need beside connections.
const FILES_RESERVED: usize = 256;

/// One port's connections.
#[derive(Debug)]
pub(crate) struct Connections {
    max: usize,
    free: Arc<Semaphore>,
    turned_away: AtomicU64,
    turning_away: Arc<Semaphore>,
    /// How long a new connection may take to its first request.
    header_timeout: Duration,
    /// How long a connection may stay without a request.
    idle_timeout: Duration,
}

/// What becomes of a new connection; the permits are held as long as it is dealt with.
#[derive(Debug)]
pub(crate) enum Admission {
    Place(OwnedSemaphorePermit),
    /// It may hear why there is no place.
    Refusal(OwnedSemaphorePermit),
    /// It is just closed.
    None,
}

impl Connections {
    pub(crate) fn new(max: usize, limits: &LimitSettings) -> Self {
        Self {
            max,
            free: Arc::new(Semaphore::new(max)),
            turned_away: AtomicU64::new(0),
            turning_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            header_timeout: limits.header_timeout.value,
            idle_timeout: limits.idle_timeout.value,
        }
    }

    /// A place for a new connection, or a place in which to refuse it.
    pub(crate) fn admit(&self) -> Admission {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Admission::Place(place);
        }
        self.turned_away.fetch_add(1, Ordering::Relaxed);
        match Arc::clone(&self.turning_away).try_acquire_owned() {
            Ok(place) => Admission::Refusal(place),
            Err(_) => Admission::None,
        }
    }

    pub(crate) fn open(&self) -> usize {
        self.max - self.free.available_permits()
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }
}

/// As many connections to each of so many ports as the process may open files, at most `wanted`.
pub(crate) fn within_open_files(wanted: usize, ports: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(files) = open_files(&limits) else { return wanted };
    let each = (files.saturating_sub(FILES_RESERVED) / ports).max(16);
    if each < wanted {
        tracing::warn!(
            connections.max = each,
            "the process may open {files} files, so each port takes {each} connections instead of {wanted}; raise it \
             with `ulimit -n`"
        );
    }
    wanted.min(each)
}

/// The soft limit in the text of `/proc/<pid>/limits`; none where there is none.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Serves `router` to at most so many connections at once until `stop`; then lets the open ones finish what they have
/// begun.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    connections: Arc<Connections>,
    stop: CancellationToken,
) {
    let open = |stream, peer, place| {
        connection(stream, peer, router.clone(), Arc::clone(&connections), stop.clone(), place)
    };
    let turn_away = |stream| say_full(stream);
    accept(listener, &connections, &stop, open, turn_away).await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Arc<Connections>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // An answer is written in as few pieces as it can; none of them gains by waiting for the last to arrive.
    let _ = stream.set_nodelay(true);
    let activity = Arc::new(Activity::new());
    let seen = Arc::clone(&activity);
    let router = router.layer(middleware::from_fn(move |mut request: Request, next: Next| {
        let (seen, busy) = (Arc::clone(&seen), Activity::begin(&seen));
        request.extensions_mut().insert(ConnectInfo(peer));
        if request.version() <= Version::HTTP_11 {
            request.extensions_mut().insert(Exchange::new(&seen));
        }
        async move {
            let response = next.run(request).await;
            drop(busy);
            response.map(|body| watched(body, &seen))
        }
    }));
    let builder = builder();
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let limits = Patience { header: limits.header_timeout, idle: limits.idle_timeout };
    let (mut stopping, mut until) = (false, activity.deadline(limits));
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, error, "a connection ended");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = activity.changed() => until = activity.deadline(limits),
            () = tokio::time::sleep_until(until) => {
                until = activity.deadline(limits);
                if until <= Instant::now() {
                    served.as_mut().graceful_shutdown();
                    // A client that hears it ends the connection; for the others it ends here.
                    let _ = tokio::time::timeout(CLOSE_TIMEOUT, served.as_mut()).await;
                    return;
                }
            }
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // No timer for HTTP/1: its header timeout would also end connections that are kept alive between two exports.
    // `Activity` bounds both.
    builder.http1().max_buf_size(HTTP1_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(RESET_STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Reads the beginning of a request, answers in its language, and listens until the client hangs up, since a
/// connection that is closed with bytes unread is reset, and the answer lost.
async fn say_full(mut stream: TcpStream) -> std::io::Result<()> {
    let mut heard = [0; HEARD_BYTES_MAX];
    let mut length = 0;
    while length < heard.len() && !heard[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut heard[length..]).await? {
            0 => break,
            more => length += more,
        }
    }
    stream.write_all(&full_answer(&heard[..length])).await?;
    stream.shutdown().await?;
    while stream.read(&mut heard).await? > 0 {}
    Ok(())
}

/// The refusal in the protocol that the client speaks.
fn full_answer(heard: &[u8]) -> Vec<u8> {
    if heard.starts_with(b"PRI * HTTP/2.0") {
        return [HTTP2_SETTINGS, HTTP2_GOAWAY].concat();
    }
    let heard = String::from_utf8_lossy(heard).to_ascii_lowercase();
    let encoding = if heard.contains("application/json") { Encoding::Json } else { Encoding::Protobuf };
    Fault::connections_full().to_http1(encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_open_files_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             63488                63488                processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(
            open_files("Max open files            unlimited            unlimited            files"),
            None
        );
        assert_eq!(open_files(""), None);
    }

    #[test]
    fn whoever_is_turned_away_is_answered_in_his_own_language() {
        let text = |heard: &[u8]| String::from_utf8_lossy(&full_answer(heard)).into_owned();
        let json = text(b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/json\r\n\r\n");
        assert!(json.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{json}");
        assert!(json.contains("\r\nretry-after: 1\r\n") && json.contains("\"code\":14"), "{json}");
        let protobuf = text(b"POST /v1/logs HTTP/1.1\r\n\r\n");
        assert!(protobuf.contains("content-type: application/x-protobuf\r\n"), "{protobuf}");
        let http2 = full_answer(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!((http2.len(), http2[3], http2[12]), (26, 4, 7));
    }
}
