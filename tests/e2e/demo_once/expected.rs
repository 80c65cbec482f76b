use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;

/// `expected.yaml`, as far as the tests check it.
#[derive(Debug, Deserialize)]
pub(super) struct Expected {
    pub(super) trigger: Moment,
    pub(super) onset: Moment,
    pub(super) detected: Detected,
    pub(super) suspect: String,
    pub(super) impact: Impact,
    pub(super) frontend_impact: Impact,
    pub(super) totals: BTreeMap<String, i64>,
}

/// An instant, and how far from it an answer may be.
#[derive(Debug, Deserialize)]
pub(super) struct Moment {
    pub(super) at: Timestamp,
    pub(super) tolerance_s: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Detected {
    /// Seconds after onset.
    pub(super) within_s: i64,
}

/// Exact counts, and the SQL that gives them.
#[derive(Debug, Deserialize)]
pub(super) struct Impact {
    pub(super) failed_requests: i64,
    pub(super) total_requests: i64,
    #[serde(rename = "where")]
    pub(super) condition: String,
    pub(super) failed: String,
}

impl Expected {
    pub(super) fn read() -> anyhow::Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample-data/checkout-outage/expected.yaml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let expected: Self =
            serde_saphyr::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        anyhow::ensure!(expected.totals.len() == 6, "totals must name every signal table");
        Ok(expected)
    }
}
