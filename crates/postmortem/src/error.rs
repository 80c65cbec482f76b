use std::path::{Path, PathBuf};

use hindsight_model::SqlError;

/// What this crate returns when it fails.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a post-mortem could not be read, drafted, checked or rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read or written.
    #[error("{doing} {}", path.display())]
    Io {
        /// `read`, `write`, `list`, …
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is larger than any post-mortem should be.
    #[error("{} has more than {limit} bytes; move long material out of the post-mortem", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The text of a post-mortem is not in its form.
    #[error("{}:{line}: {message}", path.display())]
    Document {
        /// Which file.
        path: PathBuf,
        /// Line in it, from 1.
        line: usize,
        /// What is wrong and what to do.
        message: String,
    },
    /// Somebody changed the document after the one who edits it read it.
    #[error("{} was changed meanwhile (it is {found} now, not {expected}); read it again and repeat the change", path.display())]
    Conflict {
        /// Which file.
        path: PathBuf,
        /// The content hash that the change was made against.
        expected: String,
        /// The content hash of the file now.
        found: String,
    },
    /// A change of the whys that cannot be made.
    #[error("{message}")]
    Whys {
        /// What is wrong and what to do.
        message: String,
    },
    /// An evidence file is not in its form.
    #[error("{}: evidence is not readable; restore it from version control or draft again", path.display())]
    Evidence {
        /// Which file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A query that the draft cannot do without gave no answer.
    #[error("query the evidence `{title}`")]
    Query {
        /// Title of the evidence.
        title: String,
        /// Why.
        #[source]
        source: SqlError,
    },
    /// A query's answer could not be frozen.
    #[error("freeze the evidence `{title}`: {message}")]
    Freeze {
        /// Title of the evidence.
        title: String,
        /// Why, and what to do.
        message: String,
    },
    /// The incident has nothing to write about yet.
    #[error("{incident} has no {what} yet; draft its post-mortem once that is known")]
    Incomplete {
        /// Which incident.
        incident: String,
        /// What is missing.
        what: &'static str,
    },
    /// The document is past the stage in which the program may touch it.
    #[error("{} is {status}; only a draft or a document in review is regenerated (PM-1)", path.display())]
    Settled {
        /// Which document.
        path: PathBuf,
        /// Its status.
        status: &'static str,
    },
    /// No such time zone.
    #[error("`{name}` is not a time zone known here; use an IANA name such as Europe/Berlin, or UTC")]
    Timezone {
        /// What was asked for.
        name: String,
    },
    /// The report could not be laid out.
    #[error("render {}", path.display())]
    Render {
        /// Directory of the post-mortem.
        path: PathBuf,
        /// What the template said.
        #[source]
        source: askama::Error,
    },
    /// The state could not be read.
    #[error("{doing}")]
    State {
        /// The step that failed.
        doing: &'static str,
        /// The state's reason.
        #[source]
        source: hindsight_state::Error,
    },
    /// A helper thread ended before its work was done.
    #[error("background file work stopped before it was done")]
    Background(#[source] tokio::task::JoinError),
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
