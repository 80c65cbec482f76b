//! Frames that a well-meaning client never sends: streams opened and reset at once, headers without end, frames and
//! messages longer than agreed.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::server::Home;

const PEAK_BYTES: u64 = 300 * MIB;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The server has to act within this time.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(30);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// POST / over http, by HPACK's static table, to authority `h`.
fn request_headers() -> Vec<u8> {
    vec![0x83, 0x86, 0x84, 0x01, 1, b'h']
}

async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await?;
    Ok(stream)
}

/// Writes until the server hangs up, and returns the kinds of the frames that it said.
async fn flood(mut stream: TcpStream, mut next: impl FnMut(u32) -> Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut said = Vec::new();
    let mut number = 0;
    let flooding = async {
        let (mut reading, mut writing) = stream.split();
        let read = async { drop(reading.read_to_end(&mut said).await) };
        let write = async {
            while writing.write_all(&next(number)).await.is_ok() {
                number += 1;
            }
        };
        tokio::join!(read, write);
    };
    tokio::time::timeout(CUT_OFF_WITHIN, flooding).await?;
    let mut kinds = Vec::new();
    let mut rest = said.as_slice();
    while let [a, b, c, kind, ..] = rest {
        kinds.push(*kind);
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c]))?;
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    Ok(kinds)
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_opened_and_reset_end_their_connection() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    for address in [server.grpc, server.http, server.web] {
        let said = flood(connect(address).await?, |number| {
            let stream = number * 2 + 1;
            let opened = frame(HEADERS, END_HEADERS, stream, &request_headers());
            [opened, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
        });
        assert!(said.await?.contains(&GOAWAY), "it says why");
    }
    stayed_within(&server, PEAK_BYTES)?;
    is_served(&server, "after", 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end_end_their_connection() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    for address in [server.grpc, server.http, server.web] {
        // One header block, continued for ever with a header of 10,000 bytes each.
        let header = [&[0x00, 1, b'x', 0x7f, 0x91, 0x4d][..], &[b'a'; 10_000]].concat();
        let said = flood(connect(address).await?, |number| match number {
            0 => frame(HEADERS, 0, 1, &request_headers()),
            _ => frame(CONTINUATION, 0, 1, &header),
        });
        said.await?;
    }
    stayed_within(&server, PEAK_BYTES)?;
    is_served(&server, "after", 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_longer_than_agreed_and_data_beyond_the_window_end_their_connection() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let long = frame(DATA, 0, 1, &vec![0; 1 << 20]);
    assert!(flood(connect(server.grpc).await?, |_| long.clone()).await?.contains(&GOAWAY));
    let opened = frame(HEADERS, END_HEADERS, 1, &request_headers());
    let full = frame(DATA, 0, 1, &[0; 16 << 10]);
    let said =
        flood(connect(server.grpc).await?, |number| if number == 0 { opened.clone() } else { full.clone() });
    assert!(said.await?.contains(&GOAWAY), "the client had no leave to send so much");
    stayed_within(&server, PEAK_BYTES)?;
    is_served(&server, "after", 0).await
}
