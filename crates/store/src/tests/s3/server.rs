//! The S3 service of the tests: moto, one process for the whole test binary, a bucket for each test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Lives as long as the tests; its standard input ends with them, and so does it.
static SERVER: OnceLock<(u16, Mutex<Child>)> = OnceLock::new();
static BUCKETS: AtomicU64 = AtomicU64::new(1);

/// The service's port on loopback.
pub(super) fn port() -> u16 {
    SERVER.get_or_init(start).0
}

fn start() -> (u16, Mutex<Child>) {
    let python = std::env::var_os("HINDSIGHT_PYTHON")
        .expect("HINDSIGHT_PYTHON names a Python with tests/python/requirements.txt; ./tests/run makes one");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/s3_server.py");
    let mut child = Command::new(python)
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().parse().unwrap_or_else(|_| panic!("s3_server.py said {line:?}, not its port"));
    (port, Mutex::new(child))
}

/// A new bucket.
pub(super) async fn make_bucket() -> String {
    let name = format!("bucket-{}", BUCKETS.fetch_add(1, Ordering::Relaxed));
    let mut connection = TcpStream::connect(("127.0.0.1", port())).await.unwrap();
    let request =
        format!("PUT /{name} HTTP/1.1\r\nhost: s3\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    name
}
