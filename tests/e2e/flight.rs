//! SQL over Arrow Flight SQL, asked by the stock client: the Python ADBC driver.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use prost::bytes::{Buf as _, BufMut as _};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::otlp::{self, JSON};
use crate::python_sdk::python;
use crate::server::{Home, Server, text};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Small limits, so that a test reaches them soon.
const CONFIG: &str = "[query]\ntimeout = \"4s\"\nconcurrency = 2\n";

async fn serve(home: &Home) -> anyhow::Result<Server> {
    let server = home.serve_with(&["--token", TOKEN])?;
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", JSON);
    let sent = post.bearer_auth(TOKEN).body(otlp::hundred_lines().to_string()).send().await?;
    ensure!(sent.status() == 200, "{sent:?}");
    Ok(server)
}

#[tokio::test]
async fn the_adbc_driver_is_answered() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = serve(&home).await?;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python/flight_client.py");
    let mut command = Command::new(python()?);
    command.arg(text(&script)).arg(server.grpc.port().to_string()).arg(TOKEN);
    let output =
        command.env("PYTHONDONTWRITEBYTECODE", "1").output().context("run python/flight_client.py")?;
    let (told, problem) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "flight_client.py failed after {told}\n{problem}");
    assert!(server.terminate()?.success());
    Ok(())
}

/// Messages that are any bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}

/// What a call of this method with this message is answered, to the end of the answer.
async fn call(channel: &Channel, method: &str, message: Vec<u8>, token: &str) -> Result<usize, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = format!("/arrow.flight.protocol.FlightService/{method}");
    let path = path.parse().map_err(|_| Status::internal("the path of a call"))?;
    let mut request = Request::new(message);
    let bearer = format!("Bearer {token}").parse().map_err(|_| Status::internal("the token"))?;
    request.metadata_mut().insert("authorization", bearer);
    let mut answer = client.server_streaming(request, path, Raw).await?.into_inner();
    let mut messages = 0;
    while answer.message().await?.is_some() {
        messages += 1;
    }
    Ok(messages)
}

const METHODS: [&str; 10] = [
    "Handshake",
    "ListFlights",
    "GetFlightInfo",
    "PollFlightInfo",
    "GetSchema",
    "DoGet",
    "DoPut",
    "DoExchange",
    "DoAction",
    "ListActions",
];

#[tokio::test]
async fn calls_that_make_no_sense_are_refused_and_nothing_else_happens() -> anyhow::Result<()> {
    let home = Home::new(CONFIG)?;
    let server = serve(&home).await?;
    let channel = Channel::from_shared(format!("http://{}", server.grpc))?.connect().await?;
    for method in METHODS {
        let refused = call(&channel, method, Vec::new(), "fedcba9876543210").await.expect_err(method);
        assert_eq!(refused.code(), Code::Unauthenticated, "{method}: {refused}");
        let refused = call(&channel, method, vec![0; 2 << 20], TOKEN).await.expect_err(method);
        assert_eq!(refused.code(), Code::ResourceExhausted, "{method}: {refused}");
    }
    // A ticket, and a command in a descriptor, which are no messages of Flight SQL.
    let (ticket, command) = (vec![0x0a, 1, b'x'], vec![0x12, 1, b'x']);
    for (method, message, code) in [
        ("ListFlights", Vec::new(), Code::Unimplemented),
        ("DoExchange", Vec::new(), Code::Unimplemented),
        ("Nothing", Vec::new(), Code::Unimplemented),
        ("GetFlightInfo", command, Code::InvalidArgument),
        ("DoGet", ticket, Code::InvalidArgument),
    ] {
        let refused = call(&channel, method, message, TOKEN).await.expect_err(method);
        assert_eq!(refused.code(), code, "{method}: {refused}");
    }
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for round in 0..500 {
        let method = METHODS[round % METHODS.len()];
        let length = random.random_range(0..60);
        let bytes = (0..length).map(|_| random.random()).collect();
        if let Err(refused) = call(&channel, method, bytes, TOKEN).await {
            // Unknown is how a task that died or a broken connection would look.
            assert!(!matches!(refused.code(), Code::Unknown | Code::Unavailable), "{method}: {refused}");
        }
    }
    assert!(call(&channel, "ListActions", Vec::new(), TOKEN).await? > 0);
    let metrics = reqwest::Client::new().get(format!("http://{}/metrics", server.web)).bearer_auth(TOKEN);
    let metrics = metrics.send().await?.text().await?;
    assert!(
        metrics.lines().any(|line| line == "hindsight_body_bytes 0"),
        "everything was given back: {metrics}"
    );
    assert!(server.terminate()?.success());
    Ok(())
}
