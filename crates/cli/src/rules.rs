//! `hindsight rules`: what rule files say, whether their tests pass, what they would have done, and why they did it.

mod args;
mod at;
mod backtest;
mod check;
mod explain;
mod feed;
mod junit;
mod telemetry;
mod test;

use std::process::ExitCode;

pub(crate) use args::RulesArgs;
use args::{RulesCommand, SchemaOf};

use crate::say;

/// What a command answers when a file cannot be used: a person has to mend it before anything can be said.
const FILES_ARE_WRONG: u8 = 2;

pub(crate) async fn run(args: RulesArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        RulesCommand::Check { workspace, json } => check::run(workspace, json).await,
        RulesCommand::Schema { of } => {
            say::line(match of {
                SchemaOf::Rules => hindsight_rules::RULES_SCHEMA,
                SchemaOf::Tests => hindsight_rules::TESTS_SCHEMA,
            })?;
            Ok(ExitCode::SUCCESS)
        }
        RulesCommand::Test(args) => test::run(args).await,
        RulesCommand::Backtest(args) => backtest::run(args).await,
        RulesCommand::Explain(args) => explain::run(args).await,
    }
}
