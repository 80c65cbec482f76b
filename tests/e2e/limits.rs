//! The limits of one tenant, as its exporters meet them, and what is left to read of what was refused.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use prost::Message as _;
use reqwest::header::RETRY_AFTER;
use serde_json::Value;
use tonic::Code;

use crate::binary;
use crate::otlp::{self, JSON, PROTOBUF};
use crate::server::{Home, Server, text};

async fn post(server: &Server, media: &str, body: Vec<u8>) -> anyhow::Result<reqwest::Response> {
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", media);
    Ok(post.body(body).send().await?)
}

fn batch(number: usize, records: usize) -> Vec<u8> {
    let bodies: Vec<String> = (0..records).map(|record| format!("{number}-{record}")).collect();
    let bodies: Vec<(&str, Vec<_>)> = bodies.iter().map(|body| (body.as_str(), vec![])).collect();
    otlp::logs("fast", otlp::now(), &bodies).encode_to_vec()
}

#[tokio::test]
async fn a_tenant_over_its_rate_is_told_429_and_taken_when_it_comes_back() -> anyhow::Result<()> {
    let home = Home::new("[limits]\ntenant_items_per_second = 10\ntenant_burst = \"1s\"\n")?;
    let server = home.serve()?;
    assert_eq!(
        post(&server, PROTOBUF, batch(0, 30)).await?.status(),
        200,
        "the first is let in, and overdraws"
    );
    let refused = post(&server, JSON, b"{\"resourceLogs\":[]}".to_vec()).await?;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers().get(RETRY_AFTER).context("no Retry-After")?.to_str()?.parse()?;
    ensure!((1..=60).contains(&wait), "Retry-After: {wait}");
    let status: Value = serde_json::from_str(&refused.text().await?)?;
    assert_eq!(status["code"], 8, "RESOURCE_EXHAUSTED: {status}");

    let mut client = LogsServiceClient::connect(format!("http://{}", server.grpc)).await?;
    let request = otlp::logs("fast", otlp::now(), &[("late", vec![])]);
    let status = client.export(request.clone()).await.expect_err("the debt is not paid");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let details = String::from_utf8_lossy(status.details());
    ensure!(details.contains("google.rpc.RetryInfo"), "without it the exporter drops the data: {status:?}");

    tokio::time::sleep(Duration::from_secs(wait) + Duration::from_secs(1)).await;
    client.export(request).await?;
    assert_eq!(server.count("logs", "service_name = 'fast'").await?, 31);
    assert_eq!(server.metric("hindsight_rate_limited_total").await?, 2);
    assert_eq!(server.metric("hindsight_requests_refused_total{reason=\"rate_of_items\"}").await?, 2);
    Ok(())
}

#[tokio::test]
async fn what_was_refused_is_counted_by_reason_and_still_there_after_a_restart() -> anyhow::Result<()> {
    let home = Home::new("[ingest]\nrequest_bytes_max = 4096\n")?;
    let server = home.serve()?;
    for _ in 0..3 {
        assert_eq!(post(&server, PROTOBUF, vec![b'x'; 5_000]).await?.status(), 413);
    }
    assert_eq!(post(&server, JSON, b"{".to_vec()).await?.status(), 400);
    assert_eq!(post(&server, "text/plain", b"hello".to_vec()).await?.status(), 415);
    let sql = "SELECT reason, sum(occurrences) AS n FROM rejected_telemetry GROUP BY reason ORDER BY reason";
    let expected = [("malformed", 1), ("media_type", 1), ("request_too_large", 3)];
    let listed = async |server: &Server| -> anyhow::Result<Vec<(String, i64)>> {
        let answer = server.sql(sql).await?;
        let row = |row: &Vec<Value>| {
            Ok((row[0].as_str().unwrap_or_default().to_owned(), crate::answer::whole(&row[1])?))
        };
        answer.rows.iter().map(row).collect()
    };
    let expected: Vec<(String, i64)> = expected.map(|(reason, count)| (reason.to_owned(), count)).into();
    assert_eq!(listed(&server).await?, expected);
    assert!(server.terminate()?.success());
    let server = home.serve()?;
    assert_eq!(listed(&server).await?, expected);
    Ok(())
}

#[test]
fn the_configuration_shows_every_limit_and_refuses_what_cannot_work() -> anyhow::Result<()> {
    let home = Home::new(
        "[limits]\nconnections_max = 77\ntenant_bytes_per_second = 1000\nbody_timeout = \"90s\"\n",
    )?;
    let (workspace, data_dir) = (home.workspace(), home.data_dir());
    let shown = ["config", "print", "--workspace", text(&workspace), "--data-dir", text(&data_dir)];
    let shown = binary::run_well(&shown)?;
    let names = [
        "connections_max",
        "header_timeout",
        "body_timeout",
        "idle_timeout",
        "in_flight_bytes_max",
        "series_max",
        "tenant_bytes_per_second",
        "tenant_items_per_second",
        "tenant_burst",
    ];
    for name in names {
        ensure!(shown.contains(&format!("limits.{name}")), "{name} is not in\n{shown}");
    }
    for value in ["77", "1000", "90s", "no limit"] {
        ensure!(shown.contains(value), "{value} is not in\n{shown}");
    }
    for (wrong, named) in [
        ("[limits]\nin_flight_bytes_max = 1000\n", "three times"),
        ("[limits]\nconnections_max = 0\n", "at least 1"),
        ("[limits]\nbody_timeout = \"0s\"\n", "limits.body_timeout"),
        ("[limits]\nconnection_max = 5\n", "connection_max"),
    ] {
        let home = Home::new(wrong)?;
        let output = binary::run(&["config", "print", "--workspace", text(&home.workspace())])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && said.contains(named), "{wrong}{said}");
    }
    Ok(())
}
