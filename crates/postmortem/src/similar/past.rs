//! Reads what the past is made of: incidents and their timelines from `state`, documents from the workspace.

use std::collections::BTreeMap;
use std::path::Path;

use hindsight_model::{
    ActionKey, ActionRecord, Incident, IncidentStatus, TimelineEntry, TimelineKind, TimelineSource,
    TimelineState,
};
use hindsight_state::State;
use jiff::SignedDuration;

use super::{Features, PastAction, Similar, features, likest};
use crate::actions::standing;
use crate::document::{Document, Visibility};
use crate::files::in_background;
use crate::{Error, Result, list};

/// Past incidents looked at, the latest.
const PAST_MAX: usize = 2_000;
/// A change that comes back so shortly after the end may have brought it: minutes show it later.
const BACK_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// How a person's mitigation stands in the timeline.
const MITIGATED: &str = "mitigated: ";

/// The incidents before this one that looked most alike, with what was done then. Merged ones are part of others and
/// left out.
///
/// # Errors
/// [`Error::State`] when incidents cannot be read, and when the workspace cannot be listed.
pub async fn similar_incidents(state: &State, workspace: &Path, incident: &Incident) -> Result<Vec<Similar>> {
    let tenant = &incident.tenant;
    let mut past = state.incidents(tenant).await.map_err(failed("read the incidents"))?;
    past.retain(|other| {
        (other.opened_at, other.id) < (incident.opened_at, incident.id)
            && other.status != IncidentStatus::Merged
    });
    past.sort_by_key(|other| (other.opened_at, other.id));
    past.drain(..past.len().saturating_sub(PAST_MAX));
    if past.is_empty() {
        return Ok(Vec::new());
    }
    let (workspace, mine) = (workspace.to_owned(), tenant.clone());
    let documents: Vec<Document> =
        in_background(move || list(&workspace, &mine)).await?.into_iter().map(|row| row.document).collect();
    let each: Vec<Features> = past.iter().map(|other| features(other, about(&documents, other))).collect();
    let found = likest(&features(incident, about(&documents, incident)), past.iter().zip(&each));
    let records = state.action_records(tenant).await.map_err(failed("read what became of actions"))?;
    let mut similar = Vec::with_capacity(found.len());
    for (other, similarity, shared) in found {
        let timeline = state.timeline_entries(tenant, other.id).await.map_err(failed("read the timeline"))?;
        similar.push(Similar {
            incident: other.id,
            title: other.title.clone(),
            severity: other.severity,
            opened_at: other.opened_at,
            similarity: (similarity * 1_000.0).round() / 1_000.0,
            shared: shared.iter().map(super::Feature::words).collect(),
            mitigation: mitigation(other, &timeline),
            cause: other.response.cause.clone(),
            postmortems: about(&documents, other).map(|document| document.front.id.clone()).collect(),
            actions: about(&documents, other).flat_map(|document| actions(document, &records)).collect(),
        });
    }
    Ok(similar)
}

/// The documents that name an incident.
fn about<'a>(documents: &'a [Document], incident: &Incident) -> impl Iterator<Item = &'a Document> {
    let id = incident.id;
    documents.iter().filter(move |document| document.front.incidents.contains(&id))
}

/// What people said they did; else what came back just before it was over, as after a rollback.
fn mitigation(incident: &Incident, timeline: &[TimelineEntry]) -> Vec<String> {
    let told = |entry: &&TimelineEntry| entry.row.state != TimelineState::Dismissed.as_str();
    let said = timeline.iter().filter(told).filter(|entry| entry.row.source == TimelineSource::Human);
    let said: Vec<String> =
        said.filter_map(|entry| entry.row.text.strip_prefix(MITIGATED).map(str::to_owned)).collect();
    if !said.is_empty() {
        return said;
    }
    let over = incident.times.mitigated.or(incident.times.resolved);
    let Some((from, over)) = incident.times.impact_start.zip(over) else { return Vec::new() };
    let until = over.saturating_add(BACK_AFTER).unwrap_or(over);
    timeline
        .iter()
        .filter(told)
        .map(|entry| &entry.row)
        .filter(|row| row.kind == TimelineKind::Change && row.text.contains(" is back "))
        .filter(|row| row.at >= from && row.at <= until)
        .map(|row| row.text.clone())
        .collect()
}

fn actions(document: &Document, records: &BTreeMap<ActionKey, ActionRecord>) -> Vec<PastAction> {
    let postmortem = &document.front.id;
    let is_restricted = document.front.visibility == Visibility::Restricted;
    let items = document.actions().map(|table| table.items).unwrap_or_default();
    items
        .into_iter()
        .map(|item| {
            let key = ActionKey { postmortem: postmortem.clone(), item: item.id.clone() };
            let standing = standing(&item, &records.get(&key).cloned().unwrap_or_default());
            PastAction {
                postmortem: postmortem.clone(),
                id: item.id,
                action: if is_restricted { String::new() } else { item.action },
                status: standing.status.as_str().to_owned(),
            }
        })
        .collect()
}

fn failed(doing: &'static str) -> impl FnOnce(hindsight_state::Error) -> Error {
    move |source| Error::State { doing, source }
}
