//! SQL over PostgreSQL's protocol, asked by the stock clients: `psql` and `psycopg`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::otlp::{self, JSON};
use crate::python_sdk::python;
use crate::server::{Home, Server, text};
use crate::wait::wait_until;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

async fn serve(home: &Home, more: &[&str]) -> anyhow::Result<(Server, SocketAddr)> {
    let arguments = [&["--listen-pg", "127.0.0.1:0", "--token", TOKEN], more].concat();
    let server = home.serve_with(&arguments)?;
    let pg = server.pg.context("the ready line names the port")?;
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", JSON);
    let sent = post.bearer_auth(TOKEN).body(otlp::hundred_lines().to_string()).send().await?;
    ensure!(sent.status() == 200, "{sent:?}");
    Ok((server, pg))
}

pub(crate) fn psql(pg: SocketAddr, password: &str, arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "-h", "127.0.0.1", "-p", &pg.port().to_string(), "-U", "me"]);
    command.env("PGPASSWORD", password).env("PAGER", "cat").stdin(Stdio::null());
    command.args(arguments).output().context("run psql; ./tests/run installs it")
}

fn said(pg: SocketAddr, arguments: &[&str]) -> anyhow::Result<String> {
    let output = psql(pg, TOKEN, arguments)?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "psql {arguments:?}: {problem}");
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn psql_asks_and_is_shown_what_there_is() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let (_server, pg) = serve(&home, &[]).await?;
    let rows = said(pg, &["-At", "-c", "SELECT service_name, count(*) FROM logs GROUP BY 1"])?;
    assert_eq!(rows, "checkout|100\n");
    let rows = said(pg, &["-At", "-c", "SELECT 1; SELECT ';', NULL, [1, 2]; SHOW TimeZone"])?;
    assert_eq!(rows, "1\n;||{1,2}\nUTC\n");

    let tables = said(pg, &["-c", r"\dt"])?;
    for line in [" public | logs ", " public | query_log "] {
        assert!(tables.contains(line), "{tables}");
    }
    assert!(!tables.contains("span_events"), "{tables}");
    assert!(said(pg, &["-c", r"\dv"])?.contains(" public | span_events "));
    let all = said(pg, &["-c", r"\d"])?;
    assert!(all.contains(" logs ") && all.contains(" span_events "), "{all}");
    let logs = said(pg, &["-c", r"\d logs"])?;
    assert!(logs.contains("Table \"public.logs\""), "{logs}");
    for (column, kind) in [("timestamp", "timestamp with time zone"), ("body", "text"), ("flags", "bigint")] {
        let line = logs.lines().find(|line| line.split_whitespace().next() == Some(column));
        assert!(line.is_some_and(|line| line.contains(kind)), "{column}: {logs}");
    }
    assert!(said(pg, &["-c", r"\d span_events"])?.contains("View \"public.span_events\""));
    for (table, doc) in [
        ("logs", "the message; JSON text"),
        ("query_log", "the limit that ended it"),
        ("traces", "its first span"),
    ] {
        let shown = said(pg, &["-c", &format!(r"\d+ {table}")])?;
        assert!(shown.contains(doc), "{shown}");
    }

    let wrong = psql(pg, TOKEN, &["-v", "VERBOSITY=verbose", "-c", "SELECT * FROM lgos"])?;
    let words = String::from_utf8_lossy(&wrong.stderr);
    assert!(words.contains("42P01") && words.contains("did you mean `logs`?"), "{words}");
    let refused = psql(pg, "fedcba9876543210", &["-c", "SELECT 1"])?;
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("password authentication failed"));
    Ok(())
}

#[tokio::test]
async fn psycopg_is_answered_as_by_postgresql() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let (server, pg) = serve(&home, &[]).await?;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python/pg_client.py");
    let mut command = Command::new(python()?);
    command.arg(text(&script)).arg(pg.port().to_string()).arg(TOKEN).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().context("run python/pg_client.py")?;
    let (told, problem) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "pg_client.py failed after {told}\n{problem}");
    assert!(server.terminate()?.success());
    Ok(())
}

/// The startup message of a client.
fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0me\0\0";
    let length = u32::try_from(body.len() + 4).expect("a short message");
    [length.to_be_bytes().as_slice(), body].concat()
}

/// All that the server says until it hangs up.
async fn last_words(mut stream: TcpStream) -> anyhow::Result<String> {
    let mut words = Vec::new();
    let heard = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut words));
    heard.await.context("the server did not hang up")??;
    Ok(String::from_utf8_lossy(&words).into_owned())
}

#[tokio::test]
async fn one_connection_too_many_is_told_and_a_silent_one_makes_room() -> anyhow::Result<()> {
    let home = Home::new("[limits]\nconnections_max = 2\nheader_timeout = \"1s\"\n")?;
    let (_server, pg) = serve(&home, &[]).await?;
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(pg).await?);
    }
    wait_until("the third is refused", Duration::from_secs(20), async || {
        let mut third = TcpStream::connect(pg).await?;
        third.write_all(&startup()).await?;
        let mut first = [0; 512];
        let heard = third.read(&mut first).await?;
        let words = String::from_utf8_lossy(&first[..heard]).into_owned();
        Ok(words.contains("53300").then_some(()))
    })
    .await?;
    for silent in silent {
        assert_eq!(last_words(silent).await?, "");
    }
    assert_eq!(said(pg, &["-At", "-c", "SELECT 1"])?, "1\n");
    Ok(())
}

#[tokio::test]
async fn bytes_that_are_no_protocol_end_one_connection_and_nothing_else() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let (_server, pg) = serve(&home, &[]).await?;
    let http = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let before_the_password = [startup(), b"Q\0\0\0\x0dSELECT 1\0".to_vec()].concat();
    for (bytes, code) in
        [(http, "54000"), (vec![0, 0, 0, 8, 0, 9, 0, 0], "08P01"), (before_the_password, "08P01")]
    {
        let mut stream = TcpStream::connect(pg).await?;
        stream.write_all(&bytes).await?;
        let words = last_words(stream).await?;
        assert!(words.contains("FATAL") && words.contains(code), "{code}: {words:?}");
    }
    assert_eq!(said(pg, &["-At", "-c", "SELECT 1"])?, "1\n");
    Ok(())
}

/// A certificate for 127.0.0.1 that vouches for itself, and its key.
fn certify(folder: &Path) -> anyhow::Result<()> {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl.args(["-days", "2", "-subj", "/CN=hindsight", "-addext", "subjectAltName=IP:127.0.0.1"]);
    openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(folder);
    let made = openssl.output().context("run openssl; ./tests/run installs it")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

#[tokio::test]
async fn an_encrypted_port_is_verified_by_psql_and_takes_nothing_in_the_clear() -> anyhow::Result<()> {
    let home = Home::new("[listen]\npg_tls_cert = \"cert.pem\"\npg_tls_key = \"key.pem\"\n")?;
    certify(&home.workspace())?;
    let (server, pg) = serve(&home, &[]).await?;
    let certificate = home.workspace().join("cert.pem");
    let ask = |mode: &str, sql: &str| {
        let root = text(&certificate);
        let about = format!("host=127.0.0.1 port={} user=me sslmode={mode} sslrootcert={root}", pg.port());
        psql(pg, TOKEN, &["-At", "-d", &about, "-c", sql])
    };
    let verified = ask("verify-full", "SELECT count(*) FROM logs")?;
    let problem = String::from_utf8_lossy(&verified.stderr);
    assert_eq!(String::from_utf8_lossy(&verified.stdout), "100\n", "{problem}");
    let clear = ask("disable", "SELECT 1")?;
    let problem = String::from_utf8_lossy(&clear.stderr);
    assert!(!clear.status.success() && problem.contains("this port is encrypted"), "{problem}");

    // What a stranger puts in front of the handshake is not taken for the client's.
    let mut injected = TcpStream::connect(pg).await?;
    let wish = [0, 0, 0, 8, 4, 210, 22, 47];
    injected.write_all(&[wish.as_slice(), &startup()].concat()).await?;
    assert!(last_words(injected).await?.contains("08P01"));

    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python/pg_client.py");
    let mut command = Command::new(python()?);
    command.arg(text(&script)).arg(pg.port().to_string()).arg(TOKEN).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", &certificate);
    let output = command.output().context("run python/pg_client.py")?;
    let (told, problem) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "pg_client.py failed after {told}\n{problem}");
    assert!(server.terminate()?.success());
    Ok(())
}
