//! Refusals in PostgreSQL's words: a SQLSTATE that drivers tell apart, a sentence, a way onward.

use hindsight_model::SqlError;

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PgFault {
    /// Five characters of PostgreSQL's appendix A.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
    /// Whether the connection ends with it.
    pub(crate) fatal: bool,
}

impl PgFault {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, fatal: false }
    }

    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    pub(crate) fn fatal(mut self) -> Self {
        self.fatal = true;
        self
    }

    /// The client does not keep to the protocol; nothing it sends can be trusted to mean what it seems to.
    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::new("08P01", message).fatal()
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new("0A000", message)
    }
}

impl From<SqlError> for PgFault {
    fn from(error: SqlError) -> Self {
        let message = error.to_string();
        match error {
            SqlError::Invalid { .. } => {
                let code = invalid_code(&message);
                Self::new(code, message).hint("`\\dt` lists the tables and `\\d logs` the columns of one")
            }
            SqlError::Limit { limit, .. } => {
                let code = match limit {
                    "timeout" => "57014",
                    "concurrency" => "53300",
                    "memory" => "53200",
                    _ => "54000",
                };
                Self::new(code, message).hint("narrow the time range or the columns, or raise the limit")
            }
            SqlError::Cancelled => Self::new("57014", "canceling statement due to user request"),
            SqlError::Failed { .. } => {
                tracing::error!(error = message, "query failed");
                Self::new("XX000", message).hint("the server's log has the cause")
            }
        }
    }
}

/// The class of a wrong question, as far as its words tell.
fn invalid_code(message: &str) -> &'static str {
    let starts = |beginnings: &[&str]| beginnings.iter().any(|beginning| message.starts_with(beginning));
    if starts(&["there is no table"]) {
        "42P01"
    } else if starts(&["there is no column"]) {
        "42703"
    } else if starts(&["SQL syntax", "SQL text is empty"]) {
        "42601"
    } else if starts(&["division by zero"]) {
        "22012"
    } else if starts(&["parameter $"]) {
        "42P02"
    } else if message.contains("is refused: queries only read") {
        "25006"
    } else if starts(&["not supported"]) {
        "0A000"
    } else if starts(&["Invalid function"]) {
        "42883"
    } else {
        "42000"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_has_the_code_that_drivers_know() {
        for (message, code) in [
            ("there is no table `lgos`; did you mean `logs`?", "42P01"),
            ("there is no column `x`", "42703"),
            ("SQL syntax: Expected: an expression", "42601"),
            ("DROP TABLE is refused: queries only read; use SELECT", "25006"),
            ("something else", "42000"),
        ] {
            assert_eq!(
                PgFault::from(SqlError::Invalid { message: message.to_owned() }).code,
                code,
                "{message}"
            );
        }
        let timeout = SqlError::Limit { limit: "timeout", message: String::new() };
        assert_eq!(PgFault::from(timeout).code, "57014");
        assert_eq!(PgFault::from(SqlError::Cancelled).code, "57014");
    }
}
