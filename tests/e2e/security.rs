//! SEC-1: nothing listens beyond loopback without authentication, unless `--insecure` says so aloud.

use anyhow::Context as _;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use serde_json::Value;
use tonic::Code;

use crate::binary;
use crate::otlp::{JSON, PROTOBUF};
use crate::server::{Home, text};

#[test]
fn an_open_address_without_a_token_is_refused_with_the_way_out() -> anyhow::Result<()> {
    for flag in ["--listen-web", "--listen-grpc", "--listen-http", "--listen-pg"] {
        let home = Home::new("")?;
        let (data_dir, workspace) = (home.data_dir(), home.workspace());
        let mut arguments =
            vec!["serve", "--data-dir", text(&data_dir), "--workspace", text(&workspace), flag, "0.0.0.0:0"];
        for other in ["--listen-web", "--listen-grpc", "--listen-http"] {
            if other != flag {
                arguments.extend([other, "127.0.0.1:0"]);
            }
        }
        let output = binary::run(&arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{flag} 0.0.0.0:0 was accepted");
        for word in [flag, "--token", "--insecure"] {
            assert!(said.contains(word), "`{word}` is not in the refusal: {said}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_asked_for_on_every_port() -> anyhow::Result<()> {
    let token = "0123456789abcdef0123456789abcdef";
    let home = Home::new("")?;
    let server = home.serve_with(&["--token", token])?;
    let client = reqwest::Client::new();
    let sql = format!("http://{}/api/v1/sql", server.web);
    for url in [sql.as_str(), &server.otlp_url("logs")] {
        let ask = || client.post(url).header("content-type", "application/json");
        let body = if url == sql { r#"{"sql":"SELECT 1"}"# } else { "{}" };
        assert_eq!(ask().body(body).send().await?.status(), 401, "{url} without a token");
        let wrong = ask().bearer_auth("fedcba9876543210fedcba9876543210").body(body).send().await?;
        assert_eq!(wrong.status(), 401, "{url} with a wrong token");
        assert_eq!(ask().bearer_auth(token).body(body).send().await?.status(), 200, "{url} with the token");
    }
    let mut grpc = LogsServiceClient::connect(format!("http://{}", server.grpc)).await?;
    let refused = grpc.export(ExportLogsServiceRequest::default()).await.expect_err("gRPC without a token");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut request = tonic::Request::new(ExportLogsServiceRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    grpc.export(request).await.context("gRPC with the token")?;
    Ok(())
}

#[tokio::test]
async fn who_is_turned_away_is_told_why_in_the_language_of_the_port() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve_with(&["--token", "0123456789abcdef0123456789abcdef"])?;
    let post =
        |url: String, media: &str| reqwest::Client::new().post(url).header("content-type", media).send();
    let api = post(format!("http://{}/api/v1/sql", server.web), JSON).await?;
    assert!(api.headers().contains_key("www-authenticate"), "a browser would not ask for the token");
    let api: Value = serde_json::from_str(&api.text().await?)?;
    assert_eq!(api["error"]["code"], "unauthenticated");
    assert!(api["error"]["hint"].to_string().contains("Bearer"), "{api}");
    let json = post(server.otlp_url("logs"), JSON).await?;
    let json: Value = serde_json::from_str(&json.text().await?)?;
    assert_eq!(json["code"], 16, "{json}");
    let binary = post(server.otlp_url("logs"), PROTOBUF).await?;
    assert_eq!(binary.headers()["content-type"], PROTOBUF);
    assert!(String::from_utf8_lossy(&binary.bytes().await?).contains("Bearer"));
    Ok(())
}
