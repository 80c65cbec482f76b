//! QRY-1 from outside, under stress: while clients write, the head is sealed at every chance, blocks are merged without
//! pause and merged ones deleted at once, every answer over HTTP has each row that was acknowledged before the question
//! was sent, none that was sent after the answer had come, and no row twice.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use prost::Message as _;
use serde_json::{Value, json};

use crate::answer::{Answer, whole};
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server};

/// Seals and merges at every chance, in as many steps as there can be, and keeps no file for anybody but queries.
const CONFIG: &str = "[ingest]\nseal_age = \"40ms\"\n\
                      [compaction]\ninterval = \"20ms\"\nfan_in = 2\nquiet_after = \"0s\"\nremoval_grace = \"0s\"\n";
const WRITERS: usize = 3;
const READERS: usize = 3;
const ROWS_A_REQUEST: i64 = 20;
const DAY_NANOS: u64 = 86_400_000_000_000;
/// What must have happened beside the questions, or the test would show nothing.
const SEALS_MIN: u64 = 30;
const MERGES_MIN: u64 = 15;
const DELETED_MIN: u64 = 30;
const ANSWERS_MIN: i64 = 60;
/// A busy machine takes longer to get there.
const STRESS_MAX: Duration = Duration::from_secs(90);
/// Writers wait so long between two requests, for otherwise readers would read ever more.
const PAUSE: Duration = Duration::from_millis(5);

const TOTALS: &str = "SELECT count(*), count(DISTINCT attributes->>'id'), \
                      coalesce(sum(CAST(attributes->>'n' AS BIGINT)), 0) FROM logs";
const IDS: &str = "SELECT attributes->>'id' AS id, CAST(attributes->>'n' AS BIGINT) AS n FROM logs";

/// Rows, and the sum of their numbers.
#[derive(Debug, Default)]
struct Tally {
    rows: AtomicI64,
    sum: AtomicI64,
}

impl Tally {
    fn add(&self, (rows, sum): (i64, i64)) {
        self.rows.fetch_add(rows, Ordering::SeqCst);
        self.sum.fetch_add(sum, Ordering::SeqCst);
    }

    fn now(&self) -> (i64, i64) {
        (self.rows.load(Ordering::SeqCst), self.sum.load(Ordering::SeqCst))
    }
}

#[derive(Debug, Default)]
struct Stress {
    sent: Tally,
    acknowledged: Tally,
    answers: AtomicI64,
    over: AtomicBool,
}

impl Stress {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn totals_never_dip_nor_double_while_blocks_are_sealed_and_merged() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let stress = Arc::new(Stress::default());
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write(server.http, writer, Arc::clone(&stress)))).collect();
    let readers: Vec<_> =
        (0..READERS).map(|reader| tokio::spawn(read(server.web, reader, Arc::clone(&stress)))).collect();
    let told = until_enough(&server, &stress, &readers).await;
    stress.over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await??;
    }
    for writer in writers {
        writer.await??;
    }
    told?;
    let all = stress.acknowledged.now();
    assert_eq!(all, stress.sent.now(), "every request was acknowledged");
    let client = reqwest::Client::new();
    assert_eq!(totals(&client, server.web).await?, all);
    assert!(server.terminate()?.success());
    let again = home.serve()?;
    assert_eq!(totals(&client, again.web).await?, all, "after a restart");
    Ok(())
}

/// Waits until enough happened, or a reader has something to complain about.
async fn until_enough(
    server: &Server,
    stress: &Stress,
    readers: &[tokio::task::JoinHandle<anyhow::Result<()>>],
) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let seals = server.metric("hindsight_seals_total").await?;
        let merges = server.metric("hindsight_compactions_total").await?;
        let deleted = server.metric("hindsight_block_files_removed_total").await?;
        let answers = stress.answers.load(Ordering::SeqCst);
        let enough =
            seals >= SEALS_MIN && merges >= MERGES_MIN && deleted >= DELETED_MIN && answers >= ANSWERS_MIN;
        if enough || readers.iter().any(tokio::task::JoinHandle::is_finished) {
            return Ok(());
        }
        ensure!(
            began.elapsed() < STRESS_MAX,
            "after {STRESS_MAX:?} there were only {seals} seals, {merges} merges, {deleted} deleted files and \
             {answers} answers"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Sends logs of today and of yesterday, each with an id of its own.
async fn write(http: SocketAddr, writer: usize, stress: Arc<Stress>) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    for request in 0_i64.. {
        if stress.is_over() {
            break;
        }
        let ids: Vec<String> = (0..ROWS_A_REQUEST).map(|item| format!("{writer}-{request}-{item}")).collect();
        let numbers = |item: i64| request * ROWS_A_REQUEST + item + 1;
        let texts: Vec<String> = (0..ROWS_A_REQUEST).map(|item| numbers(item).to_string()).collect();
        let named: Vec<_> = ids
            .iter()
            .zip(&texts)
            .map(|(id, n)| ("a line", vec![otlp::text("id", id), otlp::text("n", n)]))
            .collect();
        let at = otlp::now() - if request % 3 == 0 { DAY_NANOS } else { 0 };
        let body = otlp::logs(&format!("shop-{}", request % 5), at, &named).encode_to_vec();
        let of_this = (ROWS_A_REQUEST, (0..ROWS_A_REQUEST).map(numbers).sum());
        stress.sent.add(of_this);
        let post = client.post(format!("http://{http}/v1/logs")).header("content-type", PROTOBUF);
        let status = post.body(body).send().await?.status();
        ensure!(status == 200, "request {request} was answered {status}");
        stress.acknowledged.add(of_this);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Asks again and again, in turn for totals and for every row.
async fn read(web: SocketAddr, reader: usize, stress: Arc<Stress>) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    for round in reader.. {
        if stress.is_over() {
            break;
        }
        let least = stress.acknowledged.now();
        let got = if round % 4 == 0 { every_row(&client, web).await? } else { totals(&client, web).await? };
        let most = stress.sent.now();
        ensure!(
            least.0 <= got.0 && got.0 <= most.0,
            "{} rows, of {} acknowledged before and {} sent until after",
            got.0,
            least.0,
            most.0
        );
        ensure!(least.1 <= got.1 && got.1 <= most.1, "sum {}, not from {} to {}", got.1, least.1, most.1);
        stress.answers.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

async fn post(client: &reqwest::Client, web: SocketAddr, sql: &str, accept: &str) -> anyhow::Result<String> {
    let post = client.post(format!("http://{web}/api/v1/sql")).header("accept", accept);
    let response =
        post.header("content-type", "application/json").body(json!({"sql": sql}).to_string()).send();
    let response = response.await?;
    let status = response.status();
    // A file that was deleted under the query breaks the answer off.
    let text = response.text().await.with_context(|| format!("the answer to {sql} broke off"))?;
    ensure!(status == 200, "{sql}\ngave {status}: {text}");
    Ok(text)
}

/// Rows and their sum; an id that is there twice fails.
async fn totals(client: &reqwest::Client, web: SocketAddr) -> anyhow::Result<(i64, i64)> {
    let answer = Answer::from_json(&post(client, web, TOTALS, "application/json").await?)?;
    let cells = answer.rows.first().context("no row")?.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
    ensure!(cells[0] == cells[1], "{} rows have {} ids", cells[0], cells[1]);
    Ok((cells[0], cells[2]))
}

/// The same from the rows themselves, as they come.
async fn every_row(client: &reqwest::Client, web: SocketAddr) -> anyhow::Result<(i64, i64)> {
    let lines = post(client, web, IDS, "application/x-ndjson").await?;
    let (mut ids, mut sum) = (HashSet::new(), 0);
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line)?;
        let id = row["id"].as_str().with_context(|| format!("no id in {line}"))?.to_owned();
        sum += whole(&row["n"])?;
        ensure!(ids.insert(id), "{line} is there twice");
    }
    Ok((i64::try_from(ids.len())?, sum))
}
