//! A server that cannot keep up says so in a way that exporters understand, and loses nothing (OTLP.md rule 11).

use std::time::Duration;

use anyhow::{Context as _, ensure};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use prost::Message as _;
use reqwest::header::RETRY_AFTER;
use serde_json::Value;
use tonic::Code;

use crate::otlp::{self, JSON, PROTOBUF};
use crate::server::{Home, Server};
use crate::wait::wait_until;

/// The smallest head: two of the requests below fill it, and until it is sealed the third must wait.
const CONFIG: &str = "[ingest]\nseal_bytes = 1048576\nhead_bytes_max = 1048576\n";
const BODY_BYTES: usize = 700_000;
/// Requests after which a server that never pushed back has no bound.
const REQUESTS_MAX: usize = 200;
/// Each adds 64 KiB, to which its long value is cut: several times what the head may hold.
const REQUESTS_TAKEN: usize = 64;
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

fn request(number: usize) -> ExportLogsServiceRequest {
    let body = format!("{number}{}", "x".repeat(BODY_BYTES));
    otlp::logs("pressed", otlp::now(), &[(&body, vec![])])
}

async fn kept(server: &Server) -> anyhow::Result<usize> {
    Ok(usize::try_from(server.count("logs", "service_name = 'pressed'").await?)?)
}

#[tokio::test]
async fn over_http_a_full_server_asks_to_come_back() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let client = reqwest::Client::new();
    for number in 0..REQUESTS_MAX {
        let post = client.post(server.otlp_url("logs")).header("content-type", PROTOBUF);
        let response = post.body(request(number).encode_to_vec()).send().await?;
        if response.status() == 200 {
            continue;
        }
        assert_eq!(response.status(), 503);
        let wait: u64 = response.headers().get(RETRY_AFTER).context("no Retry-After")?.to_str()?.parse()?;
        ensure!((1..=60).contains(&wait), "Retry-After: {wait}");
        assert_eq!(response.headers()["content-type"], PROTOBUF);
        assert_eq!(kept(&server).await?, number, "what was acknowledged is there, what was refused is not");
        return Ok(());
    }
    anyhow::bail!("{REQUESTS_MAX} requests filled a head of one megabyte, and none was refused")
}

#[tokio::test]
async fn over_grpc_a_full_server_asks_to_come_back() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let mut client = LogsServiceClient::connect(format!("http://{}", server.grpc)).await?;
    for number in 0..REQUESTS_MAX {
        let Err(status) = client.export(request(number)).await else { continue };
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        let details = String::from_utf8_lossy(status.details());
        ensure!(details.contains("google.rpc.RetryInfo"), "when to come back is missing: {status:?}");
        assert_eq!(kept(&server).await?, number, "what was acknowledged is there, what was refused is not");
        return Ok(());
    }
    anyhow::bail!("{REQUESTS_MAX} requests filled a head of one megabyte, and none was refused")
}

#[tokio::test]
async fn a_refused_request_is_taken_when_it_comes_back() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let client = reqwest::Client::new();
    let mut refused = 0;
    for number in 0..REQUESTS_TAKEN {
        let body = serde_json::json!({"resourceLogs": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "pressed"}}]},
            "scopeLogs": [{"logRecords": [{
                "timeUnixNano": otlp::now().to_string(),
                "body": {"stringValue": format!("{number}{}", "x".repeat(BODY_BYTES))},
            }]}],
        }]})
        .to_string();
        wait_until("the server took the request", TAKEN_WITHIN, async || {
            let post = client.post(server.otlp_url("logs")).header("content-type", JSON).body(body.clone());
            let response = post.send().await?;
            if response.status() == 200 {
                return Ok(Some(()));
            }
            assert_eq!(response.status(), 503);
            let status: Value = serde_json::from_str(&response.text().await?)?;
            assert_eq!(status["code"], 14, "UNAVAILABLE: {status}");
            refused += 1;
            Ok(None)
        })
        .await?;
    }
    ensure!(refused > 0, "{REQUESTS_TAKEN} requests passed through a head of one megabyte without a pause");
    assert_eq!(kept(&server).await?, REQUESTS_TAKEN);
    Ok(())
}
