use std::collections::BTreeSet;

use super::*;
use crate::testing::{at, labels, told, transition};

fn speak(kind: ReceiverKind, told: &[Told], count: u64) -> Vec<Delivery> {
    let speaker = Speaker {
        tenant: &Tenant::default(),
        receiver: "ops",
        kind: Some(kind),
        subject: "default/0123",
        group_key: "{}:{}",
        group_labels: &labels(&[("alertname", "DbPoolSaturated")]),
        external_url: "http://localhost:4320",
        count,
        now: at(60),
    };
    deliveries(&speaker, told)
}

fn many(count: usize) -> Vec<Told> {
    (0..count).map(|n| told("cart", &format!("e{n}"), 0, None)).collect()
}

#[test]
fn a_large_group_is_told_whole_in_parts_with_keys_of_their_own() {
    let group = many(250);
    let told = speak(ReceiverKind::Webhook, &group, 1);
    let sizes: Vec<usize> =
        told.iter().map(|one| serde_json::from_str::<Vec<Value>>(&one.alerts).unwrap().len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    assert_eq!(speak(ReceiverKind::Slack, &group, 1).len(), 13);
    assert_eq!(speak(ReceiverKind::Webhook, &group, 1), told, "decided again after a crash it is the same");
    let all = told.into_iter().chain(speak(ReceiverKind::Webhook, &group, 2));
    let keys: BTreeSet<String> = all.map(|one| one.dedup_key).collect();
    assert_eq!(keys.len(), 6);
    assert!(
        keys.iter().all(|key| key.starts_with("default/0123/") && key.bytes().all(|b| b.is_ascii_graphic()))
    );
}

#[test]
fn pagerduty_hears_of_each_alert_by_itself_and_of_one_that_came_and_went_both() {
    let mut group = vec![told("a", "a1", 0, None), told("b", "b1", 0, Some(9)), told("c", "c1", 0, Some(9))];
    group[0].news = false;
    group[2].unheard = true;
    let events = |group: &[Told]| -> Vec<String> {
        let event = |one: &Delivery| {
            let event: Value = serde_json::from_str(&one.payload).unwrap();
            format!("{} {}", event["event_action"].as_str().unwrap(), event["dedup_key"].as_str().unwrap())
        };
        speak(ReceiverKind::PagerDuty, group, 1).iter().map(event).collect()
    };
    assert_eq!(events(&group), ["resolve default/b1", "trigger default/c1", "resolve default/c1"]);
    assert_eq!(events(&group[..1]), ["trigger default/a1"], "a repeat");
}

#[test]
fn the_largest_alerts_fit_into_the_outbox_in_every_form() {
    let mut huge = transition(0, hindsight_model::AlertState::Inactive, hindsight_model::AlertState::Firing);
    for n in 0..500 {
        let name = format!("{n:04}{}", "\"".repeat(1_000));
        huge.labels.insert(name.clone(), "\"".repeat(10_000));
        huge.annotations.insert(name, "&".repeat(10_000));
    }
    huge.alert = "\"".repeat(10_000);
    huge.rule = "%\u{1f600}".repeat(10_000);
    let one = Told {
        alert: crate::Alert::of(&huge, Kind::Firing, "http://localhost:4320"),
        ..told("cart", "e", 0, None)
    };
    let group = vec![one; 30];
    use ReceiverKind::{Alertmanager, Email, File, PagerDuty, Slack, Webhook};
    for kind in [Webhook, Alertmanager, Slack, PagerDuty, Email, File] {
        let told = speak(kind, &group, 1);
        let listed: usize =
            told.iter().map(|one| serde_json::from_str::<Vec<Value>>(&one.alerts).unwrap().len()).sum();
        assert_eq!(listed, 30, "{kind:?}");
        for one in told {
            let largest = one.payload.len().max(one.alerts.len());
            assert!(largest <= hindsight_state::PAYLOAD_BYTES_MAX, "{kind:?}: {largest}");
            serde_json::from_str::<Value>(&one.payload).unwrap();
        }
    }
}
