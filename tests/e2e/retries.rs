//! A connection that is cut after the request was sent and before the answer came: the exporter sends again, and
//! exactly one copy is there (OTLP.md rule 13).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server};

/// When the proxy cuts a connection.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// The whole request went through; of the answer, nothing.
    BeforeTheAnswer,
    /// The answer's first byte went through.
    InTheAnswer,
    /// Half of the request went through.
    InTheRequest,
}

/// A proxy to `server` that cuts its first `cuts` connections and lets the others pass.
async fn proxy(server: SocketAddr, cut: Cut, cuts: usize) -> anyhow::Result<(SocketAddr, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let cut = (number < cuts).then_some(cut);
            tokio::spawn(async move { drop(pass(client, server, cut).await) });
        }
    });
    Ok((address, made))
}

async fn pass(mut client: TcpStream, server: SocketAddr, cut: Option<Cut>) -> anyhow::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let Some(cut) = cut else {
        tokio::io::copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    };
    let mut request = vec![0; 1 << 20];
    let mut answer = vec![0; 1 << 16];
    loop {
        tokio::select! {
            read = client.read(&mut request) => match (read?, cut) {
                (0, _) => return Ok(()),
                (length, Cut::InTheRequest) => {
                    server.write_all(&request[..length / 2]).await?;
                    return Ok(());
                }
                (length, _) => server.write_all(&request[..length]).await?,
            },
            read = server.read(&mut answer) => match (read?, cut) {
                (0, _) => return Ok(()),
                (_, Cut::InTheAnswer) => {
                    client.write_all(&answer[..1]).await?;
                    return Ok(());
                }
                // The answer is there, so the request is stored; nobody hears of it.
                _ => return Ok(()),
            },
        }
    }
}

async fn copies(server: &Server, service: &str) -> anyhow::Result<i64> {
    server.count("logs", &format!("service_name = '{service}'")).await
}

/// As an exporter does: the same bytes until they are acknowledged. Returns how often they were sent.
async fn export(url: &str, body: &[u8]) -> anyhow::Result<usize> {
    for attempt in 1..=20 {
        let post = reqwest::Client::new().post(url).header("content-type", PROTOBUF).body(body.to_vec());
        match post.send().await {
            Ok(response) if response.status() == 200 => return Ok(attempt),
            Ok(response) => anyhow::bail!("refused with {}", response.status()),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    anyhow::bail!("twenty attempts in vain")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_at_any_moment_leaves_one_copy() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    for cut in [Cut::BeforeTheAnswer, Cut::InTheAnswer, Cut::InTheRequest] {
        let (address, connections) = proxy(server.http, cut, 3).await?;
        let service = format!("{cut:?}");
        let body = otlp::logs(&service, otlp::now(), &[("one", vec![]), ("two", vec![])]).encode_to_vec();
        let attempts = export(&format!("http://{address}/v1/logs"), &body).await?;
        assert!(attempts > 1, "{cut:?}: nothing was cut");
        assert!(connections.load(Ordering::SeqCst) >= attempts, "{cut:?}");
        assert_eq!(copies(&server, &service).await?, 2, "{cut:?}");
    }
    assert!(server.metric("hindsight_duplicate_requests_total").await? >= 2);
    Ok(())
}

/// The server dies after it stored the request and before anybody heard of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_kill_leaves_one_copy_of_each_signal() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let at = otlp::now();
    let bodies = [
        ("logs", otlp::logs("killed", at, &[("one", vec![])]).encode_to_vec()),
        ("traces", otlp::spans("killed", at, &[("one", vec![])]).encode_to_vec()),
        ("metrics", otlp::points("killed", at, &[vec![]]).encode_to_vec()),
    ];
    for (signal, body) in &bodies {
        let (address, _) = proxy(server.http, Cut::BeforeTheAnswer, usize::MAX).await?;
        let post = reqwest::Client::new().post(format!("http://{address}/v1/{signal}"));
        let lost = post.header("content-type", PROTOBUF).body(body.clone()).send().await;
        assert!(lost.is_err(), "{signal}: the answer went through");
    }
    server.kill_9()?;
    let server = home.serve()?;
    for (signal, body) in &bodies {
        assert_eq!(export(&server.otlp_url(signal), body).await?, 1, "{signal}");
    }
    for table in ["logs", "spans", "metrics"] {
        assert_eq!(server.count(table, "service_name = 'killed'").await?, 1, "{table}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_grpc_too() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let (address, connections) = proxy(server.grpc, Cut::InTheRequest, 1).await?;
    let request = otlp::logs("grpc", otlp::now(), &[("one", vec![])]);
    let url = format!("http://{address}");
    // The client may hear of the cut, or connect again by itself.
    if let Ok(mut client) = LogsServiceClient::connect(url.clone()).await {
        drop(client.export(request.clone()).await);
    }
    for _ in 0..3 {
        LogsServiceClient::connect(url.clone()).await?.export(request.clone()).await?;
    }
    assert!(connections.load(Ordering::SeqCst) >= 4, "the first connection was cut");
    assert_eq!(copies(&server, "grpc").await?, 1);
    Ok(())
}

/// Late rows are found at once, whatever day they belong to, before and after they are sealed.
#[tokio::test(flavor = "multi_thread")]
async fn late_rows_are_found_at_once_and_lie_under_their_own_date() -> anyhow::Result<()> {
    const DAY_NANOS: u64 = 86_400 * 1_000_000_000;
    let home = Home::new("")?;
    let server = home.serve()?;
    for (number, days) in [0, 1, 7, 29].into_iter().enumerate() {
        let at = otlp::now() - days * DAY_NANOS;
        let body = otlp::logs("late", at, &[(&days.to_string(), vec![])]).encode_to_vec();
        export(&server.otlp_url("logs"), &body).await?;
        assert_eq!(copies(&server, "late").await?, i64::try_from(number)? + 1, "{days} days late");
        let date = jiff::Timestamp::from_nanosecond(i128::from(at))?.strftime("%F").to_string();
        let of_its_day = format!("service_name = 'late' AND body = '{days}' AND date = DATE '{date}'");
        assert_eq!(server.count("logs", &of_its_day).await?, 1, "{days} days late");
    }
    assert!(server.terminate()?.success());
    let server = home.serve()?;
    assert_eq!(copies(&server, "late").await?, 4);
    assert_eq!(server.count("blocks", "table_name = 'logs'").await?, 4, "a block for each date");
    Ok(())
}
