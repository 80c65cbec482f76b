//! A server that cannot keep up says so in a way that exporters understand, and loses nothing (OTLP.md rule 11).

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use prost::Message as _;
use reqwest::header::RETRY_AFTER;
use serde_json::Value;
use tokio::task::JoinSet;
use tonic::Code;

use crate::otlp::{self, JSON, PROTOBUF};
use crate::server::{Home, Server};

/// The smallest head. Two of the requests below fill it while they are under way, and a third beside them must wait.
const CONFIG: &str = "[ingest]\nseal_bytes = 1048576\nhead_bytes_max = 1048576\n";
const BODY_BYTES: usize = 700_000;
/// Requests that are sent at the same time, so that sealing between them cannot make room for all.
const CROWD: usize = 16;
/// Crowds after which a server that never pushed back has no bound.
const CROWDS_MAX: usize = 12;
/// Each adds 64 KiB, to which its long value is cut: several times what the head may hold.
const REQUESTS_TAKEN: usize = 64;
const TAKEN_WITHIN: Duration = Duration::from_secs(120);
const COME_BACK_AFTER: Duration = Duration::from_millis(50);

fn request(number: usize) -> ExportLogsServiceRequest {
    let body = format!("{number}{}", "x".repeat(BODY_BYTES));
    otlp::logs("pressed", otlp::now(), &[(&body, vec![])])
}

async fn kept(server: &Server) -> anyhow::Result<usize> {
    Ok(usize::try_from(server.count("logs", "service_name = 'pressed'").await?)?)
}

/// Sends crowds of requests until one of them is refused: the refusals, when what is kept is what was acknowledged.
async fn press<R, F>(server: &Server, mut send: impl FnMut(usize) -> F) -> anyhow::Result<Vec<R>>
where
    R: Send + 'static,
    F: Future<Output = anyhow::Result<Option<R>>> + Send + 'static,
{
    let mut taken = 0;
    for crowd in 0..CROWDS_MAX {
        let mut sent: JoinSet<anyhow::Result<Option<R>>> =
            (0..CROWD).map(|number| send(crowd * CROWD + number)).collect();
        let mut refused = Vec::new();
        while let Some(answer) = sent.join_next().await {
            match answer?? {
                Some(refusal) => refused.push(refusal),
                None => taken += 1,
            }
        }
        if !refused.is_empty() {
            assert_eq!(kept(server).await?, taken, "what was acknowledged is there, what was refused is not");
            return Ok(refused);
        }
    }
    anyhow::bail!("{taken} requests pressed on a head of one megabyte, and none was refused")
}

#[tokio::test]
async fn over_http_a_full_server_asks_to_come_back() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let client = reqwest::Client::new();
    let refused = press(&server, |number| {
        let post = client.post(server.otlp_url("logs")).header("content-type", PROTOBUF);
        let sending = post.body(request(number).encode_to_vec()).send();
        async move {
            let response = sending.await?;
            Ok((response.status() != 200).then_some(response))
        }
    })
    .await?;
    for response in refused {
        assert_eq!(response.status(), 503);
        let wait: u64 = response.headers().get(RETRY_AFTER).context("no Retry-After")?.to_str()?.parse()?;
        ensure!((1..=60).contains(&wait), "Retry-After: {wait}");
        assert_eq!(response.headers()["content-type"], PROTOBUF);
    }
    Ok(())
}

#[tokio::test]
async fn over_grpc_a_full_server_asks_to_come_back() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let client = LogsServiceClient::connect(format!("http://{}", server.grpc)).await?;
    let refused = press(&server, |number| {
        let mut client = client.clone();
        async move { Ok(client.export(request(number)).await.err()) }
    })
    .await?;
    for status in refused {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        let details = String::from_utf8_lossy(status.details());
        ensure!(details.contains("google.rpc.RetryInfo"), "when to come back is missing: {status:?}");
    }
    Ok(())
}

/// How often the server sent it away before it took it.
async fn until_taken(client: reqwest::Client, url: String, number: usize) -> anyhow::Result<usize> {
    let body = serde_json::json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "pressed"}}]},
        "scopeLogs": [{"logRecords": [{
            "timeUnixNano": otlp::now().to_string(),
            "body": {"stringValue": format!("{number}{}", "x".repeat(BODY_BYTES))},
        }]}],
    }]})
    .to_string();
    let started = Instant::now();
    for refused in 0.. {
        let post = client.post(&url).header("content-type", JSON).body(body.clone());
        let response = post.send().await?;
        if response.status() == 200 {
            return Ok(refused);
        }
        assert_eq!(response.status(), 503);
        let status: Value = serde_json::from_str(&response.text().await?)?;
        assert_eq!(status["code"], 14, "UNAVAILABLE: {status}");
        if started.elapsed() > TAKEN_WITHIN {
            break;
        }
        tokio::time::sleep(COME_BACK_AFTER).await;
    }
    anyhow::bail!("the server did not take request {number} within {TAKEN_WITHIN:?}")
}

#[tokio::test]
async fn a_refused_request_is_taken_when_it_comes_back() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let client = reqwest::Client::new();
    let mut senders: JoinSet<anyhow::Result<usize>> = (0..REQUESTS_TAKEN)
        .map(|number| until_taken(client.clone(), server.otlp_url("logs"), number))
        .collect();
    let mut refused = 0;
    while let Some(times) = senders.join_next().await {
        refused += times??;
    }
    ensure!(refused > 0, "{REQUESTS_TAKEN} requests passed through a head of one megabyte without a pause");
    assert_eq!(kept(&server).await?, REQUESTS_TAKEN);
    Ok(())
}
