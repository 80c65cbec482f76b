use std::io;
use std::path::PathBuf;

/// What a function here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a capsule was refused, or could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is something else.
    #[error("this is no capsule: {reason}; `hindsight incident export` makes one")]
    NotACapsule {
        /// What was found instead.
        reason: String,
    },
    /// Another version of this program made it.
    #[error(
        "the capsule has format {found}, this program reads format {known}; open it with the version that made it \
         ({made_by})"
    )]
    Version {
        /// The format that it says.
        found: u64,
        /// The format known here.
        known: u64,
        /// Who made it, as it says.
        made_by: String,
    },
    /// The manifest makes no sense.
    #[error("the capsule's manifest cannot be trusted: {reason}; nothing was unpacked")]
    Manifest {
        /// What is wrong.
        reason: String,
    },
    /// An entry that no capsule has.
    #[error("the capsule has an entry `{name}` that is refused: {reason}")]
    Entry {
        /// Its name, shortened, as the archive writes it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file inside is not what was put in.
    #[error("{path} in the capsule was changed or damaged: {reason}; ask for it again")]
    Damaged {
        /// The file inside.
        path: String,
        /// How that shows.
        reason: String,
    },
    /// Its end is missing.
    #[error("the capsule ends within {within}: it was cut off on its way; ask for it again")]
    Truncated {
        /// Where.
        within: String,
    },
    /// The file could not be read.
    #[error("read the capsule")]
    Read(#[source] io::Error),
    /// The folder could not be written.
    #[error("could not {operation} {}", path.display())]
    Write {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn write(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { operation, path, source }
    }

    /// The end of the file where more was expected is another matter than a disk that refuses.
    pub(crate) fn reading(within: &str) -> impl FnOnce(io::Error) -> Self {
        let within = within.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated { within },
            _ => Self::Read(source),
        }
    }
}

/// A name from outside, fit for an error: short and printable.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(120).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
