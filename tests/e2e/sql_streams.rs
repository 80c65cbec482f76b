//! Long answers over HTTP: in the memory of a few pieces, broken off where they do not come to their end, and no burden
//! to others when their reader is slow.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::server::{Home, Server};
use crate::wait::wait_until;

const CSV: &str = "text/csv";
const LINES: &str = "application/x-ndjson";
const ARROW: &str = "application/vnd.apache.arrow.stream";
const JSON: &str = "application/json";
/// A tested build is slow; nothing here waits for so long but where it says so.
const CONFIG: &str = "[query]\ntimeout = \"300s\"\n";
const ROWS: u64 = 2_000_000;
/// What an answer of any length may take of the server. The shortest of those asked for is thrice as long.
const GROWTH_BYTES_MAX: u64 = 32 << 20;
/// Fails after many rows.
const LATE_FAULT: &str = "SELECT 1 / (900000 - value) AS n FROM generate_series(1, 1000000)";
/// A gigabyte.
const LONG: &str = "SELECT value, repeat('x', 100) AS pad FROM generate_series(1, 10000000)";
/// A small question takes a millisecond; this much it may take on a busy test machine.
const PATIENCE: Duration = Duration::from_secs(10);

async fn ask(server: &Server, accept: &str, question: &Value) -> anyhow::Result<reqwest::Response> {
    let post = reqwest::Client::new().post(format!("http://{}/api/v1/sql", server.web));
    let post = post.header("content-type", JSON).header("accept", accept);
    Ok(post.body(question.to_string()).send().await?)
}

/// What arrived, and whether it came to its end.
async fn all(mut response: reqwest::Response) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return (body, true),
            Err(_) => return (body, false),
        }
    }
}

/// How the query of this text ended, by the server's log.
async fn outcome(server: &Server, sql: &str) -> anyhow::Result<String> {
    let look = async || {
        let asked = "SELECT outcome FROM query_log WHERE sql = $sql ORDER BY id DESC LIMIT 1";
        let answer = server.sql_with(asked, json!({"sql": sql})).await?;
        Ok(answer.rows.first().map(|row| row[0].as_str().unwrap_or_default().to_owned()))
    };
    wait_until("the query is in the log", Duration::from_secs(30), look).await
}

fn header(response: &reqwest::Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn millions_of_rows_take_the_memory_of_a_few() -> anyhow::Result<()> {
    let server = Home::new(CONFIG)?.serve()?;
    let sql = format!("SELECT value, repeat('x', 60) AS pad FROM generate_series(1, {ROWS})");
    // What is made once, and what the first answers take, is not counted.
    let few = format!("{sql} LIMIT 20000");
    for accept in [CSV, LINES, ARROW, JSON] {
        ensure!(all(ask(&server, accept, &json!({"sql": few})).await?).await.1, "{accept}");
    }
    for accept in [CSV, LINES, ARROW] {
        let before = server.peak_memory_bytes()?;
        let mut response = ask(&server, accept, &json!({"sql": sql})).await?;
        assert_eq!(response.status(), 200);
        let (mut bytes, mut line_ends, mut tail) = (0_u64, 0_u64, Vec::new());
        while let Some(chunk) = response.chunk().await? {
            bytes += chunk.len() as u64;
            line_ends += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
            tail = [tail, chunk.to_vec()].concat();
            tail.drain(..tail.len().saturating_sub(200));
        }
        let grown = server.peak_memory_bytes()?.saturating_sub(before);
        ensure!(bytes > 3 * GROWTH_BYTES_MAX, "{accept}: {bytes} bytes are no test");
        ensure!(grown < GROWTH_BYTES_MAX, "{accept}: {bytes} bytes made the server grow by {grown}");
        match accept {
            CSV => assert_eq!(line_ends, ROWS + 1),
            LINES => {
                assert_eq!(line_ends, ROWS);
                let tail = String::from_utf8(tail)?;
                let last: Value = serde_json::from_str(tail.trim_end().rsplit('\n').next().unwrap_or(""))?;
                assert_eq!(last["value"], ROWS);
            }
            _ => ensure!(tail.ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]), "{tail:?}"),
        }
    }
    assert_eq!(outcome(&server, &sql).await?, "ok");
    // A document has its bound.
    let refused = all(ask(&server, JSON, &json!({"sql": sql})).await?).await.0;
    let refused: Value = serde_json::from_slice(&refused)?;
    ensure!(refused["error"]["message"].as_str().is_some_and(|said| said.contains("1000000 rows")));
    ensure!(refused["stats"].is_null() && refused["rows"].as_array().is_some_and(|rows| !rows.is_empty()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn short_answers_come_whole_with_their_length_and_their_errors_with_a_status() -> anyhow::Result<()> {
    let server = Home::new(CONFIG)?.serve()?;
    for accept in [CSV, LINES, ARROW, JSON] {
        let response = ask(&server, accept, &json!({"sql": "SELECT 1 AS n"})).await?;
        ensure!(
            header(&response, "x-hindsight-query-id").is_some()
                && header(&response, "x-hindsight-partial").is_none()
        );
        let length: usize = header(&response, "content-length").context("no length")?.parse()?;
        assert_eq!((response.status().as_u16(), response.bytes().await?.len()), (200, length));
        for (sql, status) in [
            ("SELECT nothing FROM logs", 400),
            ("SELECT 1 / (value - 1000) FROM generate_series(1, 2000)", 400),
        ] {
            let response = ask(&server, accept, &json!({"sql": sql})).await?;
            assert_eq!(response.status(), status, "{accept} {sql}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_fails_on_its_way_is_not_taken_for_a_short_one() -> anyhow::Result<()> {
    let server = Home::new(CONFIG)?.serve()?;
    for accept in [CSV, LINES, ARROW, JSON] {
        let response = ask(&server, accept, &json!({"sql": LATE_FAULT})).await?;
        assert_eq!(response.status(), 200, "{accept}");
        let (body, came_to_its_end) = all(response).await;
        ensure!(body.len() > 100_000, "{accept}: {}", body.len());
        assert_eq!(came_to_its_end, accept == JSON, "{accept}");
        let error = match accept {
            JSON => {
                let mut document: Value = serde_json::from_slice(&body)?;
                ensure!(document["rows"].as_array().is_some_and(|rows| rows.len() > 100_000));
                ensure!(document["stats"].is_null());
                document["error"].take()
            }
            LINES => {
                let text = String::from_utf8(body)?;
                let last = text.strip_suffix('\n').and_then(|text| text.rsplit('\n').next());
                serde_json::from_str::<Value>(last.context("no line")?)?["error"].take()
            }
            _ => continue,
        };
        assert_eq!(error["code"], "invalid_query", "{error}");
        ensure!(error["message"].as_str().is_some_and(|said| said.contains("division by zero")), "{error}");
    }
    assert_eq!(outcome(&server, LATE_FAULT).await?, "invalid");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_answers_are_given_when_asked_for_and_always_say_so() -> anyhow::Result<()> {
    let server = Home::new(CONFIG)?.serve()?;
    let some = "SELECT value FROM generate_series(1, 100000)";
    let slow = "SELECT value FROM generate_series(1, 1000000000000) WHERE value <= 10 OR value < 0";
    for (sql, rows_max, timeout_ms, reason) in
        [(some, Some(10), 60_000, "rows"), (slow, None, 1_500, "timeout")]
    {
        let mut question = json!({"sql": sql, "timeout_ms": timeout_ms});
        if let Some(rows_max) = rows_max {
            question["rows_max"] = json!(rows_max);
        }
        let refused = ask(&server, JSON, &question).await?;
        assert_eq!(refused.status(), 422, "{sql}");
        assert_eq!(outcome(&server, sql).await?, reason);
        question["partial"] = json!(true);
        for accept in [CSV, LINES, JSON] {
            let response = ask(&server, accept, &question).await?;
            assert_eq!(response.status(), 200, "{accept} {sql}");
            assert_eq!(header(&response, "x-hindsight-partial").as_deref(), Some(reason), "{accept} {sql}");
            let text = response.text().await?;
            if accept == JSON {
                let answer: Value = serde_json::from_str(&text)?;
                assert_eq!(answer["stats"]["partial"], true);
                assert_eq!(answer["stats"]["partial_reason"], reason);
                let rows = answer["rows"].as_array().context("no rows")?;
                ensure!(rows.len() <= 10 && (reason == "timeout" || rows.len() == 10), "{answer}");
            } else {
                ensure!(text.lines().count() <= 11, "{text}");
            }
            assert_eq!(outcome(&server, sql).await?, "partial");
        }
    }
    // What is not cut short says nothing, and what is cut short too late to say so is broken off.
    let whole = ask(&server, JSON, &json!({"sql": "SELECT 1 AS n", "partial": true})).await?;
    ensure!(header(&whole, "x-hindsight-partial").is_none());
    let whole: Value = serde_json::from_str(&whole.text().await?)?;
    ensure!(whole["stats"]["partial"].is_null() && whole["rows"] == json!([[1]]), "{whole}");
    let long = json!({"sql": LONG, "rows_max": 50_000, "partial": true});
    ensure!(!all(ask(&server, CSV, &long).await?).await.1, "not broken off");
    let document: Value = serde_json::from_slice(&all(ask(&server, JSON, &long).await?).await.0)?;
    assert_eq!(document["rows"].as_array().map(Vec::len), Some(50_000));
    assert_eq!(document["stats"]["partial_reason"], "rows");
    Ok(())
}

/// Sends a question and reads nothing of the answer.
fn ask_and_stop(server: &Server, accept: &str, question: &Value) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(server.web)?;
    let question = question.to_string();
    write!(
        stream,
        "POST /api/v1/sql HTTP/1.1\r\nhost: {}\r\naccept: {accept}\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n\
         {question}",
        server.web,
        question.len()
    )?;
    Ok(stream)
}

async fn running(server: &Server) -> anyhow::Result<usize> {
    let text = reqwest::get(format!("http://{}/api/v1/queries", server.web)).await?.text().await?;
    Ok(serde_json::from_str::<Value>(&text)?["queries"].as_array().context("no list")?.len())
}

async fn until_running(server: &Server, count: usize) -> anyhow::Result<()> {
    let look = async || Ok((running(server).await? == count).then_some(()));
    wait_until(&format!("{count} queries are running"), Duration::from_secs(30), look).await
}

async fn small_question(server: &Server) -> anyhow::Result<()> {
    tokio::time::timeout(PATIENCE, server.sql("SELECT 1 AS n")).await.context("no answer")??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_is_cut_off_at_the_time_limit() -> anyhow::Result<()> {
    let server = Home::new(CONFIG)?.serve()?;
    small_question(&server).await?;
    let before = server.peak_memory_bytes()?;
    let began = Instant::now();
    let mut streams = Vec::new();
    for accept in [CSV, LINES, ARROW, JSON] {
        streams.push(ask_and_stop(&server, accept, &json!({"sql": LONG, "timeout_ms": 4_000}))?);
    }
    until_running(&server, 4).await?;
    while began.elapsed() < Duration::from_secs(3) {
        small_question(&server).await?;
    }
    until_running(&server, 0).await?;
    assert_eq!(outcome(&server, LONG).await?, "timeout");
    // The server hangs up: what lies between it and us is all that ever comes.
    let look = async || Ok((server.metric("hindsight_connections{port=\"web\"}").await? <= 1).then_some(()));
    wait_until("only we are left", Duration::from_secs(20), look).await?;
    ensure!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    for mut stream in streams {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut taken = Vec::new();
        // A reset is an end as well.
        let ended = stream.read_to_end(&mut taken).map_err(|error| error.kind());
        ensure!(
            !matches!(ended, Err(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)),
            "{ended:?}"
        );
        ensure!(taken.len() < 64 << 20, "{} bytes", taken.len());
    }
    let grown = server.peak_memory_bytes()?.saturating_sub(before);
    ensure!(grown < 2 * GROWTH_BYTES_MAX, "four answers made the server grow by {grown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_clients_that_stop_reading_than_there_are_turns_keep_none_from_others() -> anyhow::Result<()> {
    let server = Home::new("[query]\nconcurrency = 3\ntimeout = \"300s\"\n")?.serve()?;
    let mut stalled = Vec::new();
    for _ in 0..12 {
        stalled.push(ask_and_stop(&server, CSV, &json!({"sql": LONG}))?);
    }
    until_running(&server, 3).await.ok();
    for _ in 0..20 {
        small_question(&server).await?;
    }
    let answer = server.sql("SELECT count(*) FROM query_log WHERE outcome = 'reader'").await?;
    ensure!(crate::answer::whole(answer.single()?)? > 0, "nobody had to give up a turn");
    drop(stalled);
    until_running(&server, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_in_the_middle_stops_its_query() -> anyhow::Result<()> {
    let server = Home::new(CONFIG)?.serve()?;
    for reads in [false, true] {
        let sql = format!("{LONG} OFFSET {}", u8::from(reads));
        let mut stream = ask_and_stop(&server, LINES, &json!({"sql": sql}))?;
        let mut some = vec![0; 1 << 20];
        stream.read_exact(&mut some)?;
        until_running(&server, 1).await?;
        if reads {
            let _ = std::thread::spawn(move || {
                for _ in 0..20 {
                    if stream.read_exact(&mut some).is_err() {
                        return;
                    }
                }
            })
            .join();
        } else {
            drop(stream);
        }
        until_running(&server, 0).await?;
        assert_eq!(outcome(&server, &sql).await?, "dropped");
    }
    Ok(())
}
