//! The pages without script: what they show, what they say when there is nothing, and that telemetry stays text.

use anyhow::ensure;
use prost::Message as _;
use reqwest::header::{CONTENT_SECURITY_POLICY, ORIGIN};

use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server};

/// A service name that would run if a page printed it as it is.
const HOSTILE: &str = "<script>alert('x')</script>";

async fn page(server: &Server, path: &str) -> anyhow::Result<(u16, String)> {
    let response = reqwest::get(format!("http://{}{path}", server.web)).await?;
    let status = response.status().as_u16();
    let policy =
        response.headers().get(CONTENT_SECURITY_POLICY).map(|value| value.to_str().map(str::to_owned));
    let policy = policy.transpose()?.unwrap_or_default();
    ensure!(policy.contains("default-src 'none'"), "{path} has no strict content security policy: {policy}");
    Ok((status, response.text().await?))
}

#[tokio::test]
async fn the_home_page_shows_services_and_keeps_their_names_text() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let (status, empty) = page(&server, "/").await?;
    assert_eq!(status, 200);
    assert!(empty.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "an empty page says how to fill it");
    for service in ["checkout", HOSTILE] {
        let body = otlp::spans(service, otlp::now(), &[("GET /", vec![])]).encode_to_vec();
        let post = reqwest::Client::new().post(server.otlp_url("traces")).header("content-type", PROTOBUF);
        assert_eq!(post.body(body).send().await?.status(), 200);
    }
    let (_, full) = page(&server, "/").await?;
    assert!(full.contains(">checkout</a>"), "the service is missing");
    assert!(full.contains("<svg"), "the sparklines are missing");
    assert!(!full.contains(HOSTILE), "a service name became markup");
    assert!(full.contains("alert(&"), "the hostile service is not shown at all");
    Ok(())
}

#[tokio::test]
async fn a_query_stands_in_the_address_and_its_error_on_the_page() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let (status, answer) = page(&server, "/sql?q=SELECT+40%2B2+AS+answer").await?;
    assert_eq!(status, 200);
    assert!(answer.contains("<td class=\"num\">42</td>"), "{answer}");
    let (status, refused) = page(&server, "/sql?q=SELECT+nonsense+FROM+spans").await?;
    assert_eq!(status, 200);
    assert!(refused.contains("role=\"alert\"") && refused.contains("nonsense"), "{refused}");
    let (status, lost) = page(&server, "/incidents/INC-99").await?;
    assert_eq!(status, 404);
    assert!(lost.contains("There is no INC-99") && lost.contains("href=\"/\""), "{lost}");
    assert_eq!(page(&server, "/?from=yesterday").await?.0, 400);
    assert_eq!(page(&server, "/nowhere").await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn a_person_declares_an_incident_once_and_another_site_may_not() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let url = format!("http://{}/api/v1/incidents", server.web);
    let call = |title: &str, key: &str| {
        let body = serde_json::json!({"author": "incident commander", "title": title, "severity": "SEV2"});
        reqwest::Client::new().post(&url).header("idempotency-key", key).json(&body)
    };
    let first = call("orders are slow", "k1").send().await?;
    assert_eq!(first.status(), 201);
    let first = first.text().await?;
    assert_eq!(
        call("orders are slow", "k1").send().await?.text().await?,
        first,
        "the same call, the same answer"
    );
    assert_eq!(call("something else", "k1").send().await?.status(), 422);
    assert_eq!(call("evil", "k2").header(ORIGIN, "https://evil.example").send().await?.status(), 403);
    let (_, list) = page(&server, "/incidents").await?;
    assert_eq!(list.matches("orders are slow").count(), 1, "{list}");
    let (status, incident) = page(&server, "/incidents/INC-1").await?;
    assert_eq!(status, 200);
    assert!(incident.contains("orders are slow"));
    Ok(())
}
