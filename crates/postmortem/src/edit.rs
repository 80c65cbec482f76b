//! Changing a document on disk without losing what somebody else wrote meanwhile.

use std::fs::File;
use std::path::Path;

use crate::document::{Document, file_of};
use crate::files::{MAX_DOCUMENT_BYTES, read_text, write_atomically};
use crate::{Error, Result};

/// Changes a document: reads it, compares its content hash with the one the change was made against (if given),
/// applies the change and writes the whole file or nothing. Returns the new document; the file is durable. A change
/// that changes nothing writes nothing. Two changes at once take turns.
///
/// # Errors
/// [`Error::Conflict`] when the file is no longer what the change was made against, the change's own error, and when
/// the file cannot be read or written.
pub fn edit(
    path: &Path,
    expected: Option<&str>,
    change: impl FnOnce(&Document) -> Result<Document>,
) -> Result<Document> {
    let file = file_of(path);
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let turn = File::open(folder).map_err(Error::io("open", folder))?;
    turn.lock().map_err(Error::io("lock", folder))?;
    let text = read_text(&file, MAX_DOCUMENT_BYTES)?;
    let changed = changed(&text, &file, expected, change)?;
    if changed.write() != text {
        write_atomically(&file, changed.write().as_bytes())?;
    }
    Ok(changed)
}

/// The same without files: the document of this text, changed, if the text is what the change was made against.
///
/// # Errors
/// As [`edit`], but for those of files; [`Error::TooLarge`] when the change made it too long to be read again.
pub fn changed(
    text: &str,
    path: &Path,
    expected: Option<&str>,
    change: impl FnOnce(&Document) -> Result<Document>,
) -> Result<Document> {
    let document = Document::parse(text, path)?;
    let found = document.content_hash();
    if let Some(expected) = expected
        && !expected.eq_ignore_ascii_case(&found)
    {
        return Err(Error::Conflict { path: path.to_owned(), expected: expected.to_owned(), found });
    }
    let changed = change(&document)?;
    if changed.write().len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(Error::TooLarge { path: path.to_owned(), limit: MAX_DOCUMENT_BYTES });
    }
    Document::parse(&changed.write(), path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Status;

    fn fixture() -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lint/good.md");
        std::fs::read_to_string(path).unwrap()
    }

    fn restricted(document: &Document) -> Result<Document> {
        document.with_key("visibility", Some("restricted"), Path::new("x.md"))
    }

    #[test]
    fn an_edit_of_what_somebody_changed_meanwhile_is_refused_and_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("postmortem.md");
        std::fs::write(&file, fixture()).unwrap();
        let read = Document::read(&file).unwrap().content_hash();
        let theirs = edit(dir.path(), Some(&read), restricted).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), theirs.write());
        let mine = |document: &Document| document.with_key("title", Some("mine"), Path::new("x.md"));
        let error = edit(&file, Some(&read), mine).unwrap_err();
        assert!(
            matches!(&error, Error::Conflict { found, .. } if *found == theirs.content_hash()),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), theirs.write());
        assert_eq!(edit(&file, Some(&theirs.content_hash()), mine).unwrap().front.title, "mine");
    }

    #[test]
    fn of_many_edits_at_once_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("postmortem.md"), fixture()).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = dir.path();
                scope.spawn(move || {
                    edit(path, None, |document| {
                        Ok(document.with_body(format!("{}\nWriter {writer}.\n", document.body())))
                    })
                    .unwrap();
                });
            }
        });
        let text = Document::read(dir.path()).unwrap().write();
        assert!((0..8).all(|writer| text.contains(&format!("Writer {writer}."))), "{text}");
    }

    #[test]
    fn a_change_that_is_not_readable_again_is_refused() {
        let broken = |document: &Document| document.with_key("severity", Some("SEV9"), Path::new("x.md"));
        let error = changed(&fixture(), Path::new("x.md"), None, broken).unwrap_err();
        assert!(error.to_string().contains("SEV9"), "{error}");
        let same = changed(&fixture(), Path::new("x.md"), None, |document| Ok(document.clone())).unwrap();
        assert_eq!((same.write(), same.front.status), (fixture(), Status::Closed));
    }
}
