use std::fmt::Write as _;

use pulldown_cmark::{
    Alignment, BrokenLink, CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd,
};

use crate::chart::escape;
use crate::chart::html_id;
use crate::chart::is_safe_href;

/// CommonMark with tables and strikethrough as HTML. Raw HTML never passes: comments are dropped, anything else is
/// shown as the text it is. Images become their text. `[E1]`, `[A1]`, `[L1]` and `[W-1.1]` become links to the part
/// of the report they name.
pub fn markdown_html(text: &str) -> String {
    let mut writer = Writer::default();
    let mut callback = |link: BrokenLink<'_>| citation(&link.reference);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    for event in Parser::new_with_broken_link_callback(text, options, Some(&mut callback)) {
        writer.event(event);
    }
    writer.out
}

/// The same for one line: without the paragraph around it.
pub(super) fn inline_html(text: &str) -> String {
    let html = markdown_html(text);
    let trimmed = html.trim();
    let inner = trimmed.strip_prefix("<p>").and_then(|rest| rest.strip_suffix("</p>"));
    inner.filter(|inner| !inner.contains("<p>")).unwrap_or(trimmed).to_owned()
}

fn citation(reference: &str) -> Option<(CowStr<'static>, CowStr<'static>)> {
    let (kind, number) = reference.split_at_checked(1)?;
    let known = match kind {
        "E" | "A" | "L" => !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()),
        "W" => number.strip_prefix('-').is_some_and(|n| n.chars().all(|c| c.is_ascii_digit() || c == '.')),
        _ => false,
    };
    known.then(|| (format!("#{reference}").into(), CowStr::Borrowed("cite")))
}

#[derive(Default)]
struct Writer {
    out: String,
    alignments: Vec<Alignment>,
    column: usize,
    in_head: bool,
    /// Whether each open link was written: an address that is not safe leaves its text.
    links: Vec<bool>,
    comment: bool,
}

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.out.push_str(&escape(&tied(&text))),
            Event::Code(text) => {
                let _ = write!(self.out, "<code>{}</code>", escape(&text));
            }
            Event::Html(text) | Event::InlineHtml(text) => self.raw_html(&text),
            Event::SoftBreak => self.out.push('\n'),
            Event::HardBreak => self.out.push_str("<br>"),
            Event::Rule => self.out.push_str("<hr>"),
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.out.push_str(&escape(&text));
            }
            Event::TaskListMarker(done) => self.out.push_str(if done { "☑ " } else { "☐ " }),
        }
    }

    /// Comments are for writers, not readers; a comment may come in several pieces.
    fn raw_html(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            if self.comment {
                let Some(end) = rest.find("-->") else { return };
                self.comment = false;
                rest = &rest[end + 3..];
            } else if let Some(start) = rest.find("<!--") {
                self.out.push_str(&escape(&rest[..start]));
                self.comment = true;
                rest = &rest[start + 4..];
            } else {
                self.out.push_str(&escape(rest));
                return;
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => self.out.push_str("<p>"),
            Tag::Heading { level, .. } => {
                let _ = write!(self.out, "<h{}>", depth(level));
            }
            Tag::BlockQuote(_) => self.out.push_str("<blockquote>"),
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => {
                self.out.push_str("<pre tabindex=\"0\"><code>");
            }
            Tag::List(None) => self.out.push_str("<ul>"),
            Tag::List(Some(first)) => {
                let _ = write!(self.out, "<ol start=\"{first}\">");
            }
            Tag::Item => self.out.push_str("<li>"),
            Tag::Table(alignments) => {
                self.alignments = alignments;
                self.out.push_str("<div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-label=\"Table, scrollable when narrow\"><table>");
            }
            Tag::TableHead => {
                self.in_head = true;
                self.column = 0;
                self.out.push_str("<thead><tr>");
            }
            Tag::TableRow => {
                self.column = 0;
                self.out.push_str("<tr>");
            }
            Tag::TableCell => {
                let right = self.alignments.get(self.column) == Some(&Alignment::Right);
                let class = if right { " class=\"num\"" } else { "" };
                let name = if self.in_head { "th scope=\"col\"" } else { "td" };
                let _ = write!(self.out, "<{name}{class}>");
                self.column += 1;
            }
            Tag::Emphasis => self.out.push_str("<em>"),
            Tag::Strong => self.out.push_str("<strong>"),
            Tag::Strikethrough => self.out.push_str("<s>"),
            Tag::Link { dest_url, title, .. } => {
                let safe = is_safe_href(&dest_url);
                self.links.push(safe);
                if safe {
                    let class = if &*title == "cite" { " class=\"cite\"" } else { " rel=\"noreferrer\"" };
                    let _ = write!(self.out, "<a{class} href=\"{}\">", escape(&dest_url));
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph => self.out.push_str("</p>\n"),
            TagEnd::Heading(level) => {
                let _ = writeln!(self.out, "</h{}>", depth(level));
            }
            TagEnd::BlockQuote(_) => self.out.push_str("</blockquote>\n"),
            TagEnd::CodeBlock => self.out.push_str("</code></pre>\n"),
            TagEnd::List(false) => self.out.push_str("</ul>\n"),
            TagEnd::List(true) => self.out.push_str("</ol>\n"),
            TagEnd::Item => self.out.push_str("</li>"),
            TagEnd::Table => self.out.push_str("</tbody></table></div>\n"),
            TagEnd::TableHead => {
                self.in_head = false;
                self.out.push_str("</tr></thead><tbody>");
            }
            TagEnd::TableRow => self.out.push_str("</tr>"),
            TagEnd::TableCell => self.out.push_str(if self.in_head { "</th>" } else { "</td>" }),
            TagEnd::Emphasis => self.out.push_str("</em>"),
            TagEnd::Strong => self.out.push_str("</strong>"),
            TagEnd::Strikethrough => self.out.push_str("</s>"),
            TagEnd::Link if self.links.pop() == Some(true) => self.out.push_str("</a>"),
            TagEnd::HtmlBlock => self.comment = false,
            _ => {}
        }
    }
}

/// The text with its percent signs tied to their numbers, so that no line breaks between.
pub(super) fn tied(text: &str) -> String {
    text.replace(" %", "\u{a0}%")
}

/// `#` in a section's text never outranks the section's own `<h2>`.
fn depth(level: HeadingLevel) -> usize {
    (level as usize).clamp(3, 6)
}

/// The element id of a heading.
pub(super) fn heading_id(heading: &str) -> String {
    html_id(&heading.to_lowercase().replace(' ', "-"))
}
