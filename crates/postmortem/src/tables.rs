//! The system tables `postmortems` and `action_items`, as the files of the workspace are at each query.

mod action_items;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use hindsight_model::{ActionKey, Clearance, SqlError, SystemTable, Tenant, to_micros};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::document::{ActionItem, Document, Visibility};
use crate::files::in_background;
use crate::{Error, Library};

pub use action_items::ActionItemsTable;

/// Action items read from one workspace; further ones are left out with a warning.
pub const MAX_ACTION_ITEMS: usize = 100_000;

/// One post-mortem of a workspace: a row of `postmortems`.
#[derive(Clone, Debug, PartialEq)]
pub struct PostmortemRow {
    /// Its `postmortem.md`.
    pub path: PathBuf,
    /// The document.
    pub document: Arc<Document>,
    /// Its action items.
    pub items: Arc<[ActionItem]>,
}

/// One action item and the document it stands in: a row of `action_items`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRow {
    /// `PM-2026-014`.
    pub postmortem: String,
    /// The document's `postmortem.md`.
    pub path: PathBuf,
    /// Who may read the document.
    pub visibility: Visibility,
    /// The item.
    pub item: ActionItem,
}

/// The documents of a workspace.
#[derive(Debug, Default)]
pub struct Listed {
    /// This tenant's post-mortems, in order of their ids.
    pub rows: Vec<PostmortemRow>,
    /// Documents that cannot be read; whose they are is not known.
    pub unreadable: Vec<(PathBuf, Error)>,
}

impl ActionRow {
    /// The name by which `state` knows it.
    pub fn key(&self) -> ActionKey {
        ActionKey { postmortem: self.postmortem.clone(), item: self.item.id.clone() }
    }
}

/// `postmortems`: one row a document.
#[derive(Clone, Debug)]
pub struct PostmortemsTable {
    library: Arc<Library>,
}

impl PostmortemsTable {
    /// The table over a workspace.
    pub fn new(library: Arc<Library>) -> Self {
        Self { library }
    }
}

#[async_trait::async_trait]
impl SystemTable for PostmortemsTable {
    fn name(&self) -> &'static str {
        "postmortems"
    }

    fn doc(&self) -> &'static str {
        "one row for each post-mortem in the workspace"
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            text("tenant"),
            text("id"),
            text("title"),
            text("status"),
            text("severity"),
            text("visibility"),
            text("incidents"),
            text("services"),
            text("owner"),
            text("owner_team"),
            time("impact_start_at"),
            time("detected_at"),
            time("mitigated_at"),
            time("resolved_at"),
            Field::new("failed_total", DataType::Float64, true),
            Field::new("action_items", DataType::Int64, true),
            text("path"),
        ]))
    }

    fn column_docs(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("tenant", "whose row it is"),
            ("id", "its id, as PM-2026-014"),
            ("title", "its title"),
            ("status", "draft, in_review, approved, published or closed"),
            ("severity", "SEV1, the worst, to SEV4"),
            ("visibility", "internal, restricted or public"),
            ("incidents", "the incidents it is about, with commas between"),
            ("services", "the services it is about, with commas between"),
            ("owner", "the person who answers for it"),
            ("owner_team", "the team that answers for it"),
            ("impact_start_at", "when it began to hurt"),
            ("detected_at", "when it was noticed"),
            ("mitigated_at", "when it stopped hurting"),
            ("resolved_at", "when it was over"),
            ("failed_total", "first figure of the impact"),
            ("action_items", "its action items, their number"),
            ("path", "the document"),
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
        let rows = in_background(move || library.list(&mine, clearance)).await;
        let rows = rows.map_err(|error| failed(&error))?;
        let each = |read: &dyn Fn(&PostmortemRow) -> Option<String>| texts(rows.iter().map(read));
        let at = |read: &dyn Fn(&crate::document::Times) -> Option<Timestamp>| {
            times(rows.iter().map(|row| read(&row.document.front.times)))
        };
        let person = |row: &PostmortemRow| row.document.front.owner.clone().unwrap_or_default();
        let first_impact = |row: &PostmortemRow| row.document.front.impact.first().map(|impact| impact.value);
        let actions = |row: &PostmortemRow| i64::try_from(row.items.len()).ok();
        let columns: Vec<ArrayRef> = vec![
            each(&|_| Some(tenant.to_string())),
            each(&|row| Some(row.document.front.id.clone())),
            each(&|row| Some(row.document.front.title.clone())),
            each(&|row| Some(row.document.front.status.as_str().to_owned())),
            each(&|row| Some(row.document.front.severity.to_string())),
            each(&|row| Some(row.document.front.visibility.as_str().to_owned())),
            each(&|row| Some(joined(row.document.front.incidents.iter().map(ToString::to_string)))),
            each(&|row| Some(joined(row.document.front.services.iter().cloned()))),
            each(&|row| person(row).person),
            each(&|row| person(row).team),
            at(&|times| times.impact_start),
            at(&|times| times.detected),
            at(&|times| times.mitigated),
            at(&|times| times.resolved),
            Arc::new(rows.iter().map(first_impact).collect::<Float64Array>()),
            Arc::new(rows.iter().map(actions).collect::<Int64Array>()),
            each(&|row| Some(row.path.display().to_string())),
        ];
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|error| SqlError::Failed { message: error.to_string() })
    }
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn time(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true)
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn times(values: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    let micros: TimestampMicrosecondArray = values.map(|at| at.map(to_micros)).collect();
    Arc::new(micros.with_timezone("UTC"))
}

fn joined(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(",")
}

fn days_since_epoch(date: Date) -> Option<i32> {
    let epoch = jiff::civil::date(1970, 1, 1);
    (date - epoch).get_days().into()
}

fn failed(error: &Error) -> SqlError {
    let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
    SqlError::Failed { message: format!("{error}{cause}") }
}

#[cfg(test)]
mod tests;
