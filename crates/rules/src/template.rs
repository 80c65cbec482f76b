//! Texts with holes: `{{ labels.service_name }} at {{ value | percent }}`.
//!
//! A hole is `labels.NAME` or `value`, then any number of filters after `|`:
//! `percent [digits]`, `round [digits]`, `duration` (of seconds), `bytes`, `humanize`, `upper`, `lower` and
//! `default "text"`. Prometheus' `$labels`, `$value`, `humanizePercentage` and `humanizeDuration` are understood.
//! There are no loops, no branches and no I/O; what comes out is bounded.

mod format;
mod parse;
#[cfg(test)]
mod tests;

use hindsight_model::Labels;

pub use parse::TemplateError;

/// Longest text that a template renders to, in characters; the rest is cut and marked with `…`.
pub(crate) const RENDERED_CHARS_MAX: usize = 4_096;
/// Longest template source, in bytes.
pub(crate) const SOURCE_BYTES_MAX: usize = 16_384;

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Hole { path: Path, filters: Vec<Filter> },
}

#[derive(Clone, Debug, PartialEq)]
enum Path {
    Label(String),
    Value,
}

#[derive(Clone, Debug, PartialEq)]
enum Filter {
    Percent(usize),
    Round(usize),
    Duration,
    Bytes,
    Humanize,
    Upper,
    Lower,
    Default(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// With the column (in characters, from 1) of what is wrong.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        Ok(Self { source: source.to_owned(), parts: parse::parts(source)? })
    }

    /// A text without holes, whatever braces it has.
    pub(crate) fn literal(text: &str) -> Self {
        Self { source: text.to_owned(), parts: vec![Part::Text(text.to_owned())] }
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether a hole reads `value`, so that the text may change while the alert lasts.
    pub fn reads_value(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Hole { path: Path::Value, .. }))
    }

    /// Whether there is any hole at all.
    pub fn has_holes(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Hole { .. }))
    }

    /// The text for these labels and this value. A label that is not there, and a value that is not known, are
    /// empty texts.
    pub fn render(&self, labels: &Labels, value: Option<f64>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Hole { path, filters } => out.push_str(&fill(path, filters, labels, value)),
            }
            // Bytes are counted first, being free; only a long text is counted in characters.
            if out.len() > RENDERED_CHARS_MAX && out.chars().count() > RENDERED_CHARS_MAX {
                return cut(&out);
            }
        }
        out
    }
}

/// What flows through the filters: a number as long as nobody made it a text.
enum Filling {
    Number(f64),
    Text(String),
}

fn fill(path: &Path, filters: &[Filter], labels: &Labels, value: Option<f64>) -> String {
    let mut filling = match path {
        Path::Label(name) => Filling::Text(labels.get(name).cloned().unwrap_or_default()),
        Path::Value => value.map_or_else(|| Filling::Text(String::new()), Filling::Number),
    };
    for filter in filters {
        filling = apply(filter, filling);
    }
    match filling {
        Filling::Number(number) => format::number(number),
        Filling::Text(text) => text,
    }
}

fn apply(filter: &Filter, filling: Filling) -> Filling {
    let text = match (filter, as_number(&filling)) {
        (Filter::Percent(digits), Some(number)) => format::percent(number, *digits),
        (Filter::Round(digits), Some(number)) => format!("{number:.digits$}"),
        (Filter::Duration, Some(number)) => format::duration(number),
        (Filter::Bytes, Some(number)) => format::bytes(number),
        (Filter::Humanize, Some(number)) => format::humanize(number),
        (Filter::Upper, _) => as_text(&filling).to_uppercase(),
        (Filter::Lower, _) => as_text(&filling).to_lowercase(),
        (Filter::Default(text), _) if as_text(&filling).is_empty() => text.clone(),
        _ => return filling,
    };
    Filling::Text(text)
}

/// A label may hold a number, as in `{{ labels.http_response_status_code | round 0 }}`.
fn as_number(filling: &Filling) -> Option<f64> {
    match filling {
        Filling::Number(number) => Some(*number),
        Filling::Text(text) => text.trim().parse().ok(),
    }
}

fn as_text(filling: &Filling) -> String {
    match filling {
        Filling::Number(number) => format::number(*number),
        Filling::Text(text) => text.clone(),
    }
}

fn cut(text: &str) -> String {
    let mut out: String = text.chars().take(RENDERED_CHARS_MAX - 1).collect();
    out.push('…');
    out
}
