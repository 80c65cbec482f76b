//! `hindsight rules …`, word by word.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use crate::args::SourceArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct RulesArgs {
    #[command(subcommand)]
    pub(super) command: RulesCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum RulesCommand {
    /// Read every rule and SLO file of the workspace and say what is wrong and where
    Check {
        /// The workspace [default: nearest folder upward with a hindsight.toml, else the current one]
        #[arg(long, env = "HINDSIGHT_WORKSPACE")]
        workspace: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of rule files, or of rule tests, for editors
    Schema {
        /// Which files
        #[arg(value_enum, default_value_t)]
        of: SchemaOf,
    },
    /// Run rule tests: telemetry as it would have come, and what the rules must make of it
    #[command(after_help = "Exit status: 0 all tests passed, 1 a test failed, 2 a file cannot be used.")]
    Test(RuleTestArgs),
    /// Run rules over stored history: what they would have done, as written and with other numbers
    #[command(
        after_help = "Example: hindsight rules backtest rules/checkout.yaml --from 30d --set for=5m --set fire=0.8,recover=0.7"
    )]
    Backtest(BacktestArgs),
    /// Say why a rule did or did not fire at a time
    Explain(ExplainArgs),
}

#[derive(Debug, ClapArgs)]
pub(super) struct BacktestArgs {
    /// A rule or OpenSLO file, relative to the workspace or to the current folder
    pub(super) file: PathBuf,
    /// Where the range begins: a time (2026-05-04T21:00:00Z) or how long ago (30d)
    #[arg(long, value_name = "TIME")]
    pub(super) from: String,
    /// Where it ends: a time, how long ago, or now
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub(super) to: String,
    /// Compare with these numbers instead, comma-separated for several at once; may be given many times. Of for,
    /// keep_firing_for, fire, recover, on_no_data, query_offset
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) sets: Vec<String>,
    /// Only rules with this name or id
    #[arg(long)]
    pub(super) rule: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) source: SourceArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ExplainArgs {
    /// A rule's name or id, as checkout-db/DbPoolSaturated or slo/checkout-availability/page-1h
    pub(super) rule: String,
    /// A time (2026-05-04T21:41:00Z), how long ago (10m), or now
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub(super) at: String,
    /// Only instances with this label; may be given many times
    #[arg(long = "instance", value_name = "LABEL=VALUE")]
    pub(super) instance: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) source: SourceArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaOf {
    /// rules/*.yaml
    #[default]
    Rules,
    /// tests/*.yaml
    Tests,
}

#[derive(Debug, ClapArgs)]
pub(super) struct RuleTestArgs {
    /// Test files, relative to the workspace [default: every tests/*.yaml]
    pub(super) files: Vec<PathBuf>,
    /// The workspace [default: nearest folder upward with a hindsight.toml, else the current one]
    #[arg(long, env = "HINDSIGHT_WORKSPACE")]
    pub(super) workspace: Option<PathBuf>,
    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub(super) filter: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Also write the results in JUnit's XML, as CI systems read it
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
}
