//! The `[query]` of `hindsight.toml`: what questions together and each of them may take (QRY-2). Documented with their
//! consequences in `docs/guide.md`.

use std::path::Path;
use std::time::Duration;

use hindsight_query::{QueryOptions, SpillOptions};
use serde::Deserialize;

use crate::config::{duration, span_text};
use crate::{ConfigError, ConfigSource, Setting};

const MIB: usize = 1 << 20;
/// What queries may put into temporary files unless the configuration says otherwise.
const SPILL_BYTES: u64 = 4 << 30;
/// Rows of an answer that the page `/sql` prints unless the configuration says otherwise.
const PAGE_ROWS: usize = 500;
/// More make a page that no browser likes.
const PAGE_ROWS_MAX: usize = 10_000;

/// Every limit of a query with its source.
#[derive(Clone, Debug)]
pub struct QuerySettings {
    /// Memory that all queries together may use, in bytes.
    pub memory_bytes: Setting<usize>,
    /// Temporary files that all queries together may have, in bytes; none at 0.
    pub spill_bytes_max: Setting<u64>,
    /// Memory of footers of blocks that were read before, in bytes.
    pub footer_bytes_max: Setting<usize>,
    /// Longest a query may take.
    pub timeout: Setting<Duration>,
    /// Queries at once.
    pub concurrency: Setting<usize>,
    /// How long one more waits for its turn.
    pub concurrency_wait: Setting<Duration>,
    /// Most rows of an answer that is held whole.
    pub rows_max: Setting<usize>,
    /// Most rows of an answer that is handed on as it comes.
    pub stream_rows_max: Setting<usize>,
    /// Most rows that the page `/sql` prints.
    pub page_rows_max: Setting<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryFile {
    memory_bytes: Option<usize>,
    spill_bytes_max: Option<u64>,
    footer_bytes_max: Option<usize>,
    timeout: Option<String>,
    concurrency: Option<usize>,
    concurrency_wait: Option<String>,
    rows_max: Option<usize>,
    stream_rows_max: Option<usize>,
    page_rows_max: Option<usize>,
}

impl QuerySettings {
    pub(crate) fn load(file: &QueryFile) -> Result<Self, ConfigError> {
        let default = QueryOptions::default();
        let wait = file.concurrency_wait.as_deref();
        Ok(Self {
            memory_bytes: Setting::pick(None, file.memory_bytes, default.memory_bytes),
            spill_bytes_max: Setting::pick(None, file.spill_bytes_max, SPILL_BYTES),
            footer_bytes_max: Setting::pick(None, file.footer_bytes_max, default.footer_bytes),
            timeout: duration("query.timeout", file.timeout.as_deref(), default.timeout)?,
            concurrency: Setting::pick(None, file.concurrency, default.concurrency),
            concurrency_wait: duration("query.concurrency_wait", wait, default.concurrency_wait)?,
            rows_max: Setting::pick(None, file.rows_max, default.rows_max),
            stream_rows_max: Setting::pick(None, file.stream_rows_max, default.stream_rows_max),
            page_rows_max: Setting::pick(None, file.page_rows_max, PAGE_ROWS),
        })
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for (key, value, least) in [
            ("query.memory_bytes", self.memory_bytes.value, 16 * MIB),
            ("query.concurrency", self.concurrency.value, 1),
            ("query.rows_max", self.rows_max.value, 1),
            ("query.stream_rows_max", self.stream_rows_max.value, 1),
            ("query.page_rows_max", self.page_rows_max.value, 1),
        ] {
            if value < least {
                return invalid(key, format!("{value} is too small; give at least {least}"));
            }
        }
        if self.timeout.value < Duration::from_millis(1) {
            return invalid("query.timeout", "0 ends every query; give at least 1ms".to_owned());
        }
        if self.page_rows_max.value > PAGE_ROWS_MAX {
            let problem =
                format!("{} is too much for a page; give at most {PAGE_ROWS_MAX}", self.page_rows_max.value);
            return invalid("query.page_rows_max", problem);
        }
        Ok(())
    }

    /// As the engine of this data directory wants them. What is not configured has its default.
    pub fn options(&self, data_dir: &Path) -> QueryOptions {
        let spill = SpillOptions { dir: data_dir.join("spill"), bytes_max: self.spill_bytes_max.value };
        QueryOptions {
            memory_bytes: self.memory_bytes.value,
            spill: (spill.bytes_max > 0).then_some(spill),
            footer_bytes: self.footer_bytes_max.value,
            timeout: self.timeout.value,
            concurrency: self.concurrency.value,
            concurrency_wait: self.concurrency_wait.value,
            rows_max: self.rows_max.value,
            stream_rows_max: self.stream_rows_max.value,
            ..QueryOptions::default()
        }
    }

    pub(crate) fn describe(&self) -> Vec<(&'static str, String, ConfigSource)> {
        let size = |key, setting: &Setting<usize>| (key, setting.value.to_string(), setting.source);
        let time = |key, setting: &Setting<Duration>| (key, span_text(setting.value), setting.source);
        let spill = &self.spill_bytes_max;
        vec![
            size("query.memory_bytes", &self.memory_bytes),
            ("query.spill_bytes_max", spill.value.to_string(), spill.source),
            size("query.footer_bytes_max", &self.footer_bytes_max),
            time("query.timeout", &self.timeout),
            size("query.concurrency", &self.concurrency),
            time("query.concurrency_wait", &self.concurrency_wait),
            size("query.rows_max", &self.rows_max),
            size("query.stream_rows_max", &self.stream_rows_max),
            size("query.page_rows_max", &self.page_rows_max),
        ]
    }
}

fn invalid(key: &'static str, problem: String) -> Result<(), ConfigError> {
    Err(ConfigError::Invalid { key, problem })
}
