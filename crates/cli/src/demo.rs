//! `hindsight demo`: a recorded outage through a real server, from OTLP to the post-mortem.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use hindsight_model::{Clock as _, Incident, SystemClock, Tenant};
use hindsight_server::{Config, Overrides, Server, ServerClock};
use jiff::SignedDuration;

use crate::args::DemoArgs;
use crate::replay::{self, Recorded, Sender};
use crate::{postmortem, sample, say};

/// A folder that an earlier demo made carries this file, so that it may be emptied again.
const MARKER: &str = ".hindsight-demo";
/// Logical time evaluated before the first and after the last record.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

/// What the demo found.
struct Story {
    incident: Incident,
    report: PathBuf,
}

/// Runs the demo; without `--once` it serves the result until Ctrl-C.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    refuse_beside_another(&args.data_dir)?;
    empty_folder(&args.data_dir)?;
    empty_folder(&args.workspace)?;
    sample::write_workspace(&args.workspace)?;
    let mut requests = sample::requests()?;
    if !args.once {
        replay::shift_to_end_at(&mut requests, SystemClock.now());
    }
    let server = start(&args, &requests).await?;
    let story = match tell(&server, requests, &args.workspace).await {
        Ok(story) => story,
        Err(error) => {
            server.shutdown().await?;
            return Err(error);
        }
    };
    let took = started.elapsed().as_secs_f64();
    if args.once {
        say::line(&format!("report: {}", story.report.display()))?;
        say::line(&format!("incident: {}", story.incident.id))?;
        let suspect = story.incident.suspects.first();
        say::line(&format!("suspect: {}", suspect.map_or("none", |suspect| suspect.service.as_str())))?;
        server.shutdown().await?;
        return Ok(ExitCode::SUCCESS);
    }
    announce(&server, &story, took)?;
    let stopped = tokio::select! {
        stopped = tokio::signal::ctrl_c() => stopped.context("listen for Ctrl-C"),
        never = server.follow_system_clock() => match never {},
    };
    server.shutdown().await?;
    stopped?;
    Ok(ExitCode::SUCCESS)
}

async fn start(args: &DemoArgs, requests: &[Recorded]) -> anyhow::Result<Server> {
    let any_port = args.once.then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let flags = Overrides {
        data_dir: Some(args.data_dir.clone()),
        workspace: Some(args.workspace.clone()),
        listen_grpc: args.listen.listen_grpc.or(any_port),
        listen_http: args.listen.listen_http.or(any_port),
        listen_web: args.listen.listen_web.or(any_port),
        listen_pg: args.listen.listen_pg,
        ..Overrides::default()
    };
    let first = requests.first().context("the recording is empty")?.until;
    let start = first.checked_sub(MARGIN)?;
    Ok(Server::start(Config::load(&flags)?, ServerClock::Logical { start }).await?)
}

/// Replays, lets the incident settle, and writes the report.
async fn tell(server: &Server, requests: Vec<Recorded>, workspace: &Path) -> anyhow::Result<Story> {
    let end = requests.iter().map(|recorded| recorded.until).max().context("the recording is empty")?;
    let sender = Sender::new(&format!("http://{}", server.addresses().http), None)?;
    sender
        .send_all(requests, async |now| {
            server.advance_to(now).await.context("evaluate rules and follow incidents")
        })
        .await?;
    server.advance_to(end.checked_add(MARGIN)?).await?;
    let incident = first_incident(server).await?;
    say::progress("writing the post-mortem");
    let timeline = server.state().timeline(&Tenant::default(), incident.id).await?;
    let now = end.checked_add(MARGIN)?;
    let sql = server.sql();
    let written = postmortem::write(&incident, &timeline, workspace, sql.as_ref(), &[], now).await?;
    say::progress("");
    Ok(Story { incident, report: written.report })
}

async fn first_incident(server: &Server) -> anyhow::Result<Incident> {
    let incidents = server.state().incidents(&Tenant::default()).await?;
    incidents
        .into_iter()
        .min_by_key(|incident| incident.id)
        .context("the replay opened no incident; run with HINDSIGHT_LOG=info to see what the rules did")
}

fn announce(server: &Server, story: &Story, took: f64) -> anyhow::Result<()> {
    let web = server.addresses().web;
    let post_mortem = story.report.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let id = post_mortem.splitn(4, '-').take(3).collect::<Vec<_>>().join("-");
    say::line(&format!(
        "A 90-minute outage went through OTLP, rules, incident and post-mortem in {took:.0} s.\n\n\
         home      http://{web}/\n\
         incident  http://{web}/incidents/{}\n\
         report    http://{web}/postmortems/{id}\n\
         as a file {}\n\n\
         Exporters may send to grpc {} and http {}. Ctrl-C ends.",
        story.incident.id,
        story.report.display(),
        server.addresses().grpc,
        server.addresses().http,
    ))
}

/// A demo that still runs keeps its folders.
fn refuse_beside_another(data_dir: &Path) -> anyhow::Result<()> {
    let Ok(address) = std::fs::read_to_string(data_dir.join(hindsight_server::WEB_ADDRESS_FILE)) else {
        return Ok(());
    };
    if TcpStream::connect(address.trim()).is_ok() {
        bail!(
            "a demo runs at http://{} with its data in {}; end it first, or choose other folders with --data-dir and \
             --workspace",
            address.trim(),
            data_dir.display()
        );
    }
    Ok(())
}

/// Makes an empty folder, or empties one that an earlier demo made; never anything else.
fn empty_folder(folder: &Path) -> anyhow::Result<()> {
    let marker = folder.join(MARKER);
    if folder.is_dir() {
        let holds_something = std::fs::read_dir(folder)
            .with_context(|| format!("look into {}", folder.display()))?
            .next()
            .is_some();
        if holds_something && !marker.is_file() {
            bail!(
                "{} is not empty and no demo made it; choose another folder with --data-dir and --workspace",
                folder.display()
            );
        }
        std::fs::remove_dir_all(folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    std::fs::write(&marker, "Made by `hindsight demo`; the next demo empties this folder.\n")
        .with_context(|| format!("write {}", marker.display()))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_folder_that_no_demo_made_is_never_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("d");
        empty_folder(&folder).unwrap();
        std::fs::write(folder.join("x"), "x").unwrap();
        empty_folder(&folder).unwrap();
        assert!(!folder.join("x").is_file());
        let foreign = dir.path().join("mine");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("thesis"), "x").unwrap();
        assert!(empty_folder(&foreign).is_err());
        assert!(foreign.join("thesis").is_file());
    }

    #[test]
    fn a_running_demo_keeps_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::fs::write(dir.path().join(hindsight_server::WEB_ADDRESS_FILE), format!("{address}\n")).unwrap();
        assert!(refuse_beside_another(dir.path()).is_err());
        drop(listener);
        assert!(refuse_beside_another(dir.path()).is_ok());
    }

    #[test]
    fn the_recording_inside_the_program_reads() {
        let requests = sample::requests().unwrap();
        assert!(requests.len() > 100);
        assert!(requests.iter().all(|recorded| recorded.until > Timestamp::UNIX_EPOCH));
    }
}
