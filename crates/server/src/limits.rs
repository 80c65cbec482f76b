//! The `[limits]` of `hindsight.toml`: what senders together and each of them may take (LIM-1). Documented with
//! their consequences in `docs/guide.md`.

use std::time::Duration;

use hindsight_store::{RateLimit, SERIES_MAX};
use serde::Deserialize;

use crate::config::duration;
use crate::{ConfigError, ConfigSource, Setting};

/// Every limit with its source.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// Connections to each port at once.
    pub connections_max: Setting<usize>,
    /// How long a new connection may take to its first whole request header.
    pub header_timeout: Setting<Duration>,
    /// How long the body of one request may take to arrive.
    pub body_timeout: Setting<Duration>,
    /// How long a connection may stay without a request.
    pub idle_timeout: Setting<Duration>,
    /// Bytes of all requests that are being read, unpacked, decoded or written.
    pub in_flight_bytes_max: Setting<usize>,
    /// Memory of the filters that say which blocks may hold an id; 0 keeps none.
    pub id_filter_bytes_max: Setting<usize>,
    /// Series that one tenant may have active at once.
    pub series_max: Setting<usize>,
    /// Bytes a second from one tenant; 0 is no limit.
    pub tenant_bytes_per_second: Setting<u64>,
    /// Items a second from one tenant; 0 is no limit.
    pub tenant_items_per_second: Setting<u64>,
    /// How much of its rate a tenant that was silent may send at once.
    pub tenant_burst: Setting<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsFile {
    connections_max: Option<usize>,
    header_timeout: Option<String>,
    body_timeout: Option<String>,
    idle_timeout: Option<String>,
    in_flight_bytes_max: Option<usize>,
    id_filter_bytes_max: Option<usize>,
    series_max: Option<usize>,
    tenant_bytes_per_second: Option<u64>,
    tenant_items_per_second: Option<u64>,
    tenant_burst: Option<String>,
}

impl LimitSettings {
    pub(crate) fn load(file: &LimitsFile) -> Result<Self, ConfigError> {
        let time = |key, text: &Option<String>, seconds| {
            duration(key, text.as_deref(), Duration::from_secs(seconds))
        };
        let rate = RateLimit::default();
        Ok(Self {
            connections_max: Setting::pick(None, file.connections_max, 1_024),
            header_timeout: time("limits.header_timeout", &file.header_timeout, 10)?,
            body_timeout: time("limits.body_timeout", &file.body_timeout, 60)?,
            idle_timeout: time("limits.idle_timeout", &file.idle_timeout, 300)?,
            in_flight_bytes_max: Setting::pick(None, file.in_flight_bytes_max, 256 << 20),
            id_filter_bytes_max: Setting::pick(None, file.id_filter_bytes_max, 64 << 20),
            series_max: Setting::pick(None, file.series_max, SERIES_MAX),
            tenant_bytes_per_second: Setting::pick(None, file.tenant_bytes_per_second, rate.bytes_per_second),
            tenant_items_per_second: Setting::pick(None, file.tenant_items_per_second, rate.items_per_second),
            tenant_burst: time("limits.tenant_burst", &file.tenant_burst, rate.burst.as_secs())?,
        })
    }

    pub(crate) fn check(&self, request_bytes_max: usize) -> Result<(), ConfigError> {
        let invalid = |key, problem: String| Err(ConfigError::Invalid { key, problem });
        let times = [
            ("limits.header_timeout", self.header_timeout.value),
            ("limits.body_timeout", self.body_timeout.value),
            ("limits.idle_timeout", self.idle_timeout.value),
            ("limits.tenant_burst", self.tenant_burst.value),
        ];
        for (key, time) in times {
            if time < Duration::from_secs(1) {
                return invalid(key, "give at least 1s".to_owned());
            }
        }
        if self.connections_max.value == 0 {
            return invalid("limits.connections_max", "0 lets nobody in; give at least 1".to_owned());
        }
        // A body and what it unpacks to, in the three quarters that large ones may take.
        let least = request_bytes_max.saturating_mul(3);
        if self.in_flight_bytes_max.value < least {
            return invalid(
                "limits.in_flight_bytes_max",
                format!(
                    "{} is too small; give at least three times ingest.request_bytes_max, {least}",
                    self.in_flight_bytes_max.value
                ),
            );
        }
        Ok(())
    }

    /// The rates as the store wants them.
    pub(crate) fn rate(&self) -> RateLimit {
        RateLimit {
            bytes_per_second: self.tenant_bytes_per_second.value,
            items_per_second: self.tenant_items_per_second.value,
            burst: self.tenant_burst.value,
        }
    }

    pub(crate) fn describe(&self) -> Vec<(&'static str, String, ConfigSource)> {
        let time =
            |key, setting: &Setting<Duration>| (key, format!("{}s", setting.value.as_secs()), setting.source);
        let size = |key, setting: &Setting<usize>| (key, setting.value.to_string(), setting.source);
        let rate = |key, setting: &Setting<u64>| {
            let text = if setting.value == 0 { "no limit".to_owned() } else { setting.value.to_string() };
            (key, text, setting.source)
        };
        vec![
            size("limits.connections_max", &self.connections_max),
            time("limits.header_timeout", &self.header_timeout),
            time("limits.body_timeout", &self.body_timeout),
            time("limits.idle_timeout", &self.idle_timeout),
            size("limits.in_flight_bytes_max", &self.in_flight_bytes_max),
            size("limits.id_filter_bytes_max", &self.id_filter_bytes_max),
            size("limits.series_max", &self.series_max),
            rate("limits.tenant_bytes_per_second", &self.tenant_bytes_per_second),
            rate("limits.tenant_items_per_second", &self.tenant_items_per_second),
            time("limits.tenant_burst", &self.tenant_burst),
        ]
    }
}
