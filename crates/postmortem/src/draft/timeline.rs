use std::collections::BTreeMap;

use hindsight_model::{SqlSource, TimelineKind, TimelineRow, TimelineSource};
use jiff::{SignedDuration, Timestamp};

use super::DraftInput;
use super::book::Book;
use super::facts::{Entry, Facts};
use super::words::{code, minute, plain, quoting};
use crate::chart::shorten;
use crate::evidence::EvidenceSpec;

/// Rows of the incident's timeline that a draft writes down; the latest beyond that are left out with a warning.
const MAX_ROWS: usize = 120;
/// Rows whose own SQL is frozen.
const MAX_ROW_EVIDENCE: usize = 24;
/// A row this near a milestone of its kind is that milestone.
const NEAR: SignedDuration = SignedDuration::from_secs(90);
/// A longer silence gets a row that asks about it.
const LONG_SILENCE: SignedDuration = SignedDuration::from_mins(10);

/// The rows of the draft's timeline: milestones first among equals, silences asked about, nothing before the trigger.
pub(super) async fn entries(
    input: &DraftInput<'_>,
    facts: &Facts,
    sql: &dyn SqlSource,
    book: &mut Book,
) -> Vec<Entry> {
    let mut rows: Vec<&TimelineRow> = input.timeline.iter().filter(|row| row.state != "dismissed").collect();
    rows.sort_by_key(|row| row.at);
    let (mut entries, used) = milestones(input, facts, &rows);
    let first = facts.window.start;
    let mut others: Vec<&TimelineRow> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        if !used.contains(&index) && row.at >= first {
            others.push(row);
        }
    }
    if others.len() > MAX_ROWS {
        tracing::warn!(
            rows = others.len(),
            limit = MAX_ROWS,
            "the draft's timeline leaves out the latest rows"
        );
        others.truncate(MAX_ROWS);
    }
    entries.extend(others.into_iter().map(|row| (entry(row), row.sql.clone())));
    entries.sort_by_key(|(entry, _)| (entry.at, !entry.milestone));
    let cited = cite(facts, entries, sql, book).await;
    with_silences(cited, facts)
}

type Pending = (Entry, Option<String>);

/// The milestones with the words of the rows that tell of them, and which rows those were.
fn milestones(input: &DraftInput<'_>, facts: &Facts, rows: &[&TimelineRow]) -> (Vec<Pending>, Vec<usize>) {
    let mut used = Vec::new();
    let mut entries = Vec::new();
    for (kind, at) in facts.times.named() {
        let Some(at) = at else { continue };
        let near = |row: &TimelineRow| row.at.duration_since(at).abs() <= NEAR && tells_of(row, kind);
        let found = (0..rows.len()).find(|index| !used.contains(index) && near(rows[*index]));
        used.extend(found);
        let row = found.map(|index| rows[index]);
        let text = row.map_or_else(|| default_text(kind, input, facts), |row| quoting(&row.text));
        let human = row.is_some_and(|row| row.source == TimelineSource::Human);
        let entry = Entry { at, kind: kind.to_owned(), milestone: true, human, text, evidence: None };
        entries.push((entry, row.and_then(|row| row.sql.clone())));
    }
    if facts.times.trigger.is_none() {
        let text = "What set it off is not known yet; the impact began here".to_owned();
        let at = facts.window.impact_start;
        let entry = Entry { at, kind: "trigger".into(), milestone: true, human: false, text, evidence: None };
        entries.insert(0, (entry, None));
    }
    (entries, used)
}

fn tells_of(row: &TimelineRow, milestone: &str) -> bool {
    let says = |word: &str| row.text.to_ascii_lowercase().contains(word);
    match milestone {
        "trigger" => matches!(row.kind, TimelineKind::Trigger | TimelineKind::Change),
        "impact_start" => row.kind == TimelineKind::Onset,
        "detected" => {
            row.kind == TimelineKind::Alert && (says("fires") || says("firing"))
                || row.kind == TimelineKind::Milestone && says("detect")
        }
        "cause_identified" => row.kind == TimelineKind::Milestone && says("cause"),
        word => row.kind == TimelineKind::Milestone && says(&word[..word.len() - 2]),
    }
}

fn default_text(kind: &str, input: &DraftInput<'_>, facts: &Facts) -> String {
    let service = code(&facts.primary);
    match kind {
        "trigger" => facts.change.as_ref().map_or_else(
            || "The earliest change seen before the impact".to_owned(),
            |(change, _)| {
                format!("{} of {}", plain(change), code(facts.suspect.as_deref().unwrap_or(&facts.primary)))
            },
        ),
        "impact_start" => format!("Error rate of {service} leaves what was normal"),
        "detected" => "First alert of the incident fires".to_owned(),
        "acknowledged" => "Somebody takes the incident".to_owned(),
        "cause_identified" => "The cause is identified".to_owned(),
        "mitigated" => "Customers are no longer hurt".to_owned(),
        _ => format!("{} is resolved", input.incident.id),
    }
}

fn entry(row: &TimelineRow) -> Entry {
    let kind = match row.kind {
        // Exactly one row is the trigger, and onsets of other indicators are change points (TL1).
        TimelineKind::Trigger => "change",
        TimelineKind::Onset => "change_point",
        kind => kind.as_str(),
    };
    Entry {
        at: row.at,
        kind: kind.to_owned(),
        milestone: false,
        human: row.source == TimelineSource::Human,
        text: quoting(&row.text),
        evidence: None,
    }
}

/// Gives each system row its evidence: its own SQL frozen, or the evidence that shows its kind.
async fn cite(facts: &Facts, rows: Vec<Pending>, sql: &dyn SqlSource, book: &mut Book) -> Vec<Entry> {
    let mut frozen = 0;
    let mut entries = Vec::new();
    for (mut entry, own) in rows {
        let general = general_evidence(facts, &entry.kind);
        if let Some(own) = own
            && general.is_none()
            && frozen < MAX_ROW_EVIDENCE
        {
            entry.evidence = freeze_row(facts, &entry, own, sql, book).await;
            frozen += 1;
        }
        if !entry.human || entry.evidence.is_some() {
            entry.evidence = entry.evidence.or(general).or_else(|| Some(facts.error_rate.id.clone()));
        }
        entries.push(entry);
    }
    entries
}

/// Evidence that already shows this kind of row.
fn general_evidence(facts: &Facts, kind: &str) -> Option<String> {
    let id = |evidence: &Option<crate::Evidence>| evidence.as_ref().map(|evidence| evidence.id.clone());
    match kind {
        "alert" | "detected" | "notification" | "resolved" => id(&facts.alerts),
        "slo" => id(&facts.slo),
        "impact_start" | "mitigated" => Some(facts.error_rate.id.clone()),
        _ => None,
    }
}

async fn freeze_row(
    facts: &Facts,
    entry: &Entry,
    own: String,
    sql: &dyn SqlSource,
    book: &mut Book,
) -> Option<String> {
    let spec = EvidenceSpec {
        id: String::new(),
        title: format!("Timeline {}: {}", minute(entry.at, &facts.zone), shorten(&entry.text, 80)),
        caption: "Shows the telemetry behind one row of the timeline.".to_owned(),
        sql: own,
        params: BTreeMap::new(),
        from: facts.window.from,
        to: facts.window.to,
        chart: None,
    };
    match book.ask(sql, spec).await {
        Ok(evidence) => book.keep(evidence).map(|evidence| evidence.id),
        Err(error) => {
            tracing::warn!(error = %error, "a timeline row's SQL gave no evidence");
            None
        }
    }
}

/// A silence of more than ten minutes is a question for people, so it gets a row that asks.
fn with_silences(entries: Vec<Entry>, facts: &Facts) -> Vec<Entry> {
    let mut out: Vec<Entry> = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(before) = out.last().map(|entry| entry.at)
            && entry.at.duration_since(before) > LONG_SILENCE
        {
            out.push(silence(before, entry.at, facts));
        }
        out.push(entry);
    }
    out
}

fn silence(from: Timestamp, to: Timestamp, facts: &Facts) -> Entry {
    let text = format!(
        "Nothing new in telemetry until {}; what did people see, try and decide meanwhile?",
        minute(to, &facts.zone)
    );
    Entry {
        at: from,
        kind: "gap".into(),
        milestone: false,
        human: false,
        text,
        evidence: Some(facts.error_rate.id.clone()),
    }
}
