//! How long rows are kept: by table and tenant, in whole blocks.

use std::time::Duration;

use hindsight_model::{Table, Tenant};
use jiff::{SignedDuration, Timestamp};

use crate::BlockFile;

/// Another retention than [`crate::StoreOptions::retention`] for some rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// For this table only; `None` for all.
    pub table: Option<Table>,
    /// For this tenant only; `None` for all.
    pub tenant: Option<Tenant>,
    /// How long rows are kept, by their `timestamp`.
    pub keep: Duration,
}

/// How long rows of a table and tenant are kept: the most specific rule counts, a tenant's before a table's, and of
/// two alike the last.
pub(crate) fn kept(rules: &[RetentionRule], default: Duration, table: Table, tenant: &Tenant) -> Duration {
    let applies = |rule: &&RetentionRule| {
        rule.table.is_none_or(|of| of == table) && rule.tenant.as_ref().is_none_or(|of| of == tenant)
    };
    let most = rules.iter().filter(applies).max_by_key(|rule| (rule.tenant.is_some(), rule.table.is_some()));
    most.map_or(default, |rule| rule.keep)
}

/// Whether every row of the block is older than `keep`.
pub(crate) fn is_expired(block: &BlockFile, keep: Duration, now: Timestamp) -> bool {
    let Ok(keep) = SignedDuration::try_from(keep) else { return false };
    // A span of time that reaches back before all time expires nothing.
    now.checked_sub(keep).is_ok_and(|oldest| block.time_range().1 < oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_most_specific_rule_counts() {
        let rule = |table, tenant: Option<&str>, days: u32| RetentionRule {
            table,
            tenant: tenant.map(|tenant| tenant.parse().unwrap()),
            keep: DAY * days,
        };
        let rules = [
            rule(Some(Table::Logs), Some("a"), 1),
            rule(None, Some("a"), 2),
            rule(Some(Table::Logs), None, 3),
            rule(Some(Table::Metrics), None, 4),
            rule(Some(Table::Metrics), None, 5),
        ];
        let kept = |table, tenant: &str| kept(&rules, DAY * 30, table, &tenant.parse().unwrap());
        assert_eq!(kept(Table::Logs, "a"), DAY);
        assert_eq!(kept(Table::Spans, "a"), DAY * 2);
        assert_eq!(kept(Table::Logs, "b"), DAY * 3);
        assert_eq!(kept(Table::Metrics, "b"), DAY * 5);
        assert_eq!(kept(Table::Spans, "b"), DAY * 30);
    }

    #[test]
    fn a_block_expires_with_its_last_row_and_without_statistics_with_its_date() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut block = BlockFile {
            table: Table::Logs,
            path: "logs/x.parquet".into(),
            size_bytes: 1,
            rows: 1,
            tenant: Tenant::default(),
            date: "2026-05-04".parse().unwrap(),
            min_timestamp: Some(at("2026-05-04T00:00:00Z")),
            max_timestamp: Some(at("2026-05-04T12:00:00Z")),
            columns: std::collections::BTreeMap::new(),
            wal_position: 1,
            checksum: None,
            all_promoted: false,
        };
        assert!(!is_expired(&block, DAY, at("2026-05-05T12:00:00Z")));
        assert!(is_expired(&block, DAY, at("2026-05-05T12:00:00.000001Z")));
        block.max_timestamp = None;
        assert!(!is_expired(&block, DAY, at("2026-05-06T00:00:00Z")));
        assert!(is_expired(&block, DAY, at("2026-05-06T00:00:01Z")));
        assert!(!is_expired(&block, Duration::MAX, at("2026-05-06T00:00:01Z")));
    }
}
