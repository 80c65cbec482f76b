//! WAL-1 and BLK-1 from outside: the server is killed again and again while clients write; afterwards every
//! acknowledged item is there exactly once, and every other at most once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hindsight_model::Signal;
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::answer::whole;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server};
use crate::wait::wait_until;

/// Kills in one run: 20, and 200 in the long suite.
fn cycles() -> u64 {
    if std::env::var_os("HINDSIGHT_LONG").is_some() { 200 } else { 20 }
}
const CLIENTS: u64 = 3;
/// Items in each request.
const ITEMS: i64 = 4;
/// A server is killed once this many requests were acknowledged and up to so many more, at an uneven moment after.
/// Counting instead of timing makes a busy machine prove as much as an idle one.
const ACKNOWLEDGED_MIN: u64 = 10;
const ACKNOWLEDGED_MORE: u64 = 60;
const MOMENT_MS: u64 = 60;
/// One server in so many is killed before it could do anything.
const UNBORN_EACH: u64 = 5;
const LIFE_MAX: Duration = Duration::from_secs(60);
/// Seal at every chance, so that kills fall before, between and after commits too.
const CONFIG: &str = "[ingest]\nseal_age = \"100ms\"\n";
const RETRY_LIMIT: Duration = Duration::from_secs(30);

/// One request, byte for byte, and what became of it.
#[derive(Clone, Debug)]
struct Request {
    id: String,
    cycle: u64,
    signal: Signal,
    body: Vec<u8>,
    acknowledged: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_kills_lose_nothing_and_double_nothing() -> anyhow::Result<()> {
    let seed = seed()?;
    let told = check(seed).await;
    told.with_context(|| format!("with HINDSIGHT_TEST_SEED={seed}"))
}

async fn check(seed: u64) -> anyhow::Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let home = Home::new(CONFIG)?;
    let mut requests: Vec<Request> = Vec::new();
    let mut cut: Vec<Request> = Vec::new();
    for cycle in 0..cycles() {
        let server = home.serve().with_context(|| format!("start for cycle {cycle}"))?;
        // Clients repeat what was cut off, with the same bytes; every other time they have given up.
        for mut request in cut.drain(..) {
            if cycle % 2 == 0 {
                send_until_acknowledged(server.http, &mut request).await?;
            }
            requests.push(request);
        }
        let count = Arc::new(AtomicU64::new(0));
        let write = |client| tokio::spawn(write_until_cut(server.http, cycle, client, Arc::clone(&count)));
        let clients: Vec<_> = (0..CLIENTS).map(write).collect();
        if cycle % UNBORN_EACH != 0 {
            let enough = ACKNOWLEDGED_MIN + random.next_u64() % ACKNOWLEDGED_MORE;
            wait_until("enough requests are acknowledged", LIFE_MAX, async || {
                Ok((count.load(Ordering::Relaxed) >= enough).then_some(()))
            })
            .await?;
        }
        // The moment of the kill is what is random here; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(random.next_u64() % MOMENT_MS)).await;
        server.kill_9()?;
        for client in clients {
            let (acknowledged, last) = client.await??;
            requests.extend(acknowledged);
            cut.push(last);
        }
    }
    requests.extend(cut);
    let server = home.serve().context("start after the last kill")?;
    verify(&server, &requests).await?;
    assert!(server.terminate()?.success());
    verify(&home.serve()?, &requests).await
}

/// Writes without pause; returns what was acknowledged, and the request that the kill cut off.
async fn write_until_cut(
    http: SocketAddr,
    cycle: u64,
    client: u64,
    count: Arc<AtomicU64>,
) -> anyhow::Result<(Vec<Request>, Request)> {
    let connection = reqwest::Client::new();
    let mut acknowledged = Vec::new();
    for number in 0_u64.. {
        let mut request = Request::new(cycle, client, number);
        match request.send(&connection, http).await {
            Ok(status) if status.is_success() => {
                request.acknowledged = true;
                acknowledged.push(request);
                count.fetch_add(1, Ordering::Relaxed);
            }
            // Pushing back is allowed; the clients here simply end their cycle.
            Ok(status) if matches!(status.as_u16(), 429 | 503) => return Ok((acknowledged, request)),
            Ok(status) => anyhow::bail!("request {} was answered {status}", request.id),
            Err(_) => return Ok((acknowledged, request)),
        }
    }
    unreachable!("a client ends with the server")
}

async fn send_until_acknowledged(http: SocketAddr, request: &mut Request) -> anyhow::Result<()> {
    let connection = reqwest::Client::new();
    wait_until("a repeated request is acknowledged", RETRY_LIMIT, async || {
        Ok(request.send(&connection, http).await?.is_success().then_some(()))
    })
    .await?;
    request.acknowledged = true;
    Ok(())
}

impl Request {
    fn new(cycle: u64, client: u64, number: u64) -> Self {
        let id = format!("{cycle}-{client}-{number}");
        let at = otlp::now();
        let items: Vec<String> = (0..ITEMS).map(|item| format!("{id}-{item}")).collect();
        let marks = |item: &String| vec![otlp::text("request", &id), otlp::text("item", item)];
        let named: Vec<_> = items.iter().map(|item| (item.as_str(), marks(item))).collect();
        let signal = Signal::ALL[usize::try_from((number + client) % 3).expect("below three")];
        let service = format!("cycle-{cycle}");
        let body = match signal {
            Signal::Traces => otlp::spans(&service, at, &named).encode_to_vec(),
            Signal::Logs => otlp::logs(&service, at, &named).encode_to_vec(),
            Signal::Metrics => {
                let sets: Vec<_> = items.iter().map(marks).collect();
                otlp::points(&service, at, &sets).encode_to_vec()
            }
        };
        Self { id, cycle, signal, body, acknowledged: false }
    }

    async fn send(
        &self,
        connection: &reqwest::Client,
        http: SocketAddr,
    ) -> reqwest::Result<reqwest::StatusCode> {
        let url = format!("http://{http}/v1/{}", self.signal);
        let post = connection.post(url).header("content-type", PROTOBUF).body(self.body.clone());
        let response = post.send().await?;
        let status = response.status();
        response.bytes().await?;
        Ok(status)
    }
}

async fn verify(server: &Server, requests: &[Request]) -> anyhow::Result<()> {
    let acknowledged = requests.iter().filter(|request| request.acknowledged).count();
    ensure!(acknowledged > 100, "only {acknowledged} requests were acknowledged; the test proves little");
    for cycle in 0..cycles() {
        for signal in Signal::ALL {
            let of_both = |request: &&Request| request.cycle == cycle && request.signal == signal;
            verify_one(server, cycle, signal, requests.iter().filter(of_both)).await?;
        }
    }
    Ok(())
}

async fn verify_one(
    server: &Server,
    cycle: u64,
    signal: Signal,
    requests: impl Iterator<Item = &Request>,
) -> anyhow::Result<()> {
    let table = signal.tables()[0];
    let sql = format!(
        "SELECT attributes->>'request' AS request, count(*) AS rows, count(DISTINCT attributes->>'item') AS items \
         FROM {table} WHERE service_name = $service GROUP BY 1"
    );
    let answer = server.sql_with(&sql, json!({"service": format!("cycle-{cycle}")})).await?;
    let mut found = std::collections::BTreeMap::new();
    for row in &answer.rows {
        let id = row[0].as_str().context("an id is text")?;
        found.insert(id.to_owned(), (whole(&row[1])?, whole(&row[2])?));
    }
    for request in requests {
        let (rows, items) = found.remove(&request.id).unwrap_or((0, 0));
        let id = &request.id;
        ensure!(
            rows == items,
            "{table}: request {id} has {rows} rows of {items} items: something is doubled"
        );
        if request.acknowledged {
            ensure!(rows == ITEMS, "{table}: request {id} was acknowledged, and {rows} of {ITEMS} are there");
        } else {
            ensure!(rows == 0 || rows == ITEMS, "{table}: request {id} is torn: {rows} of {ITEMS} are there");
        }
    }
    ensure!(found.is_empty(), "{table} has requests that nobody sent: {found:?}");
    Ok(())
}

/// `HINDSIGHT_TEST_SEED` to see a failure again, else a new one each time.
fn seed() -> anyhow::Result<u64> {
    match std::env::var("HINDSIGHT_TEST_SEED") {
        Ok(text) => text.parse().with_context(|| format!("read HINDSIGHT_TEST_SEED={text}")),
        Err(_) => Ok(otlp::now()),
    }
}
