use tracing_subscriber::EnvFilter;

use crate::args::Command;

/// Logs go to standard error. `HINDSIGHT_LOG` (as `RUST_LOG`) chooses levels; commands that answer a question stay
/// quiet unless something is wrong.
pub(crate) fn start(command: &Command) {
    // Libraries speak up when something is wrong.
    let level = if matches!(command, Command::Serve(_)) { "warn,hindsight=info" } else { "error" };
    let filter = EnvFilter::try_from_env("HINDSIGHT_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
