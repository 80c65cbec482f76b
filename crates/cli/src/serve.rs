use std::process::ExitCode;

use anyhow::Context as _;
use hindsight_server::{Config, Server, ServerClock};
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
    let pg = at.pg.map_or_else(String::new, |pg| format!(" pg={pg}"));
    say::problem(&format!("listening grpc={} http={} web={}{pg}", at.grpc, at.http, at.web));
    tokio::select! {
        _ = terminated.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.context("listen for Ctrl-C")?,
    }
    tracing::info!("stopping: finishing requests, sealing the head");
    server.shutdown().await?;
    Ok(ExitCode::SUCCESS)
}
