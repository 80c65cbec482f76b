//! `/review`: what a meeting about incidents looks at (how long phases took, what came again, which actions are
//! owed); and `/patterns`: everything that came again.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use hindsight_incidents::phases;
use hindsight_model::Tenant;
use hindsight_postmortem::Document;
use hindsight_postmortem::chart::{DotRow, duration_dots};
use hindsight_postmortem::document::ActionStatus;
use hindsight_postmortem::recurrence::{Recurrence, Recurring, recurrence};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::frame::{Frame, PageError, html};
use super::lists::listed;
use crate::app::App;

/// Incidents drawn: the latest ones.
const INCIDENTS_MAX: usize = 200;
/// Recurring things listed on the review page.
const RECURRING_MAX: usize = 6;
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
}

struct RecurringView {
    name: String,
    counts: [usize; 3],
    is_systemic: bool,
    last: String,
    means: &'static str,
    documents: Vec<String>,
}

/// Actions that are owed.
#[derive(Default)]
struct Debt {
    open: usize,
    overdue: usize,
    unverified: usize,
    rows: Vec<ActionView>,
}

struct ActionView {
    postmortem: String,
    id: String,
    action: String,
    owner: String,
    due: String,
    is_overdue: bool,
    status: &'static str,
}

pub(crate) async fn patterns(State(app): State<Arc<App>>) -> Result<Response<Body>, PageError> {
    let documents = documents(&app).await?;
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

pub(crate) async fn review(State(app): State<Arc<App>>) -> Result<Response<Body>, PageError> {
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
    let documents = documents(&app).await?;
    let found = recurrence(&documents, now);
    let debt = debt(&documents, now);
    Ok(html(&ReviewPage {
        frame: Frame::new("Incident review", "review"),
        sentence: debt_words(&debt),
        incidents: incidents.len(),
        chart: duration_dots("phases", "How long each phase took", &rows),
        recurring: views(&found.patterns).into_iter().take(RECURRING_MAX).collect(),
        debt,
    }))
}

async fn documents(app: &App) -> Result<Vec<Document>, PageError> {
    let listed = listed(app.config.workspace.value.clone()).await?;
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

/// Actions of all documents that are not done, nearest due date first, and how many were done without evidence.
fn debt(documents: &[Document], now: Timestamp) -> Debt {
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut debt = Debt::default();
    let mut rows: Vec<(Option<Date>, ActionView)> = Vec::new();
    for document in documents {
        for item in document.actions().map(|table| table.items).unwrap_or_default() {
            match item.status {
                ActionStatus::Verified | ActionStatus::WontDo => continue,
                ActionStatus::Done => {
                    debt.unverified += 1;
                    continue;
                }
                ActionStatus::Proposed | ActionStatus::Accepted | ActionStatus::InProgress => {}
            }
            let is_overdue = item.due.is_some_and(|due| due < today);
            debt.open += 1;
            debt.overdue += usize::from(is_overdue);
            let view = ActionView {
                postmortem: document.front.id.clone(),
                id: item.id,
                action: hindsight_postmortem::chart::shorten(&item.action, 200),
                owner: item.owner,
                due: item.due.map_or_else(|| "no date".to_owned(), |due| due.to_string()),
                is_overdue,
                status: item.status.as_str(),
            };
            rows.push((item.due, view));
        }
    }
    rows.sort_by_key(|(due, _)| (due.is_none(), *due));
    debt.rows = rows.into_iter().take(ACTIONS_MAX).map(|(_, view)| view).collect();
    debt
}

fn debt_words(debt: &Debt) -> String {
    let items = |count: usize| if count == 1 { "1 action".to_owned() } else { format!("{count} actions") };
    match (debt.open, debt.overdue, debt.unverified) {
        (0, _, 0) => "No action is owed.".to_owned(),
        (0, _, unverified) => format!("{} done and not verified.", items(unverified)),
        (open, 0, _) => format!("{} open, none overdue.", items(open)),
        (open, overdue, _) => format!("{} open, {overdue} overdue.", items(open)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_owed_comes_by_due_date_and_says_what_is_late() {
        let text = "---\nschema: hindsight/postmortem/v1\nid: PM-2026-001\nincidents: [INC-1]\ntitle: t\n\
             status: draft\nseverity: SEV2\ntimezone: UTC\ntimes: {}\nservices: []\n---\n\n## Action items\n\n\
             | id | action | owner | due | priority | lesson | why | tracker | verify | status |\n\
             |----|--------|-------|-----|----------|--------|-----|---------|--------|--------|\n\
             | A1 | later | ana | 2026-06-01 | high | L1 | 1.5 | | | accepted |\n\
             | A2 | late | ben | 2026-05-01 | low | L1 | 1.5 | | | proposed |\n\
             | A3 | done | cy | 2026-05-01 | low | L1 | 1.5 | | | done |\n\
             | A4 | shown | cy | 2026-05-01 | low | L1 | 1.5 | | | verified |\n\
             | A5 | some day | dee | | low | L1 | 1.5 | | | in_progress |\n";
        let document = Document::parse(text, Path::new("postmortem.md")).unwrap();
        let debt = debt(&[document], "2026-05-20T00:00:00Z".parse().unwrap());
        let ids: Vec<(&str, bool)> = debt.rows.iter().map(|row| (row.id.as_str(), row.is_overdue)).collect();
        assert_eq!(ids, [("A2", true), ("A1", false), ("A5", false)]);
        assert_eq!((debt.open, debt.overdue, debt.unverified), (3, 1, 1));
        assert_eq!(debt_words(&debt), "3 actions open, 1 overdue.");
    }
}
