//! The `[compaction]` of `hindsight.toml`: when small files become large ones. Documented in `docs/guide.md`.

use std::time::Duration;

use hindsight_store::MaintenanceOptions;
use serde::Deserialize;

use crate::config::{duration, span_text};
use crate::{ConfigError, ConfigSource, Setting};

/// Upkeep that looks more often would do nothing else.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
const TARGET_BYTES_MIN: u64 = 1 << 20;

/// How blocks are merged and when merged ones are deleted, with the source of each value.
#[derive(Clone, Debug)]
pub struct CompactionSettings {
    /// How often the store looks for something to merge, to drop or to delete.
    pub interval: Setting<Duration>,
    /// Files of about one size that wait for each other while rows still come.
    pub fan_in: Setting<usize>,
    /// Bytes of a file that is large enough.
    pub target_bytes: Setting<u64>,
    /// How long a date must be without new rows to be merged into as few files as can be.
    pub quiet_after: Setting<Duration>,
    /// How long a file that was merged or dropped is kept for readers that are other programs.
    pub removal_grace: Setting<Duration>,
    /// Bytes a second that merges read at most; 0 is no limit.
    pub bytes_per_second_max: Setting<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompactionFile {
    interval: Option<String>,
    fan_in: Option<usize>,
    target_bytes: Option<u64>,
    quiet_after: Option<String>,
    removal_grace: Option<String>,
    bytes_per_second_max: Option<u64>,
}

impl CompactionSettings {
    pub(crate) fn load(file: &CompactionFile) -> Result<Self, ConfigError> {
        let default = MaintenanceOptions::default();
        let interval = default.interval.unwrap_or(INTERVAL_MIN);
        Ok(Self {
            interval: duration("compaction.interval", file.interval.as_deref(), interval)?,
            fan_in: Setting::pick(None, file.fan_in, default.fan_in),
            target_bytes: Setting::pick(None, file.target_bytes, default.target_bytes),
            quiet_after: duration(
                "compaction.quiet_after",
                file.quiet_after.as_deref(),
                default.quiet_after,
            )?,
            removal_grace: duration(
                "compaction.removal_grace",
                file.removal_grace.as_deref(),
                default.removal_grace,
            )?,
            bytes_per_second_max: Setting::pick(
                None,
                file.bytes_per_second_max,
                default.bytes_per_second_max.unwrap_or(0),
            ),
        })
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let invalid = |key, problem: &str| Err(ConfigError::Invalid { key, problem: problem.to_owned() });
        if self.interval.value < INTERVAL_MIN {
            return invalid("compaction.interval", "give at least 10ms");
        }
        if !(2..=64).contains(&self.fan_in.value) {
            return invalid("compaction.fan_in", "give 2 to 64");
        }
        if self.target_bytes.value < TARGET_BYTES_MIN {
            return invalid("compaction.target_bytes", "give at least 1048576");
        }
        Ok(())
    }

    /// Puts them into the store's options.
    pub(crate) fn apply(&self, options: &mut MaintenanceOptions) {
        options.interval = Some(self.interval.value);
        options.fan_in = self.fan_in.value;
        options.target_bytes = self.target_bytes.value;
        options.quiet_after = self.quiet_after.value;
        options.removal_grace = self.removal_grace.value;
        options.bytes_per_second_max = Some(self.bytes_per_second_max.value).filter(|limit| *limit > 0);
    }

    pub(crate) fn describe(&self) -> Vec<(&'static str, String, ConfigSource)> {
        let time = |key, setting: &Setting<Duration>| (key, span_text(setting.value), setting.source);
        let rate = match self.bytes_per_second_max.value {
            0 => "no limit".to_owned(),
            limit => limit.to_string(),
        };
        vec![
            time("compaction.interval", &self.interval),
            ("compaction.fan_in", self.fan_in.value.to_string(), self.fan_in.source),
            ("compaction.target_bytes", self.target_bytes.value.to_string(), self.target_bytes.source),
            time("compaction.quiet_after", &self.quiet_after),
            time("compaction.removal_grace", &self.removal_grace),
            ("compaction.bytes_per_second_max", rate, self.bytes_per_second_max.source),
        ]
    }
}
