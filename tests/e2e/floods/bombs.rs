//! Small bodies that unpack to huge ones, and bodies that nest without end.

use std::io::Write as _;

use tokio::task::JoinSet;

use super::*;
use crate::otlp::JSON;
use crate::server::Home;

/// Each of 32 bombs would unpack to four times the largest request; the server itself needs little.
const PEAK_BYTES: u64 = 450 * MIB;
const BOMB_BYTES: usize = 256 << 20;
const AT_ONCE: usize = 16;

fn gzip_of_zeros() -> anyhow::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..BOMB_BYTES >> 20 {
        encoder.write_all(&zeros)?;
    }
    Ok(encoder.finish()?)
}

fn zstd_of_zeros() -> anyhow::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1)?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..BOMB_BYTES >> 20 {
        encoder.write_all(&zeros)?;
    }
    Ok(encoder.finish()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_of_gzip_and_zstd_are_refused_for_good_and_cost_little() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    for (packing, bomb) in [("gzip", gzip_of_zeros()?), ("zstd", zstd_of_zeros()?)] {
        let mut senders = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (bomb, url) = (bomb.clone(), server.otlp_url("logs"));
            senders.spawn(async move {
                let post = reqwest::Client::new().post(url).header("content-type", PROTOBUF);
                post.header("content-encoding", packing).body(bomb).send().await
            });
        }
        is_served(&server, packing, 0).await?;
        while let Some(response) = senders.join_next().await {
            let status = refused_for_good(response??, 413, RESOURCE_EXHAUSTED).await?;
            assert!(status.message.contains("smaller"), "{status:?}");
        }
    }
    stayed_within(&server, PEAK_BYTES)?;
    let noted = server
        .sql("SELECT sum(occurrences) AS n FROM rejected_telemetry WHERE reason IN ('packed_too_tight', 'request_too_large')")
        .await?;
    assert_eq!(crate::answer::whole(noted.single()?)?, 2 * i64::try_from(AT_ONCE)?);
    is_served(&server, "after", 0).await
}

/// Values within values, in both encodings, deeper than any stack.
#[tokio::test]
async fn deep_nesting_is_refused_for_good() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let client = reqwest::Client::new();
    for depth in [100, 10_000, 1_000_000] {
        let body = post(&client, &server.otlp_url("logs"), None, nested_protobuf(depth)).await?;
        refused_for_good(body, 400, INVALID_ARGUMENT).await?;
        let open = r#"{"arrayValue":{"values":["#.repeat(depth);
        let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{open}"#);
        let response =
            client.post(server.otlp_url("logs")).header("content-type", JSON).body(json).send().await?;
        assert_eq!(response.status(), 400, "depth {depth}");
    }
    stayed_within(&server, PEAK_BYTES)?;
    is_served(&server, "after", 0).await
}

/// A log record whose body is an array of an array of …: each level is a field of bytes around the one within.
fn nested_protobuf(depth: usize) -> Vec<u8> {
    // Built from the inside out, in reverse, so that each level costs what it adds.
    let mut reversed: Vec<u8> = Vec::new();
    let wrap = |reversed: &mut Vec<u8>, field: u8| {
        let mut length = reversed.len();
        let mut varint = Vec::new();
        loop {
            let low = u8::try_from(length & 0x7f).expect("seven bits");
            length >>= 7;
            varint.push(if length == 0 { low } else { low | 0x80 });
            if length == 0 {
                break;
            }
        }
        reversed.extend(varint.iter().rev());
        reversed.push(field << 3 | 2);
    };
    for _ in 0..depth {
        wrap(&mut reversed, 1); // ArrayValue.values
        wrap(&mut reversed, 5); // AnyValue.array_value
    }
    for field in [5, 2, 2, 1] {
        wrap(&mut reversed, field); // LogRecord.body, ScopeLogs.log_records, ResourceLogs.scope_logs, the request's
    }
    reversed.reverse();
    reversed
}

/// A request of two-byte records: its bytes are within the limit, and its rows would not be.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_empty_records_is_refused_for_good() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let records = [0x12, 0].repeat(16 << 20);
    let within = |field: u8, mut inner: Vec<u8>| {
        let mut outer = vec![field << 3 | 2];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.append(&mut inner);
        outer
    };
    let body = within(1, within(2, records));
    let response = post(&reqwest::Client::new(), &server.otlp_url("logs"), None, body).await?;
    refused_for_good(response, 400, INVALID_ARGUMENT).await?;
    let json = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{}{{}}]}}]}}]}}"#,
        "{},".repeat(10 << 20)
    );
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", JSON);
    assert_eq!(post.body(json).send().await?.status(), 400);
    stayed_within(&server, PEAK_BYTES)?;
    is_served(&server, "after", 0).await
}
