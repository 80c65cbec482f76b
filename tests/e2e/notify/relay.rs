//! A man in the middle: passes HTTP calls on, and answers them or keeps the answer to itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Listens until dropped.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    target: String,
    silent: AtomicBool,
    passed: Mutex<Vec<Value>>,
}

impl Relay {
    /// To `target`, without answering until told to.
    pub(super) async fn silent(target: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen for the relay")?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            silent: AtomicBool::new(true),
            passed: Mutex::default(),
        });
        let task = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { url, shared, task })
    }

    /// Answers are passed back from now on.
    pub(super) fn speak(&self) {
        self.shared.silent.store(false, Ordering::SeqCst);
    }

    /// The bodies that the target has taken, in order.
    pub(super) fn passed(&self) -> Vec<Value> {
        self.shared.passed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        // A sender that is killed in the middle of a call is part of the tests.
        tokio::spawn(pass(stream, Arc::clone(&shared)));
    }
}

async fn pass(stream: TcpStream, shared: Arc<Shared>) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    stream.read_line(&mut first).await?;
    let path = first.split_whitespace().nth(1).context("a request line")?.to_owned();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().trim_end().strip_prefix("content-length: ") {
            length = value.parse().context("read content-length")?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let call = reqwest::Client::new().post(format!("{}{path}", shared.target));
    let answer = call.header("content-type", "application/json").body(body.clone()).send().await?;
    let status = answer.status();
    if status.is_success() {
        shared.passed.lock().unwrap_or_else(PoisonError::into_inner).push(serde_json::from_slice(&body)?);
    }
    if shared.silent.load(Ordering::SeqCst) {
        // The sender hangs up, or dies.
        stream.read_to_end(&mut body).await?;
        return Ok(());
    }
    let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    Ok(stream.write_all(answer.as_bytes()).await?)
}
