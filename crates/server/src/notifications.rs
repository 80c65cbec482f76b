//! The `[notify]` and `[[receivers]]` of `hindsight.toml`: who is told of alerts, and how. Documented in
//! `docs/notifications.md`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hindsight_notify::{
    GROUP_BY_DEFAULT, GROUP_INTERVAL_DEFAULT, GROUP_WAIT_DEFAULT, NotifyConfig, REPEAT_INTERVAL_DEFAULT,
    Receiver, ReceiverConfig, Routing, load_receivers,
};

use crate::config::duration;
use crate::{ConfigError, ConfigSource, Setting};

/// Longest `notify.external_url`.
const URL_BYTES_MAX: usize = 500;

/// Who is told of alerts.
#[derive(Clone, Debug)]
pub struct NotifySettings {
    /// Notifications for ticks older than this are recorded, not sent.
    pub max_age: Setting<Duration>,
    /// Who can be told.
    pub receivers: Vec<Receiver>,
    /// Who is told of what, when, and how it is grouped.
    pub routing: Arc<Routing>,
    /// What the file says of it.
    written: NotifyConfig,
}

impl NotifySettings {
    pub(crate) fn load(
        written: &NotifyConfig,
        receivers: &[ReceiverConfig],
        workspace: &Path,
    ) -> Result<Self, ConfigError> {
        let receivers = load_receivers(receivers, workspace).map_err(ConfigError::Receivers)?;
        if let Some(url) = &written.external_url {
            let plain = url.starts_with("http://") || url.starts_with("https://");
            if !plain || url.len() > URL_BYTES_MAX || url.contains(char::is_whitespace) {
                let problem =
                    format!("`{url}` is not the address of a page; write https://hindsight.example.org");
                return Err(ConfigError::Invalid { key: "notify.external_url", problem });
            }
        }
        let routing = Routing::new(written, &receivers).map_err(ConfigError::Notify)?;
        Ok(Self {
            max_age: duration("notify.max_age", written.max_age.as_deref(), Duration::from_secs(3_600))?,
            receivers,
            routing: Arc::new(routing),
            written: written.clone(),
        })
    }

    /// Where people reach the pages of a server whose web port is at `web`.
    pub fn external_url(&self, web: SocketAddr) -> String {
        self.written.external_url.clone().unwrap_or_else(|| format!("http://{web}"))
    }

    pub(crate) fn describe(&self) -> Vec<(&'static str, String, ConfigSource)> {
        let written = &self.written;
        let source = |set: bool| if set { ConfigSource::File } else { ConfigSource::Default };
        let time = |key, text: &Option<String>, default: Duration| {
            let shown = text.clone().unwrap_or_else(|| format!("{}s", default.as_secs()));
            (key, shown, source(text.is_some()))
        };
        let list = |key, names: Vec<&str>| (key, names.join(", "), source(!names.is_empty()));
        let group_by = written.group_by.clone().unwrap_or_else(|| GROUP_BY_DEFAULT.map(str::to_owned).into());
        let everybody = || "every receiver".to_owned();
        vec![
            ("notify.max_age", format!("{}s", self.max_age.value.as_secs()), self.max_age.source),
            (
                "notify.receiver",
                written.receiver.clone().unwrap_or_else(everybody),
                source(written.receiver.is_some()),
            ),
            (
                "notify.external_url",
                written.external_url.clone().unwrap_or_else(|| "this machine's web address".to_owned()),
                source(written.external_url.is_some()),
            ),
            ("notify.group_by", group_by.join(", "), source(written.group_by.is_some())),
            time("notify.group_wait", &written.group_wait, GROUP_WAIT_DEFAULT),
            time("notify.group_interval", &written.group_interval, GROUP_INTERVAL_DEFAULT),
            time("notify.repeat_interval", &written.repeat_interval, REPEAT_INTERVAL_DEFAULT),
            list("notify.routes", written.routes.iter().map(|route| route.receiver.as_str()).collect()),
            ("notify.inhibit", written.inhibit.len().to_string(), source(!written.inhibit.is_empty())),
            list("notify.mute_times", written.mute_times.iter().map(|time| time.name.as_str()).collect()),
            list("receivers", self.receivers.iter().map(Receiver::name).collect()),
        ]
    }
}
