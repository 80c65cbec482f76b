//! `/runbooks/{path}`: a runbook of the workspace, so that the link in an alert leads somewhere at three at night.

use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;
use hindsight_rules::runbook_sections;

use super::frame::{Frame, PageError, html};
use crate::app::App;

/// Longest runbook shown.
const BYTES_MAX: u64 = 512 * 1024;

#[derive(Template)]
#[template(path = "runbook.html")]
struct RunbookPage {
    frame: Frame,
    file: String,
    sections: Vec<(String, String)>,
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
) -> Result<Response<Body>, PageError> {
    let workspace = app.config.workspace.value.clone();
    let wanted = file.clone();
    let read = tokio::task::spawn_blocking(move || read(&workspace, &wanted)).await;
    let text = read.map_err(|error| PageError::internal(&error))?.ok_or_else(|| {
        let file: String = file.chars().take(120).collect();
        let hint = "A runbook is a Markdown file inside the workspace, as an annotation of a rule names it.";
        PageError::not_found(format!("There is no runbook {file}."), hint)
    })?;
    let sections = runbook_sections(&text).into_iter();
    let sections = sections
        .map(|section| {
            let anchor = section.anchor.unwrap_or_default();
            (anchor, hindsight_postmortem::markdown_html(&section.text))
        })
        .collect();
    Ok(html(&RunbookPage { frame: Frame::new("Runbook", "alerts"), file, sections }))
}

/// The file's text if it is Markdown inside the workspace, links resolved, and not too long.
fn read(workspace: &FilePath, file: &str) -> Option<String> {
    let path = inside(file)?;
    let root = std::fs::canonicalize(workspace).ok()?;
    let path = std::fs::canonicalize(root.join(path)).ok()?;
    if !path.starts_with(&root) || std::fs::metadata(&path).ok()?.len() > BYTES_MAX {
        return None;
    }
    std::fs::read_to_string(path).ok()
}

/// A relative path of plain names that ends in `.md`.
fn inside(file: &str) -> Option<PathBuf> {
    let path = FilePath::new(file);
    let is_plain = |part: Component<'_>| match part {
        Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
        Component::CurDir => true,
        _ => false,
    };
    let is_markdown = path.extension().is_some_and(|extension| extension == "md");
    (is_markdown && path.components().all(is_plain)).then(|| path.to_owned())
}

/// Where a rule's runbook is: an address on the web as it is, a file of the workspace as its page.
pub(crate) fn runbook_link(reference: &str) -> Option<String> {
    if reference.starts_with("https://") || reference.starts_with("http://") {
        return Some(reference.to_owned());
    }
    let (file, anchor) = match reference.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (reference, None),
    };
    inside(file)?;
    let mut url = url::Url::parse("http://localhost").expect("a fixed address");
    url.path_segments_mut().expect("http addresses have paths").push("runbooks").extend(file.split('/'));
    url.set_fragment(anchor);
    let address = url.as_str();
    address.strip_prefix("http://localhost").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_markdown_inside_the_workspace_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path().join("workspace");
        std::fs::create_dir_all(workspace.join("runbooks")).unwrap();
        std::fs::write(workspace.join("runbooks/a.md"), "# A").unwrap();
        std::fs::write(workspace.join("hindsight.toml"), "token").unwrap();
        std::fs::write(folder.path().join("secret.md"), "secret").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret.md"), workspace.join("link.md")).unwrap();
        assert_eq!(read(&workspace, "runbooks/a.md").as_deref(), Some("# A"));
        let absolute = folder.path().join("secret.md");
        for file in [
            "../secret.md",
            "link.md",
            "hindsight.toml",
            "runbooks/../../secret.md",
            absolute.to_str().unwrap(),
        ] {
            assert_eq!(read(&workspace, file), None, "{file}");
        }
    }

    #[test]
    fn a_runbook_is_linked_when_it_is_a_place() {
        let link = |text: &str| runbook_link(text);
        assert_eq!(
            link("runbooks/checkout.md#pool-exhausted").as_deref(),
            Some("/runbooks/runbooks/checkout.md#pool-exhausted")
        );
        assert_eq!(link("https://wiki.example/x").as_deref(), Some("https://wiki.example/x"));
        assert_eq!(link("javascript:alert(1)"), None);
        assert_eq!(link("../../etc/passwd.md"), None);
    }
}
