//! Stands between store and service and spoils what a script says.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::server;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Answered 503; the service never hears of it.
    Refused,
    /// The connection ends; the service never hears of it.
    Cut,
    /// No answer until the client gives up; the service never hears of it.
    Hung,
    /// The service does it, and the connection ends without an answer.
    AnswerLost,
    /// The service does it, and the client hears 503.
    AnswerRefused,
    /// The service does it, and no answer comes until the client gives up.
    AnswerHung,
    /// The answer comes in small pieces.
    Slow,
}

/// A request as a script judges it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Whether it is a put that must be new.
    pub(super) must_be_new: bool,
}

impl Request {
    pub(super) fn is_commit(&self) -> bool {
        self.must_be_new && self.path.contains("/_delta_log/") && self.path.ends_with(".json")
    }

    pub(super) fn is_block_put(&self) -> bool {
        self.method == "PUT" && self.path.ends_with(".parquet") && !self.path.contains("_delta_log")
    }
}

type Script = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

#[derive(Default)]
struct Shared {
    script: Mutex<Option<Script>>,
    seen: Mutex<Vec<Request>>,
    faults: Mutex<VecDeque<Fault>>,
    /// S3 decides about puts that must be new one after the other; the service looks first and writes then.
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// A proxy on a port of its own.
pub(super) struct Proxy {
    pub(super) port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                // Either side may end the connection at any time; that is what it is for.
                tokio::spawn(async move { drop(shared.serve(client).await) });
            }
        });
        Self { port, shared, accepting }
    }

    /// From now on `script` says what happens to each request; `None` is nothing.
    pub(super) fn script(&self, script: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        *self.shared.script.lock().unwrap() = Some(Box::new(script));
    }

    /// The next request for which `when` holds has this fault, and no other.
    pub(super) fn once(&self, fault: Fault, when: impl Fn(&Request) -> bool + Send + 'static) {
        let mut left = Some(fault);
        self.script(move |request| if when(request) { left.take() } else { None });
    }

    /// Every request is let through.
    pub(super) fn heal(&self) {
        *self.shared.script.lock().unwrap() = None;
    }

    /// The requests so far, and none of them again.
    pub(super) fn take_seen(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }

    /// The faults that happened so far, and none of them again.
    pub(super) fn take_faults(&self) -> Vec<Fault> {
        std::mem::take(&mut *self.shared.faults.lock().unwrap()).into()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    /// One request; the connection then ends.
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let Some((head, body)) = read_request(&mut client).await? else { return Ok(()) };
        let request = describe(&head);
        self.seen.lock().unwrap().push(request.clone());
        let fault = self.script.lock().unwrap().as_mut().and_then(|script| script(&request));
        self.faults.lock().unwrap().extend(fault);
        match fault {
            Some(Fault::Refused) => return refuse(&mut client).await,
            Some(Fault::Cut) => return Ok(()),
            Some(Fault::Hung) => return wait_for_the_end(&mut client).await,
            _ => {}
        }
        let answer = {
            let _turn = if request.must_be_new { Some(self.one_at_a_time.lock().await) } else { None };
            forward(&head, &body).await?
        };
        match fault {
            Some(Fault::AnswerLost) => Ok(()),
            Some(Fault::AnswerRefused) => refuse(&mut client).await,
            Some(Fault::AnswerHung) => wait_for_the_end(&mut client).await,
            Some(Fault::Slow) => {
                for piece in answer.chunks(answer.len().div_ceil(20).max(1)) {
                    client.write_all(piece).await?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(())
            }
            _ => client.write_all(&answer).await,
        }
    }
}

async fn read_request(client: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8(bytes).map_err(io::Error::other)?;
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while body.len() < length {
        if client.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((head, body)))
}

fn describe(head: &str) -> Request {
    let mut words = head.split_ascii_whitespace().map(str::to_owned);
    Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        must_be_new: header(head, "if-none-match").is_some_and(|value| value == "*"),
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The service's whole answer, on a connection of its own that ends with it.
async fn forward(head: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut service = TcpStream::connect(("127.0.0.1", server::port())).await?;
    let kept = head.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let mut request = kept.collect::<Vec<_>>().join("\r\n");
    request.push_str("\r\nconnection: close\r\n\r\n");
    service.write_all(request.as_bytes()).await?;
    service.write_all(body).await?;
    let mut answer = Vec::new();
    service.read_to_end(&mut answer).await?;
    Ok(answer)
}

async fn refuse(client: &mut TcpStream) -> io::Result<()> {
    client.write_all(b"HTTP/1.1 503 Slow Down\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await
}

async fn wait_for_the_end(client: &mut TcpStream) -> io::Result<()> {
    let mut rest = [0; 64];
    while client.read(&mut rest).await? > 0 {}
    Ok(())
}
