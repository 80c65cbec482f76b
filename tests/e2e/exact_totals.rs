//! QRY-1 from outside: while logs are sent, sealed and merged as fast as the server can, every answer has each line that
//! was acknowledged before the question, once, and none that was not sent.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::answer::whole;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server};

/// As small as a block may be, and as young.
const CONFIG: &str = "[ingest]\nseal_bytes = 1048576\nseal_age = \"1s\"\n";
const SEED: u64 = 4;
const LINES_EACH: i64 = 1_500;
/// Of a line, in hex that does not compress, so that few lines are a block.
const BODY_DIGITS: usize = 600;
/// Merges that must have happened before it ends.
const MERGES: u64 = 2;
const LONGEST: Duration = Duration::from_secs(240);
const QUESTION: &str = "SELECT count(*) AS n, count(DISTINCT CAST(attributes->>'seq' AS BIGINT)) AS distinct_n, \
                        sum(CAST(attributes->>'seq' AS BIGINT)) AS total, max(CAST(attributes->>'seq' AS BIGINT)) \
                        AS last FROM logs WHERE service_name = 'counted'";

/// Lines numbered from `from`, each once.
fn lines(random: &mut ChaCha8Rng, from: i64) -> Vec<u8> {
    let line = |number: i64, random: &mut ChaCha8Rng| {
        let body: String =
            (0..BODY_DIGITS / 16).map(|_| format!("{:016x}", random.random::<u64>())).collect();
        let value = Some(AnyValue { value: Some(OtlpValue::IntValue(number)) });
        (body, vec![KeyValue { key: "seq".to_owned(), value, ..KeyValue::default() }])
    };
    let lines: Vec<_> = (from..from + LINES_EACH).map(|number| line(number, random)).collect();
    let lines: Vec<_> = lines.iter().map(|(body, attributes)| (body.as_str(), attributes.clone())).collect();
    otlp::logs("counted", otlp::now(), &lines).encode_to_vec()
}

/// What was sent and what was acknowledged, in lines; they are sent in order, so each is also a number of a line.
#[derive(Debug, Default)]
struct Progress {
    sent: AtomicI64,
    acknowledged: AtomicI64,
    done: AtomicBool,
}

/// One answer, held against what was known before and after it.
fn check(row: &[Value], before: i64, after: i64) -> anyhow::Result<()> {
    let count = whole(&row[0])?;
    ensure!(count >= before, "{count} lines, though {before} were acknowledged before the question");
    ensure!(count <= after, "{count} lines, though only {after} had been sent at the answer");
    ensure!(count % LINES_EACH == 0, "{count} lines: a request was seen in part");
    ensure!(whole(&row[1])? == count, "{count} lines, but {} numbers", row[1]);
    if count > 0 {
        // With no number twice, only the first `count` numbers have this sum and this last one.
        ensure!(whole(&row[2])? == count * (count - 1) / 2, "{count} lines have the sum {}", row[2]);
        ensure!(whole(&row[3])? == count - 1, "{count} lines, the last is {}", row[3]);
    }
    Ok(())
}

async fn ask(server: &Server, progress: &Progress) -> anyhow::Result<u64> {
    let mut questions = 0;
    while !progress.done.load(Ordering::SeqCst) {
        let before = progress.acknowledged.load(Ordering::SeqCst);
        let answer = server.sql(QUESTION).await?;
        check(&answer.rows[0], before, progress.sent.load(Ordering::SeqCst))?;
        questions += 1;
    }
    Ok(questions)
}

async fn send(server: &Server, progress: &Progress) -> anyhow::Result<()> {
    let (client, mut random) = (reqwest::Client::new(), ChaCha8Rng::seed_from_u64(SEED));
    let (began, mut from) = (Instant::now(), 0);
    while server.metric("hindsight_compactions_total").await? < MERGES {
        ensure!(began.elapsed() < LONGEST, "too few merges in {LONGEST:?}");
        let body = lines(&mut random, from);
        progress.sent.store(from + LINES_EACH, Ordering::SeqCst);
        loop {
            let post = client.post(server.otlp_url("logs")).header("content-type", PROTOBUF);
            let response = post.body(body.clone()).send().await?;
            if response.status().is_success() {
                break;
            }
            // The head is full: the same again, as an exporter does.
            assert_eq!(response.status(), 503, "{}", response.text().await?);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        from += LINES_EACH;
        progress.acknowledged.store(from, Ordering::SeqCst);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_neither_dip_nor_double_while_blocks_are_sealed_and_merged() -> anyhow::Result<()> {
    let server = Home::new(CONFIG)?.serve()?;
    let progress = Progress::default();
    let sending = async {
        send(&server, &progress).await?;
        progress.done.store(true, Ordering::SeqCst);
        anyhow::Ok(())
    };
    let asking = || ask(&server, &progress);
    // An asker who finds a fault does not wait for the end.
    let all = tokio::try_join!(sending, asking(), asking(), asking());
    let ((), first, second, third) = all.with_context(|| format!("seed {SEED}"))?;
    ensure!(first.min(second).min(third) > 5, "{first}, {second}, {third} questions are no test");
    let all = progress.acknowledged.load(Ordering::SeqCst);
    check(&server.sql(QUESTION).await?.rows[0], all, all)?;
    let files = server.sql("SELECT count(*) FROM blocks WHERE table_name = 'logs'").await?;
    ensure!(whole(files.single()?)? > 0, "nothing was sealed");
    Ok(())
}
