use std::sync::LazyLock;

use regex::Regex;

/// One lesson: `L1. Services should watch every constrained resource → A1, A2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// Line in the file, from 1.
    pub line: usize,
    /// `L1`.
    pub id: String,
    /// What was learned.
    pub text: String,
    /// Actions that come of it.
    pub actions: Vec<String>,
}

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:[-*]\s+)?(?:\*\*)?(L\d+)\.?(?:\*\*)?\s+(.*)$").expect("the pattern is constant")
});
static ACTION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bA\d+\b").expect("the pattern is constant"));

pub(super) fn parse(lines: &[(usize, &str)]) -> Vec<Lesson> {
    let mut lessons = Vec::new();
    for (line, text) in lines {
        let Some(found) = LINE.captures(text) else { continue };
        let (words, after) =
            found[2].rsplit_once('→').map_or((&found[2], ""), |(words, after)| (words, after));
        lessons.push(Lesson {
            line: *line,
            id: found[1].to_owned(),
            text: words.trim().to_owned(),
            actions: ACTION.find_iter(after).map(|m| m.as_str().to_owned()).collect(),
        });
    }
    lessons
}
