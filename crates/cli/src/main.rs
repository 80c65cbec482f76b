//! The `hindsight` program: one binary that serves, asks, replays, checks and explains.

mod actions;
mod allocator;
mod args;
mod backend;
mod backup;
mod bench;
mod capsule;
mod config;
mod demo;
mod incident;
mod incoming;
mod interrupts;
mod line_editor;
mod lists;
mod logging;
mod maintain;
mod notify;
mod postmortem;
mod progress;
mod remote;
mod replay;
mod rules;
mod sample;
mod say;
mod serve;
mod silence;
mod sql;
mod tables;
mod tail;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    logging::start(&args.command);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("start the async runtime")),
    };
    match runtime.block_on(run(args)) {
        Ok(code) => code,
        Err(error) if say::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Demo(command) => demo::run(command).await,
        Command::Serve(command) => serve::run(command).await,
        Command::Sql(command) => sql::run(command).await,
        Command::Tail(command) => tail::run(command).await,
        Command::Replay(command) => replay::run(command).await,
        Command::Rules(command) => rules::run(command).await,
        Command::Slo(command) => lists::slo(command).await,
        Command::Incident(command) => incident::run(command).await,
        Command::Silence(command) => silence::run(command).await,
        Command::Notify(command) => notify::run(command).await,
        Command::Postmortem(command) => postmortem::run(command).await,
        Command::Actions(command) => actions::run(command).await,
        Command::Verify(command) => Ok(verify::run(&command).await),
        Command::Backup(command) => backup::backup(&command).await,
        Command::Restore(command) => backup::restore(command).await,
        Command::Open(command) => capsule::open(command).await,
        Command::Maintain(command) => maintain::run(&command).await,
        Command::Bench(command) => bench::run(command).await,
        Command::Config(command) => config::run(command),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    say::problem(&format!("error: {error:#}"));
    ExitCode::FAILURE
}
