//! Rule and SLO files: read, checked, and explained when they are wrong.
//!
//! Every problem of every file is found in one reading; one bad file, group or rule never hides the others. Whether
//! a workspace with errors comes into force is the engine's decision.

mod alert_policy;
mod alerting_rule;
pub(crate) mod built_in;
mod case_file;
mod fingerprint;
mod metric_source;
mod openslo;
mod reference;
mod rule_file;
mod runbook;
mod schema;
mod section;
mod sink;
mod sli;
mod slo_document;
#[cfg(test)]
mod slo_tests;
mod suggest;
#[cfg(test)]
mod tests;
mod time_window;
mod yaml;

use std::path::{Path, PathBuf};

use crate::cases::CaseFile;
use crate::error::{Error, Result};
use crate::rule::RuleSet;
pub use fingerprint::{Fingerprint, fingerprint};
pub use runbook::{RunbookSection, sections as runbook_sections};
pub use schema::{RULES_SCHEMA, TESTS_SCHEMA};
use sink::Sink;

/// Folder of rule files in a workspace.
pub const RULES_FOLDER: &str = "rules";
/// Folder of OpenSLO files in a workspace.
pub const SLOS_FOLDER: &str = "slos";
/// Folder of rule tests.
pub const TESTS_FOLDER: &str = "tests";
/// Most files read from one folder; more are a problem and not read.
pub(crate) const FILES_MAX: usize = 1_000;
/// Longest file read, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The rule, group or file is not in force, and a running server does not take over the files while it stands.
    Error,
    /// The rule is understood and not in force: its kind is not supported yet. Others are not affected.
    Unsupported,
    /// It is in force, and still wrong.
    Warning,
}

impl Level {
    /// `error`, `unsupported` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Unsupported => "unsupported",
            Self::Warning => "warning",
        }
    }
}

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Relative to the workspace.
    pub file: PathBuf,
    /// From 1; 0 when the file as a whole is meant.
    pub line: u64,
    /// From 1, in characters; 0 when the file as a whole is meant.
    pub column: u64,
    /// `group/alert`, a group or an SLO, if one is meant.
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// How bad it is.
    pub level: Level,
}

impl std::fmt::Display for Problem {
    /// `rules/a.yaml:7:5: error: message; hint`, as compilers write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}: {}", self.level.as_str(), self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// What the files of a workspace say.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What is in force.
    pub rules: RuleSet,
    /// What is wrong, errors first, then by file and line.
    pub problems: Vec<Problem>,
}

/// Reads `rules/*.yaml` and `slos/*.yaml` (`.yml` too) of a workspace. A folder that is not there is empty.
///
/// # Errors
/// [`Error::Workspace`] when a folder is there and cannot be listed. A file that cannot be read is a problem.
pub fn load(workspace: &Path) -> Result<Loaded> {
    let mut sink = Sink::default();
    let mut rules = RuleSet::default();
    for (file, text) in texts(workspace, RULES_FOLDER, &mut sink)? {
        rules.groups.extend(rule_file::read(workspace, &file, &text, &mut sink));
    }
    let documents = texts(workspace, SLOS_FOLDER, &mut sink)?;
    rules.slos = openslo::read(&documents, &mut sink);
    refuse_duplicates(&mut rules, &mut sink);
    Ok(Loaded { rules, problems: sink.into_problems() })
}

/// Reads the named rule and OpenSLO files alone, relative to the workspace.
pub fn load_files(workspace: &Path, rule_files: &[PathBuf], slo_files: &[PathBuf]) -> Loaded {
    let mut sink = Sink::default();
    let mut rules = RuleSet::default();
    for (file, text) in named_texts(workspace, rule_files, &mut sink) {
        rules.groups.extend(rule_file::read(workspace, &file, &text, &mut sink));
    }
    let documents = named_texts(workspace, slo_files, &mut sink);
    rules.slos = openslo::read(&documents, &mut sink);
    refuse_duplicates(&mut rules, &mut sink);
    Loaded { rules, problems: sink.into_problems() }
}

/// Reads files of rule tests: the named ones, or every one in the workspace's `tests/` folder. A file with an error is
/// left out, and the problems say why.
///
/// # Errors
/// [`Error::Workspace`] when the folder is there and cannot be listed.
pub fn load_cases(workspace: &Path, files: &[PathBuf]) -> Result<(Vec<CaseFile>, Vec<Problem>)> {
    let mut sink = Sink::default();
    let texts = match files {
        [] => texts(workspace, TESTS_FOLDER, &mut sink)?,
        _ => named_texts(workspace, files, &mut sink),
    };
    let cases = texts.iter().filter_map(|(file, text)| case_file::read(file, text, &mut sink)).collect();
    Ok((cases, sink.into_problems()))
}

fn named_texts(workspace: &Path, files: &[PathBuf], sink: &mut Sink) -> Vec<(PathBuf, String)> {
    let mut texts = Vec::new();
    for path in files {
        sink.enter(path);
        match read_text(&workspace.join(path)) {
            Ok(text) => texts.push((path.clone(), text)),
            Err(message) => {
                let hint = format!("paths are relative to the workspace, {}", workspace.display());
                sink.whole_file(message, Some(hint));
            }
        }
    }
    texts
}

/// Of two groups or SLOs with one name, the later in the order of files is refused.
fn refuse_duplicates(rules: &mut RuleSet, sink: &mut Sink) {
    let mut names = std::collections::BTreeMap::new();
    rules.groups.retain(|group| match names.get(&group.name) {
        None => {
            names.insert(group.name.clone(), group.file.clone());
            true
        }
        Some(first) => {
            sink.duplicate("group", &group.name, &group.file, group.line, first);
            false
        }
    });
    let mut names = std::collections::BTreeMap::new();
    rules.slos.retain(|slo| match names.get(&slo.name) {
        None => {
            names.insert(slo.name.clone(), slo.file.clone());
            true
        }
        Some(first) => {
            sink.duplicate("SLO", &slo.name, &slo.file, slo.line, first);
            false
        }
    });
}

/// The files of a folder with their texts, by name. Paths are relative to the workspace.
fn texts(workspace: &Path, folder: &str, sink: &mut Sink) -> Result<Vec<(PathBuf, String)>> {
    let mut texts = Vec::new();
    for path in yaml_files(workspace, folder)? {
        sink.enter(&path);
        if texts.len() == FILES_MAX {
            sink.whole_file(format!("more than {FILES_MAX} files in `{folder}`; this one is not read"), None);
            break;
        }
        match read_text(&workspace.join(&path)) {
            Ok(text) => texts.push((path, text)),
            Err(message) => sink.whole_file(message, Some("check that it can be read".to_owned())),
        }
    }
    Ok(texts)
}

fn read_text(path: &Path) -> std::result::Result<String, String> {
    let length = std::fs::metadata(path).map_err(|e| format!("the file cannot be read: {e}"))?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("the file is longer than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|e| format!("the file cannot be read: {e}"))
}

/// The YAML files of a folder, sorted, relative to the workspace.
fn yaml_files(workspace: &Path, folder: &str) -> Result<Vec<PathBuf>> {
    let list = |source| Error::Workspace { folder: folder.to_owned(), source };
    let entries = match std::fs::read_dir(workspace.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(list(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.map_err(list)?.file_name();
        let path = Path::new(folder).join(name);
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if yaml && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
