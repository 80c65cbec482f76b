//! From a failing span to a page: a rule file, a webhook as Alertmanager sends it, an incident, and RUL-2 under
//! `kill -9`.

pub(crate) mod webhook;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use prost::Message as _;
use serde_json::Value;

use crate::answer::whole;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server};
use crate::wait::wait_until;
use webhook::{Call, SILENCE, Webhook};

const RULE_FILE: &str = "rules/api.yaml";
const RULE: &str = r#"groups:
- name: api
  interval: 1s
  rules:
  - alert: RequestsFail
    sql: |
      SELECT service_name, avg(CASE WHEN status_code = 'error' THEN 1.0 ELSE 0.0 END) AS value
      FROM spans WHERE timestamp >= $now - INTERVAL '1 hour' AND timestamp < $now GROUP BY 1
    condition: {op: gt, fire: 0.5, recover: 0.3}
    for: 0s
    labels: {severity: page}
    incident: {severity: SEV2, key: [service_name], reopen_within: 30m}
    annotations:
      summary: "{{ value | percent }} of requests fail at {{ labels.service_name }}"
"#;
/// From the acknowledged span to the page: a tick of a second, a query, a call; the rest is for a busy machine.
pub(crate) const PAGE_WITHIN: Duration = Duration::from_secs(45);
/// A page that failed once is tried again after about five seconds.
pub(crate) const RETRY_WITHIN: Duration = Duration::from_secs(60);

/// Groups that speak at once, and again a second later if something changed.
fn home(webhook: &Webhook) -> anyhow::Result<Home> {
    rule_home(&format!(
        "[notify]\ngroup_wait = \"0s\"\ngroup_interval = \"1s\"\n\
         [[receivers]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"{}\"\ntimeout = \"50s\"\n",
        webhook.url
    ))
}

/// A workspace with the rule above and this configuration.
pub(crate) fn rule_home(config: &str) -> anyhow::Result<Home> {
    let home = Home::new(config)?;
    std::fs::create_dir(home.workspace().join("rules"))?;
    write_rule(&home, RULE)?;
    Ok(home)
}

fn write_rule(home: &Home, text: &str) -> anyhow::Result<()> {
    std::fs::write(home.workspace().join(RULE_FILE), text).context("write the rule file")
}

/// Sends so many spans of `cart`; returns when they are acknowledged.
pub(crate) async fn send(server: &Server, count: usize, fail: bool) -> anyhow::Result<()> {
    let spans = otlp::spans("cart", otlp::now(), &vec![("GET /cart", vec![]); count]);
    let spans = if fail { otlp::failed(spans) } else { spans };
    let post = reqwest::Client::new().post(server.otlp_url("traces")).header("content-type", PROTOBUF);
    let status = post.body(spans.encode_to_vec()).send().await?.status();
    ensure!(status == 200, "the spans were answered {status}");
    Ok(())
}

pub(crate) async fn calls(webhook: &Webhook, count: usize, limit: Duration) -> anyhow::Result<Vec<Call>> {
    wait_until(&format!("{count} webhook calls came"), limit, async || {
        let calls = webhook.calls();
        Ok((calls.len() >= count).then_some(calls))
    })
    .await
}

async fn get(server: &Server, path: &str) -> anyhow::Result<Value> {
    let text = reqwest::get(format!("http://{}{path}", server.web)).await?.error_for_status()?.text().await?;
    serde_json::from_str(&text).with_context(|| format!("read {path}: {text}"))
}

fn at(value: &Value) -> anyhow::Result<Timestamp> {
    let text = value.as_str().with_context(|| format!("{value} is not a time"))?;
    text.parse().with_context(|| format!("read the time {text}"))
}

/// Waits until the rule was evaluated this many times more.
async fn ticks(server: &Server, more: i64) -> anyhow::Result<()> {
    let evaluated = || server.count("(SELECT DISTINCT timestamp FROM rule_evaluations)", "true");
    let before = evaluated().await?;
    wait_until("the rule was evaluated again", PAGE_WITHIN, async || {
        Ok((evaluated().await? >= before + more).then_some(()))
    })
    .await
}

#[tokio::test]
async fn failing_requests_page_once_open_an_incident_and_their_end_is_told() -> anyhow::Result<()> {
    let webhook = Webhook::start(200).await?;
    let home = home(&webhook)?;
    let server = home.serve()?;
    send(&server, 3, true).await?;
    let firing = calls(&webhook, 1, PAGE_WITHIN).await?.remove(0);
    check_firing(&firing, &server)?;

    let incident = wait_until("an incident was opened", PAGE_WITHIN, async || {
        Ok(get(&server, "/api/v1/incidents").await?["incidents"].get(0).cloned())
    })
    .await?;
    assert_eq!(incident["severity"], "SEV2");
    ensure!(incident["key"].to_string().contains("cart"), "{incident}");
    ticks(&server, 3).await?;
    assert_eq!(webhook.calls().len(), 1, "an alert that goes on is told once");

    send(&server, 9, false).await?;
    let resolved = calls(&webhook, 2, PAGE_WITHIN).await?.remove(1);
    check_resolved(&firing, &resolved)?;
    let sent = "status = 'sent' AND receiver = 'ops' AND attempts = 1 AND sent_at IS NOT NULL";
    wait_until("both pages were marked as sent", PAGE_WITHIN, async || {
        Ok((server.count("notifications", sent).await? == 2).then_some(()))
    })
    .await?;
    assert_eq!(get(&server, "/api/v1/incidents").await?["incidents"].as_array().map(Vec::len), Some(1));
    let gather = format!("http://{}/api/v1/incidents/INC-1/gather", server.web);
    let gathered = reqwest::Client::new().post(gather).body("{}").send().await?;
    ensure!(gathered.status() == 200, "{}", gathered.text().await?);
    let told = server.sql("SELECT text FROM timeline WHERE kind = 'notification'").await?;
    assert_eq!(told.single()?, "ops was told, 2 times until now");
    Ok(())
}

/// Alertmanager's webhook payload, version 4.
fn check_firing(call: &Call, server: &Server) -> anyhow::Result<()> {
    let payload = &call.payload;
    let alert = &payload["alerts"][0];
    assert_eq!(payload["version"], "4");
    assert_eq!(payload["receiver"], "ops");
    assert_eq!(payload["truncatedAlerts"], 0);
    assert_eq!(payload["externalURL"], format!("http://{}", server.web));
    ensure!(payload["groupKey"].as_str().is_some_and(|key| !key.is_empty()), "{payload}");
    assert_eq!(payload["alerts"].as_array().map(Vec::len), Some(1));
    for status in [&payload["status"], &alert["status"]] {
        assert_eq!(status, "firing");
    }
    let group = serde_json::json!({"alertname": "RequestsFail", "service_name": "cart"});
    assert_eq!(payload["groupLabels"], group, "one group for each rule and service");
    for labels in [&payload["commonLabels"], &alert["labels"]] {
        assert_eq!(labels["alertname"], "RequestsFail");
        assert_eq!(labels["service_name"], "cart");
        assert_eq!(labels["severity"], "page");
    }
    for annotations in [&payload["commonAnnotations"], &alert["annotations"]] {
        assert_eq!(annotations["summary"], "100 % of requests fail at cart");
    }
    at(&alert["startsAt"])?;
    assert_eq!(alert["endsAt"], "0001-01-01T00:00:00Z", "how Alertmanager says: not yet");
    ensure!(alert["fingerprint"].as_str().is_some_and(|print| print.len() == 16), "{alert}");
    let way_back = alert["generatorURL"].as_str().unwrap_or_default();
    ensure!(way_back.starts_with(&format!("http://{}/", server.web)), "{way_back}");
    ensure!(!call.key.is_empty(), "a page without an Idempotency-Key");
    Ok(())
}

fn check_resolved(firing: &Call, resolved: &Call) -> anyhow::Result<()> {
    let (before, after) = (&firing.payload["alerts"][0], &resolved.payload["alerts"][0]);
    assert_eq!(resolved.payload["status"], "resolved");
    assert_eq!(after["status"], "resolved");
    for same in ["fingerprint", "startsAt", "labels"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(firing.payload["groupKey"], resolved.payload["groupKey"]);
    ensure!(at(&after["endsAt"])? > at(&after["startsAt"])?, "{after}");
    ensure!(firing.key != resolved.key, "the end of an alert would pass for a repeated page");
    Ok(())
}

#[tokio::test]
async fn an_edited_rule_takes_effect_and_a_broken_edit_leaves_the_last_good_one() -> anyhow::Result<()> {
    let webhook = Webhook::start(200).await?;
    let home = home(&webhook)?;
    let server = home.serve()?;
    let rule = async || Ok::<_, anyhow::Error>(get(&server, "/api/v1/rules").await?);
    assert_eq!(rule().await?["problems"], Value::Array(vec![]));
    let condition = rule().await?["groups"][0]["rules"][0]["condition"].clone();

    let broken = RULE.replace("fire: 0.5", "fire: often");
    write_rule(&home, &broken)?;
    let seen = wait_until("the broken edit was reported", PAGE_WITHIN, async || {
        let seen = rule().await?;
        Ok(seen["problems"].get(0).is_some().then_some(seen))
    })
    .await?;
    let (line, _) =
        (1_u64..).zip(broken.lines()).find(|(_, text)| text.contains("often")).context("a line")?;
    let problem = &seen["problems"][0];
    assert_eq!(problem["file"], RULE_FILE);
    assert_eq!(problem["line"], line);
    ensure!(problem["message"].as_str().is_some_and(|text| text.len() > 10), "{problem}");
    assert_eq!(seen["groups"][0]["rules"][0]["condition"], condition, "the last good rule is gone");
    send(&server, 3, true).await?;
    calls(&webhook, 1, PAGE_WITHIN).await.context("the last good rule must still page")?;

    write_rule(&home, &RULE.replace("RequestsFail", "RequestsFailOften"))?;
    let call = calls(&webhook, 3, PAGE_WITHIN).await?;
    assert_eq!(rule().await?["problems"], Value::Array(vec![]));
    let told: BTreeSet<_> = call[1..].iter().map(|call| (alert_of(call), status_of(call))).collect();
    let expected = [("RequestsFail", "resolved"), ("RequestsFailOften", "firing")];
    assert_eq!(told, expected.map(|(alert, status)| (alert.to_owned(), status.to_owned())).into());
    Ok(())
}

fn alert_of(call: &Call) -> String {
    call.payload["commonLabels"]["alertname"].as_str().unwrap_or_default().to_owned()
}

fn status_of(call: &Call) -> String {
    call.payload["status"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_page_that_was_refused_survives_kills_under_the_same_key() -> anyhow::Result<()> {
    let webhook = Webhook::start(503).await?;
    let home = home(&webhook)?;
    let server = home.serve()?;
    send(&server, 3, true).await?;
    calls(&webhook, 1, PAGE_WITHIN).await?;
    wait_until("the failure was written down", PAGE_WITHIN, async || {
        Ok((server.count("notifications", "attempts = 1 AND reason LIKE '%503%'").await? == 1).then_some(()))
    })
    .await?;
    server.kill_9()?;
    home.serve()?.kill_9()?;
    webhook.answer(200);
    check_told_once(&home.serve()?, &webhook, RETRY_WITHIN).await
}

#[tokio::test]
async fn a_page_that_was_under_way_when_the_server_died_is_told_again_under_the_same_key()
-> anyhow::Result<()> {
    let webhook = Webhook::start(SILENCE).await?;
    let home = home(&webhook)?;
    let server = home.serve()?;
    send(&server, 3, true).await?;
    calls(&webhook, 1, PAGE_WITHIN).await?;
    // A receiver that hangs holds up nobody else: rules go on.
    // The call may take fifty seconds and its lease longer; the next start does not wait for either.
    ticks(&server, 3).await?;
    server.kill_9()?;
    webhook.answer(200);
    check_told_once(&home.serve()?, &webhook, PAGE_WITHIN).await
}

/// The page arrives in the end; whatever was tried, tried the same page (RUL-2).
async fn check_told_once(server: &Server, webhook: &Webhook, limit: Duration) -> anyhow::Result<()> {
    wait_until("the page was accepted", limit, async || {
        Ok((server.count("notifications", "status = 'sent'").await? == 1).then_some(()))
    })
    .await?;
    ticks(server, 3).await?;
    let calls = webhook.calls();
    let keys: BTreeSet<&str> = calls.iter().map(|call| call.key.as_str()).collect();
    assert_eq!(keys.len(), 1, "one page, several keys: {calls:#?}");
    assert_eq!(
        calls.iter().filter(|call| call.status == 200).count(),
        1,
        "it was accepted twice: {calls:#?}"
    );
    let payloads: BTreeSet<String> = calls.iter().map(|call| call.payload.to_string()).collect();
    assert_eq!(payloads.len(), 1, "the page changed on the way: {payloads:#?}");
    let rows = server.sql("SELECT count(*) AS n FROM notifications").await?;
    assert_eq!(whole(rows.single()?)?, 1);
    assert_eq!(server.count("alert_transitions", "to_state = 'firing'").await?, 1);
    wait_until("the incident was opened", PAGE_WITHIN, async || {
        let incidents = server.count("incidents", "true").await?;
        ensure!(incidents <= 1, "one alert opened {incidents} incidents");
        Ok((incidents == 1).then_some(()))
    })
    .await
}
