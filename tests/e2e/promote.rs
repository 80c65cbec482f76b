//! `[promote]`: attributes of the operator's own in columns of their own, for good, and everywhere alike.

use std::process::Command;

use anyhow::{Context as _, ensure};
use prost::Message as _;
use serde_json::{Value, json};

use crate::binary;
use crate::capsule::Opened;
use crate::otlp::{self, PROTOBUF};
use crate::python_sdk::python;
use crate::server::{Home, Server, text};

const PROMOTE: &str = "[promote]\nlogs = [\"app.tenant\", \"build.number:int\"]\nspans = [\"app.tenant\"]\n";
/// By tenant: rows, and how many have the attribute in the JSON beside.
const BY_TENANT: &str =
    "SELECT attributes->>'app.tenant' AS tenant, count(*) FROM logs GROUP BY 1 ORDER BY 1";

#[tokio::test]
async fn an_attribute_gets_a_column_and_keeps_it() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let send_and_end = async |server: Server, from: i64| -> anyhow::Result<()> {
        send(&server, from).await?;
        ensure!(server.terminate()?.success());
        Ok(())
    };
    // Rows of before: in the JSON.
    send_and_end(home.serve()?, 0).await?;
    configure(&home, PROMOTE)?;
    let server = home.serve()?;
    send(&server, 4).await?;
    check(&server, 2, 4).await?;
    let doc = "SELECT column_doc FROM documentation WHERE table_name = 'logs' AND column_name = 'app_tenant'";
    let doc = server.sql(doc).await?.rows;
    ensure!(json!(doc) == json!([["attribute app.tenant, promoted by your configuration"]]), "{doc:?}");
    let spans = "SELECT app_tenant, count(*) FROM spans WHERE attributes->>'app.tenant' = 'acme' GROUP BY 1 ORDER BY 1";
    ensure!(
        json!(server.sql(spans).await?.rows) == json!([["acme", 2], [null, 2]]),
        "{:?}",
        server.sql(spans).await?.rows
    );
    ensure!(server.terminate()?.success());
    // No longer asked for; the tables know better.
    configure(&home, "")?;
    send_and_end(home.serve()?, 8).await?;
    let server = home.serve()?;
    check(&server, 3, 8).await?;
    // An incident takes them along.
    let declared = reqwest::Client::new().post(format!("http://{}/api/v1/incidents", server.web));
    let declared =
        declared.json(&json!({"author": "ana", "title": "slow", "severity": "SEV3"})).send().await?;
    ensure!(declared.status() == 201, "{}", declared.text().await?);
    let elsewhere = tempfile::tempdir()?;
    let capsule = elsewhere.path().join("c.tar");
    let url = format!("http://{}", server.web);
    binary::run_well(&["incident", "export", "INC-1", "-o", text(&capsule), "--url", &url])?;
    let here = server.sql(BY_TENANT).await?.rows;
    ensure!(server.terminate()?.success());
    let opened = Opened::start(&capsule, elsewhere.path())?;
    ensure!(json!(opened.sql(BY_TENANT).await?.rows) == json!(here));
    let columns = opened.sql("SELECT count(app_tenant), sum(build_number) FROM logs").await?.rows;
    ensure!(json!(columns) == json!([[6, 4 + 6 + 8 + 10]]), "{columns:?}");
    opened.terminate()?;
    // Other programs see the column, the whole of the checks is satisfied, and so is a merge.
    for _ in 0..2 {
        let data = home.data_dir();
        let verdict = binary::run_well(&["verify", "--data-dir", text(&data), "--json"])?;
        let verdict: Value = serde_json::from_str(&verdict)?;
        ensure!(verdict["clean"] == true && verdict["warnings"] == 0, "{verdict}");
        let read = "import sys, deltalake; t = deltalake.DeltaTable(sys.argv[1]).to_pyarrow_table(); \
                    print(sorted(filter(None, t['app_tenant'].to_pylist())))";
        let output = Command::new(python()?).args(["-c", read, text(&data.join("tables/logs"))]).output()?;
        let said = String::from_utf8(output.stdout)?;
        let wanted = "['acme', 'acme', 'acme', 'acme', 'globex', 'globex']";
        ensure!(said.trim() == wanted, "{said} {}", String::from_utf8_lossy(&output.stderr));
        binary::run_well(&["maintain", "--data-dir", text(&data), "--workspace", text(&home.workspace())])?;
    }
    check(&home.serve()?, 3, 8).await
}

const RULE: &str = r#"groups:
- name: tenants
  interval: 60s
  rules:
  - alert: Loud
    sql: SELECT app_tenant, CAST(count(*) AS DOUBLE) AS value FROM logs WHERE timestamp < $now GROUP BY app_tenant
    condition: {op: gt, fire: 100, recover: 50}
    for: 0s
    on_no_data: keep
    annotations: {summary: "{{ labels.app_tenant }} wrote {{ value }} lines"}
"#;

#[tokio::test]
async fn what_cannot_have_a_column_is_refused_with_the_reason() -> anyhow::Result<()> {
    for (config, reason) in [
        ("logs = [\"body\"]", "cannot have the column `body` of logs: there is another of that name"),
        ("logs = [\"a b\"]", "`a b` is no attribute that can have a column"),
        ("spans = [\"http.route:int\"]", "has a column of texts already"),
        ("metrics = [\"a\"]", "unknown field `metrics`"),
    ] {
        let home = Home::new(&format!("[promote]\n{config}\n"))?;
        let refused = binary::run(&["config", "check", "--workspace", text(&home.workspace())])?;
        let said = String::from_utf8_lossy(&refused.stderr);
        ensure!(!refused.status.success() && said.contains(reason), "{config}: {said}");
    }
    let home = Home::new(PROMOTE)?;
    let printed = binary::run_well(&["config", "print", "--workspace", text(&home.workspace())])?;
    ensure!(printed.contains("logs.app.tenant, logs.build.number:int, spans.app.tenant"), "{printed}");
    // Rules are checked against the same columns.
    std::fs::create_dir(home.workspace().join("rules"))?;
    std::fs::write(home.workspace().join("rules/tenants.yaml"), RULE)?;
    binary::run_well(&["rules", "check", "--workspace", text(&home.workspace())])?;
    let server = home.serve()?;
    send(&server, 0).await?;
    ensure!(server.terminate()?.success());
    // The table has it as a text.
    configure(&home, "[promote]\nlogs = [\"app.tenant:int\"]\n")?;
    let (workspace, data) = (home.workspace(), home.data_dir());
    let serve = ["serve", "--workspace", text(&workspace), "--data-dir", text(&data)];
    let ports =
        ["--listen-grpc", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--listen-web", "127.0.0.1:0"];
    let refused = binary::run(&[&serve[..], &ports[..]].concat())?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(said.contains("the attribute app.tenant of logs has a column of texts already"), "{said}");
    Ok(())
}

fn configure(home: &Home, config: &str) -> anyhow::Result<()> {
    std::fs::write(home.workspace().join("hindsight.toml"), config).context("write hindsight.toml")
}

/// Four logs and two spans; one log has a number that is none.
async fn send(server: &Server, from: i64) -> anyhow::Result<()> {
    let tenant = |name: &str| otlp::text("app.tenant", name);
    let at = otlp::now();
    let logs = otlp::logs(
        "shop",
        at,
        &[
            ("a", vec![tenant("acme"), otlp::number("build.number", from)]),
            ("b", vec![tenant("globex"), otlp::number("build.number", from + 2)]),
            ("c", vec![tenant("acme"), otlp::text("build.number", "unknown")]),
            ("d", vec![]),
        ],
    );
    let spans = otlp::spans("shop", at, &[("e", vec![tenant("acme")]), ("f", vec![tenant("acme")])]);
    for (signal, body) in [("logs", logs.encode_to_vec()), ("traces", spans.encode_to_vec())] {
        let post = reqwest::Client::new().post(server.otlp_url(signal)).header("content-type", PROTOBUF);
        ensure!(post.body(body).send().await?.status() == 200);
    }
    Ok(())
}

/// What is found after so many times of [`send`], the first of them before the columns.
async fn check(server: &Server, times: i64, last: i64) -> anyhow::Result<()> {
    let tenants = server.sql(BY_TENANT).await?.rows;
    ensure!(json!(tenants) == json!([["acme", 2 * times], ["globex", times], [null, times]]), "{tenants:?}");
    let columns = "SELECT count(app_tenant), count(build_number), max(build_number) FROM logs";
    let columns = server.sql(columns).await?.rows;
    ensure!(json!(columns) == json!([[3 * (times - 1), 2 * (times - 1), last + 2]]), "{columns:?}");
    let both = "SELECT count(attributes->>'build.number'), count(*) FILTER (WHERE attributes->>'build.number' = 'unknown'), \
                count(*) FILTER (WHERE attributes ? 'app.tenant') FROM logs";
    let both = server.sql(both).await?.rows;
    ensure!(json!(both) == json!([[3 * times, times, 3 * times]]), "{both:?}");
    let keys =
        "SELECT DISTINCT key FROM (SELECT unnest(json_object_keys(attributes)) AS key FROM logs) ORDER BY 1";
    let keys = server.sql(keys).await?.rows;
    ensure!(json!(keys) == json!([["app.tenant"], ["build.number"]]), "{keys:?}");
    Ok(())
}
