//! One client's bytes: heard with a bound, said in pieces, and noticed when they end.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::fault::PgFault;
use super::message::{self, Opening, STARTUP_BYTES_MAX, Said};

/// What is gathered before it is sent.
const SEND_BYTES: usize = 64 << 10;

/// The client is gone, or never came; nothing can be told to it.
#[derive(Debug)]
pub(super) struct Gone;

/// Why a connection cannot go on.
#[derive(Debug)]
pub(super) enum End {
    Gone,
    Fault(PgFault),
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<PgFault> for End {
    fn from(fault: PgFault) -> Self {
        Self::Fault(fault)
    }
}

/// The bytes' way.
#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
    /// Encryption was begun and did not come about.
    Broken,
}

impl Stream {
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Encrypted(stream) => Some(stream.get_ref().0),
            Self::Broken => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    heard: BytesMut,
    /// What is to be said; sent by [`Wire::flush`], or when it has grown.
    pub(super) out: BytesMut,
    /// How long the client may take to read what was said.
    patience: Duration,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, patience: Duration) -> Self {
        Self { stream: Stream::Plain(stream), heard: BytesMut::new(), out: BytesMut::new(), patience }
    }

    pub(super) async fn opening(&mut self) -> Result<Opening, End> {
        loop {
            if let Some(opening) = message::opening(&mut self.heard)? {
                return Ok(opening);
            }
            self.more(STARTUP_BYTES_MAX).await?;
        }
    }

    /// The next message, at most `bytes_max` long.
    pub(super) async fn next(&mut self, bytes_max: usize) -> Result<Said, End> {
        loop {
            if let Some(said) = message::next(&mut self.heard, bytes_max)? {
                return Ok(said);
            }
            self.more(bytes_max).await?;
        }
    }

    async fn more(&mut self, bytes_max: usize) -> Result<(), Gone> {
        if self.heard.is_empty() {
            // A long message does not leave its memory to an idle connection.
            self.heard = BytesMut::new();
        }
        let room = (bytes_max + 8).saturating_sub(self.heard.len()).clamp(1, 8 << 10);
        self.heard.reserve(room);
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read_buf(&mut self.heard).await,
            Stream::Encrypted(stream) => stream.read_buf(&mut self.heard).await,
            Stream::Broken => return Err(Gone),
        };
        match read {
            Ok(0) | Err(_) => Err(Gone),
            Ok(_) => Ok(()),
        }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Encrypted(_))
    }

    /// Says yes to encryption, and encrypts everything from here on.
    pub(super) async fn encrypt(&mut self, acceptor: &TlsAcceptor) -> Result<(), End> {
        if !self.heard.is_empty() {
            // Somebody between us and the client could have put it there, to be taken for the client's own word.
            return Err(PgFault::protocol("more came before encryption than the wish for it").into());
        }
        self.out.extend_from_slice(b"S");
        self.flush().await?;
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Broken) else {
            return Err(End::Gone);
        };
        let encrypted = acceptor.accept(stream).await.map_err(|error| {
            tracing::debug!(%error, "encryption did not come about");
            Gone
        })?;
        self.stream = Stream::Encrypted(Box::new(encrypted));
        Ok(())
    }

    /// One byte that is no message: the refusal of encryption.
    pub(super) async fn refuse_encryption(&mut self) -> Result<(), Gone> {
        self.out.extend_from_slice(b"N");
        self.flush().await
    }

    pub(super) async fn flush_if_much(&mut self) -> Result<(), Gone> {
        if self.out.len() < SEND_BYTES { Ok(()) } else { self.flush().await }
    }

    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        let out: Bytes = std::mem::take(&mut self.out).freeze();
        let stream = &mut self.stream;
        let send = async {
            match stream {
                Stream::Plain(stream) => stream.write_all(&out).await,
                Stream::Encrypted(stream) => {
                    stream.write_all(&out).await?;
                    stream.flush().await
                }
                Stream::Broken => Err(std::io::ErrorKind::NotConnected.into()),
            }
        };
        match tokio::time::timeout(self.patience, send).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    /// Resolves when the client has hung up. While it has said more than we have heard, nobody can know.
    pub(super) async fn gone(&self) -> Gone {
        let mut byte = [0; 1];
        let Some(stream) = self.stream.tcp() else { return Gone };
        match stream.peek(&mut byte).await {
            Ok(0) | Err(_) => Gone,
            Ok(_) => std::future::pending().await,
        }
    }
}
