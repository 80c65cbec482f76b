use std::process::ExitCode;

use hindsight_rules::{Level, Problem};
use hindsight_server::{Config, Overrides};

use serde_json::{Value, json};

use crate::args::{RulesArgs, RulesCommand};
use crate::say;

/// `hindsight rules check`: exit 1 when a file has an error.
pub(crate) fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    let RulesCommand::Check { workspace, json } = &args.command;
    let config = Config::load(&Overrides { workspace: workspace.clone(), ..Overrides::default() })?;
    let loaded = hindsight_rules::load(&config.workspace.value)?;
    if *json {
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
    let failed = loaded.problems.iter().any(|problem| problem.level == Level::Error);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn to_json(problem: &Problem) -> Value {
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
