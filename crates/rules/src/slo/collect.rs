use std::collections::BTreeMap;

use hindsight_model::{SqlAnswer, SqlRequest, SqlValue, Tenant};
use jiff::Timestamp;

use super::burn::minute_of;
use super::{Part, Ratio, Source};

/// Good and all events of one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Minute {
    pub(crate) good: f64,
    pub(crate) total: f64,
}

/// What a query's `value`-like columns count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Columns `part` and `total` of one query.
    Both,
    /// `value` is the part.
    Part,
    /// `value` is the total.
    Total,
}

/// The queries for `from <= minute < to`: one when both counts come from spans, else one for each.
pub(crate) fn queries(
    ratio: &Ratio,
    tenant: &Tenant,
    from: Timestamp,
    to: Timestamp,
) -> Vec<(Counts, SqlRequest)> {
    let texts = match (&ratio.part_source, &ratio.total_source) {
        (Source::Spans { condition: part }, Source::Spans { condition: total }) => {
            vec![(Counts::Both, both_from_spans(part, total))]
        }
        (part, total) => vec![(Counts::Part, one(part)), (Counts::Total, one(total))],
    };
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
    texts.into_iter().map(|(counts, sql)| (counts, request(sql))).collect()
}

fn both_from_spans(part: &str, total: &str) -> String {
    // Each condition stands on lines of its own, so that a trailing comment ends with it.
    format!(
        "SELECT date_bin(INTERVAL '1 minute', timestamp) AS minute, \
         sum(CASE WHEN (\n{part}\n) THEN 1 ELSE 0 END) AS part, \
         sum(CASE WHEN (\n{total}\n) THEN 1 ELSE 0 END) AS total \
         FROM spans WHERE timestamp >= $from AND timestamp < $to AND ((\n{part}\n) OR (\n{total}\n)) GROUP BY 1"
    )
}

fn one(source: &Source) -> String {
    match source {
        Source::Sql(sql) => sql.clone(),
        Source::Spans { condition } => format!(
            "SELECT date_bin(INTERVAL '1 minute', timestamp) AS minute, count(*) AS value \
             FROM spans WHERE timestamp >= $from AND timestamp < $to AND (\n{condition}\n) GROUP BY 1"
        ),
    }
}

/// Adds an answer's rows to the minutes.
///
/// # Errors
/// A sentence for the rule's author when the columns are not what they should be.
pub(crate) fn minutes_of(
    ratio: &Ratio,
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
    let minute = |(minute, total): (i64, f64)| {
        let part = parts.get(&minute).copied().unwrap_or(0.0).clamp(0.0, total);
        let good = match ratio.part {
            Part::Good => part,
            Part::Bad => total - part,
        };
        (minute, Minute { good, total })
    };
    Ok(totals.into_iter().map(minute).collect())
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

    const FROM: Timestamp = Timestamp::UNIX_EPOCH;

    fn to() -> Timestamp {
        "1970-01-01T00:05:00Z".parse().unwrap()
    }

    fn spans(condition: &str) -> Source {
        Source::Spans { condition: condition.to_owned() }
    }

    fn ratio(part: Part, part_source: Source, total_source: Source) -> Ratio {
        Ratio { part, part_source, total_source }
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
