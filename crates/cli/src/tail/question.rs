//! The SQL that `tail` asks.

use anyhow::bail;
use hindsight_model::{SqlRequest, timestamp_from_micros};

use crate::args::TailArgs;

/// Logs read at a time.
pub(crate) const PAGE_LOGS: usize = 5_000;
/// The words of severity, each with the least number of its range.
const SEVERITIES: [(&str, i64); 6] =
    [("trace", 1), ("debug", 5), ("info", 9), ("warn", 13), ("error", 17), ("fatal", 21)];
/// What a line of text shows.
const SHOWN: &str = "timestamp, timestamp_nanos, severity, severity_text, service_name, event_name, body";

/// Which logs are wanted, and which columns of them.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    columns: &'static str,
    filter: String,
    params: Vec<(String, hindsight_model::SqlParam)>,
}

impl Question {
    /// Reads the flags that choose logs.
    pub(crate) fn new(args: &TailArgs) -> anyhow::Result<Self> {
        let mut filter = String::new();
        let mut params = Vec::new();
        if !args.services.is_empty() {
            let names: Vec<String> = (0..args.services.len()).map(|n| format!("$tail_service_{n}")).collect();
            filter.push_str(&format!(" AND service_name IN ({})", names.join(", ")));
            for (number, service) in args.services.iter().enumerate() {
                params.push((format!("tail_service_{number}"), service.as_str().into()));
            }
        }
        if let Some(word) = &args.severity {
            filter.push_str(&format!(" AND severity_number >= {}", severity_number(word)?));
        }
        if let Some(text) = &args.text {
            filter.push_str(" AND match(body, $tail_match)");
            params.push(("tail_match".to_owned(), text.as_str().into()));
        }
        if let Some(condition) = &args.condition {
            // On lines of its own, so that a comment in it ends before the bracket.
            filter.push_str(&format!(" AND (\n{condition}\n)"));
        }
        Ok(Self { columns: if args.json { "*" } else { SHOWN }, filter, params })
    }

    /// What time it is for the server.
    pub(crate) fn now() -> SqlRequest {
        SqlRequest::new("SELECT $now AS now")
    }

    /// How many logs there are in each second from an instant on.
    pub(crate) fn counts(&self, from: i64) -> SqlRequest {
        self.request(
            format!(
                "SELECT date_trunc('second', timestamp) AS second, count(*) AS n FROM logs \
                 WHERE timestamp >= $tail_from{} GROUP BY 1 ORDER BY 1",
                self.filter
            ),
            &[("tail_from", from)],
        )
    }

    /// The first logs from an instant up to another, which is not included.
    pub(crate) fn page(&self, from: i64, to: i64) -> SqlRequest {
        self.request(
            format!(
                "SELECT {} FROM logs WHERE timestamp >= $tail_from AND timestamp < $tail_to{} \
                 ORDER BY timestamp, timestamp_nanos LIMIT {PAGE_LOGS}",
                self.columns, self.filter
            ),
            &[("tail_from", from), ("tail_to", to)],
        )
    }

    fn request(&self, sql: String, times: &[(&str, i64)]) -> SqlRequest {
        let mut request = SqlRequest::new(sql);
        for (name, value) in &self.params {
            request = request.param(name.clone(), value.clone());
        }
        for (name, micros) in times {
            // No log has a time beyond those that can be written.
            let at = timestamp_from_micros(*micros).unwrap_or(jiff::Timestamp::MAX);
            request = request.param(*name, at);
        }
        request
    }
}

fn severity_number(word: &str) -> anyhow::Result<i64> {
    match SEVERITIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        Some((_, number)) => Ok(*number),
        None => bail!("there is no severity `{word}`; there are trace, debug, info, warn, error and fatal"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use hindsight_model::severity_word;

    use super::*;
    use crate::args::{Args, Command};

    fn question(more: &[&str]) -> anyhow::Result<Question> {
        let arguments = [["hindsight", "tail"].as_slice(), more].concat();
        let Command::Tail(args) = Args::try_parse_from(arguments)?.command else { bail!("not tail") };
        Question::new(&args)
    }

    #[test]
    fn the_flags_become_one_filter_and_no_value_becomes_sql() {
        let flags = [
            "--service",
            "a'b",
            "--service",
            "c",
            "--severity",
            "Warn",
            "--match",
            "x y",
            "--where",
            "1=1 --",
        ];
        let request = question(&flags).unwrap().counts(1_000_000);
        let expected = "WHERE timestamp >= $tail_from AND service_name IN ($tail_service_0, $tail_service_1) AND \
                        severity_number >= 13 AND match(body, $tail_match) AND (\n1=1 --\n) GROUP BY";
        assert!(request.sql.contains(expected), "{}", request.sql);
        assert_eq!(request.params["tail_service_0"], "a'b".into());
        assert_eq!(request.params["tail_match"], "x y".into());
        assert!(question(&["--severity", "loud"]).is_err());
        assert!(question(&["--json"]).unwrap().page(0, 1).sql.starts_with("SELECT * FROM logs"));
    }

    #[test]
    fn a_severity_begins_where_its_word_does() {
        for (word, number) in SEVERITIES {
            let number = i32::try_from(number).unwrap();
            assert_eq!(severity_word(number), Some(word));
            assert_ne!(severity_word(number - 1), Some(word));
        }
    }
}
