use jiff::civil::Date;
use serde::Serialize;

/// Action items of one document; more are refused.
const MAX_ITEMS: usize = 1_000;

/// How far an action has come (POSTMORTEM §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionStatus {
    /// Written down.
    #[default]
    Proposed,
    /// Its owner agreed.
    Accepted,
    /// Being done.
    InProgress,
    /// Done, by its owner's word.
    Done,
    /// Done, by evidence.
    Verified,
    /// Not to be done, for a reason.
    WontDo,
}

impl ActionStatus {
    const ALL: [Self; 6] =
        [Self::Proposed, Self::Accepted, Self::InProgress, Self::Done, Self::Verified, Self::WontDo];

    /// The status that a word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// The snake-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Accepted => "accepted",
            Self::InProgress => "in_progress",
            Self::Done => "done",
            Self::Verified => "verified",
            Self::WontDo => "wont_do",
        }
    }
}

/// What an action is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// It answers the root of chain 1.
    High,
    /// It answers detection or mitigation.
    Medium,
    /// Anything else.
    Low,
}

impl Priority {
    const ALL: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    /// The priority that a word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == word)
    }

    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// One row of `## Action items`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionItem {
    /// Line in the file, from 1.
    pub line: usize,
    /// `A1`.
    pub id: String,
    /// What will be done.
    pub action: String,
    /// Who does it; empty when nobody was named.
    pub owner: String,
    /// By when.
    pub due: Option<Date>,
    /// What it is worth.
    pub priority: Option<Priority>,
    /// Lessons it comes of (`L1`).
    pub lessons: Vec<String>,
    /// Whys it answers (`1.5`).
    pub whys: Vec<String>,
    /// Where it is tracked; empty when nowhere.
    pub tracker: String,
    /// How its effect is checked (`sql: … expect …`, `alert: …`, `slo: …`); empty when it is not.
    pub verify: String,
    /// How far it has come; `proposed` when the table has no such column.
    pub status: ActionStatus,
}

/// The table of actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionTable {
    /// Line of its heading row, from 1; 0 when there is no table.
    pub line: usize,
    /// Its rows, in order.
    pub items: Vec<ActionItem>,
}

/// Columns that the table may have.
const COLUMNS: [&str; 10] =
    ["id", "action", "owner", "due", "priority", "lesson", "why", "tracker", "verify", "status"];

pub(super) fn parse(lines: &[(usize, &str)]) -> Result<ActionTable, (usize, String)> {
    let mut rows = lines.iter().filter(|(_, text)| text.trim_start().starts_with('|'));
    let Some((line, head)) = rows.next() else { return Ok(ActionTable::default()) };
    let columns: Vec<String> = cells(head).into_iter().map(|cell| cell.to_ascii_lowercase()).collect();
    if let Some(unknown) = columns.iter().find(|column| !COLUMNS.contains(&column.as_str())) {
        return Err((*line, format!("action items: unknown column `{unknown}`; use {}", COLUMNS.join(", "))));
    }
    let mut table = ActionTable { line: *line, items: Vec::new() };
    for (line, text) in rows {
        let cells = cells(text);
        if cells.iter().all(|cell| cell.chars().all(|c| matches!(c, '-' | ':'))) {
            continue;
        }
        if table.items.len() == MAX_ITEMS {
            return Err((*line, format!("action items: there are more than {MAX_ITEMS}")));
        }
        table.items.push(read_row(*line, &columns, &cells)?);
    }
    Ok(table)
}

fn read_row(line: usize, columns: &[String], cells: &[String]) -> Result<ActionItem, (usize, String)> {
    let mut item = ActionItem { line, ..ActionItem::default() };
    for (column, cell) in columns.iter().zip(cells) {
        let cell = cell.trim();
        match column.as_str() {
            "id" => item.id = cell.to_owned(),
            "action" => item.action = cell.to_owned(),
            "owner" => item.owner = cell.to_owned(),
            "tracker" => item.tracker = cell.to_owned(),
            "verify" => item.verify = cell.to_owned(),
            "lesson" => item.lessons = names(cell),
            "why" => item.whys = names(cell),
            _ if cell.is_empty() => {}
            "due" => item.due = Some(read_due(line, cell)?),
            "priority" => item.priority = Some(read_word(line, cell, &Priority::ALL, Priority::as_str)?),
            _ => item.status = read_word(line, cell, &ActionStatus::ALL, ActionStatus::as_str)?,
        }
    }
    Ok(item)
}

fn read_due(line: usize, cell: &str) -> Result<Date, (usize, String)> {
    cell.parse()
        .map_err(|_| (line, format!("action items: `{cell}` is not a date; write it like 2026-06-15")))
}

fn read_word<T: Copy>(
    line: usize,
    cell: &str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> Result<T, (usize, String)> {
    all.iter().copied().find(|value| word(*value).eq_ignore_ascii_case(cell)).ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|value| word(*value)).collect();
        (line, format!("action items: `{cell}` is not one of {}", words.join(", ")))
    })
}

/// `L1, L2` → both names.
fn names(cell: &str) -> Vec<String> {
    cell.split([',', ' '])
        .map(|name| name.trim_end_matches('.'))
        .filter(|n| !n.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The cells of a table row; `\|` is a bar inside a cell.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let mut cells = vec![String::new()];
    let mut chars = row.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&'|') => {
                chars.next();
                push(&mut cells, '|');
            }
            '|' => cells.push(String::new()),
            c => push(&mut cells, c),
        }
    }
    if cells.last().is_some_and(|cell| cell.trim().is_empty()) {
        cells.pop();
    }
    cells.into_iter().map(|cell| cell.trim().to_owned()).collect()
}

fn push(cells: &mut [String], c: char) {
    if let Some(cell) = cells.last_mut() {
        cell.push(c);
    }
}
