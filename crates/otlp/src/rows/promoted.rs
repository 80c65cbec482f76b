use arrow::array::{Int64Builder, StringBuilder};
use hindsight_model::{AnyValue, Attributes, Promoted, PromotedKind};

use super::columns::Finished;
use crate::tally::{Remark, Tally};

/// Takes the promoted attributes out, in the order of `list`. A value of another type stays, with a remark.
pub(super) fn take_promoted(
    attributes: &mut Attributes,
    list: &'static [Promoted],
    tally: &mut Tally<'_>,
) -> Vec<Option<AnyValue>> {
    list.iter().map(|promoted| take_one(attributes, promoted, tally)).collect()
}

fn take_one(attributes: &mut Attributes, promoted: &Promoted, tally: &mut Tally<'_>) -> Option<AnyValue> {
    match (promoted.kind, attributes.get(promoted.attribute)?) {
        (PromotedKind::String, AnyValue::String(_)) | (PromotedKind::Int, AnyValue::Int(_)) => {
            attributes.remove(promoted.attribute)
        }
        _ => {
            tally.remark(Remark::PromotedType(promoted.attribute));
            None
        }
    }
}

/// The columns of a promoted list.
pub(super) struct PromotedColumns {
    list: &'static [Promoted],
    columns: Vec<Column>,
}

enum Column {
    Text(StringBuilder),
    Int(Int64Builder),
}

impl PromotedColumns {
    pub(super) fn new(list: &'static [Promoted]) -> Self {
        let column = |promoted: &Promoted| match promoted.kind {
            PromotedKind::String => Column::Text(StringBuilder::new()),
            PromotedKind::Int => Column::Int(Int64Builder::new()),
        };
        Self { list, columns: list.iter().map(column).collect() }
    }

    /// Adds what [`take_promoted`] took, on `rows` rows.
    pub(super) fn push(&mut self, values: &[Option<AnyValue>], rows: usize) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            for _ in 0..rows {
                column.push(value.as_ref());
            }
        }
    }

    pub(super) fn finish(self, finished: &mut Finished) {
        for (promoted, column) in self.list.iter().zip(self.columns) {
            match column {
                Column::Text(mut texts) => finished.put(promoted.column, texts.finish()),
                Column::Int(mut numbers) => finished.put(promoted.column, numbers.finish()),
            }
        }
    }
}

impl Column {
    fn push(&mut self, value: Option<&AnyValue>) {
        match (self, value) {
            (Self::Text(texts), Some(AnyValue::String(text))) => texts.append_value(text),
            (Self::Text(texts), _) => texts.append_null(),
            (Self::Int(numbers), Some(AnyValue::Int(number))) => numbers.append_value(*number),
            (Self::Int(numbers), _) => numbers.append_null(),
        }
    }
}
