//! The command line, word by word.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use hindsight_server::Overrides;
use jiff::Timestamp;

/// Telemetry in, understanding back: OTLP, SQL, rules and SLOs, incidents and post-mortems.
#[derive(Debug, Parser)]
#[command(name = "hindsight", version, about, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Replay a recorded outage through a real server and read its post-mortem
    Demo(DemoArgs),
    /// Take OTLP in, evaluate rules, answer SQL, show pages
    Serve(ServeArgs),
    /// Ask questions in SQL: one, those of a file, or a shell
    Sql(SqlArgs),
    /// Print logs as they come
    Tail(TailArgs),
    /// Send recorded OTLP/JSON lines to a server
    Replay(ReplayArgs),
    /// Check rule and SLO files, and run their tests
    Rules(crate::rules::RulesArgs),
    /// SLOs and their error budgets
    Slo(SloArgs),
    /// Incidents: list, show, declare, and what people do with them
    Incident(crate::incident::IncidentArgs),
    /// Silences: add, list, expire
    Silence(crate::silence::SilenceArgs),
    /// Notifications: send a test
    Notify(crate::notify::NotifyArgs),
    /// Post-mortems: draft, import, edit, lint, move on, render
    Postmortem(crate::postmortem::PostmortemArgs),
    /// Action items of all post-mortems: list, verify, export
    Actions(crate::actions::ActionsArgs),
    /// Check a data directory that no server holds: log, tables, files, state, audit chain
    Verify(VerifyArgs),
    /// Copy a data directory into a folder, also while a server runs on it; the next copy takes what is new
    Backup(BackupArgs),
    /// Make a new data directory from a backup
    Restore(RestoreArgs),
    /// Show a capsule, one incident in one file, read-only on this machine; or only check it
    Open(crate::capsule::OpenArgs),
    /// Look after the files of a data directory that no server holds: merge small ones, drop old rows, delete leftovers
    Maintain(MaintainArgs),
    /// Measure a server
    Bench(BenchArgs),
    /// The effective configuration
    Config(ConfigArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DemoArgs {
    /// Write the report, print where it is, and exit; uses free ports
    #[arg(long)]
    pub(crate) once: bool,
    /// Where the demo keeps its telemetry; must be empty or from an earlier demo
    #[arg(long, default_value = "hindsight-demo/data")]
    pub(crate) data_dir: PathBuf,
    /// Where the demo writes its rules and the report; must be empty or from an earlier demo
    #[arg(long, default_value = "hindsight-demo/workspace")]
    pub(crate) workspace: PathBuf,
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
}

#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct ListenArgs {
    /// OTLP/gRPC address [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDR:PORT", env = "HINDSIGHT_LISTEN_GRPC")]
    pub(crate) listen_grpc: Option<SocketAddr>,
    /// OTLP/HTTP address [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDR:PORT", env = "HINDSIGHT_LISTEN_HTTP")]
    pub(crate) listen_http: Option<SocketAddr>,
    /// Address of pages and API [default: 127.0.0.1:4320]
    #[arg(long, value_name = "ADDR:PORT", env = "HINDSIGHT_LISTEN_WEB")]
    pub(crate) listen_web: Option<SocketAddr>,
    /// PostgreSQL wire protocol address, for example 127.0.0.1:4321 [default: off]
    #[arg(long, value_name = "ADDR:PORT", env = "HINDSIGHT_LISTEN_PG")]
    pub(crate) listen_pg: Option<SocketAddr>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ConfigFlags {
    /// Where telemetry and state live [default: ./hindsight-data]
    #[arg(long, env = "HINDSIGHT_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The folder with hindsight.toml, rules/, slos/ [default: nearest upward, else the current one]
    #[arg(long, env = "HINDSIGHT_WORKSPACE")]
    pub(crate) workspace: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    /// Bearer token that every request must carry
    #[arg(long, env = "HINDSIGHT_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Listen beyond loopback without a token: everyone who can reach the port may read and write
    #[arg(long, action = ArgAction::SetTrue, env = "HINDSIGHT_INSECURE")]
    pub(crate) insecure: bool,
}

impl ConfigFlags {
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            data_dir: self.data_dir.clone(),
            workspace: self.workspace.clone(),
            listen_grpc: self.listen.listen_grpc,
            listen_http: self.listen.listen_http,
            listen_web: self.listen.listen_web,
            listen_pg: self.listen.listen_pg,
            token: self.token.clone(),
            insecure: self.insecure,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigFlags,
    /// Live by a clock that starts here and that `replay --logical` moves, so old telemetry can be judged at its
    /// own time
    #[arg(long, value_name = "TIME")]
    pub(crate) logical_clock: Option<Timestamp>,
}

/// Where a command finds telemetry: a server, or a data directory that no server holds.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct SourceArgs {
    /// Ask the server at this address [default: http://127.0.0.1:4320 if one answers there]
    #[arg(long, env = "HINDSIGHT_URL")]
    pub(crate) url: Option<String>,
    /// Ask this data directory, or the server that holds it [default: ./hindsight-data]
    #[arg(long, env = "HINDSIGHT_DATA_DIR", conflicts_with = "url")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where rules and post-mortems are, when asking a data directory
    #[arg(long, env = "HINDSIGHT_WORKSPACE")]
    pub(crate) workspace: Option<PathBuf>,
    /// Token for the server
    #[arg(long, env = "HINDSIGHT_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Aligned columns for people
    #[default]
    Table,
    /// {"columns", "rows", "stats"}
    Json,
    /// Comma-separated values with a header
    Csv,
    /// One JSON object a line
    Ndjson,
    /// Arrow IPC stream, for a file or a program
    Arrow,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SqlArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
    /// Same as --format json
    #[arg(long, conflicts_with_all = ["format", "csv"])]
    pub(crate) json: bool,
    /// Same as --format csv
    #[arg(long, conflicts_with = "format")]
    pub(crate) csv: bool,
    /// Bind $NAME in the query; RFC 3339 instants, numbers, true and false are understood
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<String>,
    /// Give up after this long, for example 30s
    #[arg(long)]
    pub(crate) timeout: Option<String>,
    /// Run the statements of this file
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "query")]
    pub(crate) file: Option<PathBuf>,
    /// Statements, with `;` between them; `-` is standard input [default: a shell on a terminal, else standard input]
    pub(crate) query: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Only logs of this service; may be given several times
    #[arg(long = "service", value_name = "NAME")]
    pub(crate) services: Vec<String>,
    /// Only logs at least this severe: trace, debug, info, warn, error or fatal
    #[arg(long, value_name = "WORD")]
    pub(crate) severity: Option<String>,
    /// Only logs that this SQL condition holds for, for example "http_route = '/cart'"
    #[arg(long = "where", value_name = "SQL")]
    pub(crate) condition: Option<String>,
    /// Only logs whose body has these words, as in match(body, 'TEXT')
    #[arg(long = "match", value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Print each log with all its columns as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Begin with the logs of this long ago
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub(crate) since: String,
    /// Print what there is and end
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// How late a log may come and still be shown
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) late: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReplayArgs {
    /// OTLP/JSON, one Export…ServiceRequest a line; .gz and .zst are read too; `-` is standard input
    pub(crate) file: PathBuf,
    /// OTLP/HTTP address of the server
    #[arg(long, default_value = "http://127.0.0.1:4318")]
    pub(crate) endpoint: String,
    /// Token for the server
    #[arg(long, env = "HINDSIGHT_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Move all times so that the recording ends now
    #[arg(long, conflicts_with = "logical")]
    pub(crate) shift_to_now: bool,
    /// Keep the recorded times and move the server's logical clock along (`serve --logical-clock`); the value is
    /// the address of its web port
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "http://127.0.0.1:4320")]
    pub(crate) logical: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SloArgs {
    #[command(subcommand)]
    pub(crate) command: SloCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SloCommand {
    /// Objective, budget spent and burn rate of each SLO
    Status(ListArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the tables of a data directory are, for commands that need no server.
#[derive(Debug, ClapArgs)]
pub(crate) struct TablesArgs {
    /// Where the tables are or shall be: `local`, or s3://bucket/prefix [default: as `serve` would choose]
    #[arg(long, value_name = "PLACE")]
    pub(crate) tables: Option<String>,
    /// The folder with hindsight.toml, which says where `serve` has them [default: nearest upward, else the current one]
    #[arg(long, env = "HINDSIGHT_WORKSPACE")]
    pub(crate) workspace: Option<PathBuf>,
}

/// Exit codes: 0 nothing is wrong, 1 something is, 2 it could not be checked.
#[derive(Debug, ClapArgs)]
pub(crate) struct VerifyArgs {
    /// The data directory; the server on it must be stopped [default: as `serve` would choose]
    #[arg(long, env = "HINDSIGHT_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
    /// Leave out what needs every row: checksums, sort order, statistics, dates
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BackupArgs {
    /// The folder for the backup: new, empty, or with an earlier backup of the same directory
    pub(crate) dest: PathBuf,
    /// The data directory [default: as `serve` would choose]
    #[arg(long, env = "HINDSIGHT_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RestoreArgs {
    /// The folder that `backup` wrote
    pub(crate) source: PathBuf,
    /// The data directory to make; new or empty
    #[arg(long)]
    pub(crate) data_dir: PathBuf,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct MaintainArgs {
    /// The data directory; the server on it must be stopped [default: as `serve` would choose]
    #[arg(long, env = "HINDSIGHT_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tables: TablesArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Send a seeded load and print what it cost as JSON; starts a server of its own on a fresh directory
    Ingest(BenchIngestArgs),
    /// Load recorded faults, rank the services of each by its time alone, and compare with the answers
    Rca(BenchRcaArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchSignal {
    /// Log records, about 470 bytes each
    Logs,
    /// Spans in traces of ten, about 470 bytes each
    Traces,
    /// Points of 20,000 series, about 190 bytes each
    Metrics,
}

impl BenchSignal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }

    /// The path of OTLP/HTTP.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Logs => "/v1/logs",
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
        }
    }

    /// The tables that its items end in.
    pub(crate) fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Logs => &["logs"],
            Self::Traces => &["spans"],
            Self::Metrics => &["metrics", "metric_histograms"],
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchRcaArgs {
    /// Holds a folder for each case, with metrics, traces and logs as .jsonl, .jsonl.gz or .jsonl.zst; any may be missing
    #[arg(long, value_name = "DIR")]
    pub(crate) cases: PathBuf,
    /// Holds the answers, CASE.json each; correlation sees their `injected_at` only
    #[arg(long, value_name = "DIR", required_unless_present = "detect")]
    pub(crate) labels: Option<PathBuf>,
    /// Tell correlation a time that is this much too late
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub(crate) late: String,
    /// Write a line of JSON for each case: its services, best first, and how long it took
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Give no time at all: find when something went wrong, and write the incidents of each case
    #[arg(long, conflicts_with = "late")]
    pub(crate) detect: bool,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// Print the reasons against the first three services of each case
    #[arg(long)]
    pub(crate) reasons: bool,
    /// The summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchIngestArgs {
    /// What to send
    #[arg(long, value_enum, default_value = "logs")]
    pub(crate) signal: BenchSignal,
    /// How many records, spans or points; beyond 512 MiB of requests they are sent again, each time marked anew
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) items: u64,
    /// Items in a request
    #[arg(long, default_value_t = 100)]
    pub(crate) per_request: u64,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: u64,
    /// The same seed, items and --end give the same bytes
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Event times are spread over this long
    #[arg(long, default_value = "1h")]
    pub(crate) window: String,
    /// Event times end here [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<Timestamp>,
    /// Longest wait after the last acknowledgement until everything is sealed and quiet
    #[arg(long, default_value = "5m")]
    pub(crate) settle: String,
    /// Workspace of the server that is started; its hindsight.toml says how it runs [default: an empty one]
    #[arg(long, conflicts_with = "url")]
    pub(crate) workspace: Option<PathBuf>,
    /// Folder in which the server's directory is made and removed again [default: the system's]
    #[arg(long, conflicts_with = "url")]
    pub(crate) scratch: Option<PathBuf>,
    /// Start no server: send to this OTLP/HTTP address
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// With --url: the server's web address, to wait for seals and to count
    #[arg(long, requires = "url")]
    pub(crate) web: Option<String>,
    /// With --url: the server's process on this machine, to see what it costs
    #[arg(long, requires = "url")]
    pub(crate) pid: Option<u32>,
    /// With --url: the server's data directory, to see what it takes on disk
    #[arg(long, requires = "url")]
    pub(crate) data_dir: Option<PathBuf>,
    /// With --url: the server's token
    #[arg(long, env = "HINDSIGHT_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether `serve` would start with this configuration
    Check {
        #[command(flatten)]
        flags: ConfigFlags,
    },
    /// Print every setting with its value and where it came from
    Print {
        #[command(flatten)]
        flags: ConfigFlags,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
