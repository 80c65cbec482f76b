use std::fmt::Write as _;
use std::sync::LazyLock;

use jiff::civil::Date;
use regex::Regex;

const HEAD: &str = "| id | action | owner | due | priority | lesson | why | tracker | verify | status |
|----|--------|-------|-----|----------|--------|-----|---------|--------|--------|
";

static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:[-*+]\s+(?:\[([ xX])\]\s+)?|\d+[.)]\s+)(.*\S)\s*$").expect("the pattern is constant")
});
static OWNER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\s*[(\[]?\b(?:owner|assignee)\s*:\s*@?([\w.-]+)[)\]]?|\s*[(\[]@([A-Za-z][\w.-]*)[)\]]|\s+@([A-Za-z][\w.-]*\w)")
        .expect("the pattern is constant")
});
static DUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\s*[(\[,;-]*\s*\b(?:due|by|until|deadline)\b\s*:?\s*(\d{4}-\d{2}-\d{2})[)\]]?")
        .expect("the pattern is constant")
});
static LINK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\[[^\]]*\]\(https?://[^)\s]+\)|https?://[^\s)|]+|\b[A-Z][A-Z0-9]{1,9}-\d+\b")
        .expect("the pattern is constant")
});

/// What stands in a foreign action.
#[derive(Default)]
struct Item {
    action: String,
    owner: String,
    due: Option<Date>,
    priority: &'static str,
    tracker: String,
    status: &'static str,
    /// What has no column of ours.
    more: Vec<String>,
}

/// Our table of the actions in a list or a table; other lines stay above it. What a cell of ours cannot hold (a date
/// that is none, a column we do not have) is kept in the action's words.
pub(super) fn table(text: &str) -> String {
    let (mut items, mut prose) = (Vec::new(), String::new());
    let mut columns: Option<Vec<String>> = None;
    for line in text.lines() {
        if line.trim_start().starts_with('|') {
            let cells = cells(line);
            match &columns {
                None => columns = Some(cells.iter().map(|cell| cell.to_lowercase()).collect()),
                Some(_) if cells.iter().all(|cell| cell.chars().all(|c| matches!(c, '-' | ':'))) => {}
                Some(columns) => items.push(of_cells(columns, &cells)),
            }
        } else if let Some(found) = ITEM.captures(line) {
            let ticked = found.get(1).is_some_and(|mark| mark.as_str() != " ");
            items.push(of_words(&found[2], ticked));
        } else {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    let mut out = prose.trim_matches('\n').to_owned();
    if !out.is_empty() {
        out.push_str("\n\n");
    }
    out.push_str(HEAD);
    for (index, item) in items.iter().enumerate() {
        let mut action = item.action.clone();
        if !item.more.is_empty() {
            let _ = write!(action, " ({})", item.more.join("; "));
        }
        let due = item.due.map_or_else(String::new, |due| due.to_string());
        let _ = writeln!(
            out,
            "| A{} | {} | {} | {due} | {} | | | {} | | {} |",
            index + 1,
            escaped(&action),
            escaped(&item.owner),
            item.priority,
            escaped(&item.tracker),
            item.status
        );
    }
    out
}

fn of_words(words: &str, ticked: bool) -> Item {
    let mut item = Item { status: if ticked { "done" } else { "proposed" }, ..Item::default() };
    let mut text = words.to_owned();
    if let Some(found) = DUE.captures(words)
        && let Ok(due) = found[1].parse()
    {
        item.due = Some(due);
        text = text.replacen(&found[0], "", 1);
    }
    if let Some(found) = OWNER.captures(&text.clone()) {
        let name = (1..=3).find_map(|group| found.get(group)).map(|m| m.as_str());
        item.owner = name.unwrap_or_default().to_owned();
        text = text.replacen(&found[0], "", 1);
    }
    if let Some(found) = LINK.find(&text.clone()) {
        item.tracker = found.as_str().to_owned();
        text = text.replacen(found.as_str(), "", 1);
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    item.action = text.trim_end_matches([',', ';', ' ']).to_owned();
    item
}

fn of_cells(columns: &[String], cells: &[String]) -> Item {
    let mut item = Item { status: "proposed", ..Item::default() };
    for (index, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
        let column = columns.get(index).map_or("", String::as_str);
        match column {
            "action" | "action item" | "item" | "task" | "description" | "what" | "todo" | "follow-up" => {
                item.action.clone_from(cell);
            }
            "owner" | "assignee" | "who" | "responsible" | "dri" => item.owner.clone_from(cell),
            "due" | "due date" | "date" | "deadline" | "when" | "eta" if cell.parse::<Date>().is_ok() => {
                item.due = cell.parse().ok();
            }
            "priority" | "prio" if priority(cell).is_some() => {
                item.priority = priority(cell).unwrap_or_default();
            }
            "status" | "state" if status(cell).is_some() => item.status = status(cell).unwrap_or_default(),
            "tracker" | "ticket" | "bug" | "issue" | "jira" | "link" => item.tracker.clone_from(cell),
            "id" | "#" | "no" => {}
            "" => item.more.push(cell.clone()),
            other => item.more.push(format!("{other}: {cell}")),
        }
    }
    item
}

fn priority(cell: &str) -> Option<&'static str> {
    match cell.to_lowercase().as_str() {
        "high" | "p0" | "p1" | "critical" | "urgent" => Some("high"),
        "medium" | "p2" | "normal" => Some("medium"),
        "low" | "p3" | "p4" => Some("low"),
        _ => None,
    }
}

fn status(cell: &str) -> Option<&'static str> {
    match cell.to_lowercase().as_str() {
        "done" | "closed" | "complete" | "completed" | "fixed" | "resolved" => Some("done"),
        "in progress" | "in_progress" | "doing" | "started" | "wip" => Some("in_progress"),
        "open" | "todo" | "to do" | "new" | "proposed" | "not started" => Some("proposed"),
        "accepted" | "assigned" => Some("accepted"),
        "verified" => Some("verified"),
        "wont do" | "won't do" | "wont_do" | "wontfix" | "won't fix" | "rejected" => Some("wont_do"),
        _ => None,
    }
}

/// The cells of a row; `\|` is a bar inside one.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|').replace("\\|", "\u{1}");
    let line = line.strip_suffix('|').unwrap_or(&line);
    line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
