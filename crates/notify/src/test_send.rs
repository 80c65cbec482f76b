//! A notification that says of itself that it is a test.

use hindsight_model::{Labels, Tenant};
use hindsight_state::{Claimed, Delivery};
use jiff::Timestamp;

use crate::alert::{ALERT_NAME, Alert, Kind};
use crate::delivery::{Speaker, deliveries};
use crate::error::Result;
use crate::flush::Told;
use crate::receiver::{Receiver, ReceiverKind};
use crate::send::{Attempt, send};
use crate::worker::client;

/// Sends `receiver` one notification marked as a test, at once and without the outbox. Where an alert stays until it is
/// ended (Alertmanager, PagerDuty) its end is sent too. The inner error is what the receiver answered.
///
/// # Errors
/// [`crate::Error::Client`] when the HTTP client cannot be made.
pub async fn send_test(
    receiver: &Receiver,
    external_url: &str,
    now: Timestamp,
) -> Result<std::result::Result<(), String>> {
    let client = client(std::slice::from_ref(receiver))?;
    for delivery in notifications(receiver, external_url, now) {
        let claimed = Claimed {
            id: 0,
            tenant: delivery.tenant,
            receiver: delivery.receiver,
            dedup_key: delivery.dedup_key,
            payload: delivery.payload,
            attempts: 1,
        };
        match send(client.as_ref(), receiver, &claimed, now).await {
            Attempt::Accepted => {}
            Attempt::Again { reason, .. } | Attempt::Refused { reason } => return Ok(Err(reason)),
        }
    }
    Ok(Ok(()))
}

fn notifications(receiver: &Receiver, external_url: &str, now: Timestamp) -> Vec<Delivery> {
    let pairs = |pairs: &[(&str, &str)]| -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let labels = pairs(&[(ALERT_NAME, "HindsightTest"), ("severity", "info")]);
    let url = external_url.trim_end_matches('/');
    let told = |kind: Kind| Told {
        kind,
        episode: format!("test-{now}"),
        alert: Alert {
            labels: labels.clone(),
            annotations: pairs(&[(
                "summary",
                "This is a test of the way from Hindsight to you. Nothing is wrong.",
            )]),
            starts_at: now,
            ends_at: (kind == Kind::Resolved).then_some(now),
            generator_url: format!("{url}/alerts"),
            fingerprint: "0000000000000000".to_owned(),
        },
        news: true,
        unheard: kind == Kind::Firing,
    };
    let stays = matches!(receiver.kind(), ReceiverKind::Alertmanager | ReceiverKind::PagerDuty);
    let kinds = if stays { &[Kind::Firing, Kind::Resolved][..] } else { &[Kind::Firing] };
    let tenant = Tenant::default();
    let delivery = |(kind, count): (&Kind, u64)| {
        let speaker = Speaker {
            tenant: &tenant,
            receiver: receiver.name(),
            kind: Some(receiver.kind()),
            subject: "default/test",
            group_key: "{}:{alertname=\"HindsightTest\"}",
            group_labels: &labels,
            external_url: url,
            count,
            now,
        };
        deliveries(&speaker, &[told(*kind)])
    };
    kinds.iter().zip(1..).flat_map(delivery).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, file};

    #[tokio::test]
    async fn a_test_says_that_it_is_one_and_what_went_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("told.jsonl");
        send_test(&file("record", &path), "http://localhost:4320/", at(0)).await.unwrap().unwrap();
        let told = std::fs::read_to_string(&path).unwrap();
        assert!(told.contains("HindsightTest") && told.contains("Nothing is wrong"), "{told}");
        let nowhere = file("record", &folder.path().join("missing/told.jsonl"));
        let reason = send_test(&nowhere, "http://localhost:4320", at(0)).await.unwrap().unwrap_err();
        assert!(reason.contains("missing/told.jsonl"), "{reason}");
    }
}
