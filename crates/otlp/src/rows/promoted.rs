use hindsight_model::{AnyValue, Attributes, Promoted, PromotedKind};

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
