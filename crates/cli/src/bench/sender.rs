//! Connections that send bodies as fast as the server acknowledges them. A thread and a socket each, no client library:
//! what the sender costs is taken from the server when both share a machine.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;

use super::load::{Body, lap_mark};

/// Longest wait for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// A server that pushes one request back longer than this has failed.
const PUSHED_BACK_LIMIT: Duration = Duration::from_secs(120);
/// A larger answer is no OTLP answer (LIM-1).
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Where and what to send.
#[derive(Debug)]
pub(super) struct Work<'a> {
    /// `127.0.0.1:4318`.
    pub(super) address: &'a str,
    /// `/v1/logs`.
    pub(super) path: &'static str,
    pub(super) token: Option<&'a str>,
    pub(super) bodies: &'a [Body],
    /// Requests in all; more than there are bodies are sent in laps.
    pub(super) requests: u64,
    pub(super) connections: u64,
}

/// What the connections saw.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) items: u64,
    pub(super) bytes: u64,
    pub(super) rejected: u64,
    /// Answers 429 and 503; the request was sent again.
    pub(super) pushed_back: u64,
    /// First sending to acknowledgement of each request, sorted.
    pub(super) latencies: Vec<Duration>,
    /// The longest time in which no connection got an acknowledgement.
    pub(super) longest_gap: Duration,
    /// First byte sent to last acknowledgement.
    pub(super) elapsed: Duration,
}

/// Sends all of it; `told` hears how many requests are done.
pub(super) fn send(work: &Work<'_>, told: &(dyn Fn(u64) + Sync)) -> anyhow::Result<Sent> {
    let next = AtomicU64::new(0);
    let started = Instant::now();
    let results: Vec<anyhow::Result<Part>> = std::thread::scope(|scope| {
        let connection = || scope.spawn(|| one_connection(work, &next, started, told));
        let threads: Vec<_> = (0..work.connections).map(|_| connection()).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut sent = Sent { elapsed: started.elapsed(), ..Sent::default() };
    let mut acknowledged = vec![Duration::ZERO];
    for part in results {
        let part = part?;
        sent.items += part.items;
        sent.bytes += part.bytes;
        sent.rejected += part.rejected;
        sent.pushed_back += part.pushed_back;
        sent.latencies.extend(part.requests.iter().map(|(latency, _)| *latency));
        acknowledged.extend(part.requests.iter().map(|(_, at)| *at));
    }
    sent.latencies.sort_unstable();
    acknowledged.sort_unstable();
    sent.longest_gap = acknowledged.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    Ok(sent)
}

#[derive(Debug, Default)]
struct Part {
    items: u64,
    bytes: u64,
    rejected: u64,
    pushed_back: u64,
    /// Latency, and when it was acknowledged.
    requests: Vec<(Duration, Duration)>,
}

fn one_connection(
    work: &Work<'_>,
    next: &AtomicU64,
    started: Instant,
    told: &(dyn Fn(u64) + Sync),
) -> anyhow::Result<Part> {
    let mut connection = Connection::open(work.address)?;
    let mut part = Part::default();
    let mut message = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= work.requests {
            return Ok(part);
        }
        let laps = work.bodies.len() as u64;
        let body =
            &work.bodies[usize::try_from(number % laps).context("fewer bodies than memory has bytes")?];
        let size = write_message(&mut message, work, &body.bytes, &lap_mark(number / laps));
        let begun = Instant::now();
        let answer = loop {
            let answer = connection.exchange(&message)?;
            match answer.status {
                200 => break answer,
                429 | 503 if begun.elapsed() < PUSHED_BACK_LIMIT => {
                    part.pushed_back += 1;
                    std::thread::sleep(answer.retry_after.unwrap_or(Duration::from_millis(100)));
                }
                other => {
                    let said = String::from_utf8_lossy(&answer.body).into_owned();
                    bail!("the server answered {other} to request {number}: {said}");
                }
            }
        };
        part.requests.push((begun.elapsed(), started.elapsed()));
        part.items += body.items;
        part.bytes += size;
        part.rejected += rejected(&answer.body)?;
        told(number + 1);
    }
}

/// The whole request in one buffer, so that it leaves in one call. Returns the body's size.
fn write_message(message: &mut Vec<u8>, work: &Work<'_>, body: &[u8], mark: &[u8]) -> u64 {
    let size = body.len() + mark.len();
    message.clear();
    let token = work.token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    message.extend_from_slice(
        format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-protobuf\r\n{token}content-length: {size}\r\n\r\n",
            work.path, work.address
        )
        .as_bytes(),
    );
    message.extend_from_slice(body);
    message.extend_from_slice(mark);
    size as u64
}

/// Items refused by partial success. The three signals' answers are written alike.
fn rejected(body: &[u8]) -> anyhow::Result<u64> {
    let answer = ExportLogsServiceResponse::decode(body).context("read the server's answer")?;
    let refused = answer.partial_success.map_or(0, |partial| partial.rejected_log_records);
    Ok(u64::try_from(refused).unwrap_or(0))
}

#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    /// Bytes read and not used yet.
    buffer: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self { socket, buffer: Vec::new() })
    }

    fn exchange(&mut self, message: &[u8]) -> anyhow::Result<Answer> {
        self.socket.write_all(message).context("send a request")?;
        loop {
            if let Some((answer, used)) = parse(&self.buffer)? {
                self.buffer.drain(..used);
                return Ok(answer);
            }
            let mut chunk = [0; 4096];
            let read = self.socket.read(&mut chunk).context("read an answer")?;
            ensure!(read > 0, "the server closed the connection");
            self.buffer.extend_from_slice(&chunk[..read]);
            ensure!(
                self.buffer.len() <= ANSWER_BYTES_MAX,
                "an answer has more than {ANSWER_BYTES_MAX} bytes"
            );
        }
    }
}

/// An answer at the start of `bytes` and how many bytes it takes; `None` while it is not whole.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(Answer, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).context("an answer's head is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let status = status.context("an answer has no status")?;
    let (mut length, mut retry_after) = (0, None);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().context("read an answer's length")?,
            "retry-after" => retry_after = value.trim().parse().ok().map(Duration::from_secs),
            "transfer-encoding" => bail!("an answer is {}, which this sender does not read", value.trim()),
            _ => {}
        }
    }
    let start = end + 4;
    let Some(body) = start.checked_add(length).and_then(|end| bytes.get(start..end)) else { return Ok(None) };
    Ok(Some((Answer { status, retry_after, body: body.to_vec() }, start + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_it_is_whole() {
        let bytes =
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 3\r\n\r\nbutHTTP/1.1 200";
        let whole = bytes.len() - "HTTP/1.1 200".len();
        for cut in 0..whole {
            assert_eq!(parse(&bytes[..cut]).unwrap(), None);
        }
        let answer = Answer { status: 503, retry_after: Some(Duration::from_secs(2)), body: b"but".to_vec() };
        assert_eq!(parse(bytes).unwrap(), Some((answer, whole)));
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_an_error_and_not_a_wait() {
        for bytes in [
            "nonsense\r\n\r\n",
            "HTTP/1.1 200\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(parse(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }
}
