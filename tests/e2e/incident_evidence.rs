//! What an incident shows for its suspects: a feature flag as a change candidate, reasons with SQL that gives their
//! figures, a bad trace beside a good one, and what was done when it looked like this before.

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::binary;
use crate::form;
use crate::otlp::{self, PROTOBUF};
use crate::server::{Home, Server};

const ONSET: &str = "2026-05-04T10:00:00Z";
/// Requests a minute; from a minute before the onset every second one is given the flag.
const REQUESTS: u64 = 20;
const MINUTES_BEFORE: i64 = 40;
const MINUTES_AFTER: i64 = 10;

fn after(minutes: i64) -> Timestamp {
    let onset: Timestamp = ONSET.parse().expect("a fixed time");
    onset + SignedDuration::from_mins(minutes)
}

/// Of every request one span of shop and below it one of cart; cart says which variant of `new-cart` it was given, and
/// with `on` it fails from the onset.
fn shop() -> anyhow::Result<(Vec<ExportTraceServiceRequest>, ExportLogsServiceRequest)> {
    let (mut of_shop, mut of_cart) = (Vec::new(), Vec::new());
    let mut said = otlp::logs("cart", 0, &[]);
    for minute in -MINUTES_BEFORE..MINUTES_AFTER {
        for number in 0..REQUESTS {
            let at = after(minute) + SignedDuration::from_secs(i64::try_from(number * 3)?);
            let at = u64::try_from(at.as_nanosecond())?;
            let is_on = minute >= -1 && number % 2 == 0;
            let failed = is_on && minute >= 0;
            let trace_id = [at.to_be_bytes(), (at ^ 0x5bd1_e995_9d1d_3c17).to_be_bytes()].concat();
            let span = |id: u64, parent: Option<u64>, name: &str, begun: u64, ms: u64| Span {
                trace_id: trace_id.clone(),
                span_id: (at + id).to_be_bytes().to_vec(),
                parent_span_id: parent.map(|id| (at + id).to_be_bytes().to_vec()).unwrap_or_default(),
                name: name.to_owned(),
                kind: 2,
                start_time_unix_nano: at + begun * 1_000_000,
                end_time_unix_nano: at + (begun + ms) * 1_000_000,
                ..Span::default()
            };
            let (shop_ms, cart_ms) = if failed { (110, 100) } else { (30, 10 + number % 3) };
            of_shop.push((span(1, None, "POST /pay", 0, shop_ms), failed));
            of_cart.push((span(2, Some(1), "reserve", 5, cart_ms), failed));
            let variant = if is_on { "on" } else { "off" };
            let attributes = vec![
                otlp::text("feature_flag.key", "new-cart"),
                otlp::text("feature_flag.result.variant", variant),
            ];
            let mut event = otlp::logs("cart", at, &[("", attributes)]);
            let mut record = event.resource_logs[0].scope_logs[0].log_records.remove(0);
            record.event_name = "feature_flag.evaluation".to_owned();
            record.trace_id = trace_id.clone();
            said.resource_logs[0].scope_logs[0].log_records.push(record);
        }
    }
    Ok((vec![sent_by("shop", of_shop), sent_by("cart", of_cart)], said))
}

fn sent_by(service: &str, spans: Vec<(Span, bool)>) -> ExportTraceServiceRequest {
    let mut request = otlp::spans(service, 0, &[]);
    let failed = otlp::failed(otlp::spans(service, 0, &[("", Vec::new())]));
    let status = failed.resource_spans[0].scope_spans[0].spans[0].status.clone();
    let spans = spans.into_iter().map(|(span, failed)| {
        let status = if failed { status.clone() } else { None };
        Span { status, ..span }
    });
    request.resource_spans[0].scope_spans[0].spans = spans.collect();
    request
}

async fn send(server: &Server, signal: &str, body: Vec<u8>) -> anyhow::Result<()> {
    let post = reqwest::Client::new().post(server.otlp_url(signal)).header("content-type", PROTOBUF);
    let status = post.body(body).send().await?.status();
    ensure!(status == 200, "{signal} were answered {status}");
    Ok(())
}

async fn call(server: &Server, path: &str, body: Value) -> anyhow::Result<Value> {
    let url = format!("http://{}{path}", server.web);
    let answer = reqwest::Client::new().post(url).body(body.to_string()).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{path} {body}\ngave {status}: {text}");
    Ok(serde_json::from_str(&text)?)
}

async fn get(server: &Server, path: &str) -> anyhow::Result<String> {
    let answer = reqwest::get(format!("http://{}{path}", server.web)).await?.error_for_status()?;
    answer.text().await.with_context(|| format!("read {path}"))
}

async fn read(server: &Server, path: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&get(server, path).await?)?)
}

#[tokio::test]
async fn a_flag_is_a_suspects_change_and_what_was_done_is_remembered() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve_with(&["--logical-clock", &after(MINUTES_AFTER).to_string()])?;
    let (traces, said) = shop()?;
    for request in &traces {
        send(&server, "traces", request.encode_to_vec()).await?;
    }
    send(&server, "logs", said.encode_to_vec()).await?;
    let declared =
        json!({"author": "on call", "title": "Nobody can <pay>", "severity": "SEV2", "services": ["shop"]});
    call(&server, "/api/v1/incidents", declared).await?;
    call(&server, "/api/v1/incidents/INC-1/gather", json!({})).await?;

    let incident = read(&server, "/api/v1/incidents/INC-1").await?;
    ensure!(incident["similar"] == json!([]), "there is no past: {incident}");
    let suspect = &incident["incident"]["suspects"][0];
    ensure!(suspect["service"] == "cart", "{suspect:#}");
    ensure!(suspect["change"] == "flag new-cart off → on", "{suspect:#}");
    check_reasons(&server, suspect).await?;
    check_traces(&server).await?;
    let page = get(&server, "/incidents/INC-1").await?;
    for says in [
        "flag new-cart off → on",
        "No earlier incident looks like this one.",
        "A bad trace beside a good one",
        "<bdi>out of stock</bdi>",
        "href=\"/sql?q=SELECT",
    ] {
        ensure!(page.contains(says), "the page does not say {says}: {page}");
    }

    let mitigated =
        json!({"author": "on call", "change": "mitigate", "text": "switched new-cart off", "at": after(9)});
    call(&server, "/api/v1/incidents/INC-1/changes", mitigated).await?;
    check_draft(&home, &server).await?;
    check_past(&server).await
}

/// Every reason with SQL shows its figures when it is run.
async fn check_reasons(server: &Server, suspect: &Value) -> anyhow::Result<()> {
    let reasons = suspect["reasons"].as_array().context("reasons")?;
    let find = |part: &str| {
        let found =
            reasons.iter().find(|reason| reason["text"].as_str().is_some_and(|text| text.contains(part)));
        found.with_context(|| format!("no reason says {part}: {reasons:#?}"))
    };
    let flag = find("with new-cart = on fails")?;
    let text = flag["text"].as_str().unwrap_or_default();
    ensure!(text.contains("90.9 % of 110 requests, off 0 % of") && text.contains("(p < 0.001)"), "{text}");
    let rows = server.sql(flag["sql"].as_str().context("SQL of the flag")?).await?.by_name();
    let told: Vec<_> = rows.iter().map(|row| (row["variant"].clone(), row["failed"].clone())).collect();
    assert_eq!(told, [(json!("off"), json!(0)), (json!("on"), json!(100))]);
    assert_eq!(rows[1]["requests"], json!(110));

    let alone = find("of its requests by itself, 0 % before")?;
    let rows = server.sql(alone["sql"].as_str().context("SQL of the failures")?).await?.by_name();
    assert_eq!((&rows[0]["part"], &rows[0]["failed_by_itself"]), (&json!("before"), &json!(0)));
    let share = rows[1]["failed_share"].as_f64().context("a share after")?;
    let shown = format!("{}", (share * 1000.0).round() / 10.0);
    let text = alone["text"].as_str().unwrap_or_default();
    ensure!(text.contains(&format!("fails {shown} %")), "{text}: the SQL says {shown}");
    for reason in reasons {
        if let Some(sql) = reason["sql"].as_str() {
            let answer = server.sql(sql).await.with_context(|| format!("{reason:#}"))?;
            ensure!(!answer.rows.is_empty(), "{reason:#}");
        }
    }
    Ok(())
}

async fn check_traces(server: &Server) -> anyhow::Result<()> {
    let found = read(server, "/api/v1/incidents/INC-1/traces").await?;
    let found = &found["comparison"];
    ensure!(found["operation"] == "POST /pay" && found["bad"]["failed"] == true, "{found:#}");
    ensure!(found["good"]["failed"] == false, "{found:#}");
    let spans = found["spans"].as_array().context("spans")?;
    let told: Vec<_> = spans
        .iter()
        .map(|span| (span["depth"].clone(), span["name"].clone(), span["bad"]["self_time_ms"].clone()))
        .collect();
    assert_eq!(
        told,
        [(json!(0), json!("POST /pay"), json!(10.0)), (json!(1), json!("reserve"), json!(100.0))]
    );
    assert_eq!(spans[1]["good"]["self_time_ms"], json!(11.0), "a request that took as long as most");
    assert_eq!(found["differences"][0], "cart reserve fails in the bad one only: out of stock");
    let rows = server.sql(found["sql"].as_str().context("SQL of both")?).await?.by_name();
    let sides: Vec<_> = rows.iter().map(|row| row["trace"].clone()).collect();
    assert_eq!(sides, ["bad", "bad", "good", "good"].map(|side| json!(side)));
    Ok(())
}

/// The draft cites what its reasons and the traces show.
async fn check_draft(home: &Home, server: &Server) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().redirect(Policy::none()).build()?;
    let post = client
        .post(format!("http://{}/incidents/INC-1/postmortem", server.web))
        .header("content-type", form::URLENCODED)
        .body(form::body(&[("author", "scribe")]));
    let answer = post.send().await?;
    ensure!(answer.status() == 303, "{}", answer.text().await?);
    let documents = home.workspace().join("postmortems");
    let folder = std::fs::read_dir(&documents)?.next().context("no document")??.path();
    let path = folder.join("postmortem.md");
    let text = std::fs::read_to_string(&path)?;
    // What is cited next after the words.
    let cited = |part: &str| {
        let (_, rest) = text.split_once(part).with_context(|| format!("no {part}: {text}"))?;
        let id =
            rest.split_once("[E").and_then(|(_, rest)| rest.split_once(']')).map(|(id, _)| format!("E{id}"));
        id.with_context(|| format!("{part} cites nothing"))
    };
    for (part, holds) in [
        ("with new-cart = on fails 90.9 %", "feature_flag.evaluation"),
        ("One request `POST /pay` of `shop` that failed", "trace_tree"),
        ("The suspected cause is flag new-cart off → on", "feature_flag.evaluation"),
    ] {
        let id = cited(part)?;
        let evidence = std::fs::read_to_string(folder.join(format!("evidence/{id}.json")))?;
        ensure!(evidence.contains(holds), "{part} cites {id}, which holds no {holds}");
    }
    let row = "| A1 | Stop a flag whose variant fails | ana | 2026-06-01 | high | | | | |";
    let rule = text.lines().rfind(|line| line.starts_with("|--")).context("no table of actions")?;
    std::fs::write(&path, text.replace(rule, &format!("{rule}\n{row}")))?;
    Ok(())
}

/// An incident of the same services hours later is told what ended this one, and what was never finished.
async fn check_past(server: &Server) -> anyhow::Result<()> {
    call(server, "/api/v1/clock", json!({"now": after(300)})).await?;
    let again =
        json!({"author": "on call", "title": "Carts fail", "severity": "SEV2", "services": ["shop", "cart"]});
    call(server, "/api/v1/incidents", again).await?;
    let web = format!("http://{}", server.web);
    let shown = binary::run_well(&["incident", "show", "INC-2", "--json", "--url", &web])?;
    let shown: Value = serde_json::from_str(&shown)?;
    for similar in [&shown["similar"], &read(server, "/api/v1/incidents/INC-2").await?["similar"]] {
        let past = &similar[0];
        ensure!(
            past["incident"] == "INC-1" && past["mitigation"] == json!(["switched new-cart off"]),
            "{similar:#}"
        );
        ensure!(past["shared"] == json!(["cart", "shop"]), "{similar:#}");
        let action = &past["actions"][0];
        ensure!(action["id"] == "A1" && action["status"] == "proposed", "{similar:#}");
    }
    let page = get(server, "/incidents/INC-2").await?;
    for says in ["Ended with: <bdi>switched new-cart off</bdi>", "PM-2026-001 A1", "Nobody can &#60;pay&#62;"]
    {
        ensure!(page.contains(says), "the page does not say {says}: {page}");
    }
    let told = binary::run_well(&["incident", "show", "INC-2", "--url", &web])?;
    ensure!(told.contains("ended with: switched new-cart off"), "{told}");
    Ok(())
}
