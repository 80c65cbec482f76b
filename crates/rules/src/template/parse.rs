use super::{Filter, Part, Path, SOURCE_BYTES_MAX};

/// Most digits that `round` and `percent` take.
const DIGITS_MAX: usize = 12;

/// A template that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Where, in characters from the start of the template, from 1.
    pub column: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Cuts the source at its holes.
pub(super) fn parts(source: &str) -> Result<Vec<Part>, TemplateError> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(error(source, 0, format!("the template is longer than {SOURCE_BYTES_MAX} bytes")));
    }
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(open) = source[at..].find("{{") {
        let start = at + open;
        if open > 0 {
            parts.push(Part::Text(source[at..start].to_owned()));
        }
        let inside = start + 2;
        let Some(length) = source[inside..].find("}}") else {
            return Err(error(source, start, "`{{` has no closing `}}`".to_owned()));
        };
        parts.push(hole(source, inside, &source[inside..inside + length])?);
        at = inside + length + 2;
    }
    if at < source.len() {
        parts.push(Part::Text(source[at..].to_owned()));
    }
    Ok(parts)
}

/// Reads `path | filter argument | …`; `offset` is where `text` begins in the source.
fn hole(source: &str, offset: usize, text: &str) -> Result<Part, TemplateError> {
    let mut pieces = split_pipes(text).into_iter();
    let (start, first) = pieces.next().unwrap_or((0, text));
    let path = path(first.trim()).map_err(|m| error(source, offset + start + leading(first), m))?;
    let mut filters = Vec::new();
    for (start, piece) in pieces {
        let place = offset + start + leading(piece);
        filters.push(filter(piece.trim()).map_err(|m| error(source, place, m))?);
    }
    Ok(Part::Hole { path, filters })
}

/// The pieces between pipes, with where they begin; a pipe in quotes is text.
fn split_pipes(text: &str) -> Vec<(usize, &str)> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '|') => {
                pieces.push((start, &text[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push((start, &text[start..]));
    pieces
}

fn path(text: &str) -> Result<Path, String> {
    let plain = text.strip_prefix('$').unwrap_or(text);
    if plain == "value" {
        return Ok(Path::Value);
    }
    match plain.strip_prefix("labels.") {
        Some(name) if !name.is_empty() && !name.contains(char::is_whitespace) => {
            Ok(Path::Label(name.to_owned()))
        }
        Some(_) => Err("write a label's name after `labels.`, as in `labels.service_name`".to_owned()),
        None if text.is_empty() => Err("write `labels.NAME` or `value` between the braces".to_owned()),
        None => Err(format!("`{text}` is not known here; write `labels.NAME` or `value`")),
    }
}

fn filter(text: &str) -> Result<Filter, String> {
    let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let argument = argument.trim();
    let filter = match name {
        "percent" | "humanizePercentage" => return Ok(Filter::Percent(digits(name, argument, 2)?)),
        "round" => return Ok(Filter::Round(digits(name, argument, 0)?)),
        "default" => return quoted(argument).map(Filter::Default),
        "duration" | "humanizeDuration" => Filter::Duration,
        "bytes" => Filter::Bytes,
        "humanize" => Filter::Humanize,
        "upper" => Filter::Upper,
        "lower" => Filter::Lower,
        _ => {
            return Err(format!(
                "there is no filter `{name}`; there are percent, round, duration, bytes, humanize, upper, lower and default"
            ));
        }
    };
    if argument.is_empty() { Ok(filter) } else { Err(format!("`{name}` takes no argument")) }
}

fn digits(name: &str, argument: &str, unless_given: usize) -> Result<usize, String> {
    if argument.is_empty() {
        return Ok(unless_given);
    }
    argument
        .parse()
        .ok()
        .filter(|digits| *digits <= DIGITS_MAX)
        .ok_or_else(|| format!("`{name}` takes a number of digits from 0 to {DIGITS_MAX}, not `{argument}`"))
}

fn quoted(argument: &str) -> Result<String, String> {
    for quote in ['"', '\''] {
        let inner = argument.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner {
            return Ok(inner.to_owned());
        }
    }
    Err("`default` takes a text in quotes, as in `default \"unknown\"`".to_owned())
}

fn leading(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

fn error(source: &str, byte: usize, message: String) -> TemplateError {
    let column = source.get(..byte).unwrap_or(source).chars().count() + 1;
    TemplateError { column, message }
}
