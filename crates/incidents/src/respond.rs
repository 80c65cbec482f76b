//! What people do with incidents and timelines, carried out: read, decide, save with the audit log.

use std::collections::BTreeSet;

use hindsight_model::{
    Incident, IncidentId, NewTimelineRow, TimelineChange, TimelineEdit, TimelineEntry, TimelineKind,
    TimelineRow, TimelineSource, TimelineState,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::runner::{Runner, checked, state};
use crate::step::{Step, merge, take};
use crate::{Error, PostmortemFact, Result, ends_with_its_postmortem};

/// Longest text of a row that a person writes, in characters.
pub(crate) const NOTE_CHARS_MAX: usize = 8_000;
/// Longest name or role in characters.
const NAME_CHARS_MAX: usize = 200;
/// Most rows that one call adds.
pub const ROWS_ADDED_MAX: usize = 2_000;
/// Who closes an incident with its post-mortem, in the audit log.
const PROGRAM: &str = "hindsight";

/// Who does something, and when: `at` is when it happened, `now` when it is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// Role or name.
    pub author: String,
    /// When it happened.
    pub at: Timestamp,
    /// When it is said.
    pub now: Timestamp,
}

/// Rows that were added, and how many were there already.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Added {
    /// How many rows are new.
    pub added: usize,
    /// How many a person had written before with the same time and text.
    pub known: usize,
}

impl Runner {
    /// Takes a step in a person's name: incident, timeline row and audit log in one transaction. A step that changes
    /// nothing is no error and leaves no trace.
    ///
    /// # Errors
    /// [`Error::UnknownIncident`], [`Error::Refused`], [`Error::Text`], [`Error::Future`], or [`Error::State`] when it
    /// cannot be saved.
    pub async fn respond(
        &self,
        id: IncidentId,
        step: &Step,
        by: &By,
        postmortems: &[PostmortemFact],
    ) -> Result<Incident> {
        let by = ready(by)?;
        let _no_tick_meanwhile = self.analysed.lock().await;
        self.taken(id, step, &by, postmortems).await
    }

    /// Says that `source` is part of `target`.
    ///
    /// # Errors
    /// As [`Runner::respond`].
    pub async fn merge(
        &self,
        source: IncidentId,
        target: IncidentId,
        reason: &str,
        by: &By,
    ) -> Result<Incident> {
        let by = ready(by)?;
        let _no_tick_meanwhile = self.analysed.lock().await;
        let before = self.incident(source).await?;
        if before.response.duplicate_of == Some(target) {
            return Ok(before);
        }
        let (gone, stays) = merge(&before, &self.incident(target).await?, reason)?;
        let told = |text: String| TimelineChange::adding(said(by.at, TimelineKind::Note, text, &by.author));
        let saves = [
            (gone.clone(), told(format!("merged into {target}: {reason}"))),
            (stays, told(format!("{source} merged into this incident: {reason}"))),
        ];
        let detail = json!({"into": target, "reason": reason});
        let entry = self.entry(&by.author, "incident.merge", source, &detail);
        self.state.change_incidents(&saves, &entry, by.now).await.map_err(state("merge the incidents"))?;
        Ok(gone)
    }

    /// Closes the incidents that are over and whose post-mortems all are closed; returns them.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn close_finished(
        &self,
        postmortems: &[PostmortemFact],
        now: Timestamp,
    ) -> Result<Vec<IncidentId>> {
        let _no_tick_meanwhile = self.analysed.lock().await;
        let mut closed = Vec::new();
        let by = By { author: PROGRAM.to_owned(), at: now, now };
        for incident in self.stored().await? {
            if ends_with_its_postmortem(&incident, postmortems) {
                self.taken(incident.id, &Step::Close { without_postmortem: None }, &by, postmortems).await?;
                closed.push(incident.id);
            }
        }
        Ok(closed)
    }

    /// Adds rows that people wrote; those that a person wrote before, with the same time and text, are passed over.
    ///
    /// # Errors
    /// As [`Runner::respond`].
    pub async fn add_rows(
        &self,
        id: IncidentId,
        rows: Vec<NewTimelineRow>,
        author: &str,
        action: &str,
        now: Timestamp,
    ) -> Result<Added> {
        let author = checked("the author", author, NAME_CHARS_MAX)?;
        if rows.is_empty() || rows.len() > ROWS_ADDED_MAX {
            return Err(Error::Rows { max: ROWS_ADDED_MAX });
        }
        let _no_tick_meanwhile = self.analysed.lock().await;
        let incident = self.incident(id).await?;
        let stored = self.entries(id).await?;
        let human = stored.iter().filter(|entry| entry.row.source == TimelineSource::Human);
        let mut known: BTreeSet<(Timestamp, String)> =
            human.flat_map(|e| [(e.row.at, e.row.text.clone()), first(e)]).collect();
        let given = rows.len();
        let mut change = TimelineChange::default();
        for mut new in rows {
            not_after(new.row.at, now)?;
            new.row.text = checked("the text", &new.row.text, NOTE_CHARS_MAX)?;
            let role =
                new.role.as_deref().map(|role| checked("the role", role, NAME_CHARS_MAX)).transpose()?;
            new.role = role;
            if known.insert((new.row.at, new.row.text.clone())) {
                change.added.push(new);
            }
        }
        let added = change.added.len();
        if added > 0 {
            let detail = match change.added.as_slice() {
                [one] => json!({"at": one.row.at, "text": one.row.text}),
                many => json!({"rows": many.len()}),
            };
            self.changed(incident, change, &author, action, &detail, now).await?;
        }
        Ok(Added { added, known: given - added })
    }

    /// Accepts, dismisses or edits a row, and returns it as it is then.
    ///
    /// # Errors
    /// [`Error::UnknownRow`], and as [`Runner::respond`].
    pub async fn edit_row(
        &self,
        id: IncidentId,
        mut edit: TimelineEdit,
        now: Timestamp,
    ) -> Result<TimelineEntry> {
        edit.author = checked("the author", &edit.author, NAME_CHARS_MAX)?;
        edit.text = edit.text.as_deref().map(|text| checked("the text", text, NOTE_CHARS_MAX)).transpose()?;
        if let Some(at) = edit.at {
            not_after(at, now)?;
        }
        let _no_tick_meanwhile = self.analysed.lock().await;
        let incident = self.incident(id).await?;
        let row = edit.id;
        let find = |entries: Vec<TimelineEntry>| {
            entries.into_iter().find(|entry| entry.id == row).ok_or(Error::UnknownRow { id, row })
        };
        let before = find(self.entries(id).await?)?;
        let is_news = edit.state.is_some_and(|state| state.as_str() != before.row.state)
            || edit.at.is_some_and(|at| at != before.row.at)
            || edit.text.as_ref().is_some_and(|text| *text != before.row.text);
        if !is_news {
            return Ok(before);
        }
        let detail = json!({
            "row": row, "state": edit.state, "at": edit.at, "text": edit.text,
            "before": {"state": before.row.state, "at": before.row.at, "text": before.row.text},
        });
        let author = edit.author.clone();
        let change = TimelineChange { edited: vec![edit], ..TimelineChange::default() };
        self.changed(incident, change, &author, "timeline.edit", &detail, now).await?;
        find(self.entries(id).await?)
    }

    /// Looks at the telemetry again, also of an incident that is over: rows that came late are added, and what was
    /// dismissed stays so.
    ///
    /// # Errors
    /// [`Error::UnknownIncident`] and [`Error::State`]. Telemetry that cannot be read is logged and changes nothing.
    pub async fn gather_again(&self, id: IncidentId, now: Timestamp) -> Result<Vec<TimelineEntry>> {
        let _no_tick_meanwhile = self.analysed.lock().await;
        let incident = self.incident(id).await?;
        let (save, _) = self.followed(incident, now).await?;
        self.state.save_incidents(&[save], None).await.map_err(state("save the incident"))?;
        self.entries(id).await
    }

    async fn taken(
        &self,
        id: IncidentId,
        step: &Step,
        by: &By,
        postmortems: &[PostmortemFact],
    ) -> Result<Incident> {
        let before = self.incident(id).await?;
        let taken = take(&before, step, by.at, postmortems)?;
        if taken.incident == before {
            return Ok(before);
        }
        let detail = detail(step, &before, by.at);
        let change = taken.row.map_or_else(TimelineChange::default, |(kind, text)| {
            TimelineChange::adding(said(by.at, kind, text, &by.author))
        });
        self.changed(taken.incident.clone(), change, &by.author, step.action(), &detail, by.now).await?;
        Ok(taken.incident)
    }

    async fn changed(
        &self,
        incident: Incident,
        change: TimelineChange,
        author: &str,
        action: &str,
        detail: &Value,
        now: Timestamp,
    ) -> Result<()> {
        let entry = self.entry(author, action, incident.id, detail);
        self.state
            .change_incidents(&[(incident, change)], &entry, now)
            .await
            .map_err(state("save what a person changed"))
    }
}

/// A row in a person's words, accepted as it is.
pub fn said(at: Timestamp, kind: TimelineKind, text: String, author: &str) -> NewTimelineRow {
    let row = TimelineRow {
        at,
        kind,
        source: TimelineSource::Human,
        service: None,
        text,
        sql: None,
        state: TimelineState::Accepted.as_str().to_owned(),
    };
    NewTimelineRow { row, role: Some(author.to_owned()), author: Some(author.to_owned()) }
}

fn ready(by: &By) -> Result<By> {
    not_after(by.at, by.now)?;
    Ok(By { author: checked("the author", &by.author, NAME_CHARS_MAX)?, ..by.clone() })
}

fn not_after(at: Timestamp, now: Timestamp) -> Result<()> {
    if at > now { Err(Error::Future(at)) } else { Ok(()) }
}

fn first(entry: &TimelineEntry) -> (Timestamp, String) {
    let text = entry.original_text.as_ref().unwrap_or(&entry.row.text);
    (entry.original_at.unwrap_or(entry.row.at), text.clone())
}

/// What the audit log keeps of a step.
fn detail(step: &Step, before: &Incident, at: Timestamp) -> Value {
    match step {
        Step::Acknowledge | Step::Resolve => json!({"at": at, "from": before.status}),
        Step::Cause { text } => json!({"at": at, "text": text}),
        Step::Mitigate { text } => json!({"at": at, "text": text, "from": before.status}),
        Step::Reopen { reason } => json!({"reason": reason, "from": before.status}),
        Step::Close { without_postmortem } => json!({"without_postmortem": without_postmortem}),
        Step::Severity { severity, reason } => {
            json!({"from": before.severity, "to": severity, "reason": reason})
        }
        Step::Role { role, person } => {
            json!({"role": role, "person": person, "before": before.response.roles.get(role)})
        }
        Step::Time { milestone, at } => {
            json!({"time": milestone, "to": at, "before": before.times.get(*milestone)})
        }
    }
}
