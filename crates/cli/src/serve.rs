use std::process::ExitCode;

use anyhow::Context as _;
use hindsight_server::{Addresses, Config, Server, ServerClock};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::ServeArgs;
use crate::{allocator, say};

/// Serves until SIGTERM or Ctrl-C, then drains, seals and exits 0.
pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.config.overrides())?;
    if config.insecure.value {
        say::problem(
            "warning: --insecure: everyone who can reach these ports may read and write all telemetry",
        );
    }
    let clock = args.logical_clock.map_or(ServerClock::System, |start| ServerClock::Logical { start });
    allocator::keep_small();
    let mut terminated = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let server = Server::start(config, clock).await?;
    let at = server.addresses();
    say::problem(&listening(&at));
    tokio::select! {
        _ = terminated.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.context("listen for Ctrl-C")?,
    }
    tracing::info!("stopping: finishing requests, sealing the head");
    server.shutdown().await?;
    Ok(ExitCode::SUCCESS)
}

/// `listening grpc=ADDR:PORT http=ADDR:PORT web=ADDR:PORT [pg=ADDR:PORT]`, without the ports that are closed.
pub(crate) fn listening(at: &Addresses) -> String {
    let ports = [("grpc", at.grpc), ("http", at.http), ("web", Some(at.web)), ("pg", at.pg)];
    let open = ports.into_iter().filter_map(|(name, address)| Some(format!(" {name}={}", address?)));
    format!("listening{}", open.collect::<String>())
}
