//! A receiver of webhook calls: the least HTTP server that remembers what it was told.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The status that means: take the call and never answer it.
pub(crate) const SILENCE: u16 = 0;

/// One call as it came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The header `Idempotency-Key`.
    pub(crate) key: String,
    /// What it was answered.
    pub(crate) status: u16,
    pub(crate) payload: Value,
}

/// Listens until dropped.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    status: AtomicU16,
    calls: Mutex<Vec<Call>>,
}

impl Webhook {
    /// A receiver that answers every call with this status.
    pub(crate) async fn start(status: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen for webhooks")?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let shared = Arc::new(Shared { status: AtomicU16::new(status), calls: Mutex::default() });
        let task = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { url, shared, task })
    }

    /// What calls are answered from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// Every call so far, in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        // A sender that is killed in the middle of a call is part of the tests.
        tokio::spawn(take(stream, Arc::clone(&shared)));
    }
}

async fn take(stream: TcpStream, shared: Arc<Shared>) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() { break } else { continue }
        };
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => value.clone_into(&mut key),
            "content-length" => length = value.parse().context("read content-length")?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let status = shared.status.load(Ordering::SeqCst);
    let call = Call { key, status, payload: serde_json::from_slice(&body)? };
    shared.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    if status == SILENCE {
        // The sender hangs up, or dies.
        stream.read_to_end(&mut body).await?;
        return Ok(());
    }
    let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    Ok(stream.write_all(answer.as_bytes()).await?)
}
