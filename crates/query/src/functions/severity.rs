//! `severity('warn')`: the least severity number that the word stands for, to compare `severity_number` with.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::suggest::closest;

/// Words and the first number of their range (OpenTelemetry Logs Data Model, "Field: `SeverityNumber`", and the
/// names of other systems in its Appendix B).
const WORDS: [(&str, i32); 16] = [
    ("trace", 1),
    ("verbose", 1),
    ("debug", 5),
    ("info", 9),
    ("informational", 9),
    ("information", 9),
    ("notice", 10),
    ("warn", 13),
    ("warning", 13),
    ("error", 17),
    ("err", 17),
    ("critical", 21),
    ("crit", 21),
    ("fatal", 21),
    ("alert", 21),
    ("emergency", 21),
];

/// What the column `severity` holds.
const WORDS_WE_STORE: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

pub(super) fn udf() -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
    ScalarUDF::new_from_impl(Severity { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Severity {
    signature: Signature,
}

impl ScalarUDFImpl for Severity {
    fn name(&self) -> &'static str {
        "severity"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Scalar(ScalarValue::Utf8(Some(word)))] => match number(word) {
                Some(number) => Ok(ColumnarValue::Scalar(ScalarValue::Int32(Some(number)))),
                None => unknown(word),
            },
            [ColumnarValue::Scalar(_)] => Ok(ColumnarValue::Scalar(ScalarValue::Int32(None))),
            [ColumnarValue::Array(words)] => {
                let words = words.as_string::<i32>();
                let numbers: Int32Array = words.iter().map(|word| word.and_then(number)).collect();
                Ok(ColumnarValue::Array(Arc::new(numbers) as ArrayRef))
            }
            _ => exec_err!("severity takes one word"),
        }
    }
}

/// A word that is written in the query is checked; what senders wrote is not theirs to mend, and gives null.
fn unknown(word: &str) -> Result<ColumnarValue> {
    match closest(word, WORDS_WE_STORE) {
        Some(known) => exec_err!("there is no severity `{word}`; did you mean `{known}`?"),
        None => exec_err!(
            "there is no severity `{word}`; there are trace, debug, info, warn, error, fatal, each also with 2 to 4 behind it"
        ),
    }
}

/// `error` is 17, `error2` is 18; a number from 1 to 24 is itself.
fn number(word: &str) -> Option<i32> {
    let word = word.trim().to_ascii_lowercase();
    if let Ok(number) = word.parse::<i32>() {
        return (1..=24).contains(&number).then_some(number);
    }
    let (word, more) = match word.strip_suffix(['2', '3', '4']) {
        Some(stem) => (stem, word.as_bytes().last().map_or(0, |digit| i32::from(digit - b'1'))),
        None => (word.as_str(), 0),
    };
    let (_, first) = WORDS.iter().find(|(known, first)| *known == word && (more == 0 || first % 4 == 1))?;
    Some(first + more)
}

#[cfg(test)]
mod tests {
    use hindsight_model::severity_word;

    use super::*;

    #[test]
    fn every_word_we_store_comes_back_as_the_first_number_of_its_range() {
        for at in 1..=24 {
            let word = severity_word(at).unwrap();
            let first = number(word).unwrap();
            assert!(
                first <= at && severity_word(first) == Some(word) && severity_word(first - 1) != Some(word)
            );
            assert_eq!(number(&at.to_string()), Some(at));
        }
    }

    #[test]
    fn cases_suffixes_and_other_systems_words_are_known() {
        for (word, expected) in [
            (" WARN ", Some(13)),
            ("Warning", Some(13)),
            ("ERROR4", Some(20)),
            ("notice", Some(10)),
            ("notice2", None),
            ("error5", None),
            ("eror", None),
            ("", None),
            ("0", None),
            ("25", None),
        ] {
            assert_eq!(number(word), expected, "{word}");
        }
    }
}
