use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hindsight_model::{IncidentId, SqlValue, parse_duration};

/// How the effect of an action is checked: the `verify` column, read.
#[derive(Clone, Debug, PartialEq)]
pub enum Verify {
    /// `sql: SELECT … expect > 0`: the first value of the answer is what was expected.
    Sql {
        /// The query; `$now` is the time of the check.
        sql: String,
        /// What its answer must be.
        expect: Expect,
    },
    /// `alert: NAME fires on INC-231`: today's rule, run over the incident's telemetry, fires.
    Alert {
        /// The alert's name or the rule's id.
        name: String,
        /// The incident.
        incident: IncidentId,
    },
    /// `slo: NAME met for 14d`: the objective was met over the last two weeks.
    Slo {
        /// The SLO's name.
        name: String,
        /// For how long.
        length: Duration,
    },
}

/// What the answer of a query must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// There are rows.
    Rows,
    /// There are none.
    NoRows,
    /// The first value of the first row compares so.
    Compare(Comparison, f64),
    /// The first value of the first row is this text, or this truth value.
    Text(String),
}

/// `=`, `!=`, `<`, `<=`, `>`, `>=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
}

/// A condition that cannot be checked as it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}; write `alert: NAME fires on INC-231`, `slo: NAME met for 14d` or `sql: SELECT … expect > 0` (also `rows`, \
     `no rows`, `= 'text'`)"
)]
pub struct VerifyError(String);

impl FromStr for Verify {
    type Err = VerifyError;

    fn from_str(text: &str) -> Result<Self, VerifyError> {
        let text = text.trim().trim_matches('`').trim();
        let wrong = |problem: String| VerifyError(problem);
        let (kind, rest) =
            text.split_once(':').ok_or_else(|| wrong(format!("`{}` has no kind", shown(text))))?;
        let rest = rest.trim();
        match kind.trim() {
            "sql" => {
                // The last one: a query may hold the word.
                let (sql, expect) = split_last(rest, " expect ")
                    .ok_or_else(|| wrong("it says not what to `expect`".to_owned()))?;
                Ok(Self::Sql { sql: sql.trim().to_owned(), expect: expect.trim().parse()? })
            }
            "alert" => {
                let (name, incident) = split_last(rest, " fires on ")
                    .ok_or_else(|| wrong("it says not on which incident the alert `fires on`".to_owned()))?;
                let incident = incident.trim().parse().map_err(|error| wrong(format!("{error}")))?;
                Ok(Self::Alert { name: name.trim().to_owned(), incident })
            }
            "slo" => {
                let (name, length) = split_last(rest, " met for ")
                    .ok_or_else(|| wrong("it says not how long the SLO is `met for`".to_owned()))?;
                let length = parse_duration(length.trim()).map_err(|error| wrong(format!("{error}")))?;
                if length.is_zero() {
                    return Err(wrong("an SLO is met for some time".to_owned()));
                }
                Ok(Self::Slo { name: name.trim().to_owned(), length })
            }
            other => Err(wrong(format!("`{}` is no kind of verification", shown(other)))),
        }
    }
}

impl FromStr for Expect {
    type Err = VerifyError;

    fn from_str(text: &str) -> Result<Self, VerifyError> {
        match text {
            "rows" => return Ok(Self::Rows),
            "no rows" => return Ok(Self::NoRows),
            _ => {}
        }
        let (comparison, value) = OPERATORS
            .into_iter()
            .find_map(|(word, comparison)| Some((comparison, text.strip_prefix(word)?.trim())))
            .unwrap_or((Comparison::Equal, text));
        if let Ok(number) = value.replace('_', "").parse::<f64>() {
            return Ok(Self::Compare(comparison, number));
        }
        let quoted = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        let is_word = matches!(value, "true" | "false");
        match quoted.or_else(|| is_word.then_some(value)) {
            Some(text) if comparison == Comparison::Equal => Ok(Self::Text(text.to_owned())),
            _ => Err(VerifyError(format!("`{}` cannot be expected", shown(text)))),
        }
    }
}

/// The longer ones first.
const OPERATORS: [(&str, Comparison); 8] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<>", Comparison::NotEqual),
    ("!=", Comparison::NotEqual),
    ("==", Comparison::Equal),
    ("=", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl Expect {
    /// Whether the rows of an answer are what was expected.
    pub fn is_met(&self, rows: &[Vec<SqlValue>]) -> bool {
        let first = rows.first().and_then(|row| row.first());
        match self {
            Self::Rows => !rows.is_empty(),
            Self::NoRows => rows.is_empty(),
            Self::Compare(comparison, expected) => {
                first.and_then(SqlValue::as_f64).is_some_and(|value| comparison.holds(value, *expected))
            }
            Self::Text(expected) => first.is_some_and(|value| match value {
                SqlValue::Bool(flag) => flag.to_string() == *expected,
                SqlValue::Text(text) => text == expected,
                _ => false,
            }),
        }
    }
}

impl Comparison {
    fn holds(self, value: f64, expected: f64) -> bool {
        let order = value.partial_cmp(&expected);
        order.is_some_and(|order| match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        })
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows => f.write_str("rows"),
            Self::NoRows => f.write_str("no rows"),
            Self::Compare(comparison, number) => {
                let word =
                    OPERATORS.iter().rev().find(|(_, known)| known == comparison).map_or("=", |(w, _)| w);
                write!(f, "{word} {number}")
            }
            Self::Text(text) => write!(f, "'{text}'"),
        }
    }
}

fn split_last<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let (before, after) = text.rsplit_once(word)?;
    (!before.trim().is_empty() && !after.trim().is_empty()).then_some((before, after))
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Verify {
        text.parse().unwrap()
    }

    #[test]
    fn the_three_kinds_are_read() {
        assert_eq!(
            read("alert: DbPoolSaturated fires on INC-231"),
            Verify::Alert { name: "DbPoolSaturated".to_owned(), incident: IncidentId(231) }
        );
        assert_eq!(
            read("`slo: checkout-availability met for 14d`"),
            Verify::Slo {
                name: "checkout-availability".to_owned(),
                length: Duration::from_secs(14 * 86_400)
            }
        );
        assert_eq!(
            read("sql: SELECT count(*) FROM logs WHERE body = 'we expect more' expect < 10"),
            Verify::Sql {
                sql: "SELECT count(*) FROM logs WHERE body = 'we expect more'".to_owned(),
                expect: Expect::Compare(Comparison::Less, 10.0),
            }
        );
    }

    #[test]
    fn what_cannot_be_checked_says_why_and_how_it_is_written() {
        for (text, says) in [
            ("watch the pool", "has no kind"),
            ("dashboard: pool", "`dashboard` is no kind"),
            ("alert: DbPoolSaturated", "`fires on`"),
            ("alert: DbPoolSaturated fires on 231", "231"),
            ("slo: checkout met for soon", "soon"),
            ("slo: checkout met for 0s", "some time"),
            ("sql: SELECT 1", "`expect`"),
            ("sql: SELECT 1 expect a lot", "`a lot` cannot be expected"),
            ("sql: SELECT 1 expect > 'x'", "cannot be expected"),
        ] {
            let error = text.parse::<Verify>().unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("fires on INC-231"), "{text}: {error}");
        }
    }

    #[test]
    fn an_answer_meets_what_is_expected_or_not() {
        let rows = |value: SqlValue| vec![vec![value]];
        for (expect, answer, met) in [
            ("> 0", rows(SqlValue::Int(3)), true),
            ("> 0", rows(SqlValue::Int(0)), false),
            ("> 0", rows(SqlValue::Null), false),
            ("<= 0.5", rows(SqlValue::Double(0.5)), true),
            ("!= 0.5", rows(SqlValue::Double(0.5)), false),
            ("3", rows(SqlValue::Int(3)), true),
            ("= 'ok'", rows(SqlValue::Text("ok".into())), true),
            ("true", rows(SqlValue::Bool(true)), true),
            ("true", rows(SqlValue::Bool(false)), false),
            ("rows", vec![], false),
            ("no rows", vec![], true),
            ("= 0", vec![], false),
        ] {
            let parsed: Expect = expect.parse().unwrap();
            assert_eq!(parsed.is_met(&answer), met, "{expect}: {answer:?}");
            assert_eq!(parsed.to_string().parse::<Expect>().unwrap(), parsed);
        }
    }
}
