//! `/review`: what a meeting about incidents looks at (how long phases took, what came again, which actions are
//! owed); and `/patterns`: everything that came again.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use hindsight_incidents::phases;
use hindsight_model::{Clearance, Tenant};
use hindsight_postmortem::chart::{DotRow, duration_dots, shorten};
use hindsight_postmortem::recurrence::{Recurrence, Recurring, recurrence};
use hindsight_postmortem::{Document, Lacking};

use super::actions::{Debt, ItemView, debt, debt_words, items, view};
use super::frame::{Frame, PageError, html};
use super::lists::listed;
use crate::app::App;
use crate::lacking::lacking;

/// Incidents drawn: the latest ones.
const INCIDENTS_MAX: usize = 200;
/// Recurring things listed on the review page.
const RECURRING_MAX: usize = 6;
/// Incidents without a post-mortem listed.
const LACKING_MAX: usize = 50;
/// Characters of the reason with which one was closed.
const REASON_CHARS_MAX: usize = 200;
/// Actions listed.
const ACTIONS_MAX: usize = 100;

#[derive(Template)]
#[template(path = "patterns.html")]
struct PatternsPage {
    frame: Frame,
    documents: usize,
    sentence: String,
    groups: Vec<(&'static str, &'static str, Vec<RecurringView>)>,
}

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage {
    frame: Frame,
    sentence: String,
    incidents: usize,
    chart: String,
    recurring: Vec<RecurringView>,
    debt: Debt,
    owed: Vec<ItemView>,
    lacking_sentence: String,
    lacking: Vec<LackingView>,
    lacking_hidden: usize,
}

/// An incident without a post-mortem, ready to print.
struct LackingView {
    incident: String,
    title: String,
    severity: &'static str,
    resolved: String,
    is_late: bool,
    why: String,
}

struct RecurringView {
    name: String,
    counts: [usize; 3],
    is_systemic: bool,
    last: String,
    means: &'static str,
    documents: Vec<String>,
}

pub(crate) async fn patterns(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
) -> Result<Response<Body>, PageError> {
    let documents = documents(&app, clearance).await?;
    let found = recurrence(&documents, app.clock.now());
    let groups = vec![
        ("patterns", "Patterns", views(&found.patterns)),
        ("services", "Services", views(&found.services)),
        ("triggers", "What set it off", views(&found.triggers)),
    ];
    Ok(html(&PatternsPage {
        frame: Frame::new("Patterns", "patterns"),
        documents: found.documents,
        sentence: recurrence_words(&found),
        groups,
    }))
}

pub(crate) async fn review(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
) -> Result<Response<Body>, PageError> {
    let now = app.clock.now();
    let mut incidents = app.state.incidents(&Tenant::default()).await?;
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.opened_at));
    incidents.truncate(INCIDENTS_MAX);
    let rows: Vec<DotRow> = phases(&incidents)
        .into_iter()
        .map(|phase| DotRow {
            name: phase.name.to_owned(),
            meaning: phase.meaning.to_owned(),
            points: phase
                .points
                .into_iter()
                .map(|(id, seconds)| (id.to_string(), seconds, format!("/incidents/{id}")))
                .collect(),
            median: phase.median,
            p90: phase.p90,
        })
        .collect();
    let documents = documents(&app, clearance).await?;
    let found = recurrence(&documents, now);
    let items = items(&app, clearance).await?;
    let lacking = lacking(&app).await.map_err(|error| PageError::internal(&error))?;
    let debt = debt(&items);
    let owed = items.iter().filter(|item| item.standing.is_open()).take(ACTIONS_MAX).map(view).collect();
    Ok(html(&ReviewPage {
        frame: Frame::new("Incident review", "review"),
        sentence: debt_words(debt),
        incidents: incidents.len(),
        chart: duration_dots("phases", "How long each phase took", &rows),
        recurring: views(&found.patterns).into_iter().take(RECURRING_MAX).collect(),
        debt,
        owed,
        lacking_sentence: lacking_words(&lacking),
        lacking_hidden: lacking.len().saturating_sub(LACKING_MAX),
        lacking: lacking.iter().take(LACKING_MAX).map(lacking_view).collect(),
    }))
}

fn lacking_words(lacking: &[Lacking]) -> String {
    let required = lacking.iter().filter(|one| !one.because.is_empty()).count();
    let incidents =
        if lacking.len() == 1 { "1 incident".to_owned() } else { format!("{} incidents", lacking.len()) };
    match (lacking.len(), required) {
        (0, _) => "Every incident that is over has its post-mortem, or a reason for having none.".to_owned(),
        (_, 0) => format!("{incidents} without a post-mortem, where a reason for having none is enough."),
        (all, some) if all == some => format!("{incidents} without the post-mortem that is due."),
        (_, some) => format!("{incidents} without a post-mortem; {some} of them may not go without."),
    }
}

fn lacking_view(one: &Lacking) -> LackingView {
    let why = match (one.because.is_empty(), &one.closed_without) {
        (true, _) => "a reason is enough".to_owned(),
        (false, None) => one.because.join(", "),
        (false, Some(reason)) => {
            format!("{}; closed without: {}", one.because.join(", "), shorten(reason, REASON_CHARS_MAX))
        }
    };
    LackingView {
        incident: one.incident.to_string(),
        title: one.title.clone(),
        severity: one.severity.as_str(),
        resolved: one.resolved_at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        is_late: one.is_late,
        why,
    }
}

async fn documents(app: &App, clearance: Clearance) -> Result<Vec<Arc<Document>>, PageError> {
    let listed = listed(app, clearance).await?;
    Ok(listed.into_iter().map(|row| row.document).collect())
}

fn views(found: &[Recurring]) -> Vec<RecurringView> {
    let view = |one: &Recurring| RecurringView {
        name: one.name.clone(),
        counts: one.counts,
        is_systemic: one.is_systemic(),
        last: one.last.strftime("%Y-%m-%d").to_string(),
        means: one.means.unwrap_or_default(),
        documents: one.documents.clone(),
    };
    found.iter().map(view).collect()
}

fn recurrence_words(found: &Recurrence) -> String {
    let systemic: Vec<&str> =
        found.patterns.iter().filter(|one| one.is_systemic()).map(|one| one.name.as_str()).collect();
    match (found.documents, systemic.is_empty()) {
        (0, _) => "No post-mortem of the last year says what came again.".to_owned(),
        (_, true) => "No pattern came three times within 90 days.".to_owned(),
        (_, false) => format!("Systemic, three times or more within 90 days: {}.", systemic.join(", ")),
    }
}
