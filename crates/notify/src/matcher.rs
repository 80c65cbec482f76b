//! Conditions on labels: Alertmanager's matchers, read, checked and compiled.
//!
//! Source: Alertmanager's documentation, "Configuration", `<matcher>`.

use hindsight_model::{Labels, Matcher};
use regex::{Regex, RegexBuilder};

/// Most matchers in one list.
pub const MATCHERS_MAX: usize = 32;
/// Longest name of a label in a matcher.
pub const MATCHER_NAME_BYTES_MAX: usize = 128;
/// Longest value or regular expression of a matcher.
pub const MATCHER_VALUE_BYTES_MAX: usize = 1_024;
/// Largest compiled form of a regular expression.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// Why matchers cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// Not `name operator value`.
    #[error("`{0}` is not a matcher; write service_name=\"checkout\", or with !=, =~ or !~ for the =")]
    Syntax(String),
    /// An empty or overlong name or value.
    #[error("matcher `{matcher}`: {problem}")]
    Invalid {
        /// The matcher, shortened.
        matcher: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// None, or more than [`MATCHERS_MAX`].
    #[error("there are {0} matchers; give 1 to {MATCHERS_MAX}")]
    Count(usize),
    /// Every alert would match.
    #[error(
        "these matchers match every alert, with or without such labels; give at least one that names a value, such \
         as service_name=\"checkout\""
    )]
    Everything,
}

/// Matchers that all have to hold, ready to be asked.
#[derive(Clone, Debug)]
pub struct Matchers(Vec<Compiled>);

#[derive(Clone, Debug)]
struct Compiled {
    source: Matcher,
    regex: Option<Regex>,
}

impl Matchers {
    /// Compiles a list, which may be empty: then everything matches.
    ///
    /// # Errors
    /// [`MatcherError`] for the first matcher that cannot be used, or too many of them.
    pub fn new(matchers: &[Matcher]) -> Result<Self, MatcherError> {
        if matchers.len() > MATCHERS_MAX {
            return Err(MatcherError::Count(matchers.len()));
        }
        matchers.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// Compiles the matchers of a silence or an inhibition, which must not match every alert: at least one of them
    /// refuses an alert without its label.
    ///
    /// # Errors
    /// As [`Matchers::new`], [`MatcherError::Count`] for an empty list, and [`MatcherError::Everything`].
    pub fn selective(matchers: &[Matcher]) -> Result<Self, MatcherError> {
        if matchers.is_empty() {
            return Err(MatcherError::Count(0));
        }
        let compiled = Self::new(matchers)?;
        if compiled.0.iter().all(|matcher| matcher.holds("")) {
            return Err(MatcherError::Everything);
        }
        Ok(compiled)
    }

    /// Whether all of them hold for these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| {
            matcher.holds(labels.get(&matcher.source.name).map(String::as_str).unwrap_or_default())
        })
    }

    /// As it is written: `severity="page",team!="x"`, in the order given.
    pub fn text(&self) -> String {
        self.0.iter().map(|matcher| matcher.source.to_string()).collect::<Vec<_>>().join(",")
    }
}

impl Compiled {
    fn holds(&self, value: &str) -> bool {
        let same = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.source.value == value,
        };
        same == self.source.is_equal
    }
}

fn compile(matcher: &Matcher) -> Result<Compiled, MatcherError> {
    let invalid = |problem: String| MatcherError::Invalid {
        matcher: matcher.to_string().chars().take(120).collect(),
        problem,
    };
    if matcher.name.is_empty() || matcher.name.len() > MATCHER_NAME_BYTES_MAX {
        return Err(invalid(format!("the name of a label has 1 to {MATCHER_NAME_BYTES_MAX} bytes")));
    }
    if matcher.value.len() > MATCHER_VALUE_BYTES_MAX {
        return Err(invalid(format!("a value has at most {MATCHER_VALUE_BYTES_MAX} bytes")));
    }
    let regex = if matcher.is_regex {
        let anchored = format!("^(?:{})$", matcher.value);
        // Compiled alone first, so that `)(` is not mended by the anchors around it.
        let alone = bounded(&matcher.value);
        let both = alone.and_then(|_| bounded(&anchored));
        Some(both.map_err(|error| invalid(format!("its regular expression cannot be used: {error}")))?)
    } else {
        None
    };
    Ok(Compiled { source: matcher.clone(), regex })
}

fn bounded(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build()
}

/// Reads one matcher as people write it: `name="value"`, `name!=value`, `name=~"regex"`, `name!~"regex"`. The value
/// may stand in double quotes, with `\"`, `\\` and `\n` in them.
///
/// # Errors
/// [`MatcherError::Syntax`].
pub fn parse_matcher(text: &str) -> Result<Matcher, MatcherError> {
    let syntax = || MatcherError::Syntax(text.chars().take(120).collect());
    let at = text.find(['=', '!']).ok_or_else(syntax)?;
    let (name, rest) = text.split_at(at);
    let (is_equal, is_regex, value) = if let Some(value) = rest.strip_prefix("=~") {
        (true, true, value)
    } else if let Some(value) = rest.strip_prefix("!~") {
        (false, true, value)
    } else if let Some(value) = rest.strip_prefix("!=") {
        (false, false, value)
    } else {
        (true, false, rest.strip_prefix('=').ok_or_else(syntax)?)
    };
    let name = name.trim();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | ':' | '/');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(syntax());
    }
    let value = unquoted(value.trim()).ok_or_else(syntax)?;
    Ok(Matcher { name: name.to_owned(), value, is_regex, is_equal })
}

fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut value = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                c @ ('"' | '\\') => value.push(c),
                // A regular expression's own escapes stay as they are.
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests;
