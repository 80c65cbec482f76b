//! What a filter wants of the texts of a row, as far as an index of words can say. Pure.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column, LikeExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use hindsight_model::{Wanted, lower_word};

use crate::functions::text_wanted;

/// What every row wants that the filter is true of.
pub(crate) fn wanted(filter: &Arc<dyn PhysicalExpr>) -> Wanted {
    if let Some(both) = filter.downcast_ref::<BinaryExpr>() {
        let sides = || vec![wanted(both.left()), wanted(both.right())];
        return match both.op() {
            Operator::And => Wanted::All(sides()),
            Operator::Or => Wanted::Any(sides()),
            _ => Wanted::Everything,
        };
    }
    if let Some(call) = filter.downcast_ref::<ScalarFunctionExpr>()
        && call.name() == "match"
        && let [text, query] = call.args()
        && let (Some(column), Some(query)) = (column(text), literal(query))
    {
        return text_wanted(column, query);
    }
    if let Some(like) = filter.downcast_ref::<LikeExpr>()
        && !like.negated()
        && !like.case_insensitive()
        && let (Some(column), Some(pattern)) = (column(like.expr()), literal(like.pattern()))
    {
        return of_pattern(column, pattern);
    }
    Wanted::Everything
}

fn column(expr: &Arc<dyn PhysicalExpr>) -> Option<&str> {
    match expr.downcast_ref::<CastExpr>() {
        Some(cast) if cast.cast_type().is_string() => column(cast.expr()),
        Some(_) => None,
        None => expr.downcast_ref::<Column>().map(Column::name),
    }
}

fn literal(expr: &Arc<dyn PhysicalExpr>) -> Option<&str> {
    match expr.downcast_ref::<Literal>()?.value() {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            text.as_deref()
        }
        _ => None,
    }
}

/// The words that a text `LIKE` this pattern has: those between two other signs, or at an end, are whole.
fn of_pattern(column: &str, pattern: &str) -> Wanted {
    let mut all = Vec::new();
    // The word that is being read, and whether it begins here: what stands before it is no letter or digit.
    let (mut word, mut is_begun) = (String::new(), true);
    let mut signs = pattern.chars();
    loop {
        let (sign, is_wildcard) = match signs.next() {
            Some('\\') => (signs.next(), false),
            sign => (sign, matches!(sign, Some('%' | '_'))),
        };
        match sign {
            Some(sign) if !is_wildcard && sign.is_alphanumeric() => word.push(sign),
            _ => {
                let whole: String = lower_word(&word).collect();
                let column = column.to_owned();
                match (is_begun && !word.is_empty(), is_wildcard) {
                    (true, false) => all.push(Wanted::Word { column, word: whole }),
                    (true, true) => all.push(Wanted::Prefix { column, start: whole }),
                    (false, _) => {}
                }
                word.clear();
                is_begun = !is_wildcard;
            }
        }
        if sign.is_none() {
            return Wanted::All(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use hindsight_model::words;
    use proptest::prelude::*;

    use super::*;

    fn word(word: &str) -> Wanted {
        Wanted::Word { column: "body".to_owned(), word: word.to_owned() }
    }

    fn prefix(start: &str) -> Wanted {
        Wanted::Prefix { column: "body".to_owned(), start: start.to_owned() }
    }

    #[test]
    fn patterns_want_their_words() {
        for (pattern, expected) in [
            ("%connection Timed out%", vec![word("timed"), prefix("out")]),
            ("%timeout%", vec![]),
            ("timeout%", vec![prefix("timeout")]),
            ("timeout", vec![word("timeout")]),
            ("a_b c", vec![prefix("a"), word("c")]),
            ("% 100\\% of%", vec![word("100"), prefix("of")]),
            ("a\\", vec![word("a")]),
            ("", vec![]),
        ] {
            assert_eq!(of_pattern("body", pattern), Wanted::All(expected), "{pattern}");
        }
    }

    fn has(text: &str, wanted: &Wanted) -> bool {
        let any = |holds: &dyn Fn(&str) -> bool| {
            words(text).any(|word| holds(&lower_word(word).collect::<String>()))
        };
        match wanted {
            Wanted::Word { word, .. } => any(&|found| found == word),
            Wanted::Prefix { start, .. } => any(&|found| found.starts_with(start)),
            Wanted::All(parts) => parts.iter().all(|part| has(text, part)),
            _ => true,
        }
    }

    proptest! {
        #[test]
        fn a_text_like_a_pattern_has_its_words(text in "[aB .%\\\\_]{0,12}", pattern in "[aB .%\\\\_]{0,7}") {
            let like = datafusion::arrow::compute::like(
                &datafusion::arrow::array::StringArray::from(vec![text.as_str()]),
                &datafusion::arrow::array::StringArray::new_scalar(pattern.as_str()),
            );
            if like.unwrap().value(0) {
                prop_assert!(has(&text, &of_pattern("body", &pattern)), "{text:?} {pattern:?}");
            }
        }
    }
}
