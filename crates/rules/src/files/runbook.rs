use std::path::{Component, Path};

use super::read_text;

/// Checks that a runbook reference points at something: `runbooks/checkout.md#pool-exhausted`, relative to the
/// workspace. An address with a scheme is not checked. On failure: what is wrong and what to do.
pub(super) fn check(workspace: &Path, reference: &str) -> Result<(), (String, String)> {
    if reference.contains("://") {
        return Ok(());
    }
    let (file, anchor) = match reference.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (reference, None),
    };
    let path = Path::new(file);
    if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        let hint = "write a path inside the workspace, without `..`".to_owned();
        return Err((format!("runbook `{file}` lies outside the workspace"), hint));
    }
    let text = read_text(&workspace.join(path)).map_err(|_| {
        (
            format!("runbook `{file}` cannot be read"),
            "create it, or correct the path (relative to the workspace)".to_owned(),
        )
    })?;
    let Some(anchor) = anchor else {
        return Ok(());
    };
    let slugs = heading_slugs(&text);
    if slugs.iter().any(|slug| slug == anchor) {
        return Ok(());
    }
    let known: Vec<&str> = slugs.iter().map(String::as_str).collect();
    let hint = match super::suggest::nearest(anchor, &known) {
        Some(meant) => format!("did you mean `#{meant}`?"),
        None if known.is_empty() => "the file has no headings".to_owned(),
        None => format!("it has {}", known.join(", ")),
    };
    Err((format!("runbook `{file}` has no heading `#{anchor}`"), hint))
}

/// The anchors that a link to this document may name.
fn heading_slugs(markdown: &str) -> Vec<String> {
    sections(markdown).into_iter().filter_map(|section| section.anchor).collect()
}

/// A heading and what follows it, up to the next heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunbookSection {
    /// What a link names it by; `None` before the first heading.
    pub anchor: Option<String>,
    /// Its Markdown, the heading's line included.
    pub text: String,
}

/// A runbook cut at its headings, each with the anchor that GitHub gives it: lower case, punctuation dropped, spaces
/// to hyphens, and a number behind the second of two equal ones.
pub fn sections(markdown: &str) -> Vec<RunbookSection> {
    let mut sections: Vec<RunbookSection> = Vec::new();
    let mut fence: Option<&str> = None;
    for line in markdown.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let marker = ["```", "~~~"].into_iter().find(|marker| trimmed.starts_with(marker));
        match (fence, marker) {
            (None, Some(marker)) => fence = Some(marker),
            (Some(open), Some(marker)) if open == marker => fence = None,
            _ => {}
        }
        let title = if fence.is_none() { heading(line.trim_end()) } else { None };
        if let Some(title) = title {
            let slug = slug(title);
            let taken = sections.iter().filter_map(|section| section.anchor.as_deref());
            let equal = taken.filter(|taken| *taken == slug || is_numbered(taken, &slug)).count();
            let anchor = if equal == 0 { slug } else { format!("{slug}-{equal}") };
            sections.push(RunbookSection { anchor: Some(anchor), text: String::new() });
        } else if sections.is_empty() {
            sections.push(RunbookSection { anchor: None, text: String::new() });
        }
        if let Some(section) = sections.last_mut() {
            section.text.push_str(line);
        }
    }
    sections
}

/// The text of an ATX heading.
fn heading(line: &str) -> Option<&str> {
    let hashes = line.chars().take_while(|c| *c == '#').count();
    let rest = &line[hashes..];
    ((1..=6).contains(&hashes) && rest.starts_with([' ', '\t']))
        .then(|| rest.trim().trim_end_matches('#').trim())
}

fn slug(title: &str) -> String {
    title
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn is_numbered(slug: &str, base: &str) -> bool {
    slug.strip_prefix(base)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_get_the_anchors_that_github_gives_them() {
        let text = "# Checkout: the *runbook*!\n## Pool exhausted\ntext\n```\n# not a heading\n```\n## Pool exhausted ##\n#hashtag\n### `orders-db` p99 > 2 s\n";
        assert_eq!(
            heading_slugs(text),
            ["checkout-the-runbook", "pool-exhausted", "pool-exhausted-1", "orders-db-p99--2-s"]
        );
        let whole: String = sections(text).into_iter().map(|section| section.text).collect();
        assert_eq!(whole, text, "nothing is lost between the sections");
    }
}
