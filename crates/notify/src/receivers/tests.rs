use serde_json::{Value, json};

use super::*;
use crate::testing::{at, labels, told};

fn notice<'a>(told: &'a [Told], group_labels: &'a Labels, tenant: &'a Tenant) -> Notice<'a> {
    Notice {
        tenant,
        receiver: "ops",
        group_key: "{}:{alertname=\"DbPoolSaturated\"}",
        group_labels,
        external_url: "http://localhost:4320",
        told,
    }
}

fn rendered(told: &[Told], render: fn(&Notice<'_>) -> String) -> Value {
    let group_labels = labels(&[("alertname", "DbPoolSaturated")]);
    serde_json::from_str(&render(&notice(told, &group_labels, &Tenant::default()))).unwrap()
}

#[test]
fn a_webhook_gets_alertmanagers_version_4_and_nothing_else() {
    let group = [told("cart", "e1", 0, None), told("shop", "e2", 0, Some(900))];
    let body = rendered(&group, webhook::render);
    let alert = |service: &str, status: &str, ends_at: &str, one: &Told| {
        json!({
            "status": status,
            "labels": {"alertname": "DbPoolSaturated", "service_name": service, "severity": "page"},
            "annotations": {"summary": "checkout pool main at 95 %"},
            "startsAt": "2026-05-04T14:30:00Z",
            "endsAt": ends_at,
            "generatorURL": "http://localhost:4320/alerts?rule=checkout-db%2FDbPoolSaturated",
            "fingerprint": one.alert.fingerprint,
        })
    };
    let expected = json!({
        "version": "4",
        "groupKey": "{}:{alertname=\"DbPoolSaturated\"}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "ops",
        "groupLabels": {"alertname": "DbPoolSaturated"},
        "commonLabels": {"alertname": "DbPoolSaturated", "severity": "page"},
        "commonAnnotations": {"summary": "checkout pool main at 95 %"},
        "externalURL": "http://localhost:4320",
        "alerts": [
            alert("cart", "firing", "0001-01-01T00:00:00Z", &group[0]),
            alert("shop", "resolved", "2026-05-04T14:45:00Z", &group[1]),
        ],
    });
    assert_eq!(body, expected);
    assert_eq!(rendered(&group[1..], webhook::render)["status"], "resolved");
}

#[test]
fn an_alertmanager_believes_a_firing_alert_for_a_while_after_it_was_sent() {
    let payload =
        rendered(&[told("cart", "e1", 0, None), told("shop", "e2", 0, Some(900))], alertmanager::render);
    assert_eq!(payload[0].get("endsAt"), None);
    let sent: Value =
        serde_json::from_str(&alertmanager::body(&payload.to_string(), at(1_000)).unwrap()).unwrap();
    let lifetime = i64::try_from(alertmanager::ALERTMANAGER_LIFETIME.as_secs()).unwrap();
    assert_eq!(sent[0]["endsAt"], json!(at(1_000 + lifetime)));
    assert_eq!(sent[1]["endsAt"], json!(at(900)));
    assert_eq!(sent[0]["startsAt"], json!(at(0)));
    assert_eq!(sent[0]["labels"]["service_name"], "cart");
    assert_eq!(alertmanager::body("{}", at(0)), None, "a row of another type of receiver");
}

#[test]
fn slack_is_escaped_and_stays_within_what_its_blocks_hold() {
    let mut wild = told("<!channel>", "e1", 0, None);
    wild.alert.annotations = labels(&[("summary", "a & b > c\n<http://evil|click>")]);
    let message = rendered(&[wild.clone()], slack::render);
    let section = message["blocks"][1]["text"]["text"].as_str().unwrap();
    assert!(section.contains("a &amp; b &gt; c &lt;http://evil|click&gt;"), "{section}");
    assert!(
        !section.contains("<!channel>") && section.contains("service_name=&lt;!channel&gt;"),
        "{section}"
    );
    assert!(section.contains("*<http://localhost:4320/alerts?rule="), "{section}");
    assert_eq!(message["blocks"][0]["text"]["text"], "[FIRING:1] DbPoolSaturated");
    wild.alert.annotations.insert("summary".into(), "&".repeat(2_000));
    wild.alert.labels.insert("long".into(), "<".repeat(500));
    wild.alert.labels.insert("alertname".into(), ">".repeat(500));
    let message = rendered(&vec![wild; slack::ALERTS_MAX], slack::render);
    let blocks = message["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    for block in blocks {
        let limit = if block["type"] == "header" { 150 } else { 3_000 };
        let length = block["text"]["text"].as_str().unwrap().chars().count();
        assert!(length <= limit, "{} holds {length}", block["type"]);
    }
}

#[test]
fn pagerduty_gets_its_own_words_within_its_limits_and_no_secret_is_stored() {
    let mut one = told("cart", "e1", 0, None);
    one.alert.annotations.insert("summary".into(), format!("line\nbreak {}", "x".repeat(2_000)));
    let event = rendered(std::slice::from_ref(&one), pagerduty::render);
    assert_eq!(event["event_action"], "trigger");
    assert_eq!(event["dedup_key"], "default/e1");
    assert_eq!(event["payload"]["severity"], "critical", "our page is their critical");
    assert_eq!(event["payload"]["source"], "cart");
    let summary = event["payload"]["summary"].as_str().unwrap();
    assert!(summary.len() <= pagerduty::PAGERDUTY_SUMMARY_MAX && summary.starts_with("line break xx"));
    assert_eq!(event.get("routing_key"), None);
    let sent: Value = serde_json::from_str(&pagerduty::body(&event.to_string(), "k3y").unwrap()).unwrap();
    assert_eq!(sent["routing_key"], "k3y");
    one.kind = Kind::Resolved;
    let event = rendered(&[one], pagerduty::render);
    assert_eq!(event, json!({"event_action": "resolve", "dedup_key": "default/e1"}));
    let long = pagerduty::dedup_key(&Tenant::default(), &"e".repeat(1_000));
    assert!(long.len() <= pagerduty::PAGERDUTY_DEDUP_KEY_MAX);
    assert_ne!(long, pagerduty::dedup_key(&Tenant::default(), &"e".repeat(1_001)));
}

#[test]
fn a_mail_says_what_fires_since_when_and_where_to_look() {
    let mail = rendered(&[told("cart", "e1", 0, None), told("shop", "e2", 0, Some(900))], email::render);
    assert_eq!(mail["subject"], "[FIRING:1] DbPoolSaturated");
    let text = mail["text"].as_str().unwrap();
    for part in [
        "FIRING DbPoolSaturated\ncheckout pool main at 95 %\n",
        "since   2026-05-04T14:30:00Z\n",
        "service_name=cart, severity=page",
        "RESOLVED DbPoolSaturated",
        "until 2026-05-04T14:45:00Z",
        "rule    http://localhost:4320/alerts?rule=",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}
