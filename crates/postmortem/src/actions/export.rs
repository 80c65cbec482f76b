//! Action items in the shapes of other trackers: GitHub's issues, Jira's bulk creation and its CSV import.

use jiff::civil::Date;
use serde_json::{Value, json};

use crate::document::Priority;

/// An action item on its way to another tracker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportItem {
    /// `PM-2026-014`.
    pub postmortem: String,
    /// `A1`.
    pub id: String,
    /// What will be done.
    pub action: String,
    /// Who does it.
    pub owner: Option<String>,
    /// By when.
    pub due: Option<Date>,
    /// What it is worth.
    pub priority: Option<Priority>,
    /// Where it stands.
    pub status: String,
    /// Lessons it comes of.
    pub lessons: Option<String>,
    /// Whys it answers.
    pub whys: Option<String>,
    /// How its effect is checked.
    pub verify: Option<String>,
}

/// Longest summary that Jira takes.
const SUMMARY_CHARS_MAX: usize = 255;

/// Bodies for GitHub's "create an issue", one an item.
pub fn github_json(items: &[ExportItem]) -> Value {
    let issue = |item: &ExportItem| {
        json!({
            "title": title(item),
            "body": body(item),
            "labels": labels(item),
            "assignees": item.owner.iter().collect::<Vec<_>>(),
        })
    };
    Value::Array(items.iter().map(issue).collect())
}

/// One body for Jira's bulk creation of issues in this project.
pub fn jira_json(items: &[ExportItem], project: &str) -> Value {
    let issue = |item: &ExportItem| {
        let mut fields = json!({
            "project": {"key": project},
            "issuetype": {"name": "Task"},
            "summary": title(item),
            "description": body(item),
            "labels": labels(item),
        });
        if let Some(priority) = item.priority {
            fields["priority"] = json!({"name": jira_priority(priority)});
        }
        if let Some(due) = item.due {
            fields["duedate"] = json!(due.to_string());
        }
        if let Some(owner) = &item.owner {
            fields["assignee"] = json!({"name": owner});
        }
        json!({"fields": fields})
    };
    json!({"issueUpdates": items.iter().map(issue).collect::<Vec<_>>()})
}

/// A file for Jira's CSV import, head line first.
pub fn jira_csv(items: &[ExportItem], project: &str) -> String {
    let head = "Project Key,Issue Type,Summary,Description,Priority,Due Date,Assignee,Labels".to_owned();
    let line = |item: &ExportItem| {
        let cells = [
            project.to_owned(),
            "Task".to_owned(),
            title(item),
            body(item),
            item.priority.map(jira_priority).unwrap_or_default().to_owned(),
            item.due.map(|due| due.to_string()).unwrap_or_default(),
            item.owner.clone().unwrap_or_default(),
            labels(item).join(" "),
        ];
        cells.map(|cell| quoted(&cell)).join(",")
    };
    let lines: Vec<String> = std::iter::once(head).chain(items.iter().map(line)).collect();
    lines.join("\r\n") + "\r\n"
}

fn title(item: &ExportItem) -> String {
    let line: String = item.action.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= SUMMARY_CHARS_MAX {
        return line;
    }
    let cut: String = line.chars().take(SUMMARY_CHARS_MAX - 1).collect();
    format!("{}…", cut.trim_end())
}

fn body(item: &ExportItem) -> String {
    let mut lines =
        vec![format!("Action item {} of post-mortem {}.", item.id, item.postmortem), String::new()];
    let facts = [
        ("Due", item.due.map(|due| due.to_string())),
        ("Priority", item.priority.map(|priority| priority.as_str().to_owned())),
        ("Lessons", item.lessons.clone()),
        ("Answers why", item.whys.clone()),
        ("Done when", item.verify.clone()),
    ];
    lines.extend(facts.into_iter().filter_map(|(name, value)| Some(format!("- {name}: {}", value?))));
    lines.join("\n")
}

/// Labels without spaces: Jira takes no others.
fn labels(item: &ExportItem) -> Vec<String> {
    let priority = item.priority.map(|priority| format!("priority-{}", priority.as_str()));
    ["postmortem".to_owned(), item.postmortem.replace(char::is_whitespace, "-")]
        .into_iter()
        .chain(priority)
        .collect()
}

fn jira_priority(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "High",
        Priority::Medium => "Medium",
        Priority::Low => "Low",
    }
}

/// A cell as RFC 4180 has it. One that a spreadsheet would take for a formula gets an apostrophe before it.
fn quoted(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !cell.contains(['"', ',', '\n', '\r']) {
        return cell.to_owned();
    }
    format!("\"{guard}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> ExportItem {
        ExportItem {
            postmortem: "PM-2026-014".to_owned(),
            id: "A1".to_owned(),
            action: "Alert on \"pool use\", per service".to_owned(),
            owner: Some("dana.k".to_owned()),
            due: Some(jiff::civil::date(2026, 6, 15)),
            priority: Some(Priority::Medium),
            status: "accepted".to_owned(),
            lessons: Some("L1".to_owned()),
            whys: Some("2.1".to_owned()),
            verify: Some("alert: DbPoolSaturated fires on INC-231".to_owned()),
        }
    }

    #[test]
    fn github_gets_bodies_of_issues() {
        let issues = github_json(&[item()]);
        assert_eq!(issues[0]["title"], "Alert on \"pool use\", per service");
        assert_eq!(issues[0]["assignees"], json!(["dana.k"]));
        assert_eq!(issues[0]["labels"], json!(["postmortem", "PM-2026-014", "priority-medium"]));
        let body = issues[0]["body"].as_str().unwrap();
        assert!(body.contains("Action item A1 of post-mortem PM-2026-014."), "{body}");
        assert!(body.contains("- Done when: alert: DbPoolSaturated fires on INC-231"), "{body}");
    }

    #[test]
    fn jira_gets_fields_and_leaves_out_what_is_not_known() {
        let bare = ExportItem { owner: None, due: None, priority: None, ..item() };
        let bulk = jira_json(&[item(), bare], "OPS");
        let fields = &bulk["issueUpdates"][0]["fields"];
        assert_eq!(fields["project"]["key"], "OPS");
        assert_eq!(
            (&fields["duedate"], &fields["priority"]["name"]),
            (&json!("2026-06-15"), &json!("Medium"))
        );
        let bare = &bulk["issueUpdates"][1]["fields"];
        assert!(
            bare.get("duedate").is_none() && bare.get("assignee").is_none() && bare.get("priority").is_none()
        );
    }

    #[test]
    fn a_csv_reads_back_whatever_the_cells_hold() {
        let formula = ExportItem { action: "=HYPERLINK(\"x\")".to_owned(), ..item() };
        let text = jira_csv(&[item(), formula], "OPS");
        assert!(text.starts_with("Project Key,Issue Type,Summary,"), "{text}");
        assert!(
            text.contains("OPS,Task,\"Alert on \"\"pool use\"\", per service\",\"Action item A1"),
            "{text}"
        );
        assert!(text.contains("\"'=HYPERLINK(\"\"x\"\")\""), "{text}");
    }
}
