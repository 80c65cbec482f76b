use std::collections::BTreeMap;

use hindsight_model::{SqlAnswer, SqlRequest, SqlValue, Tenant};
use jiff::Timestamp;

use super::burn::minute_of;
use super::indicator::{Indicator, Part};
pub(crate) use super::source_sql::Counts;
use super::source_sql::texts;

/// Good and all events of one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Minute {
    pub(crate) good: f64,
    pub(crate) total: f64,
}

/// The queries for `from <= minute < to`.
pub(crate) fn queries(
    indicator: &Indicator,
    tenant: &Tenant,
    from: Timestamp,
    to: Timestamp,
) -> Vec<(Counts, SqlRequest)> {
    let request = |sql: String| {
        let wanted = |name: &str| sql.contains(name);
        let (has_from, has_to, has_now) = (wanted("$from"), wanted("$to"), wanted("$now"));
        let mut request = SqlRequest::new(sql).tenant(tenant.clone());
        for (name, wanted, at) in [("from", has_from, from), ("to", has_to, to), ("now", has_now, to)] {
            if wanted {
                request = request.param(name, at);
            }
        }
        request
    };
    texts(indicator).into_iter().map(|(counts, sql)| (counts, request(sql))).collect()
}

/// Adds the answers' rows to minutes.
///
/// # Errors
/// A sentence for the rule's author when the columns are not what they should be.
pub(crate) fn minutes_of(
    indicator: &Indicator,
    answers: &[(Counts, SqlAnswer)],
) -> Result<BTreeMap<i64, Minute>, String> {
    let mut parts: BTreeMap<i64, f64> = BTreeMap::new();
    let mut totals: BTreeMap<i64, f64> = BTreeMap::new();
    for (counts, answer) in answers {
        match counts {
            Counts::Both => {
                add(answer, "part", &mut parts)?;
                add(answer, "total", &mut totals)?;
            }
            Counts::Part => add(answer, "value", &mut parts)?,
            Counts::Total => add(answer, "value", &mut totals)?,
        }
    }
    let counted = match indicator {
        Indicator::Ratio(ratio) => ratio.part,
        Indicator::Threshold { .. } => Part::Good,
        Indicator::Raw { part, .. } => *part,
    };
    let minute = |(minute, total): (i64, f64)| {
        let part = parts.get(&minute).copied().unwrap_or(0.0).clamp(0.0, total);
        let good = match counted {
            Part::Good => part,
            Part::Bad => total - part,
        };
        (minute, Minute { good, total })
    };
    Ok(totals.into_iter().map(minute).collect())
}

/// What is to be said when a threshold lies between two bounds of a histogram; `None` when no row tells.
pub(crate) fn note_of(answers: &[(Counts, SqlAnswer)]) -> Option<String> {
    let mut open = Open::default();
    for (_, answer) in answers {
        let columns = answer.columns();
        let place = |name: &str| columns.iter().position(|column| *column == name);
        let (Some(at_least), Some(at_most), Some(of_all)) =
            (place("at_least"), place("at_most"), place("of_all"))
        else {
            continue;
        };
        let bounds = (place("bound_below")?, place("bound_above")?);
        for row in answer.rows().ok()? {
            let number = |at: usize| row[at].as_f64();
            let Some(of_all) = number(of_all) else { continue };
            open.of_all += of_all;
            open.at_least += number(at_least).unwrap_or(0.0);
            open.at_most += number(at_most).unwrap_or(of_all);
            open.below = number(bounds.0).into_iter().chain(open.below).reduce(f64::max);
            open.above = number(bounds.1).into_iter().chain(open.above).reduce(f64::min);
            open.is_seen = true;
        }
    }
    open.is_seen.then(|| open.told())
}

/// Counts that a threshold between two bounds leaves open.
#[derive(Debug, Default)]
struct Open {
    is_seen: bool,
    at_least: f64,
    at_most: f64,
    of_all: f64,
    below: Option<f64>,
    above: Option<f64>,
}

impl Open {
    fn told(&self) -> String {
        let bounds = match (self.below, self.above) {
            (Some(below), Some(above)) => format!("between the bucket bounds {below} and {above}"),
            (None, Some(above)) => format!("below the first bucket bound, {above}"),
            (Some(below), None) => format!("above the last bucket bound, {below}"),
            (None, None) => "in the only bucket".to_owned(),
        };
        format!(
            "the threshold lies {bounds}: of the last {} events {} to {} were at or under it, and the fewest that \
             can be good are counted; a threshold that is a bound is exact",
            self.of_all, self.at_least, self.at_most
        )
    }
}

fn add(answer: &SqlAnswer, column: &str, into: &mut BTreeMap<i64, f64>) -> Result<(), String> {
    let columns = answer.columns();
    let place = |name: &str| {
        columns.iter().position(|c| c.eq_ignore_ascii_case(name)).ok_or_else(|| {
            format!("the indicator's query returns no column `{name}`; it returns {}", columns.join(", "))
        })
    };
    let (minute_at, value_at) = (place("minute")?, place(column)?);
    for row in answer.rows().map_err(|e| format!("read the indicator's rows: {e}"))? {
        let SqlValue::Time(at) = row[minute_at] else {
            return Err(format!("column `minute` holds `{}`, not a timestamp", row[minute_at]));
        };
        let value = match &row[value_at] {
            SqlValue::Null => continue,
            other => other.as_f64().filter(|v| v.is_finite() && *v >= 0.0),
        };
        let value =
            value.ok_or_else(|| format!("column `{column}` holds `{}`, not a count", row[value_at]))?;
        *into.entry(minute_of(at)).or_default() += value;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    };
    use hindsight_model::SqlParam;

    use super::*;
    use crate::slo::indicator::{Ratio, Source};

    const FROM: Timestamp = Timestamp::UNIX_EPOCH;

    fn to() -> Timestamp {
        "1970-01-01T00:05:00Z".parse().unwrap()
    }

    fn spans(condition: &str) -> Source {
        Source::Spans { condition: condition.to_owned(), threshold: None, value: None }
    }

    fn ratio(part: Part, part_source: Source, total_source: Source) -> Indicator {
        Indicator::Ratio(Ratio { part, part_source, total_source })
    }

    fn answer(columns: Vec<(&str, ArrayRef)>) -> SqlAnswer {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        SqlAnswer::new(batch.schema(), vec![batch])
    }

    fn minutes(starts: &[i64]) -> ArrayRef {
        let micros: Vec<i64> = starts.iter().map(|minute| minute * 60_000_000).collect();
        Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
    }

    #[test]
    fn two_counts_of_spans_are_one_query_over_the_whole_range() {
        let ratio = ratio(Part::Bad, spans("status_code = 'error' -- ours"), spans("kind = 'server'"));
        let queries = queries(&ratio, &Tenant::default(), FROM, to());
        assert_eq!(queries.len(), 1);
        let (counts, request) = &queries[0];
        assert_eq!(*counts, Counts::Both);
        assert_eq!(request.params.keys().collect::<Vec<_>>(), ["from", "to"]);
        assert_eq!(request.params["to"], SqlParam::Time(to()));
        assert!(request.sql.contains("-- ours\n)"), "a comment ends with its line: {}", request.sql);
    }

    #[test]
    fn written_queries_are_asked_with_the_parameters_they_name() {
        let sql = Source::Sql("SELECT minute, value FROM t WHERE at < $now".to_owned());
        let queries = queries(&ratio(Part::Good, sql, spans("true")), &Tenant::default(), FROM, to());
        assert_eq!(
            queries.iter().map(|(counts, _)| *counts).collect::<Vec<_>>(),
            [Counts::Part, Counts::Total]
        );
        assert_eq!(queries[0].1.params.keys().collect::<Vec<_>>(), ["now"]);
        assert_eq!(queries[0].1.params["now"], SqlParam::Time(to()));
    }

    #[test]
    fn good_and_bad_parts_become_good_and_total_within_bounds() {
        let part = answer(vec![
            ("minute", minutes(&[1, 2, 9])),
            ("value", Arc::new(Float64Array::from(vec![3.0, 99.0, 5.0]))),
        ]);
        let total = answer(vec![
            ("minute", minutes(&[1, 2, 3])),
            ("value", Arc::new(Int64Array::from(vec![Some(10), Some(20), None]))),
        ]);
        let answers = [(Counts::Part, part), (Counts::Total, total)];
        let of = |part| minutes_of(&ratio(part, spans("a"), spans("b")), &answers).unwrap();
        // More good than all is all; a part without a total is nothing.
        let good = [(1, Minute { good: 3.0, total: 10.0 }), (2, Minute { good: 20.0, total: 20.0 })];
        let bad = [(1, Minute { good: 7.0, total: 10.0 }), (2, Minute { good: 0.0, total: 20.0 })];
        assert_eq!(of(Part::Good), BTreeMap::from(good));
        assert_eq!(of(Part::Bad), BTreeMap::from(bad));
    }

    #[test]
    fn a_threshold_between_two_bounds_says_what_it_leaves_open() {
        let column = |values: Vec<Option<f64>>| -> ArrayRef { Arc::new(Float64Array::from(values)) };
        let histogram = answer(vec![
            ("minute", minutes(&[1, 2, 3])),
            ("value", column(vec![Some(3.0), Some(4.0), Some(9.0)])),
            ("at_least", column(vec![Some(3.0), Some(4.0), None])),
            ("at_most", column(vec![Some(5.0), Some(4.0), None])),
            ("of_all", column(vec![Some(10.0), Some(10.0), None])),
            ("bound_below", column(vec![Some(0.25), Some(0.2), None])),
            ("bound_above", column(vec![Some(0.5), Some(0.5), None])),
        ]);
        let note = note_of(&[(Counts::Part, histogram)]).unwrap();
        assert!(
            note.contains("between the bucket bounds 0.25 and 0.5: of the last 20 events 7 to 9"),
            "{note}"
        );
        let plain = answer(vec![("minute", minutes(&[1])), ("value", column(vec![Some(1.0)]))]);
        assert_eq!(note_of(&[(Counts::Total, plain)]), None);
    }

    #[test]
    fn answers_of_the_wrong_shape_say_which_column_is_wrong() {
        let read = |columns| {
            let answers = [(Counts::Total, answer(columns))];
            minutes_of(&ratio(Part::Good, spans("a"), spans("b")), &answers).unwrap_err()
        };
        let ones: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        let words: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let no_minute = read(vec![("at", minutes(&[1])), ("value", Arc::clone(&ones))]);
        assert_eq!(no_minute, "the indicator's query returns no column `minute`; it returns at, value");
        assert!(read(vec![("minute", Arc::clone(&words)), ("value", ones)]).contains("not a timestamp"));
        assert!(read(vec![("minute", minutes(&[1])), ("value", words)]).contains("`x`, not a count"));
        let negative: ArrayRef = Arc::new(Float64Array::from(vec![-1.0]));
        assert!(read(vec![("minute", minutes(&[1])), ("value", negative)]).contains("not a count"));
    }
}
