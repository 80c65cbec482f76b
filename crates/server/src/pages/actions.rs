//! `/actions`: every action item of every post-mortem, what people say of it and what its evidence says.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::Response;
use axum::{Extension, Form};
use hindsight_model::{ActionKey, Clearance, Tenant};
use hindsight_postmortem::ActionRow;
use hindsight_postmortem::actions::{Standing, standing};
use hindsight_postmortem::chart::shorten;
use hindsight_postmortem::document::ActionStatus;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::frame::{Frame, PageError, html, see_other};
use crate::actions::{Which, Words, rows, say, verify};
use crate::app::App;

/// Rows printed of one group.
const ROWS_MAX: usize = 200;
/// Characters of a text from a document or of evidence.
const TEXT_CHARS_MAX: usize = 300;

/// An action item and how it stands.
pub(super) struct Item {
    pub(super) row: ActionRow,
    pub(super) standing: Standing,
    /// Whole days since its last day, when it is open and that day is over.
    pub(super) overdue: Option<i32>,
}

/// How many items stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Debt {
    pub(super) open: usize,
    pub(super) overdue: usize,
    pub(super) unverified: usize,
}

/// A row, ready to print.
pub(super) struct ItemView {
    pub(super) postmortem: String,
    pub(super) id: String,
    pub(super) action: String,
    pub(super) owner: String,
    pub(super) due: String,
    pub(super) overdue: Option<i32>,
    pub(super) status: &'static str,
    pub(super) class: &'static str,
    pub(super) verify: String,
    /// What was seen, and when.
    pub(super) evidence: Option<(String, String)>,
    pub(super) reason: Option<String>,
}

#[derive(Template)]
#[template(path = "actions.html")]
struct ActionsPage {
    frame: Frame,
    sentence: String,
    said: Option<String>,
    is_empty: bool,
    groups: Vec<Group>,
}

struct Group {
    id: &'static str,
    heading: &'static str,
    rows: Vec<ItemView>,
    hidden: usize,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct ActionsQuery {
    done: Option<String>,
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    Query(query): Query<ActionsQuery>,
) -> Result<Response<Body>, PageError> {
    let items = items(&app, clearance).await?;
    let said = match query.done.as_deref() {
        Some("verified") => Some("Looked at all evidence just now.".to_owned()),
        Some(key) => key.parse::<ActionKey>().ok().map(|key| format!("Written down for {key}.")),
        None => None,
    };
    let groups = [
        ("open", "Open", &[ActionStatus::Proposed, ActionStatus::Accepted, ActionStatus::InProgress][..]),
        ("done", "Done, not shown by evidence", &[ActionStatus::Done]),
        ("verified", "Verified by evidence", &[ActionStatus::Verified]),
        ("wont-do", "Will not be done", &[ActionStatus::WontDo]),
    ];
    let groups = groups.into_iter().map(|(id, heading, statuses)| {
        let mut rows: Vec<ItemView> =
            items.iter().filter(|item| statuses.contains(&item.standing.status)).map(view).collect();
        let hidden = rows.len().saturating_sub(ROWS_MAX);
        rows.truncate(ROWS_MAX);
        Group { id, heading, rows, hidden }
    });
    Ok(html(&ActionsPage {
        frame: Frame::new("Actions", "actions"),
        sentence: debt_words(debt(&items)),
        said,
        is_empty: items.is_empty(),
        groups: groups.filter(|group| !group.rows.is_empty()).collect(),
    }))
}

/// Every item that a reader may see, those due first in front, those without a date last.
pub(super) async fn items(app: &App, clearance: Clearance) -> Result<Vec<Item>, PageError> {
    let rows = rows(app, clearance).await.map_err(PageError::from_api)?;
    let records = app.state.action_records(&Tenant::default()).await?;
    let stand = |row: &ActionRow| standing(&row.item, &records.get(&row.key()).cloned().unwrap_or_default());
    let items = rows.into_iter().map(|row| (stand(&row), row)).collect();
    Ok(sorted(items, app.clock.now()))
}

fn sorted(items: Vec<(Standing, ActionRow)>, now: Timestamp) -> Vec<Item> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let item = |(standing, row): (Standing, ActionRow)| {
        let overdue = standing.days_overdue(row.item.due, today);
        Item { row, standing, overdue }
    };
    let mut items: Vec<Item> = items.into_iter().map(item).collect();
    items.sort_by_key(|item| (item.row.item.due.is_none(), item.row.item.due, item.row.key()));
    items
}

pub(super) fn debt(items: &[Item]) -> Debt {
    let count = |is: &dyn Fn(&Item) -> bool| items.iter().filter(|item| is(item)).count();
    Debt {
        open: count(&|item| item.standing.is_open()),
        overdue: count(&|item| item.overdue.is_some()),
        unverified: count(&|item| item.standing.status == ActionStatus::Done),
    }
}

pub(super) fn debt_words(debt: Debt) -> String {
    let items = |count: usize| if count == 1 { "1 action".to_owned() } else { format!("{count} actions") };
    match debt {
        Debt { open: 0, unverified: 0, .. } => "No action is owed.".to_owned(),
        Debt { open: 0, unverified, .. } => format!("{} done and not verified.", items(unverified)),
        Debt { open, overdue: 0, .. } => format!("{} open, none overdue.", items(open)),
        Debt { open, overdue, .. } => format!("{} open, {overdue} overdue.", items(open)),
    }
}

pub(super) fn view(item: &Item) -> ItemView {
    let (row, standing) = (&item.row, &item.standing);
    let check = standing.check.as_ref();
    ItemView {
        postmortem: row.postmortem.clone(),
        id: row.item.id.clone(),
        action: shorten(&row.item.action, TEXT_CHARS_MAX),
        owner: shorten(&row.item.owner, TEXT_CHARS_MAX),
        due: row.item.due.map_or_else(|| "no date".to_owned(), |due| due.to_string()),
        overdue: item.overdue,
        status: match standing.status {
            ActionStatus::InProgress => "in progress",
            ActionStatus::WontDo => "won't do",
            status => status.as_str(),
        },
        class: match standing.status {
            ActionStatus::Verified => "ok",
            _ if item.overdue.is_some() => "bad",
            ActionStatus::Done => "warn",
            _ => "unknown",
        },
        verify: shorten(&row.item.verify, TEXT_CHARS_MAX),
        evidence: check.map(|check| {
            let at = check.checked_at.strftime("%Y-%m-%d %H:%M UTC").to_string();
            (shorten(&check.evidence, TEXT_CHARS_MAX), at)
        }),
        reason: standing.reason.as_deref().map(|reason| shorten(reason, TEXT_CHARS_MAX)),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct SayForm {
    author: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    approver: String,
}

/// Writes down what a person says of an item, beside its document.
pub(crate) async fn say_of(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
    Path((postmortem, item)): Path<(String, String)>,
    Form(form): Form<SayForm>,
) -> Result<Response<Body>, PageError> {
    let key = ActionKey { postmortem, item };
    let given = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let words = Words {
        author: form.author.trim().to_owned(),
        status: form.status,
        reason: given(form.reason),
        approver: given(form.approver),
    };
    say(&app, &key, words, clearance).await.map_err(PageError::from_api)?;
    Ok(see_other(&format!("/actions?done={key}")))
}

/// Looks at all evidence now.
pub(crate) async fn verify_all(
    State(app): State<Arc<App>>,
    Extension(clearance): Extension<Clearance>,
) -> Result<Response<Body>, PageError> {
    verify(&app, Which::All, clearance).await.map_err(PageError::from_api)?;
    Ok(see_other("/actions?done=verified"))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use hindsight_model::ActionRecord;
    use hindsight_postmortem::Document;
    use hindsight_postmortem::document::Visibility;

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
             | A5 | some day | dee | | low | L1 | 1.5 | | | in_progress |\n";
        let document = Document::parse(text, Path::new("postmortem.md")).unwrap();
        let row = |item| ActionRow {
            postmortem: "PM-2026-001".to_owned(),
            path: PathBuf::new(),
            visibility: Visibility::Internal,
            item,
        };
        let rows = document.actions().unwrap().items.into_iter().map(row);
        let stands = rows.map(|row| (standing(&row.item, &ActionRecord::default()), row)).collect();
        let items = sorted(stands, "2026-05-20T00:00:00Z".parse().unwrap());
        let seen: Vec<(String, Option<i32>)> =
            items.iter().map(view).map(|view| (view.id, view.overdue)).collect();
        let named = |id: &str, overdue| (id.to_owned(), overdue);
        assert_eq!(seen, [named("A2", Some(19)), named("A3", None), named("A1", None), named("A5", None)]);
        assert_eq!(debt(&items), Debt { open: 3, overdue: 1, unverified: 1 });
        assert_eq!(debt_words(debt(&items)), "3 actions open, 1 overdue.");
    }
}
