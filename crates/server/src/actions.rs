//! Action items are verified by themselves: a task looks which are due, asks, and writes down what was seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hindsight_model::{
    ActionCheck, ActionKey, ActionRecord, ActionStatement, Clearance, Labels, SqlSource, Tenant,
};
use hindsight_postmortem::actions::{check, checked, standing};
use hindsight_postmortem::document::{ActionStatus, Visibility};
use hindsight_postmortem::{ActionRow, Library};
use hindsight_rules::OverdueActions;
use hindsight_state::{AuditEntry, State};
use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::api::ApiError;
use crate::app::App;
use crate::fault::chain;

/// How often the task looks which items are due.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long the result of a verification stands before it is looked at again, unless files change before.
const CHECK_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// Longest reason or name.
const WORDS_BYTES_MAX: usize = 2_000;

/// What is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Every item that has a condition.
    All,
    /// This one.
    One(ActionKey),
    /// Those that were not looked at for a while, have another condition now, or depend on files that changed.
    Due {
        /// Whether rule or SLO files changed.
        files_changed: bool,
    },
}

/// An item that was verified just now.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) key: ActionKey,
    pub(crate) action: String,
    pub(crate) status: ActionStatus,
    pub(crate) check: ActionCheck,
}

/// Verifies by itself until `stop`; what cannot be read is logged when it begins.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut version, mut failing) = (String::new(), false);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let now_in_force = app.rules().version.id.clone();
        let files_changed = now_in_force != version;
        let done = tokio::select! {
            () = stop.cancelled() => return,
            done = verify(&app, Which::Due { files_changed }, Clearance::Restricted) => done,
        };
        match done {
            Ok(_) => (version, failing) = (now_in_force, false),
            Err(error) if !failing => {
                tracing::error!(error = error.message, "action items could not be verified; trying again");
                failing = true;
            }
            Err(_) => {}
        }
    }
}

/// Verifies items of documents that whoever asks may see, and writes down what was seen.
///
/// # Errors
/// When the post-mortems or the state cannot be read or written, or there is no such item. A condition that cannot be
/// checked is no error but an outcome.
pub(crate) async fn verify(app: &App, which: Which, clearance: Clearance) -> Result<Vec<Verified>, ApiError> {
    // One at a time: the command and the task must not turn each other's results back.
    let _alone = app.verifying.lock().await;
    let tenant = Tenant::default();
    let rows = rows(app, clearance).await?;
    if let Which::One(key) = &which {
        let row = rows.iter().find(|row| row.key() == *key).ok_or_else(|| unknown(key))?;
        if row.item.verify.trim().is_empty() {
            let hint = "fill in the column `verify` of the document's table";
            return Err(ApiError::bad_request(format!("{key} has no condition to verify"), hint));
        }
    }
    let records = app.state.action_records(&tenant).await?;
    let (mut verified, mut refused) = (Vec::new(), None);
    for row in rows {
        let (key, now) = (row.key(), app.clock.now());
        let record = records.get(&key).cloned().unwrap_or_default();
        if !is_wanted(&which, &row, &record, now) {
            continue;
        }
        let sql: Arc<dyn SqlSource> = Arc::new(app.query.clone());
        let found = check(&row.item.verify, sql, &app.config.workspace.value, now).await;
        let before = record.check.as_ref();
        let check = checked(before, &row.item.verify, found, now);
        if before.is_some_and(|before| before.verified_at.is_some() && check.verified_at.is_none()) {
            tracing::warn!(item = %key, evidence = check.evidence, "an action item is open again: its evidence is gone");
        }
        if let Err(error) = app.state.save_action_check(&tenant, &key, &check).await {
            // One item that cannot be written down must not keep the others from being looked at.
            refused.get_or_insert(error);
            continue;
        }
        let record = ActionRecord { check: Some(check.clone()), ..record };
        let status = standing(&row.item, &record).status;
        verified.push(Verified { key, action: row.item.action, status, check });
    }
    refused.map_or(Ok(verified), |error| Err(error.into()))
}

fn is_wanted(which: &Which, row: &ActionRow, record: &ActionRecord, now: Timestamp) -> bool {
    let verify = row.item.verify.trim();
    if verify.is_empty() {
        return false;
    }
    match which {
        Which::All => true,
        Which::One(key) => row.key() == *key,
        Which::Due { files_changed } => record.check.as_ref().is_none_or(|check| {
            let asks_files = !verify.trim_start_matches('`').starts_with("sql");
            let age = now.duration_since(check.checked_at);
            check.verify != verify || (*files_changed && asks_files) || age >= CHECK_EVERY
        }),
    }
}

/// What a person says of an item.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) author: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) approver: Option<String>,
}

/// Writes down what a person says of an item, beside its document.
///
/// # Errors
/// When there is no such item, or the words do not fit: only evidence verifies, and what will not be done has a
/// reason and somebody who agreed.
pub(crate) async fn say(
    app: &App,
    key: &ActionKey,
    words: Words,
    clearance: Clearance,
) -> Result<ActionStatus, ApiError> {
    const HINT: &str =
        "a person says proposed, accepted, in_progress, done, or wont_do with `reason` and `approver`";
    let refuse = |problem: String| ApiError::bad_request(problem, HINT);
    let rows = rows(app, clearance).await?;
    let row = rows.into_iter().find(|row| row.key() == *key).ok_or_else(|| unknown(key))?;
    let status = ActionStatus::from_word(&words.status)
        .ok_or_else(|| refuse(format!("`{}` is not a status", words.status)))?;
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
    match status {
        ActionStatus::Verified => return Err(refuse(format!("{key} is verified by its evidence alone"))),
        ActionStatus::WontDo if !given(&words.reason) || !given(&words.approver) => {
            return Err(refuse(format!("{key} will not be done: say why, and who agreed")));
        }
        _ => {}
    }
    let texts = [Some(&words.author), words.reason.as_ref(), words.approver.as_ref()];
    if words.author.trim().is_empty() || texts.into_iter().flatten().any(|text| text.len() > WORDS_BYTES_MAX)
    {
        return Err(refuse(format!("`author`, `reason` and `approver` have 1 to {WORDS_BYTES_MAX} bytes")));
    }
    let said = ActionStatement {
        status: status.as_str().to_owned(),
        document_status: row.item.status.as_str().to_owned(),
        reason: words.reason,
        approver: words.approver,
        author: words.author,
        at: app.clock.now(),
    };
    let detail = serde_json::json!({"status": said.status, "reason": said.reason, "approver": said.approver});
    let by = AuditEntry {
        tenant: Tenant::default(),
        actor: said.author.clone(),
        action: "action.status".to_owned(),
        subject: key.to_string(),
        detail: detail.to_string(),
    };
    let tenant = Tenant::default();
    app.state.say_of_action(&tenant, key, &said, &by).await?;
    let record = app.state.action_records(&tenant).await?.remove(key).unwrap_or_default();
    Ok(standing(&row.item, &record).status)
}

/// What the built-in rule about overdue items measures.
pub(crate) fn overdue(state: &State, library: &Arc<Library>) -> OverdueActions {
    let (state, library) = (state.clone(), Arc::clone(library));
    Box::new(move |at| {
        let (state, library) = (state.clone(), Arc::clone(&library));
        Box::pin(async move {
            let tenant = Tenant::default();
            let listed = tokio::task::spawn_blocking(move || {
                library.list_actions(&Tenant::default(), Clearance::Restricted)
            });
            let rows = listed.await??;
            let records = state.action_records(&tenant).await?;
            Ok(overdue_of(rows, &records, at))
        })
    })
}

fn overdue_of(
    rows: Vec<ActionRow>,
    records: &BTreeMap<ActionKey, ActionRecord>,
    at: Timestamp,
) -> Vec<(Labels, f64)> {
    let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut found = Vec::new();
    // Alerts are everyone's: those of restricted documents are one, of the longest, and name nothing.
    let mut restricted: Option<i32> = None;
    for row in rows {
        let record = records.get(&row.key()).cloned().unwrap_or_default();
        let Some(days) = standing(&row.item, &record).days_overdue(row.item.due, today) else { continue };
        if row.visibility == Visibility::Restricted {
            restricted = restricted.max(Some(days));
            continue;
        }
        let mut labels = vec![("postmortem", row.postmortem), ("item", row.item.id)];
        if !row.item.owner.is_empty() {
            labels.push(("owner", row.item.owner));
        }
        found.push((labels_of(labels), f64::from(days)));
    }
    found.extend(restricted.map(|days| {
        (labels_of(vec![("visibility", Visibility::Restricted.as_str().to_owned())]), f64::from(days))
    }));
    found
}

fn labels_of(pairs: Vec<(&str, String)>) -> Labels {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The action items of documents that a reader may see.
pub(crate) async fn rows(app: &App, clearance: Clearance) -> Result<Vec<ActionRow>, ApiError> {
    let library = Arc::clone(&app.library);
    let listed =
        tokio::task::spawn_blocking(move || library.list_actions(&Tenant::default(), clearance)).await;
    let internal = |error: &(dyn std::error::Error + 'static)| {
        tracing::error!(error = chain(error), "read the action items of the workspace");
        ApiError::internal(error)
    };
    listed.map_err(|error| internal(&error))?.map_err(|error| internal(&error))
}

fn unknown(key: &ActionKey) -> ApiError {
    ApiError::not_found(format!("there is no action item {key}"), "GET /api/v1/action-items lists them")
}
