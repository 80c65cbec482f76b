//! `series_id`: who a time series is (OTLP.md rule 24).
//!
//! The first 8 bytes, big-endian, of SHA-256 over these parts, each with its length before it as 4 bytes
//! big-endian:
//!
//! 1. `hindsight series 1`
//! 2. all resource attributes as canonical JSON
//! 3. scope name, scope version, scope attributes as canonical JSON
//! 4. metric name, unit, metric type (`sum`), temporality (`delta`; empty where the kind has none), monotonicity
//!    (`true` or `false`; empty where the kind has none)
//! 5. all point attributes as canonical JSON
//!
//! Schema URLs, dropped counts, entity references, description and metadata are not part of it: they may change
//! while the series goes on. Stored blocks hold these numbers, so the recipe never changes.

use sha2::{Digest as _, Sha256};

/// A hash that has seen the first parts; cloned per scope, metric and point, so that shared parts are hashed once.
#[derive(Clone, Debug)]
pub(crate) struct SeriesHash(Sha256);

impl SeriesHash {
    pub(crate) fn of_resource(attributes_json: &str) -> Self {
        Self(Sha256::new()).with("hindsight series 1").with(attributes_json)
    }

    pub(crate) fn in_scope(&self, name: &str, version: &str, attributes_json: &str) -> Self {
        self.clone().with(name).with(version).with(attributes_json)
    }

    pub(crate) fn of_metric(
        &self,
        name: &str,
        unit: &str,
        metric_type: &str,
        temporality: Option<&str>,
        is_monotonic: Option<bool>,
    ) -> Self {
        let monotonic = match is_monotonic {
            None => "",
            Some(true) => "true",
            Some(false) => "false",
        };
        self.clone().with(name).with(unit).with(metric_type).with(temporality.unwrap_or("")).with(monotonic)
    }

    pub(crate) fn id(&self, attributes_json: &str) -> i64 {
        let hash = self.clone().with(attributes_json).0.finalize();
        let first: [u8; 8] = hash[..8].try_into().expect("SHA-256 has 32 bytes");
        i64::from_be_bytes(first)
    }

    fn with(mut self, part: &str) -> Self {
        // No part is longer than a request, which BODY_BYTES_MAX keeps below 2^32 even as JSON.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        self.0.update(length.to_be_bytes());
        self.0.update(part.as_bytes());
        self
    }
}
