/// The text as HTML or XML content or attribute value: markup characters as references, characters that XML
/// forbids replaced.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// At most `limit` characters, the last an ellipsis when something was cut; line breaks become spaces.
pub fn shorten(text: &str, limit: usize) -> String {
    let flat = |c: char| if c.is_whitespace() { ' ' } else { c };
    let mut chars = text.chars().map(flat);
    let mut out: String = chars.by_ref().take(limit).collect();
    if chars.next().is_some() {
        out.pop();
        out.push('…');
    }
    out
}

/// The text as an element id: letters, digits, `-`, `_` and `.` stay, anything else becomes `-`; never empty.
pub fn html_id(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let id: String = text.chars().take(80).map(safe).collect();
    if id.is_empty() { "x".to_owned() } else { id }
}

/// Whether an address may stand in a link of ours: local, a fragment, or https.
pub(crate) fn is_safe_href(href: &str) -> bool {
    (href.starts_with('/') && !href.starts_with("//"))
        || href.starts_with('#')
        || href.starts_with("https://")
        || href.starts_with("http://")
        || href.starts_with("mailto:")
}
