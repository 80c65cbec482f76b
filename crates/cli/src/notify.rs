//! `hindsight notify test`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args as ClapArgs, Subcommand};
use hindsight_model::{Clock as _, SystemClock};
use hindsight_notify::{Receiver, send_test};
use hindsight_server::{Config, Overrides};

use crate::say;

#[derive(Debug, ClapArgs)]
pub(crate) struct NotifyArgs {
    #[command(subcommand)]
    command: NotifyCommand,
}

#[derive(Debug, Subcommand)]
enum NotifyCommand {
    /// Send a receiver of hindsight.toml a notification marked as a test, and say what it answered (needs no server)
    Test {
        /// Its name
        #[arg(long)]
        receiver: String,
        /// Where hindsight.toml is [default: the nearest folder upward that has one]
        #[arg(long, env = "HINDSIGHT_WORKSPACE")]
        workspace: Option<PathBuf>,
    },
}

/// Sends it; the exit code says whether it was taken.
pub(crate) async fn run(args: NotifyArgs) -> anyhow::Result<ExitCode> {
    let NotifyCommand::Test { receiver: name, workspace } = args.command;
    let config = Config::load(&Overrides { workspace, ..Overrides::default() })?;
    let receivers = &config.notify.receivers;
    let Some(receiver) = receivers.iter().find(|receiver| receiver.name() == name) else {
        let names: Vec<&str> = receivers.iter().map(Receiver::name).collect();
        let file = config.workspace.value.join("hindsight.toml");
        bail!("{} has no receiver `{name}`; it has: {}", file.display(), names.join(", "));
    };
    let url = config.notify.external_url(config.listen_web.value);
    match send_test(receiver, &url, SystemClock.now()).await? {
        Ok(()) => {
            say::line(&format!("{name} ({}) took it", receiver.kind().as_str()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(reason) => bail!("{name} ({}) did not take it: {reason}", receiver.kind().as_str()),
    }
}
