use hindsight_model::{
    Incident, IncidentId, IncidentSeverity, IncidentStatus, IncidentTimes, SqlSource, Suspect, Tenant,
};
use jiff::Timestamp;

use crate::gather::{gather, gather_observations};
use crate::onset;
use crate::series::plus_minutes;
use crate::suspects;
use crate::{Result, changes};

/// Minutes of series before the moment.
const BEFORE_MINUTES: i64 = 60;
/// Minutes of series after it.
const AFTER_MINUTES: i64 = 15;

/// A time at which something went wrong, known from outside: neither an alert nor an onset of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When; late by a minute or three does no harm.
    pub at: Timestamp,
    /// Calls from caller to callee that are known from elsewhere than spans.
    pub calls: Vec<(String, String)>,
}

/// What correlation makes of a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Correlation {
    /// Every service that anything speaks against, best first; no limit.
    pub suspects: Vec<Suspect>,
    /// Every service of which anything was seen around the moment, in order of name.
    pub services: Vec<String>,
}

/// Ranks the services around a moment by the code that ranks the suspects of an incident, without an incident.
/// `tell` hears what is being done.
///
/// # Errors
/// [`Error::Sql`](crate::Error::Sql) when a query fails, [`Error::Answer`](crate::Error::Answer) when its rows
/// cannot be read.
pub async fn correlate(
    sql: &dyn SqlSource,
    tenant: &Tenant,
    moment: &Moment,
    tell: impl Fn(&str),
) -> Result<Correlation> {
    let (from, to) = (plus_minutes(moment.at, -BEFORE_MINUTES), plus_minutes(moment.at, AFTER_MINUTES));
    tell("reading minutes");
    let mut telemetry = gather(sql, tenant, from, to).await?;
    tell("reading single observations");
    let end = plus_minutes(moment.at, BEFORE_MINUTES);
    let mut seen = gather_observations(sql, tenant, moment.at, end).await?;
    seen.calls.extend(moment.calls.iter().cloned());
    let services = seen.services().into_iter().map(str::to_owned).collect();
    telemetry.observations = Some(seen);
    tell("ranking");
    let incident = nobodys_incident(tenant, moment.at);
    let onset = onset::find(&telemetry, &incident);
    let changes = changes(&telemetry);
    let ranking = suspects::rank(&telemetry, &incident, onset.as_ref(), None, &changes, usize::MAX);
    Ok(Correlation { suspects: ranking.suspects, services })
}

/// The least that the ranking asks of an incident.
fn nobodys_incident(tenant: &Tenant, at: Timestamp) -> Incident {
    Incident {
        id: IncidentId(0),
        tenant: tenant.clone(),
        title: String::new(),
        severity: IncidentSeverity::Sev3,
        status: IncidentStatus::Open,
        key: std::collections::BTreeMap::new(),
        reopen_within_s: 0,
        services: Vec::new(),
        alerts: std::collections::BTreeMap::new(),
        firing: Vec::new(),
        opened_at: at,
        times: IncidentTimes { detected: Some(at), ..IncidentTimes::default() },
        suspects: Vec::new(),
        response: hindsight_model::IncidentResponse::default(),
    }
}
