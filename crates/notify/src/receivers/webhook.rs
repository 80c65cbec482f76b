//! Alertmanager's webhook payload, version 4.
//!
//! Source: Alertmanager's documentation, "Configuration", `<webhook_config>`.

use hindsight_model::Labels;
use serde::Serialize;

use super::{Notice, common};
use crate::flush::Told;

/// How Alertmanager writes the end of an alert that has not ended.
const NOT_ENDED: &str = "0001-01-01T00:00:00Z";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    version: &'static str,
    group_key: &'a str,
    /// Always 0: a group that is too large for one payload is told in several.
    truncated_alerts: u64,
    status: &'static str,
    receiver: &'a str,
    group_labels: &'a Labels,
    common_labels: Labels,
    common_annotations: Labels,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    alerts: Vec<Alert<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    status: &'static str,
    labels: &'a Labels,
    annotations: &'a Labels,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: &'a str,
}

/// The body to post.
pub(crate) fn render(notice: &Notice<'_>) -> String {
    let payload = Payload {
        version: "4",
        group_key: notice.group_key,
        truncated_alerts: 0,
        status: notice.status().as_str(),
        receiver: notice.receiver,
        group_labels: notice.group_labels,
        common_labels: common(notice.told.iter().map(|told| &told.alert.labels)),
        common_annotations: common(notice.told.iter().map(|told| &told.alert.annotations)),
        external_url: notice.external_url,
        alerts: notice.told.iter().map(alert).collect(),
    };
    serde_json::to_string(&payload).expect("text with string keys always serialises")
}

fn alert(told: &Told) -> Alert<'_> {
    let alert = &told.alert;
    Alert {
        status: told.kind.as_str(),
        labels: &alert.labels,
        annotations: &alert.annotations,
        starts_at: alert.starts_at.to_string(),
        ends_at: alert.ends_at.map_or_else(|| NOT_ENDED.to_owned(), |at| at.to_string()),
        generator_url: &alert.generator_url,
        fingerprint: &alert.fingerprint,
    }
}
