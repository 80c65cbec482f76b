//! Slack's incoming webhooks, and what speaks their form (Mattermost, Rocket.Chat, Zulip): text and blocks.
//!
//! Source: Slack's documentation, "Sending messages using incoming webhooks", "Formatting text" (escaping of `&`, `<`
//! and `>`), "Block Kit" (3000 characters a section, 150 a header, 50 blocks).

use serde_json::{Value, json};

use super::{Notice, label_list};
use crate::alert::{Kind, one_line};
use crate::flush::Told;

/// Most alerts in one message.
pub(crate) const ALERTS_MAX: usize = 20;
/// Longest title: the header of a message holds 150 characters.
const TITLE_BYTES_MAX: usize = 140;
/// Most characters, escaped, of an alert's name, link, summary and labels: a section holds 3000 of all.
const NAME_CHARS_MAX: usize = 150;
const LINK_CHARS_MAX: usize = 600;
const PART_CHARS_MAX: usize = 1_000;

/// The message to post.
pub(crate) fn render(notice: &Notice<'_>) -> String {
    let title = one_line(&notice.title(), TITLE_BYTES_MAX);
    let lines: Vec<String> = notice.told.iter().map(line).collect();
    let mut blocks = vec![json!({"type": "header", "text": {"type": "plain_text", "text": title}})];
    blocks.extend(
        lines.iter().map(|line| json!({"type": "section", "text": {"type": "mrkdwn", "text": line}})),
    );
    // Plain text is what notifications on a phone show, and all that some imitations of Slack do.
    let text = format!("*{}*\n{}", escaped(&title, TITLE_BYTES_MAX * 5), lines.join("\n"));
    json!({"text": text, "blocks": Value::from(blocks)}).to_string()
}

fn line(told: &Told) -> String {
    let alert = &told.alert;
    let mark = match told.kind {
        Kind::Firing => ":red_circle:",
        Kind::Resolved => ":large_green_circle:",
    };
    let part = |text: &str, chars_max| escaped(&one_line(text, chars_max), chars_max);
    let name = part(alert.name(), NAME_CHARS_MAX);
    // A URL's own `|` would end the link; one that is too long is worth less than what else is said.
    let url = alert.generator_url.replace('|', "%7C").replace('&', "&amp;");
    let shown = if url.len() <= LINK_CHARS_MAX { format!("<{url}|{name}>") } else { name };
    let mut line = format!("{mark} *{shown}* {}", told.kind.as_str());
    for text in [part(alert.summary(), PART_CHARS_MAX), part(&label_list(alert), PART_CHARS_MAX)] {
        if !text.is_empty() {
            line.push('\n');
            line.push_str(&text);
        }
    }
    line
}

/// The text with Slack's three control characters as entities, cut where it would be longer than `chars_max`.
fn escaped(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut chars = 0;
    for c in text.chars() {
        let entity = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => "",
        };
        chars += entity.len().max(1);
        if chars >= chars_max {
            out.push('…');
            return out;
        }
        if entity.is_empty() { out.push(c) } else { out.push_str(entity) }
    }
    out
}
