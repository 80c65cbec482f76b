//! QRY-2 from outside: whatever is asked, the server stays up, and small questions are answered meanwhile.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use prost::Message as _;
use serde_json::{Value, json};

use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server};
use crate::wait::wait_until;

/// Small limits, so that a test reaches them soon.
const CONFIG: &str = "[query]\nmemory_bytes = 67108864\nspill_bytes_max = 16777216\nconcurrency = 4\n";
/// Would run for hours.
const ENDLESS: &str = "SELECT sum(a.value * b.value) FROM generate_series(1, 100000) AS a(value), \
                       generate_series(1, 10000000000) AS b(value)";
/// A small question takes a millisecond; this much it may take on a busy test machine beside greedy ones.
const PATIENCE: Duration = Duration::from_secs(5);
const LOGS: i64 = 1_000;

async fn started() -> anyhow::Result<(Home, Server)> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let bodies: Vec<String> = (0..LOGS).map(|number| format!("line {number}")).collect();
    let bodies: Vec<(&str, Vec<_>)> = bodies.iter().map(|body| (body.as_str(), vec![])).collect();
    let body = otlp::logs("shop", otlp::now(), &bodies).encode_to_vec();
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", PROTOBUF);
    ensure!(post.body(body).send().await?.status().is_success());
    Ok((home, server))
}

/// Asks, and says status and body.
async fn ask(server: &Server, sql: &str, timeout_ms: u64) -> anyhow::Result<(u16, String)> {
    let question = json!({"sql": sql, "timeout_ms": timeout_ms}).to_string();
    let post = reqwest::Client::new().post(format!("http://{}/api/v1/sql", server.web));
    let response = post.header("content-type", "application/json").body(question).send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

async fn small_question(server: &Server) -> anyhow::Result<()> {
    let began = Instant::now();
    let count = tokio::time::timeout(PATIENCE, server.count("logs", "service_name = 'shop'")).await;
    assert_eq!(count.with_context(|| format!("no answer within {PATIENCE:?}"))??, LOGS);
    ensure!(began.elapsed() < PATIENCE);
    Ok(())
}

async fn until(what: &str, mut look: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    wait_until(what, Duration::from_secs(30), async || Ok(look().await?.then_some(()))).await
}

async fn running(server: &Server) -> anyhow::Result<Vec<Value>> {
    let text = reqwest::get(format!("http://{}/api/v1/queries", server.web)).await?.text().await?;
    let answer: Value = serde_json::from_str(&text)?;
    Ok(answer["queries"].as_array().context("no list of queries")?.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn greedy_questions_end_at_their_limits_and_small_ones_are_answered_meanwhile() -> anyhow::Result<()> {
    let (_home, server) = started().await?;
    let groups = "SELECT value % 9999991 AS bucket, repeat('x', 200) AS pad, count(*) FROM \
                  generate_series(1, 30000000) GROUP BY 1, 2";
    let sorts = "SELECT value, repeat('x', 200) FROM generate_series(1, 10000000) ORDER BY value DESC";
    let joins = "SELECT count(*) FROM generate_series(1, 3000000) AS a(v) \
                 JOIN generate_series(1, 3000000) AS b(v) ON a.v = b.v";
    let greedy = async {
        let (cross, group, sort) = tokio::join!(
            ask(&server, ENDLESS, 4_000),
            ask(&server, groups, 20_000),
            ask(&server, sorts, 20_000)
        );
        let join = ask(&server, joins, 20_000).await;
        anyhow::Ok([("cross", cross?), ("group", group?), ("sort", sort?), ("join", join?)])
    };
    let meanwhile = async {
        for _ in 0..20 {
            small_question(&server).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    let (greedy, meanwhile) = tokio::join!(greedy, meanwhile);
    meanwhile?;
    for (name, (status, body)) in greedy? {
        // The join may fit: then it is answered.
        let limited = body.contains("limit") || body.contains("timeout");
        ensure!(
            if name == "join" { status == 200 || limited } else { status != 200 && limited },
            "{name}: {status} {body}"
        );
    }
    let log = server.sql("SELECT outcome, memory_peak_bytes FROM query_log WHERE outcome <> 'ok'").await?;
    ensure!(log.rows.len() >= 3, "{:?}", log.rows);
    let peak = server.peak_memory_bytes()?;
    ensure!(peak < 700 << 20, "{} MiB", peak >> 20);
    assert_eq!(server.metric("hindsight_queries_running").await.unwrap_or(0), 0);
    small_question(&server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_a_hundred_megabytes_is_refused_before_it_is_read() -> anyhow::Result<()> {
    let (_home, server) = started().await?;
    let before = server.peak_memory_bytes()?;
    let list = "1234567,".repeat(13 * 1024 * 1024);
    match ask(&server, &format!("SELECT count(*) FROM logs WHERE flags IN ({list}1)"), 10_000).await {
        Ok((status, body)) => assert_eq!(status, 413, "{body}"),
        // The server need not read to the end of what it refuses.
        Err(error) => ensure!(
            error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_request),
            "{error:?}"
        ),
    }
    let (status, body) =
        ask(&server, &format!("SELECT 1 IN ({}1)", "1234567,".repeat(60_000)), 10_000).await?;
    assert_eq!(status, 400, "{body}");
    ensure!(body.contains("longer than") || body.contains("limit") || body.contains("long"), "{body}");
    let grown = server.peak_memory_bytes()?.saturating_sub(before);
    ensure!(grown < 100 << 20, "the server grew by {} MiB", grown >> 20);
    small_question(&server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_questions_at_once_are_answered_or_put_off_and_none_is_lost() -> anyhow::Result<()> {
    let (_home, server) = started().await?;
    let client = reqwest::Client::new();
    let url = format!("http://{}/api/v1/sql", server.web);
    let mut questions = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        let question = json!({"sql": format!("SELECT count(*) + {number} AS n FROM logs")}).to_string();
        let post = client.post(&url).header("content-type", "application/json").body(question);
        questions.spawn(async move {
            let response = post.send().await?;
            let status = response.status().as_u16();
            let body: Value = serde_json::from_str(&response.text().await?)?;
            anyhow::Ok((number, status, body))
        });
    }
    let answers = tokio::time::timeout(Duration::from_secs(90), questions.join_all());
    let mut answered = 0;
    for answer in answers.await.context("a question hangs")? {
        let (number, status, body) = answer?;
        match status {
            200 => {
                answered += 1;
                assert_eq!(crate::answer::whole(&body["rows"][0][0])?, LOGS + number);
            }
            429 | 503 => ensure!(!body["error"]["message"].is_null(), "{body}"),
            other => anyhow::bail!("{other}: {body}"),
        }
    }
    ensure!(answered > 4, "only {answered} of 1,000 were answered");
    small_question(&server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_ends_when_its_asker_hangs_up_or_somebody_cancels_it() -> anyhow::Result<()> {
    let (_home, server) = started().await?;
    let hung_up = tokio::time::timeout(Duration::from_secs(2), ask(&server, ENDLESS, 60_000)).await;
    ensure!(hung_up.is_err(), "{hung_up:?}");
    until("the query of a caller that hung up ends", async || Ok(running(&server).await?.is_empty())).await?;

    let cancelled = async {
        let mut found = Vec::new();
        until("the query is listed", async || Ok(!running(&server).await?.is_empty())).await?;
        found.extend(running(&server).await?);
        let url = format!("http://{}/api/v1/queries/{}", server.web, found[0]["id"]);
        Ok::<_, anyhow::Error>(reqwest::Client::new().delete(url).send().await?.status().as_u16())
    };
    let (asked, cancelled) = tokio::join!(ask(&server, ENDLESS, 60_000), cancelled);
    assert_eq!(cancelled?, 204);
    let (status, body) = asked?;
    ensure!(status != 200 && body.contains("cancel"), "{status} {body}");
    small_question(&server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_stop_reading_keep_no_turn_from_others() -> anyhow::Result<()> {
    use std::io::Write as _;
    let (_home, server) = started().await?;
    let question =
        json!({"sql": "SELECT value, repeat('x', 40) AS pad FROM generate_series(1, 200000)"}).to_string();
    let mut stalled = Vec::new();
    for _ in 0..6 {
        let mut stream = TcpStream::connect(server.web)?;
        write!(
            stream,
            "POST /api/v1/sql HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{question}",
            server.web,
            question.len()
        )?;
        stalled.push(stream);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..10 {
        small_question(&server).await?;
    }
    drop(stalled);
    small_question(&server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_does_not_wait_for_a_long_question() -> anyhow::Result<()> {
    let (_home, server) = started().await?;
    let question = json!({"sql": ENDLESS}).to_string();
    let post = reqwest::Client::new().post(format!("http://{}/api/v1/sql", server.web));
    let asked = tokio::spawn(post.header("content-type", "application/json").body(question).send());
    until("the query runs", async || Ok(!running(&server).await?.is_empty())).await?;
    let began = Instant::now();
    let status = tokio::task::spawn_blocking(move || server.terminate()).await??;
    ensure!(status.success(), "{status}");
    ensure!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    // An error, or an answer that says so: not a wait for an hour.
    if let Ok(response) = asked.await? {
        ensure!(!response.status().is_success(), "{response:?}");
    }
    Ok(())
}
