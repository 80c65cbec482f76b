//! Timelines from elsewhere: a CSV file, a chat's export as JSON, or a chat as plain text. Text in, rows out.

use hindsight_model::{NewTimelineRow, TimelineKind};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::respond::{NOTE_CHARS_MAX, said};
use crate::{Error, ROWS_ADDED_MAX, Result};

/// Column names that are understood, the first one is ours.
const TIME: [&str; 5] = ["time", "timestamp", "at", "date", "when"];
const TEXT: [&str; 6] = ["text", "message", "note", "event", "description", "what"];
const KIND: [&str; 2] = ["kind", "type"];
const SERVICE: [&str; 2] = ["service", "service_name"];
const ROLE: [&str; 1] = ["role"];
const AUTHOR: [&str; 4] = ["author", "user", "name", "who"];

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFormat {
    /// A head line with at least `time` and `text`; also `kind`, `service`, `role` and `author`.
    Csv,
    /// A list of messages with `ts` and `text`, as Slack exports a channel.
    ChatJson,
    /// Lines such as `[2026-05-04 14:32] ana: rolling back`; a line without a time goes on with the one before.
    ChatText,
}

/// What the file itself does not say.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// How it is written; found out from its beginning when `None`.
    pub format: Option<ImportFormat>,
    /// The zone of times that name none.
    pub zone: TimeZone,
    /// The role of people for whom the file names none.
    pub role: String,
}

/// The rows of a file, in its order.
///
/// # Errors
/// [`Error::Import`] with the line, for a time that cannot be read, a column that is missing, or no text;
/// [`Error::Rows`] for none, or more than [`ROWS_ADDED_MAX`].
pub fn import(text: &str, options: &ImportOptions) -> Result<Vec<NewTimelineRow>> {
    let text = text.trim_start_matches('\u{feff}');
    let rows = match options.format.unwrap_or_else(|| guess(text)) {
        ImportFormat::Csv => from_csv(text, options),
        ImportFormat::ChatJson => from_json(text, options),
        ImportFormat::ChatText => from_chat(text, options),
    }?;
    if rows.is_empty() || rows.len() > ROWS_ADDED_MAX {
        return Err(Error::Rows { max: ROWS_ADDED_MAX });
    }
    Ok(rows)
}

fn guess(text: &str) -> ImportFormat {
    let first = text.trim_start().lines().next().unwrap_or_default();
    if first.starts_with('{') || (first.starts_with('[') && stamp(first).is_none()) {
        return ImportFormat::ChatJson;
    }
    let names: Vec<String> =
        first.split(',').map(|name| name.trim().trim_matches('"').to_lowercase()).collect();
    let has = |known: &[&str]| names.iter().any(|name| known.contains(&name.as_str()));
    if has(&TIME) && has(&TEXT) { ImportFormat::Csv } else { ImportFormat::ChatText }
}

fn from_csv(text: &str, options: &ImportOptions) -> Result<Vec<NewTimelineRow>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let head = reader.headers().map_err(|error| wrong(1, error.to_string()))?.clone();
    let column =
        |known: &[&str]| head.iter().position(|name| known.contains(&name.trim().to_lowercase().as_str()));
    let needed = |known: &[&str]| {
        let what = format!("the head line has no column `{}`; it is the first line of the file", known[0]);
        column(known).ok_or_else(|| wrong(1, what))
    };
    let (time, words) = (needed(&TIME)?, needed(&TEXT)?);
    let (kind, service, role, author) = (column(&KIND), column(&SERVICE), column(&ROLE), column(&AUTHOR));
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(1, csv::Position::line);
            wrong(usize::try_from(line).unwrap_or(usize::MAX), error.to_string())
        })?;
        let line =
            record.position().map_or(0, |position| usize::try_from(position.line()).unwrap_or(usize::MAX));
        let cell = |index: Option<usize>| {
            index.and_then(|index| record.get(index)).map(str::trim).filter(|text| !text.is_empty())
        };
        let at = read_time(cell(Some(time)).unwrap_or_default(), &options.zone)
            .map_err(|what| wrong(line, what))?;
        let kind = cell(kind).map_or(Ok(TimelineKind::Note), str::parse).map_err(|what| wrong(line, what))?;
        let words =
            cell(Some(words)).ok_or_else(|| wrong(line, "it says nothing; fill in the text".to_owned()))?;
        let mut row = new(at, kind, words, cell(role), cell(author), options);
        row.row.service = cell(service).map(str::to_owned);
        rows.push(row);
    }
    Ok(rows)
}

fn from_json(text: &str, options: &ImportOptions) -> Result<Vec<NewTimelineRow>> {
    let file: Value = serde_json::from_str(text)
        .map_err(|error| wrong(error.line(), format!("it is not JSON: {error}")))?;
    let list = file.as_array().or_else(|| file["messages"].as_array());
    let list = list.ok_or_else(|| wrong(1, "it is no list of messages, and has no `messages`".to_owned()))?;
    let mut rows = Vec::new();
    for (number, message) in (1..).zip(list) {
        let is_event = message["subtype"].as_str().is_some_and(|kind| kind.starts_with("channel_"));
        let words = message["text"].as_str().unwrap_or_default().trim();
        if is_event || words.is_empty() {
            continue;
        }
        let at = chat_time(message, &options.zone)
            .map_err(|what| wrong(1, format!("message {number}: {what}")))?;
        let profile = &message["user_profile"];
        let names = [&profile["real_name"], &message["username"], &message["author"], &message["user"]];
        let author = names.into_iter().find_map(Value::as_str);
        rows.push(new(at, TimelineKind::Note, words, message["role"].as_str(), author, options));
    }
    Ok(rows)
}

/// `ts` in seconds with a fraction, as text or number; else a time in words.
fn chat_time(message: &Value, zone: &TimeZone) -> Result<Timestamp, String> {
    let seconds = match &message["ts"] {
        Value::String(text) => text.parse::<f64>().ok(),
        other => other.as_f64(),
    };
    if let Some(seconds) = seconds {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float beyond the range saturates and is refused"
        )]
        let micros = (seconds * 1e6).round() as i64;
        return Timestamp::from_microsecond(micros).map_err(|_| format!("`{seconds}` is no time"));
    }
    let text = ["ts", "time", "timestamp", "date"].into_iter().find_map(|key| message[key].as_str());
    read_time(text.ok_or("it has no `ts`")?, zone)
}

fn from_chat(text: &str, options: &ImportOptions) -> Result<Vec<NewTimelineRow>> {
    let mut rows: Vec<NewTimelineRow> = Vec::new();
    let mut begins: Vec<usize> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let Some((time, rest)) = stamp(line) else {
            let last = rows.last_mut().ok_or_else(|| {
                wrong(
                    number,
                    "it begins without a time; write lines such as `[2026-05-04 14:32] ana: text`".to_owned(),
                )
            })?;
            last.row.text.push('\n');
            last.row.text.push_str(line.trim_end());
            continue;
        };
        let at = read_time(time, &options.zone).map_err(|what| wrong(number, what))?;
        let (author, words) = match rest.split_once(": ") {
            Some((author, words)) if author.chars().count() <= 60 => (Some(author), words),
            _ => (None, rest),
        };
        if words.trim().is_empty() {
            return Err(wrong(number, "it says nothing after the time".to_owned()));
        }
        rows.push(new(at, TimelineKind::Note, words, None, author, options));
        begins.push(number);
    }
    let long = rows.iter().position(|row| row.row.text.chars().count() > NOTE_CHARS_MAX);
    match long {
        Some(index) => {
            Err(wrong(begins[index], format!("a message is longer than {NOTE_CHARS_MAX} characters")))
        }
        None => Ok(rows),
    }
}

/// The time at the beginning of a line, in brackets or not, and what follows it.
fn stamp(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let separators = |c: char| c.is_whitespace() || matches!(c, '-' | '–' | ',');
    if let Some((time, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let begins = time.trim_start().starts_with(|c: char| c.is_ascii_digit());
        return begins.then(|| (time.trim(), rest.trim_start_matches(separators)));
    }
    // `2026-05-04T14:32:00Z …` is one word, `2026-05-04 14:32 …` two.
    let first = line.split_whitespace().next()?;
    let is_date = first.get(..10).is_some_and(|date| date.parse::<jiff::civil::Date>().is_ok());
    if !is_date {
        return None;
    }
    let length = if first.len() > 10 {
        first.len()
    } else {
        let after = &line[first.len()..];
        first.len() + after.find(|c: char| !c.is_whitespace())? + after.split_whitespace().next()?.len()
    };
    Some((&line[..length], line[length..].trim_start_matches(separators)))
}

fn read_time(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let local = text.trim_end_matches(" UTC");
    let zone = if local.len() < text.len() { &TimeZone::UTC } else { zone };
    let read = local.parse::<DateTime>().or_else(|_| DateTime::strptime("%Y-%m-%d %H:%M", local));
    let at = read.ok().and_then(|at| zone.to_ambiguous_timestamp(at).compatible().ok());
    at.ok_or_else(|| format!("`{text}` is no time; write it like 2026-05-04T14:32:00Z or 2026-05-04 14:32"))
}

fn new(
    at: Timestamp,
    kind: TimelineKind,
    words: &str,
    role: Option<&str>,
    author: Option<&str>,
    options: &ImportOptions,
) -> NewTimelineRow {
    let role = role.unwrap_or(&options.role);
    let mut row = said(at, kind, words.trim().to_owned(), role);
    row.author = author.map(str::to_owned);
    row
}

fn wrong(line: usize, what: String) -> Error {
    Error::Import { line, what }
}

#[cfg(test)]
mod tests;
