//! Many connections that do nothing.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::server::Home;

const PEAK_BYTES: u64 = 300 * MIB;

/// A thousand connections need a thousand files, here and in the server; a machine that allows fewer is told.
fn open_files() -> anyhow::Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    Ok(line.split_whitespace().next().and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX))
}

async fn connect(address: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        streams.push(TcpStream::connect(address).await?);
    }
    Ok(streams)
}

/// Whether the other side has ended the connection.
async fn is_ended(stream: &mut TcpStream) -> anyhow::Result<bool> {
    let mut byte = [0; 1];
    match tokio::time::timeout(Duration::from_millis(1), stream.read(&mut byte)).await {
        Err(_) => Ok(false),
        Ok(Ok(read)) => Ok(read == 0),
        Ok(Err(_)) => Ok(true),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_connections_leave_room_for_working_ones() -> anyhow::Result<()> {
    // Three ports share what the process may open; see the guide on `ulimit -n`.
    let count = if open_files()? >= 4_096 { 1_000 } else { open_files()?.saturating_sub(400) / 3 };
    let home = Home::new("[limits]\nheader_timeout = \"60s\"\n")?;
    let server = home.serve()?;
    let idle = [connect(server.http, count).await?, connect(server.grpc, count).await?];
    for number in 0..20 {
        is_served(&server, "working", number).await?;
    }
    assert!(server.metric("hindsight_connections{port=\"http\"}").await? >= u64::try_from(count)?);
    stayed_within(&server, PEAK_BYTES)?;
    drop(idle);
    is_served(&server, "after", 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_told_to_come_back_and_places_are_given_back() -> anyhow::Result<()>
{
    let home = Home::new("[limits]\nconnections_max = 8\nheader_timeout = \"5s\"\n")?;
    let server = home.serve()?;
    let mut idle = connect(server.http, 8).await?;
    let client = reqwest::Client::new();
    let status = put_off(post(&client, &server.otlp_url("logs"), None, small("beyond", 0)).await?).await?;
    assert!(status.message.contains("connections"), "{status:?}");
    assert!(server.metric("hindsight_connections_turned_away_total{port=\"http\"}").await? >= 1);

    let _idle_too = connect(server.grpc, 8).await?;
    let mut beyond = TcpStream::connect(server.grpc).await?;
    beyond.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    let mut said = Vec::new();
    beyond.read_to_end(&mut said).await?;
    assert_eq!(said.get(12), Some(&7), "GOAWAY: the client may send again elsewhere or later: {said:?}");

    // Who says nothing loses the place, and the next one has it.
    wait_until("idle connections were ended", Duration::from_secs(30), async || {
        Ok(is_ended(&mut idle[0]).await?.then_some(()))
    })
    .await?;
    is_served(&server, "after", 0).await
}
