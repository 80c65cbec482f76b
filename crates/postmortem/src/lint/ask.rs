//! The one part of the lint that asks: telemetry about a document, by SQL.

use hindsight_model::{SqlRequest, SqlSource, SqlValue, Tenant};
use jiff::{SignedDuration, Timestamp};

use super::{Knowledge, Observed, ObservedKind};
use crate::document::Document;
use crate::evidence::{EvidenceSet, rerun};
use crate::{Error, Result};

/// Telemetry is asked about this long before the trigger and after the end.
const AROUND: SignedDuration = SignedDuration::from_mins(60);
/// Observations taken into account; more say nothing more.
const MAX_OBSERVED: usize = 2_000;
const MAX_SERVICES: usize = 5_000;

const ALERTS: &str = "SELECT timestamp, alert, to_state FROM alert_transitions
WHERE timestamp >= $from AND timestamp < $to ORDER BY timestamp LIMIT 2000";
/// A version comes when it was not seen for five minutes; one that was there when the window opens did not come.
const CHANGES: &str = "SELECT first_seen, service_version
FROM (
  SELECT service_version, first_seen,
    lag(last_seen) OVER (PARTITION BY service_name, service_version ORDER BY first_seen) AS before
  FROM (
    SELECT service_name, service_version, min(timestamp) AS first_seen, max(timestamp) AS last_seen
    FROM spans
    WHERE timestamp >= $from AND timestamp < $to AND service_version IS NOT NULL
    GROUP BY service_name, service_version, date_trunc('minute', timestamp)
  ) AS minutes
) AS seen
WHERE first_seen > coalesce(before, $from) + INTERVAL '5 minutes'
ORDER BY first_seen LIMIT 2000";
const SERVICES: &str = "SELECT DISTINCT service_name FROM services WHERE service_name IS NOT NULL LIMIT 5000";

/// Adds what telemetry knows to what is known: alerts and versions around the incident (TL9), the evidence run again
/// (I3), and the names of our services (L2). Evidence whose SQL fails is known to have failed.
///
/// # Errors
/// [`Error::Query`] when telemetry itself cannot be asked.
pub async fn ask_telemetry(
    document: &Document,
    evidence: &EvidenceSet,
    sql: &dyn SqlSource,
    knowledge: &mut Knowledge,
) -> Result<()> {
    let tenant = tenant(document);
    if let Some((from, to)) = window(document) {
        for (question, kind) in [(ALERTS, ObservedKind::Alert), (CHANGES, ObservedKind::Change)] {
            let request = SqlRequest::new(question).tenant(tenant.clone());
            let rows = rows(sql, request.param("from", from).param("to", to)).await?;
            knowledge.observed.extend(rows.iter().take(MAX_OBSERVED).filter_map(|row| observed(row, kind)));
        }
    }
    let services = rows(sql, SqlRequest::new(SERVICES).tenant(tenant.clone())).await?;
    let names = services.iter().take(MAX_SERVICES).filter_map(|row| row.first()?.as_str());
    knowledge.own_services.extend(names.map(str::to_owned));
    for item in &evidence.items {
        let fresh = rerun(sql, item, tenant.clone()).await.map_err(|error| crate::error::chain(&error));
        knowledge.reruns.insert(item.id.clone(), fresh);
    }
    Ok(())
}

fn tenant(document: &Document) -> Tenant {
    document.front.tenant.as_deref().and_then(|name| name.parse().ok()).unwrap_or_default()
}

/// From well before the first of the document's times to well after the last.
fn window(document: &Document) -> Option<(Timestamp, Timestamp)> {
    let known = || document.front.times.named().into_iter().filter_map(|(_, at)| at);
    let from = known().min()?.checked_sub(AROUND).ok()?;
    Some((from, known().max()?.checked_add(AROUND).ok()?))
}

async fn rows(sql: &dyn SqlSource, request: SqlRequest) -> Result<Vec<Vec<SqlValue>>> {
    let title = || "what telemetry knows of the incident".to_owned();
    let answer = sql.sql(request).await.map_err(|source| Error::Query { title: title(), source })?;
    answer.rows().map_err(|error| Error::Freeze { title: title(), message: error.to_string() })
}

fn observed(row: &[SqlValue], kind: ObservedKind) -> Option<Observed> {
    let state = row.get(2).and_then(SqlValue::as_str).unwrap_or_default().to_owned();
    Some(Observed { at: row.first()?.as_time()?, kind, name: row.get(1)?.as_str()?.to_owned(), state })
}
