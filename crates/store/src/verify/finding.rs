use std::fmt;

/// Further findings are counted and not kept (LIM-1).
pub const FINDINGS_MAX: usize = 10_000;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something was lost, altered, or would be read wrongly.
    Problem,
    /// Odd, and harmless as far as can be told.
    Warning,
}

impl Severity {
    /// `problem` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A fixed word for programs: `block_missing`, `wal_damaged`.
    pub kind: &'static str,
    /// The file or directory, within the data directory where it lies there.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

impl Finding {
    /// Something is wrong.
    pub fn problem(
        kind: &'static str,
        place: impl Into<String>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Problem,
            kind,
            place: place.into(),
            what: what.into(),
            advice: advice.into(),
        }
    }

    /// Something is odd.
    pub fn warning(
        kind: &'static str,
        place: impl Into<String>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::problem(kind, place, what, advice) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.severity.as_str(), self.place, self.what, self.advice)
    }
}

/// Findings in the order they were made, bounded in number.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    problems: u64,
    warnings: u64,
}

impl Findings {
    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        match finding.severity {
            Severity::Problem => self.problems += 1,
            Severity::Warning => self.warnings += 1,
        }
        if self.kept.len() < FINDINGS_MAX {
            self.kept.push(finding);
        }
    }

    /// Adds several.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.push(finding);
        }
    }

    /// Those that were kept, at most [`FINDINGS_MAX`].
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }

    /// How many problems there are, kept or not.
    pub fn problems(&self) -> u64 {
        self.problems
    }

    /// How many warnings there are, kept or not.
    pub fn warnings(&self) -> u64 {
        self.warnings
    }
}
