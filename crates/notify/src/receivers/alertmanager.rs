//! Alertmanager's API v2: the group's alerts, posted again before Alertmanager would think them over.
//!
//! Source: Alertmanager's OpenAPI description (`POST /api/v2/alerts`, `postableAlerts`), and "Alerting clients": an
//! alert without news is resolved at its `endsAt`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Notice;
use crate::flush::later;
use crate::routing::Timings;

/// Where alerts are posted, below the configured URL.
pub(crate) const PATH: &str = "api/v2/alerts";
/// How often a firing alert is posted again at least.
pub const ALERTMANAGER_REFRESH: Duration = Duration::from_secs(300);
/// How long Alertmanager believes that an alert fires without hearing of it again: two refreshes may fail.
pub const ALERTMANAGER_LIFETIME: Duration = Duration::from_secs(3 * 300);
/// Longest wait for a change of a group to be passed on: Alertmanager groups, waits and repeats by itself.
const INTERVAL_MAX: Duration = Duration::from_secs(15);

/// The timings of a route to an Alertmanager.
pub(crate) fn timings(configured: Timings) -> Timings {
    Timings {
        group_wait: Duration::ZERO,
        group_interval: configured.group_interval.min(INTERVAL_MAX),
        repeat_interval: configured.repeat_interval.min(ALERTMANAGER_REFRESH),
    }
}

/// The alerts to post, without the ends of those that have not ended: [`body`] adds them.
pub(crate) fn render(notice: &Notice<'_>) -> String {
    let alerts = notice.told.iter().map(|told| {
        let alert = &told.alert;
        let mut value = json!({
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": alert.starts_at,
            "generatorURL": alert.generator_url,
        });
        if let Some(at) = alert.ends_at {
            value["endsAt"] = json!(at);
        }
        value
    });
    Value::from_iter(alerts).to_string()
}

/// The payload with an end for every alert that fires, counted from when it is sent: one that waited for a long time
/// must not arrive as ended.
pub(crate) fn body(payload: &str, now: Timestamp) -> Option<String> {
    let mut alerts: Vec<Value> = serde_json::from_str(payload).ok()?;
    for alert in &mut alerts {
        if let Some(fields) = alert.as_object_mut().filter(|fields| !fields.contains_key("endsAt")) {
            fields.insert("endsAt".to_owned(), json!(later(now, ALERTMANAGER_LIFETIME)));
        }
    }
    Some(Value::from(alerts).to_string())
}
