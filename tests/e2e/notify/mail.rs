//! A real mail server that asks for TLS and a login.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use crate::server::text;

pub(super) const USER: &str = "hindsight";
pub(super) const PASSWORD: &str = "correct horse battery";

/// Ends when dropped.
#[derive(Debug)]
pub(super) struct MailServer {
    pub(super) port: u16,
    folder: TempDir,
    child: Child,
}

/// One attempt at a mail.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Mail {
    pub(super) answer: String,
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) user: String,
    pub(super) encrypted: bool,
    pub(super) text: String,
}

impl Mail {
    /// A header's value, unfolded.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let head = self.text.replace("\r\n", "\n");
        let (head, _) = head.split_once("\n\n")?;
        let head = head.replace("\n ", " ");
        head.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
    }
}

impl MailServer {
    /// One that refuses so many mails for now.
    pub(super) fn start(refused: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        certify(&folder)?;
        let python =
            std::env::var_os("HINDSIGHT_PYTHON").context("HINDSIGHT_PYTHON; ./tests/run makes one")?;
        let file = |name: &str| folder.path().join(name);
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/smtp_server.py"))
            .args([file("server.pem"), file("server.key")])
            .args([USER, PASSWORD])
            .arg(file("inbox.jsonl"))
            .arg(refused.to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
        let port = line.trim().parse().with_context(|| format!("smtp_server.py said {line:?}"))?;
        Ok(Self { port, folder, child })
    }

    /// The certificate of who vouches for it.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Every attempt so far.
    pub(super) fn mails(&self) -> anyhow::Result<Vec<Mail>> {
        let text = match std::fs::read_to_string(self.folder.path().join("inbox.jsonl")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("read {line}"))).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // It has nothing to lose, and the test is over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An authority of our own and a certificate for `localhost`.
fn certify(folder: &TempDir) -> anyhow::Result<()> {
    let file = |name: &str| text(&folder.path().join(name)).to_owned();
    std::fs::write(folder.path().join("san"), "subjectAltName=DNS:localhost\n")?;
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let (ca, ca_key, server, server_key) =
        (file("ca.pem"), file("ca.key"), file("server.pem"), file("server.key"));
    let (request, san) = (file("server.csr"), file("san"));
    let steps: [Vec<&str>; 3] = [
        [
            &["req", "-x509"],
            &key[..],
            &["-keyout", &ca_key, "-out", &ca, "-subj", "/CN=tests", "-days", "30"],
        ]
        .concat(),
        [&["req"], &key[..], &["-keyout", &server_key, "-out", &request, "-subj", "/CN=localhost"]].concat(),
        vec![
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-out",
            &server,
            "-days",
            "30",
            "-extfile",
            &san,
        ],
    ];
    for step in steps {
        let output = Command::new("openssl").args(&step).output().context("run openssl")?;
        ensure!(output.status.success(), "openssl {step:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
