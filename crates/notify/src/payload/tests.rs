use hindsight_model::AlertState;
use serde_json::{Value, json};

use super::*;
use crate::testing::{labels, transition};

fn read(transition: &Transition, kind: Kind) -> Value {
    serde_json::from_str(&payload(transition, kind, "ops", "http://localhost:4320/")).unwrap()
}

#[test]
fn firing_is_alertmanagers_version_4_and_nothing_else() {
    let body = read(&transition(120, AlertState::Pending, AlertState::Firing), Kind::Firing);
    let fingerprint = body["alerts"][0]["fingerprint"].clone();
    let all = json!({"alertname": "DbPoolSaturated", "service_name": "checkout", "severity": "page"});
    let annotations = json!({"summary": "checkout pool main at 95 %"});
    let expected = json!({
        "version": "4",
        "groupKey": "{}:{alertname=\"DbPoolSaturated\", service_name=\"checkout\", severity=\"page\"}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "ops",
        "groupLabels": all,
        "commonLabels": all,
        "commonAnnotations": annotations,
        "externalURL": "http://localhost:4320",
        "alerts": [{
            "status": "firing",
            "labels": all,
            "annotations": annotations,
            "startsAt": "2026-05-04T14:30:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://localhost:4320/alerts?rule=checkout-db%2FDbPoolSaturated",
            "fingerprint": fingerprint,
        }],
    });
    assert_eq!(body, expected);
    let fingerprint = fingerprint.as_str().unwrap();
    assert!(fingerprint.len() == 16 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit()), "{fingerprint}");
}

#[test]
fn resolved_has_an_end_and_keeps_start_group_and_fingerprint() {
    let firing = read(&transition(120, AlertState::Pending, AlertState::Firing), Kind::Firing);
    let resolved = read(&transition(900, AlertState::Recovering, AlertState::Inactive), Kind::Resolved);
    assert_eq!(resolved["status"], "resolved");
    assert_eq!(resolved["alerts"][0]["status"], "resolved");
    assert_eq!(resolved["alerts"][0]["endsAt"], "2026-05-04T14:45:00Z");
    assert_eq!(resolved["groupKey"], firing["groupKey"]);
    for field in ["startsAt", "fingerprint", "labels"] {
        assert_eq!(resolved["alerts"][0][field], firing["alerts"][0][field], "{field}");
    }
}

#[test]
fn hostile_text_is_escaped_cleaned_and_cut_at_a_character() {
    let mut wild = transition(0, AlertState::Inactive, AlertState::Firing);
    wild.annotations = labels(&[("quotes", "\"</script>\\\n\u{0}\u{1b}[31m"), ("long", &"ü".repeat(5_000))]);
    wild.labels = labels(&[("alertname", "forged"), ("long", &"x".repeat(LABEL_BYTES_MAX + 1))]);
    let body = read(&wild, Kind::Firing);
    let alert = &body["alerts"][0];
    assert_eq!(alert["labels"]["alertname"], "DbPoolSaturated");
    assert_eq!(alert["annotations"]["quotes"], "\"</script>\\\n\u{fffd}\u{fffd}[31m");
    let long = alert["annotations"]["long"].as_str().unwrap();
    assert!(
        long.ends_with('…') && long.len() <= ANNOTATION_BYTES_MAX && long.len() > ANNOTATION_BYTES_MAX - 4
    );
    let label = alert["labels"]["long"].as_str().unwrap();
    assert!(label.ends_with("x…") && label.len() == LABEL_BYTES_MAX);
    assert_eq!(alert["annotations"][SHORTENED], "labels or annotations were too long or too many");
}

#[test]
fn the_largest_payload_fits_into_the_outbox() {
    let mut huge = transition(0, AlertState::Inactive, AlertState::Firing);
    for n in 0..500 {
        // A quote doubles in JSON and doubles again inside the group key.
        let name = format!("{n:04}{}", "\"".repeat(1_000));
        huge.labels.insert(name.clone(), "\"".repeat(10_000));
        huge.annotations.insert(name, "\u{1}".repeat(10_000));
    }
    huge.alert = "\"".repeat(10_000);
    huge.rule = "%\u{1f600}".repeat(10_000);
    let text = payload(&huge, Kind::Firing, "ops", "http://localhost:4320");
    assert!(text.len() <= hindsight_state::PAYLOAD_BYTES_MAX, "{}", text.len());
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(body["alerts"][0]["labels"].as_object().unwrap().len(), LABELS_MAX);
    assert_eq!(body["alerts"][0]["annotations"].as_object().unwrap().len(), ANNOTATIONS_MAX);
}

#[test]
fn instances_whose_shortened_labels_agree_have_different_fingerprints() {
    let mut one = transition(0, AlertState::Inactive, AlertState::Firing);
    let mut other = one.clone();
    one.labels.insert("path".into(), "x".repeat(2_000) + "1");
    other.labels.insert("path".into(), "x".repeat(2_000) + "2");
    let (one, other) = (read(&one, Kind::Firing), read(&other, Kind::Firing));
    assert_eq!(one["alerts"][0]["labels"], other["alerts"][0]["labels"]);
    assert_ne!(one["alerts"][0]["fingerprint"], other["alerts"][0]["fingerprint"]);
}
