//! SQL over Arrow Flight SQL, asked by the stock client: the Python ADBC driver.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::otlp::{self, JSON};
use crate::python_sdk::python;
use crate::server::{Home, Server, text};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Small limits, so that a test reaches them soon.
const CONFIG: &str = "[query]\ntimeout = \"4s\"\nconcurrency = 2\n";

/// A hundred lines of one service, a minute ago.
fn request() -> Value {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let at = otlp::now() - 60_000_000_000;
    let record = |line: u64| {
        json!({
            "timeUnixNano": (at + line * 1_000_000).to_string(), "severityNumber": 9,
            "body": {"stringValue": format!("line {line} \u{2603}")},
            "attributes": [attribute("user", &format!("u{line}"))],
        })
    };
    let records: Vec<Value> = (0..100).map(record).collect();
    json!({"resourceLogs": [{"resource": {"attributes": [attribute("service.name", "checkout")]},
                             "scopeLogs": [{"logRecords": records}]}]})
}

async fn serve(home: &Home) -> anyhow::Result<Server> {
    let server = home.serve_with(&["--token", TOKEN])?;
    let post = reqwest::Client::new().post(server.otlp_url("logs")).header("content-type", JSON);
    let sent = post.bearer_auth(TOKEN).body(request().to_string()).send().await?;
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
