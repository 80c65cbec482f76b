use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use hindsight_server::{Config, Overrides, Server, UnpackedCapsule, unpack_capsule};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use super::{OpenArgs, check, telling};
use crate::progress::Reporter;
use crate::serve::listening;
use crate::{allocator, say};

/// Where a capsule is unpacked to.
enum Folder {
    /// Gone at the end. Only its owner may look into it.
    Temporary(TempDir),
    Kept(PathBuf),
}

/// Unpacks a capsule and serves it until SIGTERM or Ctrl-C.
pub(crate) async fn open(args: OpenArgs) -> anyhow::Result<ExitCode> {
    if args.check {
        return check::run(&args).await;
    }
    // Before anything is unpacked, so that an early Ctrl-C leaves nothing either.
    let mut terminated = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let folder = Folder::of(args.dir.as_deref())?;
    let reporter = Arc::new(Reporter::start());
    let unpacking = unpack_capsule(&args.capsule, folder.path(), telling(&reporter));
    let unpacked = tokio::select! {
        unpacked = unpacking => unpacked.with_context(|| format!("open {}", args.capsule.display())),
        _ = terminated.recv() => Err(anyhow::anyhow!("stopped while unpacking")),
        _ = interrupted.recv() => Err(anyhow::anyhow!("stopped while unpacking")),
    };
    reporter.end();
    let unpacked = match unpacked {
        Ok(unpacked) => unpacked,
        Err(error) => {
            folder.empty();
            return Err(error);
        }
    };
    let config = config(&args, &unpacked)?;
    allocator::keep_small();
    let server = Server::start_capsule(config, unpacked.view.clone()).await?;
    say::problem(&listening(&server.addresses()));
    announce(&server, &unpacked)?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    server.shutdown().await?;
    Ok(ExitCode::SUCCESS)
}

fn config(args: &OpenArgs, unpacked: &UnpackedCapsule) -> anyhow::Result<Config> {
    let flags = Overrides {
        data_dir: Some(unpacked.data_dir.clone()),
        // It has no hindsight.toml: nobody's settings but these flags count.
        workspace: Some(unpacked.workspace.clone()),
        listen_web: args.listen_web,
        listen_pg: args.listen_pg,
        token: args.token.clone(),
        insecure: args.insecure,
        ..Overrides::default()
    };
    Ok(Config::load(&flags)?)
}

fn announce(server: &Server, unpacked: &UnpackedCapsule) -> anyhow::Result<()> {
    let (web, manifest) = (server.addresses().web, &unpacked.manifest);
    let reports = manifest.postmortems.iter().map(|id| format!("report    http://{web}/postmortems/{id}\n"));
    say::line(&format!(
        "{} {}\n\
         exported {} by {} ({}), {} rows, manifest {}\n\n\
         incident  http://{web}/incidents/{}\n\
         {}\
         SQL       hindsight sql --url http://{web}\n\n\
         Read-only. Ctrl-C ends.",
        manifest.incident.id,
        manifest.incident.title,
        manifest.exported_at.strftime("%Y-%m-%d %H:%M UTC"),
        manifest.author,
        manifest.made_by,
        manifest.rows(),
        unpacked.sha256,
        manifest.incident.id,
        reports.collect::<String>(),
    ))
}

impl Folder {
    fn of(dir: Option<&Path>) -> anyhow::Result<Self> {
        let Some(dir) = dir else {
            let folder = tempfile::Builder::new()
                .prefix("hindsight-capsule-")
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir();
            return Ok(Self::Temporary(folder.context("make a temporary folder")?));
        };
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let mut inside = fs::read_dir(dir).with_context(|| format!("look into {}", dir.display()))?;
        if inside.next().is_some() {
            bail!("{} is not empty; name a new folder with --dir", dir.display());
        }
        Ok(Self::Kept(dir.to_owned()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }

    /// Takes back what was unpacked of a capsule that was refused: none of it is to be trusted.
    fn empty(&self) {
        let Self::Kept(dir) = self else { return };
        for name in ["capsule", "data", "workspace"] {
            // What is not there, or cannot be removed, is told by the error that led here.
            drop(fs::remove_dir_all(dir.join(name)));
        }
    }
}
