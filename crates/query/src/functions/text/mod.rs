//! `match(column, 'query')`: full text, without an index.

mod ascii;
mod query;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use self::ascii::Look;
use self::query::{Query, parse};

pub(super) fn udf() -> ScalarUDF {
    ScalarUDF::new_from_impl(Match { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Match {
    signature: Signature,
}

impl ScalarUDFImpl for Match {
    fn name(&self) -> &'static str {
        "match"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [DataType::Dictionary(key, _), _] => {
                let text = DataType::Dictionary(key.clone(), Box::new(DataType::Utf8));
                Ok(vec![text, DataType::Utf8])
            }
            [DataType::Utf8View, _] => Ok(vec![DataType::Utf8View, DataType::Utf8]),
            [_, _] => Ok(vec![DataType::Utf8, DataType::Utf8]),
            _ => plan_err!("match takes a text column and a query: match(body, 'timeout -retry')"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    /// A query that is wrong is refused before anything is read.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<Arc<arrow::datatypes::Field>> {
        if let Some(Some(ScalarValue::Utf8(Some(query)))) = args.scalar_arguments.get(1)
            && let Err(error) = parse(query)
        {
            return plan_err!("{error}");
        }
        Ok(Arc::new(arrow::datatypes::Field::new(self.name(), DataType::Boolean, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [texts, ColumnarValue::Scalar(ScalarValue::Utf8(query))] = args.args.as_slice() else {
            return exec_err!("match takes its query as a text in the statement, not as a column");
        };
        let Some(query) = query else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None)));
        };
        let query = match parse(query) {
            Ok(query) => query,
            Err(error) => return exec_err!("{error}"),
        };
        let texts = texts.to_array(rows)?;
        Ok(ColumnarValue::Array(matches(&texts, &query)?))
    }
}

/// Each distinct text of a dictionary is looked at once.
fn matches(texts: &ArrayRef, query: &Query) -> Result<ArrayRef> {
    if let Some(dictionary) = texts.as_any_dictionary_opt() {
        let values = matches(dictionary.values(), query)?;
        return Ok(take(&values, dictionary.keys(), None)?);
    }
    let answers = match texts.data_type() {
        DataType::Utf8 => each(texts.as_string::<i32>(), query),
        DataType::Utf8View => each(texts.as_string_view(), query),
        other => return exec_err!("match looks at text, not at {other}"),
    };
    Ok(Arc::new(answers))
}

fn each<'a>(texts: impl IntoIterator<Item = Option<&'a str>>, query: &Query) -> BooleanArray {
    let look = Look::of(query);
    let mut found: Vec<&str> = Vec::new();
    let holds = texts.into_iter().map(|text| {
        text.map(|text| {
            if text.is_ascii() {
                return look.is_in(text.as_bytes());
            }
            found.clear();
            found.extend(words(text));
            holds(&found, query)
        })
    });
    holds.collect()
}

/// Runs of letters and digits.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn lower(word: &str) -> impl Iterator<Item = char> {
    word.chars().flat_map(char::to_lowercase)
}

fn holds(words: &[&str], query: &Query) -> bool {
    match query {
        Query::Phrase { words: wanted, is_prefix } => {
            words.windows(wanted.len()).any(|words| is_phrase(words, wanted, *is_prefix))
        }
        Query::All(parts) => parts.iter().all(|part| holds(words, part)),
        Query::Any(parts) => parts.iter().any(|part| holds(words, part)),
        Query::Not(part) => !holds(words, part),
    }
}

fn is_phrase(words: &[&str], wanted: &[String], is_prefix: bool) -> bool {
    let last = wanted.len().saturating_sub(1);
    words.iter().zip(wanted).enumerate().all(|(place, (word, wanted))| {
        if is_prefix && place == last { begins(word, wanted) } else { is_same(word, wanted) }
    })
}

fn is_same(word: &str, wanted: &str) -> bool {
    if word.is_ascii() { word.eq_ignore_ascii_case(wanted) } else { lower(word).eq(wanted.chars()) }
}

fn begins(word: &str, wanted: &str) -> bool {
    let mut word = lower(word);
    wanted.chars().all(|sign| word.next() == Some(sign))
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, StringArray};
    use arrow::datatypes::Int32Type;
    use proptest::prelude::*;

    use super::*;

    fn is_match(text: &str, query: &str) -> bool {
        holds(&words(text).collect::<Vec<_>>(), &parse(query).unwrap())
    }

    #[test]
    fn texts_match_by_their_words() {
        let text = "Connection to 10.0.0.7 TIMED out: Straße gesperrt, pool-exhausted";
        for query in [
            "connection",
            "timed out",
            "\"timed out\"",
            "10.0.0.7",
            "conn* pool",
            "\"pool exh\"*",
            "STRASSE OR STRAßE",
            "-retry",
            "(retry OR timed) -success",
            "pool-exhausted",
            "-\"out timed\"",
        ] {
            assert!(is_match(text, query), "{query}");
        }
        for query in [
            "connect",
            "\"out timed\"",
            "10.0.0.8",
            "-timed",
            "retry OR success",
            "exhausted*d",
            "(timed retry)",
        ] {
            assert!(!is_match(text, query), "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_query_and_no_text_is_a_danger(text in any::<String>(), query in "[a-c\"()*\\- ORAND]{0,20}") {
            if let Ok(query) = parse(&query) {
                let all: Vec<&str> = words(&text).collect();
                let opposite = Query::Not(Box::new(query.clone()));
                prop_assert_ne!(holds(&all, &query), holds(&all, &opposite));
            }
        }

        #[test]
        fn every_word_of_a_text_is_found_in_it_in_any_case(text in "\\PC{0,40}") {
            for word in words(&text) {
                let query = parse(&format!("\"{word}\"")).unwrap();
                prop_assert!(holds(&words(&text).collect::<Vec<_>>(), &query));
                let begun: String = word.chars().take(2).chain(['*']).collect();
                prop_assert!(is_match(&text, &begun));
            }
        }

        #[test]
        fn texts_of_ascii_hold_what_their_words_say(
            text in "[abAB1 .,-]{0,30}|[ -~]{0,30}",
            query in "[ab1]{1,2}\\*?|\"[abAB1]{1,2} [ab]{1,2}\"\\*?|[ab1]{1,2}-[ab] (a OR -b1)|é|ab K",
        ) {
            let query = parse(&query).unwrap();
            let all: Vec<&str> = words(&text).collect();
            prop_assert_eq!(Look::of(&query).is_in(text.as_bytes()), holds(&all, &query));
        }

        #[test]
        fn dictionaries_answer_as_plain_texts_do(
            rows in proptest::collection::vec(proptest::option::of("[abc ]{0,6}"), 0..30), query in "[abc]{1,2}",
        ) {
            let query = parse(&query).unwrap();
            let plain: ArrayRef = Arc::new(StringArray::from(rows.clone()));
            let dictionary: DictionaryArray<Int32Type> = rows.iter().map(Option::as_deref).collect();
            let dictionary: ArrayRef = Arc::new(dictionary);
            prop_assert_eq!(&matches(&plain, &query).unwrap(), &matches(&dictionary, &query).unwrap());
        }
    }
}
