//! `hindsight incident export` and `hindsight open`: one incident in one file, out and in.

mod check;
mod export;
mod open;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgAction, Args as ClapArgs};
use hindsight_store::verify::Progress;

pub(crate) use export::export;
pub(crate) use open::open;

use crate::args::SourceArgs;
use crate::progress::Reporter;

#[derive(Debug, ClapArgs)]
pub(crate) struct ExportArgs {
    /// For example INC-7
    id: String,
    /// The file to write [default: INC-7.capsule.tar]
    #[arg(long, short = 'o', value_name = "FILE")]
    out: Option<PathBuf>,
    /// Take restricted post-mortems along: everyone who gets hold of the file can read them
    #[arg(long, action = ArgAction::SetTrue)]
    include_restricted: bool,
    /// Leave all post-mortems out
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "include_restricted")]
    without_report: bool,
    /// Role or name of who exports
    #[arg(long, default_value = "incident commander")]
    author: String,
    #[command(flatten)]
    source: SourceArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct OpenArgs {
    /// The file that `hindsight incident export` wrote
    capsule: PathBuf,
    /// Only check that the file is whole and unchanged: exit code 0 it is, 1 it is not
    #[arg(long, action = ArgAction::SetTrue)]
    check: bool,
    /// With --check: print JSON
    #[arg(long, requires = "check")]
    json: bool,
    /// Unpack into this folder, new or empty, and leave it there [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "DIR", conflicts_with = "check")]
    dir: Option<PathBuf>,
    /// Address of pages and API [default: 127.0.0.1:4320]
    #[arg(long, value_name = "ADDR:PORT", env = "HINDSIGHT_LISTEN_WEB")]
    listen_web: Option<SocketAddr>,
    /// PostgreSQL wire protocol address, for example 127.0.0.1:4321 [default: off]
    #[arg(long, value_name = "ADDR:PORT", env = "HINDSIGHT_LISTEN_PG")]
    listen_pg: Option<SocketAddr>,
    /// Bearer token that every request must carry
    #[arg(long, env = "HINDSIGHT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Listen beyond loopback without a token: everyone who can reach the port may read the capsule
    #[arg(long, action = ArgAction::SetTrue, env = "HINDSIGHT_INSECURE")]
    insecure: bool,
}

/// What the library tells, as the line that keeps changing.
fn telling(reporter: &Arc<Reporter>) -> Arc<dyn Fn(Progress) + Send + Sync> {
    let reporter = Arc::clone(reporter);
    Arc::new(move |at: Progress| reporter.tell(&at.doing, at.done_bytes, at.total_bytes))
}
