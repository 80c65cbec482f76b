//! The SQL of the sources.

use jiff::Timestamp;

use super::super::queries::{ENTRY, FAILED, ROWS_MAX, text, within};

/// Spans of deployments and pipelines, by the conventions `deployment.*` and `cicd.*`; the tasks of a pipeline are left
/// out. Columns `timestamp`, `service`, `name`, `kind`, `what`, `result`, `duration_nano`.
pub(super) fn deployments(from: Timestamp, to: Timestamp) -> String {
    format!(
        "SELECT timestamp, service_name AS service, name,\n  \
         CASE WHEN attributes LIKE '%\"cicd.pipeline.%' THEN 'pipeline' ELSE 'deployment' END AS kind,\n  \
         coalesce(attributes->>'cicd.pipeline.name', attributes->>'deployment.name', attributes->>'deployment.id') AS what,\n  \
         coalesce(attributes->>'cicd.pipeline.result', attributes->>'deployment.status') AS result, duration_nano\n\
         FROM spans\nWHERE {}\n  \
         AND (attributes LIKE '%\"cicd.pipeline.%' OR attributes LIKE '%\"deployment.name\"%' OR attributes LIKE '%\"deployment.id\"%')\n  \
         AND attributes NOT LIKE '%\"cicd.pipeline.task.%'\nORDER BY timestamp\nLIMIT 200",
        within("timestamp", from, to),
    )
}

/// Records that announce a change: events of deployments and pipelines, of Kubernetes, and those that people posted.
/// Columns `timestamp`, `service`, `event`, `body`, `reason`, `object`, `result`.
pub(super) fn events(from: Timestamp, to: Timestamp) -> String {
    format!(
        "SELECT timestamp, service_name AS service, event_name AS event, substr(body, 1, 300) AS body,\n  \
         attributes->>'k8s.event.reason' AS reason,\n  \
         coalesce(attributes->>'k8s.object.name', attributes->>'k8s.event.name', k8s_pod_name) AS object,\n  \
         coalesce(attributes->>'deployment.status', attributes->>'cicd.pipeline.result') AS result\n\
         FROM logs\nWHERE {}\n  \
         AND (event_name = '{CHANGE_EVENT}' OR event_name LIKE 'deployment.%' OR event_name LIKE 'cicd.%'\n    \
         OR attributes LIKE '%\"k8s.event.reason\"%')\nORDER BY timestamp\nLIMIT {ROWS_MAX}",
        within("timestamp", from, to),
        CHANGE_EVENT = crate::CHANGE_EVENT,
    )
}

/// SLOs, what they spent of their budget, and by how many bad events. Columns `slo`, `service`, `window_s`, `method`,
/// `bad`, `spent`.
pub(super) fn slos() -> String {
    "SELECT slo, service_name AS service, window_s, method, bad, budget_consumed AS spent\n\
     FROM slo_status\nORDER BY slo"
        .to_owned()
}

/// What an SLO spent of a budget of so many bad events, by minute from `from` on, with all before it in one row.
/// Columns `minute`, `spent` (share so far).
pub(super) fn spending(
    slo: &str,
    budget: f64,
    (start, from, to): (Timestamp, Timestamp, Timestamp),
) -> String {
    format!(
        "SELECT minute, sum(bad) OVER (ORDER BY minute) / {budget:.3} AS spent\n\
         FROM (SELECT greatest(minute, TIMESTAMP '{from}') AS minute, sum(total - good) AS bad\n  \
         FROM slo_slices WHERE slo = {} AND {}\n  GROUP BY 1) AS minutes\nORDER BY minute",
        text(slo),
        within("minute", start, to),
    )
}

/// The first request of a service that failed. Columns `timestamp`, `trace_id`, `name`.
pub(super) fn first_failure(service: &str, from: Timestamp, to: Timestamp) -> String {
    format!(
        "SELECT timestamp, trace_id, name FROM spans\nWHERE {} AND {ENTRY} AND service_name = {} AND {FAILED}\n\
         ORDER BY timestamp\nLIMIT 1",
        within("timestamp", from, to),
        text(service),
    )
}

/// The spans of a trace.
pub(super) fn trace(id: &str) -> String {
    format!("SELECT * FROM trace_tree({})", text(id))
}

/// What was sent to whom. Columns `sent_at`, `receiver`, `alerts` (JSON).
pub(super) fn notifications(from: Timestamp, to: Timestamp) -> String {
    format!(
        "SELECT sent_at, receiver, alerts FROM notifications\nWHERE status = 'sent' AND {}\nORDER BY sent_at\nLIMIT {ROWS_MAX}",
        within("sent_at", from, to),
    )
}
