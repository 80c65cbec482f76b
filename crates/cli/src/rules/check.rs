use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hindsight_rules::{Feed as _, Level, Problem, RuleSet};
use hindsight_server::{Config, Overrides};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::feed;
use crate::say;

/// `hindsight rules check`: exit 1 when something is not in force.
pub(super) async fn run(workspace: Option<PathBuf>, json: bool) -> anyhow::Result<ExitCode> {
    let config = Config::load(&Overrides { workspace, ..Overrides::default() })?;
    let mut loaded = hindsight_rules::load(&config.workspace.value)?;
    let (_, in_tests) = hindsight_rules::load_cases(&config.workspace.value, &[])?;
    loaded.problems.extend(in_tests);
    loaded.problems.extend(asked_of_nothing(&config.workspace.value, &loaded.rules).await?);
    if json {
        let problems: Vec<Value> = loaded.problems.iter().map(to_json).collect();
        say::line(&serde_json::to_string_pretty(&problems)?)?;
    } else {
        for problem in &loaded.problems {
            say::line(&problem.to_string())?;
        }
        say::line(&format!(
            "{} alert rules and {} SLOs read from {}, {} problems",
            loaded.rules.groups.iter().map(|group| group.rules.len()).sum::<usize>(),
            loaded.rules.slos.len(),
            config.workspace.value.display(),
            loaded.problems.len()
        ))?;
    }
    let failed = loaded.problems.iter().any(|problem| problem.level != Level::Warning);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What an empty database says to each query: unknown tables and columns, syntax, a result without `value`.
async fn asked_of_nothing(workspace: &Path, rules: &RuleSet) -> anyhow::Result<Vec<Problem>> {
    if rules.groups.is_empty() {
        return Ok(Vec::new());
    }
    let empty = feed::empty(workspace).await?;
    let (sql, mut problems) = (empty.sql(), Vec::new());
    for group in &rules.groups {
        for rule in &group.rules {
            let (message, hint) = match sql.sql(rule.question(group, Timestamp::UNIX_EPOCH)).await {
                Ok(answer) if answer.columns().iter().any(|column| column.eq_ignore_ascii_case("value")) => {
                    continue;
                }
                Ok(answer) => {
                    let columns = answer.columns().join(", ");
                    (
                        format!("the query returns no column `value`, but {columns}"),
                        "name the measured column `AS value`",
                    )
                }
                Err(error) => (format!("the query cannot be asked: {error}"), "try it in `hindsight sql`"),
            };
            problems.push(Problem {
                file: group.file.clone(),
                line: rule.line,
                column: 1,
                rule: Some(rule.id.clone()),
                message,
                hint: Some(hint.to_owned()),
                level: Level::Error,
            });
        }
    }
    Ok(problems)
}

pub(super) fn to_json(problem: &Problem) -> Value {
    json!({
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "rule": problem.rule,
        "level": problem.level.as_str(),
        "message": problem.message,
        "hint": problem.hint,
    })
}
