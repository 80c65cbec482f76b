//! Recorded telemetry, sent through real OTLP/HTTP.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hindsight_model::{Clock as _, Signal, SystemClock};
use hindsight_otlp::{Encoding, Request, decode_request, encode_request, shift_request, time_range};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::task::JoinSet;

use crate::args::ReplayArgs;
use crate::remote::Remote;
use crate::say;

/// Longest line of a recording.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Requests under way at once.
const IN_FLIGHT_MAX: usize = 8;
/// Attempts for one request that the server asks to try again.
const ATTEMPTS_MAX: u32 = 20;
/// Logical time between two movements of the server's clock.
const STEP: SignedDuration = SignedDuration::from_secs(15);

/// One request of a recording, in the order it is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// Newest event time in it.
    pub(crate) until: Timestamp,
    signal: Signal,
    request: Request,
}

impl Recorded {
    /// Which of the three services it is for.
    pub(crate) fn signal(&self) -> Signal {
        self.signal
    }

    /// The request in protobuf.
    pub(crate) fn body(&self) -> Vec<u8> {
        encode_request(&self.request, Encoding::Protobuf)
    }
}

/// Reads a whole recording.
///
/// # Errors
/// Names the line that is not an OTLP/JSON export request.
pub(crate) fn read(reader: impl Read) -> anyhow::Result<Vec<Recorded>> {
    Lines::new(reader).collect()
}

/// The requests of a recording, one line after the other; a line that is none is an error that names it.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    number: u64,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), number: 0 }
    }

    fn next_request(&mut self) -> anyhow::Result<Option<Recorded>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            self.number += 1;
            let number = self.number;
            let read = self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            if read.with_context(|| format!("read line {number}"))? == 0 {
                return Ok(None);
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if let Some(recorded) = recorded(&line).with_context(|| format!("line {number}"))? {
                return Ok(Some(recorded));
            }
        }
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = anyhow::Result<Recorded>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_request().transpose()
    }
}

/// Moves every request so that the recording ends at `end`, by whole minutes.
pub(crate) fn shift_to_end_at(requests: &mut [Recorded], end: Timestamp) {
    let Some(last) = requests.iter().map(|recorded| recorded.until).max() else { return };
    let minutes = end.duration_since(last).as_secs().div_euclid(60);
    let shift = SignedDuration::from_secs(minutes * 60);
    let nanos = i64::try_from(shift.as_nanos()).unwrap_or(0);
    for recorded in requests {
        shift_request(&mut recorded.request, nanos);
        recorded.until = recorded.until.checked_add(shift).unwrap_or(recorded.until);
    }
}

/// Sends requests in order, a few at a time, and tells `moved` whenever logical time has passed another step.
pub(crate) struct Sender {
    client: reqwest::Client,
    endpoint: String,
    token: Option<String>,
}

impl Sender {
    pub(crate) fn new(endpoint: &str, token: Option<String>) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
        Ok(Self { client, endpoint: endpoint.trim_end_matches('/').to_owned(), token })
    }

    /// Sends everything; `step` runs before the requests of each logical step with the step's end.
    ///
    /// # Errors
    /// When the server refuses a request or cannot be reached.
    pub(crate) async fn send_all<F>(&self, requests: Vec<Recorded>, mut step: F) -> anyhow::Result<usize>
    where
        F: AsyncFnMut(Timestamp) -> anyhow::Result<()>,
    {
        let total = requests.len();
        let mut under_way: JoinSet<anyhow::Result<()>> = JoinSet::new();
        let mut step_end: Option<Timestamp> = None;
        for (index, recorded) in requests.into_iter().enumerate() {
            if step_end.is_none_or(|end| recorded.until > end) {
                drain(&mut under_way, 0).await?;
                let end = recorded.until.checked_add(STEP)?;
                if let Some(passed) = step_end {
                    step(passed).await?;
                }
                step_end = Some(end);
                say::progress(&format!(
                    "replaying {} · {} of {total} requests",
                    recorded.until.strftime("%H:%M:%S UTC"),
                    index + 1
                ));
            }
            drain(&mut under_way, IN_FLIGHT_MAX - 1).await?;
            under_way.spawn(self.send(&recorded));
        }
        drain(&mut under_way, 0).await?;
        if let Some(end) = step_end {
            step(end).await?;
        }
        say::progress("");
        Ok(total)
    }

    fn send(&self, recorded: &Recorded) -> impl Future<Output = anyhow::Result<()>> + Send + 'static + use<> {
        let mut request = self
            .client
            .post(format!("{}/v1/{}", self.endpoint, recorded.signal))
            .header("content-type", "application/x-protobuf");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let body = recorded.body();
        let signal = recorded.signal;
        let endpoint = self.endpoint.clone();
        async move {
            for attempt in 1..=ATTEMPTS_MAX {
                let copy = request.try_clone().context("copy a request")?.body(body.clone());
                let response = copy
                    .send()
                    .await
                    .with_context(|| format!("send {signal} to {endpoint}; is `hindsight serve` running?"))?;
                let status = response.status();
                if status.is_success() {
                    return Ok(());
                }
                let retry = matches!(status.as_u16(), 429 | 502 | 503 | 504);
                let said = response.text().await.unwrap_or_default();
                if !retry || attempt == ATTEMPTS_MAX {
                    bail!("the server answered {status} to {signal}: {said}");
                }
                tokio::time::sleep(Duration::from_millis(100 * u64::from(attempt))).await;
            }
            Ok(())
        }
    }
}

/// `hindsight replay`.
pub(crate) async fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let mut requests = read(open(&args.file)?).with_context(|| format!("read {}", args.file.display()))?;
    if requests.is_empty() {
        bail!("{} holds no telemetry", args.file.display());
    }
    if args.shift_to_now {
        shift_to_end_at(&mut requests, SystemClock.now());
    }
    let sender = Sender::new(&args.endpoint, args.token.clone())?;
    let clock = args.logical.as_deref().map(|url| Remote::new(url, args.token.clone())).transpose()?;
    let sent = sender
        .send_all(requests, async |now| {
            if let Some(clock) = &clock {
                clock.post("/api/v1/clock", &json!({"now": now.to_string()})).await?;
            }
            Ok(())
        })
        .await?;
    say::line(&format!("sent {sent} requests"))?;
    Ok(ExitCode::SUCCESS)
}

/// A recording's file, unpacked as its name says; `-` is standard input.
pub(crate) fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    Ok(match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Some("zst") => Box::new(zstd::Decoder::new(file)?),
        _ => Box::new(file),
    })
}

/// `None` for a request without a single time in it: there is nothing to replay.
fn recorded(line: &[u8]) -> anyhow::Result<Option<Recorded>> {
    let signal = signal_of(line)?;
    let request = decode_request(signal, Encoding::Json, line)?;
    let Some((_, until)) = time_range(&request) else { return Ok(None) };
    let until = Timestamp::from_nanosecond(i128::from(until)).context("a time beyond the year 9999")?;
    Ok(Some(Recorded { until, signal, request }))
}

fn signal_of(line: &[u8]) -> anyhow::Result<Signal> {
    let start = &line[..line.len().min(200)];
    let start = String::from_utf8_lossy(start);
    let key = start.split('"').nth(1).unwrap_or_default();
    Ok(match key {
        "resourceSpans" => Signal::Traces,
        "resourceMetrics" => Signal::Metrics,
        "resourceLogs" => Signal::Logs,
        other => bail!(
            "starts with key `{other}`; a line is an OTLP/JSON export request with resourceSpans, resourceMetrics or \
             resourceLogs"
        ),
    })
}

async fn drain(under_way: &mut JoinSet<anyhow::Result<()>>, leave: usize) -> anyhow::Result<()> {
    while under_way.len() > leave {
        if let Some(done) = under_way.join_next().await {
            done.context("a sender stopped")??;
        }
    }
    Ok(())
}
