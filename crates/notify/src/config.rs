//! The `[notify]` table of hindsight.toml, as written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::mute_time::MuteTimeConfig;

/// `[notify]`: who is told of which alerts, how they are grouped, and when nobody is told. docs/notifications.md
/// explains each key.
///
/// ```toml
/// [notify]
/// group_by = ["alertname", "service_name"]
/// group_wait = "30s"
/// group_interval = "5m"
/// repeat_interval = "4h"
/// receiver = "ops"
///
/// [[notify.routes]]
/// match = { severity = "page" }
/// receiver = "pager"
/// continue = true
/// group_wait = "10s"
/// mute = ["nights"]
///
/// [[notify.inhibit]]
/// source = { severity = "page" }
/// target = { severity = "ticket" }
/// equal = ["service_name"]
///
/// [[notify.mute_times]]
/// name = "nights"
/// times = [{ start = "22:00", end = "06:00" }]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyConfig {
    /// A transition evaluated later than this after its time is recorded, not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// Where people reach the pages, for the links in notifications; this machine's web address unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// The receiver of alerts that no route takes. Without it and without routes every receiver gets every alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    /// Labels whose values make a group; `["..."]` means all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<Vec<String>>,
    /// How long a new group waits for more alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_wait: Option<String>,
    /// How long a group that was told waits before it tells what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_interval: Option<String>,
    /// How long until alerts that go on are told again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_interval: Option<String>,
    /// Tried in order; the first that matches takes the alert.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
    /// Alerts that mute others while they fire.
    #[serde(default)]
    pub inhibit: Vec<InhibitConfig>,
    /// Named times in which routes tell nothing.
    #[serde(default)]
    pub mute_times: Vec<MuteTimeConfig>,
}

/// One `[[notify.routes]]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Labels with their exact values.
    #[serde(default, rename = "match")]
    pub equals: BTreeMap<String, String>,
    /// Further conditions in Alertmanager's syntax, such as `service_name=~"check.*"`.
    #[serde(default)]
    pub matchers: Vec<String>,
    /// Who is told.
    pub receiver: String,
    /// Whether later routes may take the alert too.
    #[serde(default, rename = "continue")]
    pub goes_on: bool,
    /// Names of mute times.
    #[serde(default)]
    pub mute: Vec<String>,
    /// As in [`NotifyConfig`], for this route alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<Vec<String>>,
    /// As in [`NotifyConfig`], for this route alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_wait: Option<String>,
    /// As in [`NotifyConfig`], for this route alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_interval: Option<String>,
    /// As in [`NotifyConfig`], for this route alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_interval: Option<String>,
}

/// One `[[notify.inhibit]]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InhibitConfig {
    /// Labels of the alerts that mute others, with their exact values.
    #[serde(default)]
    pub source: BTreeMap<String, String>,
    /// Further conditions on them.
    #[serde(default)]
    pub source_matchers: Vec<String>,
    /// Labels of the alerts that are muted, with their exact values.
    #[serde(default)]
    pub target: BTreeMap<String, String>,
    /// Further conditions on them.
    #[serde(default)]
    pub target_matchers: Vec<String>,
    /// Labels that must agree.
    #[serde(default)]
    pub equal: Vec<String>,
}
