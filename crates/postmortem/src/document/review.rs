use std::sync::LazyLock;

use regex::Regex;

/// What a reviewer answers before a document is approved (P2), in order: `Q1. … → answer` under `## Review`.
pub const REVIEW_QUESTIONS: [&str; 5] = [
    "Are the facts of the incident recorded: its times, its evidence, what customers were told?",
    "Is the impact complete, in numbers?",
    "Do the whys go deep enough that acting on their ends would have prevented it?",
    "Do the actions have the right priority, owner and date, and fit what the whys found?",
    "Has it been shared with everybody who should learn from it?",
];

/// A line of `## Review`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewAnswer {
    /// Line in the file, from 1.
    pub line: usize,
    /// Which question, from 1.
    pub question: usize,
    /// The answer after `→`; empty when there is none yet.
    pub answer: String,
}

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:[-*]\s+)?(?:\*\*)?Q(\d)\.?(?:\*\*)?\s+(.*)$").expect("the pattern is constant")
});

/// The section with its questions, unanswered.
pub fn review_section() -> String {
    let mut out = "## Review\n".to_owned();
    for (index, question) in REVIEW_QUESTIONS.iter().enumerate() {
        out.push_str(&format!("\nQ{}. {question} →\n", index + 1));
    }
    out
}

pub(super) fn parse(lines: &[(usize, &str)]) -> Vec<ReviewAnswer> {
    let mut answers = Vec::new();
    for (line, text) in lines {
        let Some(found) = LINE.captures(text) else { continue };
        let Ok(question) = found[1].parse() else { continue };
        let answer = found[2].split_once('→').map_or("", |(_, answer)| answer).trim().to_owned();
        answers.push(ReviewAnswer { line: *line, question, answer });
    }
    answers
}
