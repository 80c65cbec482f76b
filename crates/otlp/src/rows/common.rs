use std::rc::Rc;

use arrow::array::{Int64Array, StringBuilder};
use hindsight_model::{Attributes, Table, Tenant, attributes_to_json};
use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::columns::{Finished, Times};
use super::owner::{Owner, OwnerRuns};
use super::promoted::{PromotedColumns, take_promoted};
use crate::tally::Tally;
use crate::{Limits, RejectReason};

/// The columns that every table has.
pub(super) struct Common {
    table: Table,
    times: Times,
    promoted: PromotedColumns,
    attributes: StringBuilder,
    dropped: Vec<i64>,
    owners: OwnerRuns,
}

impl Common {
    pub(super) fn new(table: Table) -> Self {
        Self {
            table,
            times: Times::default(),
            promoted: PromotedColumns::new(table.promoted()),
            attributes: StringBuilder::new(),
            dropped: Vec::new(),
            owners: OwnerRuns::default(),
        }
    }

    pub(super) fn push(
        &mut self,
        owner: &Rc<Owner>,
        unix_nano: u64,
        mut attributes: Attributes,
        dropped: u32,
        tally: &mut Tally<'_>,
    ) {
        self.times.push(unix_nano);
        let promoted = take_promoted(&mut attributes, self.table.promoted(), tally);
        self.promoted.push(&promoted, 1);
        self.attributes.append_value(attributes_to_json(&attributes));
        self.dropped.push(dropped.into());
        self.owners.push(owner);
        tally.accept(unix_nano);
    }

    pub(super) fn rows(&self) -> usize {
        self.times.len()
    }

    pub(super) fn finish(mut self, tenant: &Tenant) -> Finished {
        let mut finished = Finished::new(self.table);
        let rows = self.rows();
        let mut tenants = StringBuilder::with_capacity(rows, rows * tenant.as_str().len());
        for _ in 0..rows {
            tenants.append_value(tenant.as_str());
        }
        finished.put("tenant", tenants.finish());
        finished.put("date", self.times.dates());
        let (timestamp, nanos) = self.times.finish();
        finished.put("timestamp", timestamp);
        finished.put("timestamp_nanos", nanos);
        self.promoted.finish(&mut finished);
        finished.put("attributes", self.attributes.finish());
        finished.put("dropped_attributes_count", Int64Array::from(self.dropped));
        self.owners.finish(&mut finished);
        finished
    }
}

/// Whether a list is within the limit.
pub(super) fn check_count(list: &[KeyValue], limits: &Limits) -> Result<(), RejectReason> {
    if list.len() > limits.attributes_max { Err(RejectReason::TooManyAttributes) } else { Ok(()) }
}
