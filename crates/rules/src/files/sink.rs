use std::path::{Path, PathBuf};

use super::yaml::Place;
use super::{Level, Problem};

/// Collects problems; knows which file and which rule is being read.
#[derive(Debug, Default)]
pub(super) struct Sink {
    file: PathBuf,
    rule: Option<String>,
    problems: Vec<Problem>,
    errors: usize,
}

impl Sink {
    /// What follows is about this file.
    pub(super) fn enter(&mut self, file: &Path) {
        file.clone_into(&mut self.file);
        self.rule = None;
    }

    /// What follows is about this rule, group or SLO, or about none.
    pub(super) fn about(&mut self, rule: Option<String>) {
        self.rule = rule;
    }

    /// Errors so far: reading something succeeded when the number did not grow.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    pub(super) fn error(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Level::Error, place, message.into(), Some(hint.into()));
    }

    pub(super) fn unsupported(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Level::Unsupported, place, message.into(), Some(hint.into()));
    }

    pub(super) fn warning(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Level::Warning, place, message.into(), Some(hint.into()));
    }

    pub(super) fn whole_file(&mut self, message: String, hint: Option<String>) {
        self.push(Level::Error, Place::default(), message, hint);
    }

    pub(super) fn duplicate(&mut self, what: &str, name: &str, file: &Path, line: u64, first: &Path) {
        self.enter(file);
        self.about(Some(name.to_owned()));
        let message = format!("there is already {what} `{name}` in {}", first.display());
        self.error(Place { line, column: 1 }, message, "give one of them another name");
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems;
        problems
            .sort_by(|a, b| (a.level, &a.file, a.line, a.column).cmp(&(b.level, &b.file, b.line, b.column)));
        problems
    }

    fn push(&mut self, level: Level, place: Place, message: String, hint: Option<String>) {
        self.errors += usize::from(level == Level::Error);
        self.problems.push(Problem {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            rule: self.rule.clone(),
            message,
            hint,
            level,
        });
    }
}
