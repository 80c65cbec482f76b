//! Clients that send a byte now and then.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::server::Home;

const CONFIG: &str = "[limits]\nheader_timeout = \"2s\"\nbody_timeout = \"2s\"\nidle_timeout = \"4s\"\n\
                      in_flight_bytes_max = 201326592\n";
const PEAK_BYTES: u64 = 300 * MIB;
const DRIP: Duration = Duration::from_millis(100);
/// No limit above is further away; beyond it nobody is being cut off.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(20);

/// Sends `text` byte by byte until the server answers or hangs up, and returns what it said.
async fn drip(mut stream: TcpStream, text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut said = Vec::new();
    let dripping = async {
        for byte in text.iter().cycle() {
            let mut heard = [0; 4096];
            tokio::select! {
                read = stream.read(&mut heard) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(length) => said.extend_from_slice(&heard[..length]),
                },
                () = tokio::time::sleep(DRIP) => if stream.write_all(&[*byte]).await.is_err() {
                    return;
                },
            }
        }
    };
    tokio::time::timeout(CUT_OFF_WITHIN, dripping).await?;
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_drip_are_cut_off() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let mut drips = tokio::task::JoinSet::new();
    for address in [server.http, server.grpc, server.web].repeat(20) {
        let stream = TcpStream::connect(address).await?;
        drips.spawn(async move {
            drip(stream, b"POST /v1/logs HTTP/1.1\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaa").await
        });
    }
    is_served(&server, "meanwhile", 0).await?;
    while let Some(dripped) = drips.join_next().await {
        dripped??;
    }
    stayed_within(&server, PEAK_BYTES)?;
    is_served(&server, "after", 0).await
}

/// Three bodies are announced with 64 MiB each and take what large bodies may take together. The next large one is
/// told to come back, small ones are served, and when the time is over everything is free again.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_drip_are_told_to_come_back_and_shut_out_no_small_ones() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: h\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {}\r\n\r\n",
        60 << 20
    );
    let mut drips = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.http).await?;
        stream.write_all(head.as_bytes()).await?;
        drips.spawn(async move { drip(stream, b"\n").await });
    }
    wait_until("both bodies were begun", TAKEN_WITHIN, async || {
        Ok((server.metric("hindsight_body_bytes").await? >= 120 << 20).then_some(()))
    })
    .await?;
    let mut third = TcpStream::connect(server.http).await?;
    third.write_all(head.as_bytes()).await?;
    let refused = String::from_utf8_lossy(&drip(third, b"\n").await?).into_owned();
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1"), "{refused}");
    for number in 0..5 {
        is_served(&server, "meanwhile", number).await?;
    }
    while let Some(dripped) = drips.join_next().await {
        let said = String::from_utf8_lossy(&dripped??).into_owned();
        assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("did not arrive within 2 s"), "{said}");
    }
    assert_eq!(server.metric("hindsight_body_bytes").await?, 0);
    assert!(server.metric("hindsight_requests_refused_total{reason=\"slow_body\"}").await? >= 2);
    assert!(server.metric("hindsight_requests_refused_total{reason=\"bodies_full\"}").await? >= 1);
    stayed_within(&server, PEAK_BYTES)?;
    is_served(&server, "after", 0).await
}

/// An exporter's connection is kept between two exports, and ended only when nothing comes for long.
#[tokio::test]
async fn a_kept_connection_outlives_the_header_timeout_and_not_the_idle_one() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = home.serve()?;
    let mut stream = TcpStream::connect(server.http).await?;
    let body = small("kept", 0);
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: h\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), &body].concat();
    for _ in 0..2 {
        stream.write_all(&request).await?;
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).await?;
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"));
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let ended = tokio::time::timeout(CUT_OFF_WITHIN, stream.read(&mut [0; 16])).await?;
    assert_eq!(ended?, 0, "four seconds without a request");
    Ok(())
}
