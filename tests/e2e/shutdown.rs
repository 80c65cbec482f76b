//! An orderly end: SIGTERM drains, seals and exits 0, and a restart shows every row once.

use std::io::Write as _;
use std::net::TcpStream;

use prost::Message as _;

use crate::binary;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, text};

#[tokio::test]
async fn sigterm_seals_everything_and_a_restart_shows_it_once() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let request = otlp::logs("drain", otlp::now(), &[("one", vec![]), ("two", vec![])]);
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", PROTOBUF);
    assert_eq!(post.body(request.encode_to_vec()).send().await?.status(), 200);
    assert_eq!(server.count("logs", "service_name = 'drain'").await?, 2);
    assert!(server.terminate()?.success(), "SIGTERM must end in exit code 0");

    let sealed = home.data_dir().join("tables/logs/_delta_log");
    assert!(sealed.try_exists()?, "the head was not sealed into {}", sealed.display());
    let server = home.serve()?;
    assert_eq!(server.count("logs", "service_name = 'drain'").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_second_server_on_the_same_data_directory_is_refused() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let first = home.serve()?;
    let (data_dir, workspace) = (home.data_dir(), home.workspace());
    let mut arguments = vec!["serve", "--data-dir", text(&data_dir), "--workspace", text(&workspace)];
    for listen in ["--listen-grpc", "--listen-http", "--listen-web"] {
        arguments.extend([listen, "127.0.0.1:0"]);
    }
    let second = binary::run(&arguments)?;
    assert!(!second.status.success(), "two processes share one data directory");
    assert_eq!(first.count("logs", "true").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_client_that_never_finishes_does_not_hold_up_the_end() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let mut half = TcpStream::connect(server.http)?;
    half.write_all(
        b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
    )?;
    let request = otlp::logs("drain", otlp::now(), &[("one", vec![])]);
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", PROTOBUF);
    assert_eq!(post.body(request.encode_to_vec()).send().await?.status(), 200);
    assert!(server.terminate()?.success(), "SIGTERM must end in exit code 0");
    assert!(home.data_dir().join("tables/logs/_delta_log").try_exists()?, "the head was not sealed");
    drop(half);
    Ok(())
}
