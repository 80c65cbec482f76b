//! `hindsight rules test`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hindsight_rules::{CaseFile, CaseReport, Level, Loaded, Problem, load_cases, load_files, run_case};
use hindsight_server::{Config, Overrides};
use serde_json::{Value, json};

use super::args::RuleTestArgs;
use super::feed::Stores;
use super::{FILES_ARE_WRONG, check, junit};
use crate::say;

/// What came of the tests of one file.
pub(super) struct FileReport {
    pub(super) file: PathBuf,
    pub(super) cases: Vec<TimedReport>,
}

/// What came of a test, and how long it took.
pub(super) struct TimedReport {
    pub(super) report: CaseReport,
    pub(super) took: Duration,
}

pub(super) async fn run(args: RuleTestArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&Overrides { workspace: args.workspace.clone(), ..Overrides::default() })?;
    let workspace = config.workspace.value;
    let (files, mut problems) = load_cases(&workspace, &args.files)?;
    let loaded: Vec<(CaseFile, Loaded)> = files
        .into_iter()
        .map(|file| {
            let rules = load_files(&workspace, &file.rule_files, &file.slo_files);
            (file, rules)
        })
        .collect();
    problems.extend(loaded.iter().flat_map(|(_, rules)| rules.problems.clone()));
    problems.dedup();
    if problems.iter().any(|problem| problem.level != Level::Warning) {
        return refuse(&args, &problems);
    }
    if loaded.is_empty() {
        say::problem(&format!(
            "no tests: {} has no tests/*.yaml; docs/rules.md shows how to write one",
            workspace.display()
        ));
    }
    let stores = Stores { workspace };
    let mut reports = Vec::new();
    for (file, rules) in &loaded {
        reports.push(run_file(file, rules, &stores, &args).await?);
    }
    say::progress("");
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::document(&reports))
            .with_context(|| format!("write {}", path.display()))?;
    }
    let cases = || reports.iter().flat_map(|file| &file.cases);
    let failed = cases().filter(|case| !case.report.failures.is_empty()).count();
    if args.json {
        say::line(&serde_json::to_string_pretty(&to_json(&reports, &problems))?)?;
    } else {
        for problem in &problems {
            say::line(&problem.to_string())?;
        }
        let untested = untested(&loaded);
        let untested = if untested.is_empty() || args.filter.is_some() {
            String::new()
        } else {
            format!("; no test expects anything of {}", untested.into_iter().collect::<Vec<_>>().join(", "))
        };
        say::line(&format!("{} passed, {failed} failed{untested}", cases().count() - failed))?;
    }
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn run_file(
    file: &CaseFile,
    rules: &Loaded,
    stores: &Stores,
    args: &RuleTestArgs,
) -> anyhow::Result<FileReport> {
    let mut report = FileReport { file: file.file.clone(), cases: Vec::new() };
    if !args.json {
        say::line(&file.file.display().to_string())?;
    }
    let wanted = |name: &str| args.filter.as_deref().is_none_or(|filter| name.contains(filter));
    for case in file.cases.iter().filter(|case| wanted(&case.name)) {
        say::progress(&format!("  running {}", case.name));
        let started = Instant::now();
        let place = || format!("{}:{}", file.file.display(), case.line);
        let ran = run_case(rules, case, stores).await.with_context(place)?;
        let took = started.elapsed();
        say::progress("");
        if !args.json {
            let word = if ran.failures.is_empty() { "ok  " } else { "FAIL" };
            say::line(&format!("  {word}  {} ({:.1} s)", ran.name, took.as_secs_f64()))?;
            for failure in &ran.failures {
                say::line(&format!("        {}:{}: {}", file.file.display(), failure.line, failure.message))?;
            }
        }
        report.cases.push(TimedReport { report: ran, took });
    }
    Ok(report)
}

fn refuse(args: &RuleTestArgs, problems: &[Problem]) -> anyhow::Result<ExitCode> {
    if args.json {
        say::line(&serde_json::to_string_pretty(&to_json(&[], problems))?)?;
    } else {
        for problem in problems {
            say::line(&problem.to_string())?;
        }
        say::problem("no test was run: mend the files first");
    }
    Ok(ExitCode::from(FILES_ARE_WRONG))
}

/// Alerts of the rule files of which no test says anything.
fn untested(loaded: &[(CaseFile, Loaded)]) -> BTreeSet<String> {
    let expected: BTreeSet<&str> = loaded
        .iter()
        .flat_map(|(file, _)| &file.cases)
        .flat_map(|case| case.expect.iter().map(|expectation| expectation.alert.as_str()))
        .collect();
    let rules = loaded.iter().flat_map(|(_, loaded)| &loaded.rules.groups).flat_map(|group| &group.rules);
    let untested =
        rules.filter(|rule| !expected.contains(rule.alert.as_str()) && !expected.contains(rule.id.as_str()));
    untested.map(|rule| rule.id.clone()).collect()
}

fn to_json(files: &[FileReport], problems: &[Problem]) -> Value {
    let case = |case: &TimedReport| {
        let failures: Vec<Value> = case
            .report
            .failures
            .iter()
            .map(|failure| json!({"line": failure.line, "message": failure.message}))
            .collect();
        json!({
            "name": case.report.name,
            "line": case.report.line,
            "passed": failures.is_empty(),
            "failures": failures,
            "seconds": case.took.as_secs_f64(),
        })
    };
    let file = |file: &FileReport| json!({"file": file.file, "tests": file.cases.iter().map(case).collect::<Vec<_>>()});
    json!({
        "files": files.iter().map(file).collect::<Vec<_>>(),
        "problems": problems.iter().map(check::to_json).collect::<Vec<_>>(),
    })
}
