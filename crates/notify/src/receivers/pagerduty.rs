//! PagerDuty's Events API v2: one event for each alert, one incident there for each episode here.
//!
//! Source: PagerDuty's documentation, "Send an alert event" (`dedup_key` of at most 255 characters, `summary` of at most
//! 1024, severities critical, error, warning, info).

use hindsight_model::Tenant;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Notice;
use crate::alert::{Kind, one_line};
use crate::flush::Told;

/// Where events go unless the configuration says otherwise.
pub const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// Longest `dedup_key`.
pub const PAGERDUTY_DEDUP_KEY_MAX: usize = 255;
/// Longest `summary`.
pub const PAGERDUTY_SUMMARY_MAX: usize = 1_024;
/// Longest of the other texts.
const FIELD_BYTES_MAX: usize = 255;

/// The event to post, without the routing key, which is secret: [`body`] adds it.
pub(crate) fn render(notice: &Notice<'_>) -> String {
    let Some(told) = notice.told.first() else { return String::from("{}") };
    let key = dedup_key(notice.tenant, &told.episode);
    if told.kind == Kind::Resolved {
        return json!({"event_action": "resolve", "dedup_key": key}).to_string();
    }
    let alert = &told.alert;
    let label = |name: &str| alert.labels.get(name).map(|value| one_line(value, FIELD_BYTES_MAX));
    let event = json!({
        "event_action": "trigger",
        "dedup_key": key,
        "client": "Hindsight",
        "client_url": notice.external_url,
        "links": [{"href": alert.generator_url, "text": "the rule"}],
        "payload": {
            "summary": summary(told),
            "source": label("service_name").unwrap_or_else(|| "hindsight".to_owned()),
            "severity": severity(alert.labels.get("severity").map(String::as_str)),
            "timestamp": alert.starts_at,
            "class": one_line(alert.name(), FIELD_BYTES_MAX),
            "component": label("service_name"),
            "custom_details": {"labels": alert.labels, "annotations": alert.annotations},
        },
    });
    event.to_string()
}

/// The event with its routing key.
pub(crate) fn body(payload: &str, routing_key: &str) -> Option<String> {
    let mut event: Value = serde_json::from_str(payload).ok()?;
    event.as_object_mut()?.insert("routing_key".to_owned(), json!(routing_key));
    Some(event.to_string())
}

/// The same for every event of one episode; hashed where it would be too long.
pub(crate) fn dedup_key(tenant: &Tenant, episode: &str) -> String {
    let plain = format!("{tenant}/{episode}");
    if plain.len() <= PAGERDUTY_DEDUP_KEY_MAX && plain.chars().all(|c| c.is_ascii_graphic()) {
        return plain;
    }
    format!("{tenant}/{}", hex::encode(Sha256::digest(episode)))
}

fn summary(told: &Told) -> String {
    let alert = &told.alert;
    let summary = match alert.summary() {
        "" => format!("{} {}", alert.name(), super::label_list(alert)),
        summary => summary.to_owned(),
    };
    one_line(&summary, PAGERDUTY_SUMMARY_MAX)
}

/// PagerDuty knows four words; ours and other people's are brought to them.
fn severity(label: Option<&str>) -> &'static str {
    match label.unwrap_or_default().to_ascii_lowercase().as_str() {
        "page" | "critical" | "crit" | "emergency" | "fatal" => "critical",
        "ticket" | "warning" | "warn" => "warning",
        "info" | "notice" | "none" | "debug" => "info",
        _ => "error",
    }
}
