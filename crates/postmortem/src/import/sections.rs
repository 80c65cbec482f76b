use super::{actions, lists};

/// A stretch of the foreign text under one heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Its heading there; `Before the first heading` for what has none.
    pub(super) heading: String,
    /// Number of `#`.
    pub(super) level: usize,
    /// Our heading, if there is one that means the same.
    pub(super) ours: Option<&'static str>,
    /// The text under it, without sub-sections.
    pub(super) text: String,
}

impl Part {
    /// A heading with nothing under it.
    pub(super) fn bare(heading: String) -> Self {
        Self { heading, level: 1, ours: None, text: String::new() }
    }
}

/// The foreign text in parts.
pub(super) struct Read {
    /// Its first heading, when nothing of ours.
    pub(super) title: Option<String>,
    pub(super) parts: Vec<Part>,
}

/// Our headings in order, each with what others call it. Compared in lower case without punctuation and numbering.
const NAMES: &[(&str, &[&str])] = &[
    (
        "Summary",
        &[
            "summary",
            "executive summary",
            "overview",
            "tldr",
            "tl dr",
            "abstract",
            "what happened",
            "incident summary",
            "description",
            "issue summary",
        ],
    ),
    (
        "Timeline",
        &[
            "timeline",
            "chronology",
            "sequence of events",
            "incident timeline",
            "timeline of events",
            "event timeline",
            "log",
        ],
    ),
    (
        "Impact",
        &[
            "impact",
            "customer impact",
            "user impact",
            "business impact",
            "incident impact",
            "who was affected",
            "affected users",
        ],
    ),
    (
        "Five whys",
        &[
            "five whys",
            "5 whys",
            "the five whys",
            "the 5 whys",
            "root cause",
            "root causes",
            "root cause analysis",
            "rca",
            "cause",
            "causes",
            "contributing factors",
            "why did it happen",
            "why did this happen",
            "root cause and trigger",
            "trigger",
            "what went wrong and why",
        ],
    ),
    ("Incident response", &["incident response", "response"]),
    ("Detection", &["detection", "how we found out", "how was it detected", "how we detected it"]),
    ("Diagnosis", &["diagnosis", "investigation", "how we diagnosed it"]),
    (
        "Mitigation",
        &[
            "mitigation",
            "resolution",
            "recovery",
            "remediation",
            "fix",
            "how we fixed it",
            "resolution and recovery",
            "mitigation and resolution",
        ],
    ),
    ("Blast radius", &["blast radius", "scope", "scope of impact"]),
    ("Post-incident analysis", &["post incident analysis", "analysis", "discussion"]),
    (
        "What went well",
        &[
            "what went well",
            "went well",
            "what worked",
            "what worked well",
            "positives",
            "things that went well",
        ],
    ),
    (
        "What went badly",
        &[
            "what went badly",
            "what went wrong",
            "what went poorly",
            "what didnt go well",
            "what did not go well",
            "what could be improved",
            "what could have gone better",
            "went badly",
            "negatives",
            "areas for improvement",
        ],
    ),
    ("Where we got lucky", &["where we got lucky", "lucky", "we got lucky", "luck"]),
    (
        "Lessons",
        &[
            "lessons",
            "lessons learned",
            "lessons learnt",
            "learnings",
            "key learnings",
            "takeaways",
            "what we learned",
        ],
    ),
    (
        "Action items",
        &[
            "action items",
            "actions",
            "action plan",
            "follow ups",
            "followups",
            "follow up actions",
            "follow up items",
            "next steps",
            "corrective actions",
            "corrective and preventative measures",
            "corrective and preventive actions",
            "todo",
            "todos",
            "remediation items",
            "tasks",
        ],
    ),
];

const PHASES: [&str; 4] = ["Detection", "Diagnosis", "Mitigation", "Blast radius"];
const BEFORE: &str = "Before the first heading";

/// Splits a text at its headings (`#` and underlined ones), none inside code fences.
pub(super) fn read(body: &str) -> Read {
    let mut parts = vec![Part::bare(BEFORE.to_owned())];
    let (mut title, mut fenced) = (None, false);
    let lines: Vec<&str> = body.lines().collect();
    let mut index = 0;
    while let Some(line) = lines.get(index) {
        index += 1;
        fenced ^= line.trim_start().starts_with("```");
        let underline = lines.get(index).map(|next| next.trim_end()).unwrap_or_default();
        let head = if fenced { None } else { heading(line, underline) };
        let Some((level, heading, lines_more)) = head else {
            if let Some(part) = parts.last_mut() {
                part.text.push_str(line);
                part.text.push('\n');
            }
            continue;
        };
        index += lines_more;
        // `Timeline (UTC)` is our Timeline; what it says besides stays said.
        let (bare, aside) =
            heading.split_once('(').map_or((heading.as_str(), ""), |(bare, _)| (bare, heading.as_str()));
        let ours = ours(bare);
        let text =
            if ours.is_some() && !aside.is_empty() { format!("**{aside}**\n\n") } else { String::new() };
        if title.is_none() && ours.is_none() && parts.len() == 1 && level == 1 {
            title = Some(heading);
        } else {
            parts.push(Part { heading, level, ours, text });
        }
    }
    parts.retain(|part| part.heading != BEFORE || !part.text.trim().is_empty());
    inherit(&mut parts);
    Read { title, parts }
}

/// A sub-section that we have no name for goes with the section it stands in.
fn inherit(parts: &mut [Part]) {
    let mut above: Vec<(usize, Option<&'static str>)> = Vec::new();
    for part in parts.iter_mut() {
        above.retain(|(level, _)| *level < part.level);
        let inside = above.iter().rev().find_map(|(_, ours)| *ours);
        if part.ours.is_none()
            && let Some(ours) = inside
        {
            part.text = format!("**{}**\n{}", part.heading, part.text);
            part.ours = Some(ours);
        }
        above.push((part.level, part.ours));
    }
}

/// Level, text and how many further lines a heading takes.
fn heading(line: &str, next: &str) -> Option<(usize, String, usize)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    if (1..=6).contains(&level) && line[level..].starts_with(' ') {
        let text = line[level..].trim().trim_end_matches('#').trim();
        return (!text.is_empty()).then(|| (level, text.to_owned(), 0));
    }
    let rule = |mark: char| next.len() >= 3 && next.chars().all(|c| c == mark);
    let plain = !line.trim().is_empty() && !line.starts_with([' ', '-', '*', '|', '>', '+']);
    match () {
        () if plain && rule('=') => Some((1, line.trim().to_owned(), 1)),
        () if plain && rule('-') => Some((2, line.trim().to_owned(), 1)),
        () => None,
    }
}

fn ours(heading: &str) -> Option<&'static str> {
    let mut bare = String::new();
    for c in heading.chars() {
        match c {
            c if c.is_alphanumeric() => bare.extend(c.to_lowercase()),
            '\'' | '’' | ';' => {}
            _ => bare.push(' '),
        }
    }
    let words: Vec<&str> = bare.split_whitespace().collect();
    let numbered = words.first().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit()));
    let whole = words.join(" ");
    let rest = words.get(1..).unwrap_or_default().join(" ");
    let named = |name: &str| NAMES.iter().find(|(_, names)| names.contains(&name)).map(|(ours, _)| *ours);
    named(&whole).or_else(|| numbered.then(|| named(&rest)).flatten())
}

/// Our document's body: our headings in our order, with what was found under each; the rest under `## Imported`.
pub(super) fn compose(parts: &[Part], front: &str) -> String {
    let mut out = String::new();
    for (ours, _) in NAMES {
        let level = if PHASES.contains(ours) { "###" } else { "##" };
        let texts: Vec<&str> = parts
            .iter()
            .filter(|part| part.ours == Some(ours))
            .map(|part| part.text.trim_matches('\n'))
            .collect();
        let text = texts.into_iter().filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join("\n\n");
        let text = match *ours {
            "Timeline" => lists::timeline(&text),
            "Five whys" => lists::whys(&text),
            "Lessons" => lists::lessons(&text),
            "Action items" => actions::table(&text),
            _ => deeper(&text),
        };
        out.push_str(&format!("\n{level} {ours}\n"));
        if !text.trim().is_empty() {
            out.push_str(&format!("\n{}\n", closed(text.trim_matches('\n'))));
        }
        if PHASES.contains(ours) {
            out.push_str("\nWhat would have cut this in half?\n");
        }
    }
    let left: Vec<&Part> = parts.iter().filter(|part| part.ours.is_none()).collect();
    if !left.is_empty() || !front.trim().is_empty() {
        out.push_str("\n## Imported\n\nWhat has no place of its own above, as it was.\n");
    }
    if !front.trim().is_empty() {
        out.push_str(&format!("\n### Its front matter\n\n````yaml\n{}\n````\n", front.trim_matches('\n')));
    }
    for part in left {
        out.push_str(&format!(
            "\n### {}\n\n{}\n",
            part.heading,
            closed(&deeper(part.text.trim_matches('\n')))
        ));
    }
    out
}

/// A code fence left open would swallow the headings that follow.
fn closed(text: &str) -> String {
    let fences = text.lines().filter(|line| line.trim_start().starts_with("```")).count();
    if fences % 2 == 1 { format!("{text}\n```") } else { text.to_owned() }
}

/// A generated mark of another document is no mark here.
fn deeper(text: &str) -> String {
    text.replace("<!-- hindsight:generated", "<!-- was hindsight:generated")
}
