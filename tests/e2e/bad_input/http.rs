use std::io::Write as _;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::otlp::{self, JSON, PROTOBUF};
use crate::server::{Home, Server};

/// `google.rpc.Status`, as far as the tests read it.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// `INVALID_ARGUMENT`.
const INVALID: i32 = 3;

async fn post(url: &str, media: &str, packing: Option<&str>, body: Vec<u8>) -> anyhow::Result<Response> {
    let mut post = reqwest::Client::new().post(url).header("content-type", media);
    if let Some(packing) = packing {
        post = post.header("content-encoding", packing);
    }
    Ok(post.body(body).send().await?)
}

/// The answer has this status, and a `google.rpc.Status` with a sentence in the request's encoding.
async fn refused(response: Response, status: u16, media: &str) -> anyhow::Result<Status> {
    assert_eq!(response.status(), status);
    let given = response.headers()["content-type"].to_str()?.to_owned();
    assert!(given.starts_with(media), "the refusal is {given}, the request was {media}");
    let body = response.bytes().await?;
    let read = if media == JSON {
        let value: Value = serde_json::from_slice(&body)?;
        let code = i32::try_from(value["code"].as_i64().unwrap_or_default())?;
        Status { code, message: value["message"].as_str().unwrap_or_default().to_owned() }
    } else {
        Status::decode(body)?
    };
    assert!(read.message.len() > 10, "a refusal without a sentence: {read:?}");
    Ok(read)
}

fn good() -> Vec<u8> {
    otlp::spans("good", otlp::now(), &[("one", vec![]), ("two", vec![])]).encode_to_vec()
}

fn gzip(body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body)?;
    Ok(encoder.finish()?)
}

async fn still_well(server: &Server) -> anyhow::Result<()> {
    let before = server.count("spans", "service_name = 'good'").await?;
    let response = post(&server.otlp_url("traces"), PROTOBUF, None, good()).await?;
    assert_eq!(response.status(), 200);
    assert_eq!(server.count("spans", "service_name = 'good'").await?, before + 2);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_its_own_encoding() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let url = server.otlp_url("traces");

    let response = post(&url, "text/plain", None, good()).await?;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let mut torn = good();
    torn.truncate(torn.len() - 3);
    let status = refused(post(&url, PROTOBUF, None, torn).await?, 400, PROTOBUF).await?;
    assert_eq!(status.code, INVALID);
    let cases = [r#"{"resourceSpans": ["#, r#"{"resourceSpans": 7}"#, "", "\u{0}", "[]"];
    for broken in cases {
        let status = refused(post(&url, JSON, None, broken.as_bytes().to_vec()).await?, 400, JSON).await?;
        assert_eq!(status.code, INVALID, "{broken:?}");
    }
    let latin = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"caf"#.iter().chain(&[0xe9, b'"']);
    refused(post(&url, JSON, None, latin.copied().collect()).await?, 400, JSON).await?;
    refused(post(&url, PROTOBUF, Some("gzip"), b"not gzip at all".to_vec()).await?, 400, PROTOBUF).await?;
    let response = post(&url, PROTOBUF, Some("br"), good()).await?;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for path in ["v1/nonsense", "v1/traces/", "v1development/profiles", ""] {
        let url = format!("http://{}/{path}", server.http);
        refused(post(&url, PROTOBUF, None, good()).await?, 404, PROTOBUF).await?;
    }
    for media in [JSON, PROTOBUF] {
        let put = reqwest::Client::new().put(&url).header("content-type", media).body(good()).send().await?;
        assert_eq!(put.headers()["allow"], "POST");
        refused(put, 405, media).await?;
    }
    still_well(&server).await
}

#[tokio::test]
async fn a_small_body_that_unpacks_to_too_much_is_refused() -> anyhow::Result<()> {
    let home = Home::new("[ingest]\nrequest_bytes_max = 1048576\n")?;
    let server = home.serve()?;
    let url = server.otlp_url("logs");
    let huge = vec![0_u8; 3 << 20];
    refused(post(&url, PROTOBUF, Some("gzip"), gzip(&huge)?).await?, 413, PROTOBUF).await?;
    let packed = zstd::encode_all(huge.as_slice(), 3)?;
    refused(post(&url, PROTOBUF, Some("zstd"), packed).await?, 413, PROTOBUF).await?;
    still_well(&server).await
}

#[tokio::test]
async fn every_packing_and_encoding_is_accepted_and_answered_without_partial_success() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let url = server.otlp_url("traces");
    let media = format!("{PROTOBUF}; charset=utf-8");
    for (number, packing) in [None, Some("gzip"), Some("zstd"), Some("identity")].into_iter().enumerate() {
        let plain = otlp::spans("packed", otlp::now(), &[("one", vec![])]).encode_to_vec();
        let body = match packing {
            Some("gzip") => gzip(&plain)?,
            Some("zstd") => zstd::encode_all(plain.as_slice(), 3)?,
            _ => plain,
        };
        let response = post(&url, if number == 0 { &media } else { PROTOBUF }, packing, body).await?;
        assert_eq!(response.status(), 200, "{packing:?}");
        let answer = ExportTraceServiceResponse::decode(response.bytes().await?)?;
        assert_eq!(answer.partial_success, None, "{packing:?}");
    }
    assert_eq!(server.count("spans", "service_name = 'packed'").await?, 4);
    for empty in ["{}", r#"{"resourceSpans":[]}"#] {
        let response = post(&url, JSON, None, empty.as_bytes().to_vec()).await?;
        assert_eq!((response.status(), response.text().await?.as_str()), (StatusCode::OK, "{}"));
    }
    Ok(())
}

#[tokio::test]
async fn unusable_items_are_counted_and_the_others_kept() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let mut request = otlp::spans("partial", otlp::now(), &[("kept", vec![]), ("refused", vec![])]);
    request.resource_spans[0].scope_spans[0].spans[1].trace_id = vec![0; 16];
    let response = post(&server.otlp_url("traces"), PROTOBUF, None, request.encode_to_vec()).await?;
    assert_eq!(response.status(), 200);
    let answer = ExportTraceServiceResponse::decode(response.bytes().await?)?;
    let partial = answer.partial_success.expect("one span was refused");
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.len() > 10, "{}", partial.error_message);
    let names = server.sql("SELECT name FROM spans WHERE service_name = 'partial'").await?;
    assert_eq!(names.single()?, "kept");
    let refused = server.sql("SELECT signal, service FROM rejected_telemetry").await?;
    assert_eq!(refused.rows, [["traces", "partial"].map(Value::from).to_vec()]);
    Ok(())
}

#[tokio::test]
async fn the_same_bytes_again_are_acknowledged_and_kept_once() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let mut server = home.serve()?;
    let body = otlp::logs("again", otlp::now(), &[("once", vec![])]).encode_to_vec();
    for round in 0..4 {
        let response = post(&server.otlp_url("logs"), PROTOBUF, None, body.clone()).await?;
        assert_eq!(response.status(), 200, "round {round}");
        assert_eq!(server.count("logs", "service_name = 'again'").await?, 1, "round {round}");
        if round == 1 {
            server.kill_9()?;
            server = home.serve()?;
        }
    }
    Ok(())
}
