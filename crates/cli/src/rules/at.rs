//! Times as people name them on a command line.

use anyhow::{Context as _, bail};
use hindsight_model::{SqlRequest, SqlSource, parse_duration};
use jiff::Timestamp;

/// `2026-05-04T21:00:00Z`, `30d` (ago), or `now`.
///
/// # Errors
/// When it is none of them.
pub(super) fn time(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let text = text.trim();
    if text == "now" {
        return Ok(now);
    }
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    match parse_duration(text) {
        Ok(ago) => now.checked_sub(ago).with_context(|| format!("{text} ago is before all time")),
        Err(_) => bail!("`{text}` is no time; write 2026-05-04T21:00:00Z, how long ago as 2h or 30d, or now"),
    }
}

/// What time it is for whoever answers: a server may live by another clock than this machine's.
///
/// # Errors
/// When it does not answer.
pub(super) async fn now_of(sql: &dyn SqlSource) -> anyhow::Result<Timestamp> {
    let answer = sql.sql(SqlRequest::new("SELECT now() AS now")).await?;
    let rows = answer.rows()?;
    rows.first().and_then(|row| row[0].as_time()).context("the server does not say what time it is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_ago() {
        let now: Timestamp = "2026-05-04T21:00:00Z".parse().unwrap();
        let read = |text| time(text, now).unwrap().to_string();
        assert_eq!(read("now"), "2026-05-04T21:00:00Z");
        assert_eq!(read("1h30m"), "2026-05-04T19:30:00Z");
        assert_eq!(read("2026-05-01T00:00:00+02:00"), "2026-04-30T22:00:00Z");
        assert!(time("yesterday", now).unwrap_err().to_string().contains("`yesterday` is no time"));
    }
}
