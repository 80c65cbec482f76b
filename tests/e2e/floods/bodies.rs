//! The largest bodies there may be, from many senders at once.

use anyhow::ensure;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::Code;

use super::*;
use crate::server::Home;

const CONFIG: &str = "[ingest]\nseal_bytes = 16777216\nhead_bytes_max = 67108864\n\
                      [limits]\nin_flight_bytes_max = 201326592\n";
/// What bodies may take (192 MiB), what one request of 64 MiB becomes while it is decoded and written to the log, the
/// head (64 MiB and one request beyond) while it is sealed, and the program itself.
const PEAK_BYTES: u64 = 1_000 * MIB;
const SENDERS: usize = 16;
/// Just under 64 MiB: records of 60 KiB each.
const RECORDS: usize = 1_090;

fn huge(sender: usize) -> Vec<u8> {
    let text = "x".repeat(60 << 10);
    let bodies: Vec<String> = (0..RECORDS).map(|number| format!("{sender}-{number}{text}")).collect();
    let bodies: Vec<(&str, Vec<_>)> = bodies.iter().map(|body| (body.as_str(), vec![])).collect();
    otlp::logs("huge", otlp::now(), &bodies).encode_to_vec()
}

/// Sixteen times 64 MiB over HTTP, from as many connections, and a small sender beside them.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_mebibytes_from_many_senders_are_taken_or_put_off_and_small_ones_served()
-> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let body = huge(0);
    ensure!(body.len() <= 64 << 20 && body.len() > 63 << 20, "{} bytes", body.len());
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let url = server.otlp_url("logs");
        let mut body = body.clone();
        // Another character in the first record, so that no two are repeats.
        let at = body.windows(3).position(|text| text == b"0-0").expect("the first record's text");
        body[at] = b'a' + u8::try_from(sender)?;
        senders.spawn(async move {
            let response = post(&reqwest::Client::new(), &url, None, body).await?;
            if response.status() == 200 {
                return Ok::<_, anyhow::Error>(1);
            }
            put_off(response).await?;
            Ok(0)
        });
    }
    drop(body);
    let (mut served, mut taken) = (0, 0_i64);
    while !senders.is_empty() {
        is_served(&server, "small", served).await?;
        served += 1;
        while let Some(sent) = senders.try_join_next() {
            taken += sent??;
        }
    }
    ensure!(taken >= 1, "one at a time always gets in");
    assert_eq!(server.count("logs", "service_name = 'huge'").await?, taken * i64::try_from(RECORDS)?);
    stayed_within(&server, PEAK_BYTES)?;
    assert_eq!(server.metric("hindsight_body_bytes").await?, 0, "everything was given back");
    is_served(&server, "after", 0).await
}

/// The same over gRPC: a length that is announced and refused costs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn over_grpc_too() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let text = "x".repeat(60 << 10);
    let bodies: Vec<(&str, Vec<_>)> = (0..RECORDS).map(|_| (text.as_str(), vec![])).collect();
    let request = otlp::logs("huge", otlp::now(), &bodies);
    let mut senders = JoinSet::new();
    for sender in 0..6_u64 {
        let mut request = request.clone();
        request.resource_logs[0].scope_logs[0].log_records[0].time_unix_nano += sender;
        let url = format!("http://{}", server.grpc);
        senders.spawn(async move {
            let mut client = LogsServiceClient::connect(url).await?;
            Ok::<_, anyhow::Error>(client.export(request).await)
        });
    }
    let mut taken = 0_i64;
    while let Some(sent) = senders.join_next().await {
        match sent?? {
            Ok(_) => taken += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                let details = String::from_utf8_lossy(status.details());
                ensure!(details.contains("google.rpc.RetryInfo"), "when to come back is missing: {status:?}");
            }
        }
    }
    ensure!(taken >= 1, "one at a time always gets in");
    assert_eq!(server.count("logs", "service_name = 'huge'").await?, taken * i64::try_from(RECORDS)?);
    stayed_within(&server, PEAK_BYTES)?;
    is_served(&server, "after", 0).await
}
