//! What a timeline is made of beside series: announced changes, Kubernetes events, new log lines. Sent by an exporter,
//! gathered twice.

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::binary;
use crate::server::{Home, Server, text};

const ONSET: &str = "2026-05-04T10:00:00Z";

fn minute(minutes: i64) -> anyhow::Result<Timestamp> {
    Ok(ONSET.parse::<Timestamp>()? + SignedDuration::from_mins(minutes))
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

async fn send(server: &Server, signal: &str, body: Value) -> anyhow::Result<()> {
    let post =
        reqwest::Client::new().post(server.otlp_url(signal)).header("content-type", "application/json");
    let answer = post.body(body.to_string()).send().await?;
    let (status, said) = (answer.status(), answer.text().await?);
    ensure!(status == 200 && said == "{}", "{signal} were answered {status}: {said}");
    Ok(())
}

async fn logs(server: &Server, service: &str, records: Vec<Value>) -> anyhow::Result<()> {
    let body = json!({"resourceLogs": [{
        "resource": {"attributes": [attribute("service.name", service)]},
        "scopeLogs": [{"logRecords": records}],
    }]});
    send(server, "logs", body).await
}

fn line(at: Timestamp, severity: u8, body: &str) -> Value {
    json!({"timeUnixNano": at.as_nanosecond().to_string(), "severityNumber": severity, "body": {"stringValue": body}})
}

/// An hour of orders, and complaints from the onset on.
async fn send_lines(server: &Server) -> anyhow::Result<()> {
    let mut records = Vec::new();
    for second in (-3_000..600).step_by(5) {
        let at = minute(0)? + SignedDuration::from_secs(second);
        records.push(line(at, 9, &format!("order {second} placed")));
        if second >= 0 {
            records.push(line(at, 17, "no free connection in the pool"));
        }
    }
    logs(server, "orders", records).await
}

async fn send_events(server: &Server) -> anyhow::Result<()> {
    let mut killed = Vec::new();
    for number in 0..3 {
        let mut record = line(minute(-2 + number)?, 13, "Memory cgroup out of memory");
        record["attributes"] =
            json!([attribute("k8s.event.reason", "OOMKilling"), attribute("k8s.object.name", "orders-7f9"),]);
        killed.push(record);
    }
    logs(server, "k8s-events", killed).await?;
    let mut rollout = line(minute(-9)?, 9, "orders 2.3.1 to production");
    rollout["eventName"] = json!("deployment.finished");
    rollout["attributes"] = json!([attribute("deployment.status", "succeeded")]);
    logs(server, "deployer", vec![rollout]).await?;
    let (begun, ended) = (minute(-12)?, minute(-10)?);
    let span = json!({
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "RUN release",
        "kind": 2, "startTimeUnixNano": begun.as_nanosecond().to_string(),
        "endTimeUnixNano": ended.as_nanosecond().to_string(),
        "attributes": [attribute("cicd.pipeline.name", "release-orders"), attribute("cicd.pipeline.result", "success")],
    });
    let spans = json!({"resourceSpans": [{
        "resource": {"attributes": [attribute("service.name", "ci")]},
        "scopeSpans": [{"spans": [span]}],
    }]});
    send(server, "traces", spans).await
}

async fn post(server: &Server, path: &str, body: Value) -> anyhow::Result<(u16, Value)> {
    let url = format!("http://{}{path}", server.web);
    let answer = reqwest::Client::new().post(url).body(body.to_string()).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

async fn rows(server: &Server) -> anyhow::Result<Vec<String>> {
    let sql =
        "SELECT kind, coalesce(service_name, '-') AS service, text FROM timeline ORDER BY timestamp, id";
    let answer = server.sql(sql).await?;
    let rows = answer.by_name();
    let told = |row: &Value| -> Option<String> {
        Some(format!("{} {}: {}", row["kind"].as_str()?, row["service"].as_str()?, row["text"].as_str()?))
    };
    rows.iter().map(|row| told(&json!(row)).context("a row of texts")).collect()
}

#[tokio::test]
async fn announced_changes_and_new_log_lines_stand_in_the_timeline_once() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve_with(&["--logical-clock", &minute(0)?.to_string()])?;
    send_lines(&server).await?;
    send_events(&server).await?;
    let posted =
        json!({"author": "ci", "service": "orders", "text": "raised the pool to 40", "at": minute(-5)?});
    let (status, answer) = post(&server, "/api/v1/changes", posted).await?;
    assert_eq!((status, &answer["change"]["service"]), (201, &json!("orders")));
    for (wrong, says) in [
        (json!({"author": "ci", "service": "orders", "text": "x", "at": minute(60)?}), "lies ahead"),
        (json!({"author": "ci", "service": "", "text": "x"}), "`service` is empty"),
        (json!({"text": "x"}), "the body cannot be read"),
    ] {
        let (status, answer) = post(&server, "/api/v1/changes", wrong).await?;
        let said = answer["error"]["message"].as_str().unwrap_or_default();
        ensure!(status == 400 && said.contains(says), "{status} {answer}");
    }
    let incident =
        json!({"author": "on call", "title": "Orders fail", "severity": "SEV2", "services": ["orders"]});
    assert_eq!(post(&server, "/api/v1/incidents", incident).await?.0, 201);
    assert_eq!(post(&server, "/api/v1/clock", json!({"now": minute(15)?})).await?.0, 200);

    let data_dir = home.data_dir();
    binary::run_well(&["incident", "gather", "INC-1", "--data-dir", text(&data_dir)])?;
    let told = rows(&server).await?;
    for expected in [
        "change ci: pipeline release-orders ran for 2 min: success",
        "change deployer: deployment.finished: succeeded: orders 2.3.1 to production",
        "change orders: raised the pool to 40",
        "change k8s-events: Kubernetes OOMKilling orders-7f9, 3 times: Memory cgroup out of memory",
        "log orders: orders logs “no free connection in the pool” for the first time, 120 in 12 min",
    ] {
        ensure!(told.iter().any(|row| row == expected), "{expected} is not among {told:#?}");
    }
    binary::run_well(&["incident", "gather", "INC-1", "--data-dir", text(&data_dir)])?;
    assert_eq!(rows(&server).await?, told, "gathered again it is the same");
    let evidence = server.sql("SELECT sql FROM timeline WHERE kind = 'log'").await?;
    let evidence = evidence.single()?;
    let shown = server.sql(evidence.as_str().context("the SQL of a row")?).await?;
    let lines: i64 = shown.by_name().iter().filter_map(|row| row["lines"].as_i64()).sum();
    assert_eq!(lines, 120, "the evidence counts what the row says");
    Ok(())
}
