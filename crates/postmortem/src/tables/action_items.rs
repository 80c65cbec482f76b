use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use hindsight_model::{ActionCheck, Clearance, SqlError, SystemTable, Tenant};
use hindsight_state::State;
use jiff::Timestamp;

use super::{ActionRow, days_since_epoch, failed, joined, text, texts, time, times};
use crate::Library;
use crate::actions::{Standing, standing};
use crate::files::in_background;

/// `action_items`: one row an item of any document.
#[derive(Clone, Debug)]
pub struct ActionItemsTable {
    library: Arc<Library>,
    state: State,
}

impl ActionItemsTable {
    /// The table over a workspace, with what `state` knows of its items.
    pub fn new(library: Arc<Library>, state: State) -> Self {
        Self { library, state }
    }
}

#[async_trait::async_trait]
impl SystemTable for ActionItemsTable {
    fn name(&self) -> &'static str {
        "action_items"
    }

    fn doc(&self) -> &'static str {
        "one row for each action item of a post-mortem"
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            text("tenant"),
            text("postmortem"),
            text("id"),
            text("action"),
            text("owner"),
            Field::new("due", DataType::Date32, true),
            text("priority"),
            text("status"),
            text("lessons"),
            text("whys"),
            text("tracker"),
            text("verify"),
            text("path"),
            Field::new("line", DataType::Int64, true),
            text("said"),
            text("reason"),
            text("approver"),
            text("outcome"),
            text("evidence"),
            time("checked_at"),
            time("verified_at"),
            time("reopened_at"),
        ]))
    }

    fn column_docs(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("tenant", "whose row it is"),
            ("postmortem", "id of the document it stands in"),
            ("id", "its id there"),
            ("action", "what is to be done"),
            ("owner", "who does it"),
            ("due", "by when"),
            ("priority", "how urgent it is"),
            (
                "status",
                "where it stands, evidence included: verified by evidence alone, open again without it",
            ),
            ("lessons", "lessons it follows from, with commas between"),
            ("whys", "whys it answers, with commas between"),
            ("tracker", "where it is tracked"),
            ("verify", "what shows that it worked"),
            ("path", "the document"),
            ("line", "its line there"),
            ("said", "where it stands by what people say, in the document or beside it"),
            ("reason", "why it will not be done"),
            ("approver", "who agreed that it will not be done"),
            ("outcome", "what its verification found: passed, failed or unknown; null before the first"),
            ("evidence", "what was seen then"),
            ("checked_at", "when it was last verified"),
            ("verified_at", "since when it counts as verified; null when it does not"),
            ("reopened_at", "when it last stopped counting as verified"),
        ]
    }

    async fn rows(&self, tenant: &Tenant) -> std::result::Result<RecordBatch, SqlError> {
        self.rows_for(tenant, Clearance::Everyone).await
    }

    async fn rows_for(
        &self,
        tenant: &Tenant,
        clearance: Clearance,
    ) -> std::result::Result<RecordBatch, SqlError> {
        let (library, mine) = (Arc::clone(&self.library), tenant.clone());
        let rows = in_background(move || library.list_actions(&mine, clearance)).await;
        let rows = rows.map_err(|error| failed(&error))?;
        let records = self.state.action_records(tenant).await;
        let records = records.map_err(|error| SqlError::Failed { message: error.to_string() })?;
        let standings: Vec<Standing> = rows
            .iter()
            .map(|row| standing(&row.item, &records.get(&row.key()).cloned().unwrap_or_default()))
            .collect();
        let stands = |read: &dyn Fn(&Standing) -> Option<String>| texts(standings.iter().map(read));
        let checked = |read: &dyn Fn(&ActionCheck) -> Option<Timestamp>| {
            times(standings.iter().map(|standing| standing.check.as_ref().and_then(read)))
        };
        let check = |standing: &Standing| standing.check.clone();
        let each = |read: &dyn Fn(&ActionRow) -> Option<String>| texts(rows.iter().map(read));
        let given = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
        let columns: Vec<ArrayRef> = vec![
            each(&|_| Some(tenant.to_string())),
            each(&|row| Some(row.postmortem.clone())),
            each(&|row| Some(row.item.id.clone())),
            each(&|row| Some(row.item.action.clone())),
            each(&|row| given(&row.item.owner)),
            Arc::new(rows.iter().map(|row| row.item.due.and_then(days_since_epoch)).collect::<Date32Array>()),
            each(&|row| row.item.priority.map(|priority| priority.as_str().to_owned())),
            stands(&|standing| Some(standing.status.as_str().to_owned())),
            each(&|row| Some(joined(row.item.lessons.iter().cloned()))),
            each(&|row| Some(joined(row.item.whys.iter().cloned()))),
            each(&|row| given(&row.item.tracker)),
            each(&|row| given(&row.item.verify)),
            each(&|row| Some(row.path.display().to_string())),
            Arc::new(rows.iter().map(|row| i64::try_from(row.item.line).ok()).collect::<Int64Array>()),
            stands(&|standing| Some(standing.said.as_str().to_owned())),
            stands(&|standing| standing.reason.clone()),
            stands(&|standing| standing.approver.clone()),
            stands(&|standing| check(standing).map(|check| check.outcome.as_str().to_owned())),
            stands(&|standing| check(standing).map(|check| check.evidence)),
            checked(&|check| Some(check.checked_at)),
            checked(&|check| check.verified_at),
            checked(&|check| check.reopened_at),
        ];
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|error| SqlError::Failed { message: error.to_string() })
    }
}
