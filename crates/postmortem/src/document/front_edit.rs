use std::ops::Range;

/// The front matter with one key set to a value, every other byte as it was: comments, order and unknown keys stay. A
/// key that is absent is added before the closing fence. `value` is YAML that stands after `key: `.
pub(super) fn set(front_text: &str, key: &str, value: &str) -> String {
    let Some(range) = find(front_text, key) else {
        return append(front_text, &format!("{key}: {value}"));
    };
    let first = front_text[range.clone()].lines().next().unwrap_or_default();
    let comment = trailing_comment(first).unwrap_or_default();
    format!(
        "{}{key}: {value}{comment}{}{}",
        &front_text[..range.start],
        line_end(front_text),
        &front_text[range.end..]
    )
}

/// The front matter without a key; unchanged when it has none.
pub(super) fn remove(front_text: &str, key: &str) -> String {
    match find(front_text, key) {
        Some(range) => format!("{}{}", &front_text[..range.start], &front_text[range.end..]),
        None => front_text.to_owned(),
    }
}

/// The front matter with a line before its closing fence.
pub(super) fn append(front_text: &str, line: &str) -> String {
    let at = closing_fence(front_text);
    format!("{}{line}{}{}", &front_text[..at], line_end(front_text), &front_text[at..])
}

/// Whether a line starts a key of the front matter itself, rather than going on with the one above.
pub(super) fn is_key_line(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    line.contains(':')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// Whether a line can only go on with the key above it: indented, an entry of its list, or the end of its brackets.
pub(super) fn goes_on(line: &str) -> bool {
    line.starts_with([' ', '\t', ']', '}']) || line.starts_with("- ") || line.trim_end() == "-"
}

/// The lines of a key and its value, as bytes. Comments and blank lines after the value belong to what follows.
fn find(front_text: &str, key: &str) -> Option<Range<usize>> {
    let mut found: Option<Range<usize>> = None;
    let mut offset = 0;
    for line in front_text.split_inclusive('\n') {
        let end = offset + line.len();
        match &mut found {
            None if is_key_line(line) && line.split(':').next() == Some(key) => found = Some(offset..end),
            Some(range) if goes_on(line) && !line.trim().is_empty() => range.end = end,
            Some(_) if !line.trim().is_empty() && !line.starts_with('#') => break,
            _ => {}
        }
        offset = end;
    }
    found
}

/// First byte of the closing fence.
fn closing_fence(front_text: &str) -> usize {
    front_text.trim_end().rfind("---").unwrap_or(front_text.len())
}

fn line_end(front_text: &str) -> &'static str {
    if front_text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// The comment that ends a line, with the spaces before it; none where the `#` may stand in a quoted value.
fn trailing_comment(line: &str) -> Option<&str> {
    let line = line.trim_end();
    let at = line.rfind(" #")?;
    let before = &line[..at];
    let whole = ['"', '\''].iter().all(|quote| before.matches(*quote).count().is_multiple_of(2));
    whole.then(|| &line[before.trim_end().len()..])
}
