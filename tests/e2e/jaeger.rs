//! Traces as Jaeger UI and Grafana's Jaeger data source ask for them.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::otlp::{self, JSON};
use crate::server::{Home, Server};

const TRACE: &str = "0000000000000000000000000abc0001";

/// A checkout that calls a payment that fails.
fn request(at: u64) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let spans = |service: &str, span: Value| {
        json!({"resource": {"attributes": [text("service.name", service), text("host.name", "node-1")]},
               "scopeSpans": [{"scope": {"name": "shop", "version": "1"}, "spans": [span]}]})
    };
    let checkout = json!({
        "traceId": TRACE, "spanId": "00000000000000a1", "name": "POST /checkout", "kind": 2,
        "startTimeUnixNano": at.to_string(), "endTimeUnixNano": (at + 2_500_000).to_string(),
        "attributes": [text("http.route", "/checkout"), {"key": "retries", "value": {"intValue": "3"}}],
    });
    let payment = json!({
        "traceId": TRACE, "spanId": "00000000000000b2", "parentSpanId": "00000000000000a1", "name": "charge",
        "kind": 2, "startTimeUnixNano": (at + 1_000_000).to_string(),
        "endTimeUnixNano": (at + 2_000_000).to_string(), "status": {"code": 2, "message": "declined"},
        "events": [{"timeUnixNano": (at + 1_500_000).to_string(), "name": "exception",
                    "attributes": [text("exception.type", "CardError")]}],
        "links": [{"traceId": "000000000000000000000000000000ff", "spanId": "00000000000000ff"}],
    });
    json!({"resourceSpans": [spans("checkout", checkout), spans("payment", payment)]})
}

async fn get(server: &Server, path: &str) -> anyhow::Result<(u16, Value)> {
    let response = reqwest::get(format!("http://{}/jaeger{path}", server.web)).await?;
    Ok((response.status().as_u16(), response.json().await?))
}

async fn data(server: &Server, path: &str) -> anyhow::Result<Value> {
    let (status, mut answer) = get(server, path).await?;
    ensure!(status == 200 && answer["errors"].is_null(), "{path}: {status} {answer}");
    Ok(answer["data"].take())
}

fn tag<'a>(tags: &'a Value, key: &str) -> Option<&'a Value> {
    Some(&tags.as_array()?.iter().find(|tag| tag["key"] == key)?["value"])
}

#[tokio::test]
async fn services_operations_searches_and_traces_are_answered_as_jaeger_does() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    assert_eq!(data(&server, "/api/services").await?, json!([]));
    let at = otlp::now() - 10_000_000_000;
    let post = reqwest::Client::new().post(server.otlp_url("traces")).header("content-type", JSON);
    assert_eq!(post.body(request(at).to_string()).send().await?.status(), 200);

    assert_eq!(data(&server, "/api/services").await?, json!(["checkout", "payment"]));
    assert_eq!(data(&server, "/api/services/payment/operations").await?, json!(["charge"]));
    assert_eq!(
        data(&server, "/api/operations?service=checkout").await?,
        json!([{"name": "POST /checkout", "spanKind": "server"}])
    );
    assert_eq!(
        data(&server, "/api/dependencies?lookback=60000").await?,
        json!([{"parent": "checkout", "child": "payment", "callCount": 1}])
    );

    // Leading zeros left out and capitals, as links often have them.
    let traces = data(&server, "/api/traces/ABC0001").await?;
    check_trace(&traces, at)?;

    let found = |query: &'static str| data(&server, query);
    for query in [
        "/api/traces?service=checkout&limit=20&lookback=1h&maxDuration&minDuration",
        "/api/traces?service=checkout&operation=POST%20%2Fcheckout&minDuration=2ms&maxDuration=1s",
        r#"/api/traces?service=payment&tags=%7B%22error%22%3A%22true%22%7D"#,
        r#"/api/traces?service=checkout&tags=%7B%22retries%22%3A%223%22%2C%22host.name%22%3A%22node-1%22%7D"#,
        "/api/traces?traceID=abc0001",
    ] {
        assert_eq!(found(query).await?, traces, "{query}");
    }
    for query in [
        "/api/traces?service=checkout&minDuration=3ms",
        r#"/api/traces?service=checkout&tags=%7B%22error%22%3A%22true%22%7D"#,
        "/api/traces?service=checkout&start=0&end=1",
    ] {
        assert_eq!(found(query).await?, json!([]), "{query}");
    }
    Ok(())
}

fn check_trace(traces: &Value, at: u64) -> anyhow::Result<()> {
    let trace = &traces[0];
    assert_eq!(trace["traceID"], TRACE);
    let (checkout, payment) = (&trace["spans"][0], &trace["spans"][1]);
    assert_eq!(
        (&checkout["operationName"], &payment["operationName"]),
        (&json!("POST /checkout"), &json!("charge"))
    );
    assert_eq!((&checkout["startTime"], &checkout["duration"]), (&json!(at / 1_000), &json!(2_500)));
    assert_eq!(tag(&checkout["tags"], "retries"), Some(&json!(3)));
    assert_eq!(tag(&checkout["tags"], "http.route"), Some(&json!("/checkout")));
    assert_eq!(tag(&checkout["tags"], "span.kind"), Some(&json!("server")));
    assert_eq!(checkout["references"], json!([]));
    assert_eq!(
        payment["references"],
        json!([
            {"refType": "CHILD_OF", "traceID": TRACE, "spanID": "00000000000000a1"},
            {"refType": "FOLLOWS_FROM", "traceID": "000000000000000000000000000000ff", "spanID": "00000000000000ff"},
        ])
    );
    assert_eq!(tag(&payment["tags"], "error"), Some(&json!(true)));
    assert_eq!(tag(&payment["tags"], "otel.status_description"), Some(&json!("declined")));
    assert_eq!(payment["logs"][0]["timestamp"], json!((at + 1_500_000) / 1_000));
    assert_eq!(tag(&payment["logs"][0]["fields"], "exception.type"), Some(&json!("CardError")));
    let process = |span: &Value| {
        let key = span["processID"].as_str().unwrap_or_default();
        trace["processes"][key].clone()
    };
    assert_eq!(process(checkout)["serviceName"], "checkout");
    assert_eq!(process(payment)["serviceName"], "payment");
    ensure!(tag(&process(payment)["tags"], "host.name") == Some(&json!("node-1")));
    Ok(())
}

#[tokio::test]
async fn a_question_that_means_nothing_is_refused_in_jaegers_words() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    for (path, status, says) in [
        ("/api/traces", 400, "service"),
        ("/api/operations", 400, "service"),
        ("/api/traces?service=a&minDuration=long", 400, "1.5s"),
        ("/api/traces/zzz", 400, "hexadecimal"),
        ("/api/traces/abc", 404, "not found"),
        ("/api/dependencies?endTs=now", 400, "milliseconds"),
    ] {
        let (got, answer) = get(&server, path).await?;
        assert_eq!(got, status, "{path}: {answer}");
        let message = answer["errors"][0]["msg"].as_str().unwrap_or_default();
        ensure!(message.contains(says), "{path}: {answer}");
    }
    Ok(())
}
