//! Whatever is sent, and however: the server stays within its memory, answers as OTLP says, serves the others
//! meanwhile, and goes on afterwards without a restart (LIM-1).

mod bodies;
mod bombs;
mod connections;
mod slow;

use std::time::Duration;

use anyhow::ensure;
use prost::Message as _;
use reqwest::Response;
use reqwest::header::RETRY_AFTER;

use crate::otlp::{self, PROTOBUF};
use crate::server::Server;
use crate::wait::wait_until;

const MIB: u64 = 1 << 20;
/// Longest that a small sender, which tries again when told to, may wait for its acknowledgement.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// `google.rpc.Status`, as far as the tests read it.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// gRPC's words for the answers below.
const INVALID_ARGUMENT: i32 = 3;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNAVAILABLE: i32 = 14;

async fn post(
    client: &reqwest::Client,
    url: &str,
    packing: Option<&str>,
    body: Vec<u8>,
) -> anyhow::Result<Response> {
    let mut post = client.post(url).header("content-type", PROTOBUF);
    if let Some(packing) = packing {
        post = post.header("content-encoding", packing);
    }
    Ok(post.body(body).send().await?)
}

/// The answer is a refusal for good, in protobuf.
async fn refused_for_good(response: Response, status: u16, code: i32) -> anyhow::Result<Status> {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers().get(RETRY_AFTER), None, "a delay would make the sender try again");
    read_status(response, code).await
}

/// The answer asks to come back, in protobuf.
async fn put_off(response: Response) -> anyhow::Result<Status> {
    assert_eq!(response.status(), 503);
    let wait: u64 = response.headers()[RETRY_AFTER].to_str()?.parse()?;
    ensure!((1..=60).contains(&wait), "Retry-After: {wait}");
    read_status(response, UNAVAILABLE).await
}

async fn read_status(response: Response, code: i32) -> anyhow::Result<Status> {
    assert_eq!(response.headers()["content-type"], PROTOBUF);
    let status = Status::decode(response.bytes().await?)?;
    assert_eq!(status.code, code, "{status:?}");
    ensure!(status.message.len() > 10, "a refusal without a sentence");
    Ok(status)
}

fn small(service: &str, number: usize) -> Vec<u8> {
    otlp::logs(service, otlp::now(), &[(&number.to_string(), vec![])]).encode_to_vec()
}

/// A small request is acknowledged, if need be at a later try, and is there.
async fn is_served(server: &Server, service: &str, number: usize) -> anyhow::Result<()> {
    let (client, url) = (reqwest::Client::new(), server.otlp_url("logs"));
    let body = small(service, number);
    wait_until("a small request was taken", TAKEN_WITHIN, async || {
        let response = post(&client, &url, None, body.clone()).await?;
        if response.status() == 200 {
            return Ok(Some(()));
        }
        put_off(response).await?;
        Ok(None)
    })
    .await?;
    let condition = format!("service_name = '{service}' AND body = '{number}'");
    assert_eq!(server.count("logs", &condition).await?, 1);
    Ok(())
}

/// The most the server ever held lies below this bound.
fn stayed_within(server: &Server, bound_bytes: u64) -> anyhow::Result<()> {
    let peak = server.peak_memory_bytes()?;
    use std::io::Write as _;
    writeln!(std::io::stderr(), "PEAK {} of {}", peak / MIB, bound_bytes / MIB)?;
    ensure!(
        peak <= bound_bytes,
        "the server held {} MiB, and should never hold more than {}",
        peak / MIB,
        bound_bytes / MIB
    );
    Ok(())
}
