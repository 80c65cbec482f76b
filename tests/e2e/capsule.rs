//! A capsule: an incident leaves one machine and is the same on another, and what was changed on the way is refused.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::answer::Answer;
use crate::binary;
use crate::server::{Home, text};

/// The demo's data and workspace, made once for the tests here.
struct Demo {
    folder: TempDir,
}

impl Demo {
    fn get() -> anyhow::Result<&'static Self> {
        static DEMO: OnceLock<Result<Demo, String>> = OnceLock::new();
        let made = DEMO.get_or_init(|| Self::make().map_err(|error| format!("{error:#}")));
        made.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    fn make() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let demo = Self { folder };
        let (data, workspace) = (demo.data_dir(), demo.workspace());
        binary::run_well(&["demo", "--once", "--data-dir", text(&data), "--workspace", text(&workspace)])?;
        Ok(demo)
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    /// A copy, so that tests do not wait for each other's lock.
    fn copy(&self) -> anyhow::Result<Home> {
        let folder = tempfile::tempdir()?;
        for from in [self.data_dir(), self.workspace()] {
            let copied = Command::new("cp").arg("-r").arg(&from).arg(folder.path()).status()?;
            ensure!(copied.success(), "copy {}", from.display());
        }
        Ok(Home::at(folder))
    }
}

/// `hindsight open`, running; killed when dropped.
pub(crate) struct Opened {
    child: Child,
    web: SocketAddr,
    client: reqwest::Client,
}

impl Opened {
    /// Opens it where there is nothing else: an empty folder, no settings.
    pub(crate) fn start(capsule: &Path, elsewhere: &Path) -> anyhow::Result<Self> {
        let mut command = binary::command()?;
        command.current_dir(elsewhere).env("TMPDIR", elsewhere);
        command.args(["open", text(capsule), "--listen-web", "127.0.0.1:0"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stderr.take().context("stderr is piped")?);
        let mut heard = String::new();
        let web = loop {
            let from = heard.len();
            if said.read_line(&mut heard)? == 0 {
                anyhow::bail!("it ended: {heard}");
            }
            if let Some(ports) = heard[from..].trim().strip_prefix("listening ") {
                break ports
                    .strip_prefix("web=")
                    .with_context(|| format!("only web in `{ports}`"))?
                    .parse()?;
            }
        };
        std::thread::spawn(move || drop(said.read_to_end(&mut Vec::new())));
        Ok(Self { child, web, client: reqwest::Client::new() })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.web)
    }

    async fn page(&self, path: &str) -> anyhow::Result<String> {
        let response = self.client.get(self.url(path)).send().await?;
        ensure!(response.status() == 200, "{path} gave {}: {}", response.status(), response.text().await?);
        Ok(response.text().await?)
    }

    pub(crate) async fn sql(&self, sql: &str) -> anyhow::Result<Answer> {
        let asked = self.client.post(self.url("/api/v1/sql")).json(&json!({"sql": sql})).send().await?;
        Answer::from_json(&asked.text().await?)
    }

    /// SIGTERM; it ends well.
    pub(crate) fn terminate(mut self) -> anyhow::Result<()> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(self.child.wait()?.success());
        Ok(())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Questions whose answers must be the same on both machines.
fn questions(window: &Value) -> Vec<String> {
    let within = format!(
        "timestamp >= TIMESTAMP {} AND timestamp <= TIMESTAMP {}",
        quoted(&window["from"]),
        quoted(&window["to"])
    );
    let mut questions: Vec<String> = ["logs", "spans", "metrics", "metric_histograms"]
        .iter()
        .map(|table| format!("SELECT count(*), min(timestamp), max(timestamp) FROM {table} WHERE {within}"))
        .collect();
    questions.extend([
        format!(
            "SELECT service_name, status_code, count(*), sum(duration_nano) FROM spans WHERE {within} \
             GROUP BY 1, 2 ORDER BY 1, 2"
        ),
        format!(
            "SELECT service_name, severity, count(*) FROM logs WHERE {within} GROUP BY 1, 2 ORDER BY 1, 2"
        ),
        format!("SELECT metric_name, count(*), max(value) FROM metrics WHERE {within} GROUP BY 1 ORDER BY 1"),
        format!(
            "SELECT attributes->>'http.route' AS r, count(*) FROM spans WHERE {within} GROUP BY 1 ORDER BY 1"
        ),
        "SELECT * FROM timeline ORDER BY id".to_owned(),
        "SELECT * FROM incidents".to_owned(),
        "SELECT id, status, title FROM postmortems".to_owned(),
        "SELECT count(*) FROM action_items".to_owned(),
    ]);
    questions
}

fn quoted(time: &Value) -> String {
    format!("'{}'", time.as_str().unwrap_or_default())
}

fn incident_of(home: &Home) -> anyhow::Result<String> {
    let ids = binary::run_well(&[
        "sql",
        "--data-dir",
        text(&home.data_dir()),
        "--json",
        "SELECT id FROM incidents",
    ])?;
    Ok(Answer::from_json(&ids)?.single()?.as_str().context("an id")?.to_owned())
}

/// Exports from the data directory and returns what the command said as JSON.
fn export(home: &Home, id: &str, out: &Path, more: &[&str]) -> anyhow::Result<Value> {
    let (data, workspace) = (home.data_dir(), home.workspace());
    let mut arguments = vec!["incident", "export", id, "-o", text(out), "--json"];
    arguments.extend(["--data-dir", text(&data), "--workspace", text(&workspace)]);
    arguments.extend(more);
    Ok(serde_json::from_str(&binary::run_well(&arguments)?)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_the_same_on_a_machine_that_knows_nothing() -> anyhow::Result<()> {
    let home = Demo::get()?.copy()?;
    let elsewhere = tempfile::tempdir()?;
    let (data, workspace) = (home.data_dir(), home.workspace());
    let id = incident_of(&home)?;
    let capsule = elsewhere.path().join("capsule.tar");
    let report = export(&home, &id, &capsule, &[])?;
    let manifest = &report["manifest"];
    ensure!(manifest["incident"]["id"] == id.as_str() && manifest["restricted"] == false, "{report}");
    let [postmortem] = manifest["postmortems"].as_array().context("post-mortems")?.as_slice() else {
        anyhow::bail!("one post-mortem: {report}");
    };
    let postmortem = postmortem.as_str().context("its id")?;

    let opened = Opened::start(&capsule, elsewhere.path())?;
    for question in questions(&manifest["window"]) {
        let here = ["sql", "--data-dir", text(&data), "--workspace", text(&workspace), "--json", &question];
        let here = Answer::from_json(&binary::run_well(&here)?)?;
        let url = opened.url("");
        let there = Answer::from_json(&binary::run_well(&["sql", "--url", &url, "--json", &question])?)?;
        ensure!(!here.rows.is_empty(), "{question} answers nothing");
        assert_eq!(there.rows, here.rows, "{question}");
    }
    let rows = opened.sql("SELECT count(*) FROM spans").await?;
    assert_eq!(rows.single()?, &manifest["tables"]["spans"]["rows"], "nothing but the window");
    let now = opened.sql("SELECT CAST(now() AS VARCHAR)").await?;
    let exported = manifest["exported_at"].as_str().context("exported_at")?;
    assert_eq!(now.single()?.as_str().and_then(|now| now.get(..19)), exported.get(..19), "the clock stands");

    for path in
        ["/", "/alerts", "/slos", "/sql", "/incidents", "/postmortems", "/actions", "/review", "/patterns"]
    {
        let page = opened.page(path).await?;
        ensure!(
            page.contains("read-only") && page.contains(&format!("/incidents/{id}")),
            "{path}: no banner"
        );
    }
    let home_page = opened.page("/").await?;
    ensure!(home_page.contains(">checkout</a>"), "the home page shows the end of the incident: {home_page}");
    let incident = opened.page(&format!("/incidents/{id}")).await?;
    ensure!(incident.contains("<ol class=\"timeline\">") && incident.contains("<svg"), "{incident}");
    ensure!(!incident.contains("/capsule\""), "a capsule offers no capsule");
    let article = opened.page(&format!("/postmortems/{postmortem}")).await?;
    ensure!(article.contains("Five whys") && article.contains("exported at"), "{article}");
    let status: Value = serde_json::from_str(&opened.page("/api/v1/status").await?)?;
    assert_eq!(status["capsule"]["incident"], id.as_str());
    let lost = opened.client.get(opened.url("/incidents/INC-99")).send().await?;
    ensure!(lost.status() == 404 && lost.text().await?.contains("read-only"));

    for path in std::fs::read_dir(elsewhere.path())?.flatten() {
        use std::os::unix::fs::PermissionsExt as _;
        if path.path().is_dir() {
            assert_eq!(path.metadata()?.permissions().mode() & 0o077, 0, "only its owner may look into it");
        }
    }
    opened.terminate()?;
    let left: Vec<_> =
        std::fs::read_dir(elsewhere.path())?.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["capsule.tar"], "nothing else is left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capsule_takes_no_change_of_any_kind() -> anyhow::Result<()> {
    let home = Demo::get()?.copy()?;
    let elsewhere = tempfile::tempdir()?;
    let id = incident_of(&home)?;
    let capsule = elsewhere.path().join("c.tar");
    export(&home, &id, &capsule, &[])?;
    let opened = Opened::start(&capsule, elsewhere.path())?;
    let state = || async {
        let sql = "SELECT (SELECT count(*) FROM timeline) AS timeline, (SELECT count(*) FROM audit_log) AS audit, \
                   (SELECT count(*) FROM silences) AS silences, (SELECT count(*) FROM spans) AS spans";
        anyhow::Ok(opened.sql(sql).await?.rows)
    };
    let before = state().await?;
    let incident = format!("/api/v1/incidents/{id}");
    for (method, path) in [
        (Method::POST, "/api/v1/incidents".to_owned()),
        (Method::POST, format!("{incident}/changes")),
        (Method::POST, format!("{incident}/notes")),
        (Method::POST, format!("{incident}/timeline")),
        (Method::POST, format!("{incident}/timeline/1")),
        (Method::POST, format!("{incident}/gather")),
        (Method::POST, "/api/v1/silences".to_owned()),
        (Method::DELETE, "/api/v1/silences/SIL-1".to_owned()),
        (Method::POST, "/api/v1/action-items/verify".to_owned()),
        (Method::POST, "/api/v1/clock".to_owned()),
        (Method::POST, "/v1/traces".to_owned()),
        (Method::PUT, "/api/v1/sql".to_owned()),
    ] {
        let refused = opened.client.request(method.clone(), opened.url(&path)).body("{}").send().await?;
        let status = refused.status();
        let said: Value = serde_json::from_str(&refused.text().await?)?;
        ensure!(status == 403 && said["error"]["code"] == "read_only", "{method} {path}: {status} {said}");
        let message = said["error"]["message"].as_str().unwrap_or_default();
        ensure!(message.contains("this is a capsule") && message.contains("read-only"), "{said}");
    }
    for path in
        [format!("/incidents/{id}/changes"), "/silences".to_owned(), format!("/incidents/{id}/postmortem")]
    {
        let refused =
            opened.client.post(opened.url(&path)).header("content-type", "application/x-www-form-urlencoded");
        let refused = refused.body("author=ana&change=acknowledge").send().await?;
        let (status, page) = (refused.status(), refused.text().await?);
        ensure!(
            status == 403 && page.contains("<html") && page.contains("This is a capsule"),
            "{path}: {page}"
        );
    }
    let again = opened.client.get(opened.url(&format!("{incident}/capsule"))).send().await?;
    ensure!(again.status() == 409, "{}", again.status());
    let note = binary::run(&["incident", "note", &id, "hello", "--url", &opened.url("")])?;
    ensure!(!note.status.success() && String::from_utf8_lossy(&note.stderr).contains("read-only"));
    for sql in ["DELETE FROM spans", "CREATE TABLE x AS SELECT 1", "INSERT INTO logs SELECT * FROM logs"] {
        let refused = opened.client.post(opened.url("/api/v1/sql")).json(&json!({"sql": sql})).send().await?;
        ensure!(refused.status() == 400, "{sql}: {}", refused.status());
    }
    assert_eq!(state().await?, before);
    opened.terminate()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_gives_what_is_not_sealed_yet_and_nothing_of_others() -> anyhow::Result<()> {
    let home = Demo::get()?.copy()?;
    let elsewhere = tempfile::tempdir()?;
    let id = incident_of(&home)?;
    let secret = "0123456789abcdef-the-servers-own-token";
    let config = format!(
        "[ingest]\nseal_age = \"1h\"\n[[receivers]]\nname = \"pager\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9/{secret}\"\n"
    );
    std::fs::write(home.workspace().join("hindsight.toml"), config)?;
    let end = last_log(&home)?;
    let server = home.serve_with(&["--logical-clock", &end, "--token", secret])?;
    let client = reqwest::Client::new();
    let post = |path: &str, body: Value| {
        client.post(format!("http://{}{path}", server.web)).bearer_auth(secret).json(&body)
    };
    let declare = json!({"author": "ana", "title": "another-matter", "severity": "SEV1"});
    let declared = post("/api/v1/incidents", declare).send().await?;
    ensure!(declared.status() == 201, "{}", declared.text().await?);
    let body = prost::Message::encode_to_vec(&crate::otlp::logs(
        "late-service",
        nanos(&end)?,
        &[("unsealed", vec![])],
    ));
    let sent = client
        .post(server.otlp_url("logs"))
        .bearer_auth(secret)
        .header("content-type", crate::otlp::PROTOBUF);
    ensure!(sent.body(body).send().await?.status() == 200);

    let capsule = elsewhere.path().join("c.tar");
    let url = format!("http://{}", server.web);
    let said = binary::run_well(&[
        "incident",
        "export",
        &id,
        "-o",
        text(&capsule),
        "--url",
        &url,
        "--token",
        secret,
        "--author",
        "scribe",
        "--json",
    ])?;
    let said: Value = serde_json::from_str(&said)?;
    assert_eq!(said["manifest"]["author"], "scribe");
    let audited = post(
        "/api/v1/sql",
        json!({"sql": "SELECT actor, subject FROM audit_log WHERE action = 'incident.export'"}),
    );
    let audited = Answer::from_json(&audited.send().await?.text().await?)?;
    assert_eq!(audited.rows, [vec![json!("scribe"), json!(id)]]);
    check_nothing_foreign(&capsule, &[secret, "another-matter", "hindsight.toml", "state.db", "INC-2"])?;

    let opened = Opened::start(&capsule, elsewhere.path())?;
    let unsealed = opened.sql("SELECT body FROM logs WHERE service_name = 'late-service'").await?;
    assert_eq!(unsealed.single()?, "unsealed");
    for (table, rows) in [("incidents", 1), ("audit_log", 0), ("notifications", 0), ("silences", 0)] {
        assert_eq!(opened.sql(&format!("SELECT count(*) FROM {table}")).await?.single()?, rows, "{table}");
    }
    opened.terminate()?;

    let unknown = binary::run(&["incident", "export", "INC-77", "--url", &url, "--token", secret])?;
    ensure!(String::from_utf8_lossy(&unknown.stderr).contains("there is no INC-77"));
    let unauthorised = client.get(format!("{url}/api/v1/incidents/{id}/capsule")).send().await?;
    ensure!(unauthorised.status() == 401);
    Ok(())
}

/// None of these is anywhere in the file that is not packed (telemetry is, and is asked by SQL).
fn check_nothing_foreign(capsule: &Path, words: &[&str]) -> anyhow::Result<()> {
    let bytes = std::fs::read(capsule)?;
    for word in words {
        let found = bytes.windows(word.len()).any(|part| part == word.as_bytes());
        ensure!(!found, "`{word}` is in the capsule");
    }
    Ok(())
}

fn last_log(home: &Home) -> anyhow::Result<String> {
    let sql = "SELECT max(timestamp) FROM logs";
    let answer = binary::run_well(&["sql", "--data-dir", text(&home.data_dir()), "--json", sql])?;
    Ok(Answer::from_json(&answer)?.single()?.as_str().context("a time")?.to_owned())
}

fn nanos(time: &str) -> anyhow::Result<u64> {
    Ok(u64::try_from(time.parse::<jiff::Timestamp>()?.as_nanosecond())?)
}

#[test]
fn a_restricted_report_leaves_only_when_somebody_says_so() -> anyhow::Result<()> {
    let home = Demo::get()?.copy()?;
    let elsewhere = tempfile::tempdir()?;
    let id = incident_of(&home)?;
    let documents = home.workspace().join("postmortems");
    let document =
        std::fs::read_dir(documents)?.next().context("a post-mortem")??.path().join("postmortem.md");
    let written = std::fs::read_to_string(&document)?;
    let restricted = written.replacen("visibility: internal", "visibility: restricted", 1);
    ensure!(restricted != written, "{written}");
    std::fs::write(&document, restricted)?;
    let out = elsewhere.path().join("c.tar");
    let (data, workspace) = (home.data_dir(), home.workspace());
    let refused = binary::run(&[
        "incident",
        "export",
        &id,
        "-o",
        text(&out),
        "--data-dir",
        text(&data),
        "--workspace",
        text(&workspace),
    ])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(1) && said.contains("--include-restricted"), "{said}");
    ensure!(std::fs::read_dir(elsewhere.path())?.next().is_none(), "nothing is left behind");
    let without = export(&home, &id, &out, &["--without-report"])?;
    ensure!(without["manifest"]["postmortems"] == json!([]) && without["manifest"]["restricted"] == false);
    let again = binary::run(&["incident", "export", &id, "-o", text(&out), "--data-dir", text(&data)])?;
    ensure!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
    let with = export(&home, &id, &elsewhere.path().join("r.tar"), &["--include-restricted"])?;
    ensure!(with["manifest"]["restricted"] == true, "{with}");
    Ok(())
}

#[test]
fn a_capsule_that_was_changed_or_cut_is_refused_and_leaves_nothing() -> anyhow::Result<()> {
    let home = Demo::get()?.copy()?;
    let elsewhere = tempfile::tempdir()?;
    let id = incident_of(&home)?;
    let capsule = elsewhere.path().join("c.tar");
    let said = export(&home, &id, &capsule, &[])?;
    let checked: Value =
        serde_json::from_str(&binary::run_well(&["open", text(&capsule), "--check", "--json"])?)?;
    assert_eq!(checked["manifest_sha256"], said["manifest_sha256"]);
    assert_eq!(checked["manifest"], said["manifest"]);
    let listed = Command::new("tar").arg("-tf").arg(&capsule).output()?;
    ensure!(String::from_utf8_lossy(&listed.stdout).starts_with("manifest.json\nincident.json\nreport/PM-"));

    let whole = std::fs::read(&capsule)?;
    let in_report = position(&whole, b"Five whys").context("the document's text")?;
    let block = position(&whole, b"PAR1").context("a block")?;
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        bytes
    };
    let mut other = whole.clone();
    let format = position(&whole, b"\"format\": 1").context("the format")?;
    other[format + 10] = b'9';
    for (name, bytes, said) in [
        ("report", flipped(in_report), "postmortem.md in the capsule was changed or damaged"),
        ("block", flipped(block + 100), ".parquet in the capsule was changed or damaged"),
        ("cut", whole[..whole.len() / 2].to_vec(), "it was cut off on its way"),
        ("version", other, "format 9, this program reads format 1"),
        ("empty", Vec::new(), "this is no capsule"),
        ("other", b"hello".repeat(1_000), "this is no capsule"),
    ] {
        let path = elsewhere.path().join(format!("{name}.tar"));
        std::fs::write(&path, bytes)?;
        let into = elsewhere.path().join(name);
        for arguments in [
            vec!["open", text(&path), "--check"],
            vec!["open", text(&path), "--dir", text(&into), "--listen-web", "127.0.0.1:0"],
        ] {
            let refused = binary::run(&arguments)?;
            let error = String::from_utf8_lossy(&refused.stderr).into_owned();
            ensure!(refused.status.code() == Some(1) && error.contains(said), "{name}: {error}");
        }
        ensure!(std::fs::read_dir(&into)?.next().is_none(), "{name} left something behind");
    }
    Ok(())
}

fn position(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|part| part == word)
}
