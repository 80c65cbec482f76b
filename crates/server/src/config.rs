//! One typed configuration: flag over environment over `hindsight.toml` over default, unknown keys refused, and
//! every effective value with its source for `hindsight config print`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hindsight_model::{Promotion, Table, Tenant, parse_duration};
use hindsight_notify::{NotifyConfig, ReceiverConfig};
use hindsight_store::{RetentionRule, TablesLocation, TablesUrl};
use serde::Deserialize;

use crate::access::{self, NamedToken, TokenFile, TokenSetting};
use crate::compaction::CompactionFile;
use crate::limits::LimitsFile;
use crate::promote::{self, PromoteFile};
use crate::query_settings::QueryFile;
use crate::search::SearchFile;
use crate::{CompactionSettings, LimitSettings, NotifySettings, Overrides, QuerySettings, SearchSettings};

/// Where a setting's value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Nobody set it.
    Default,
    /// `hindsight.toml`.
    File,
    /// A flag, or its environment variable.
    Flag,
}

impl ConfigSource {
    /// `default`, `file` or `flag`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Flag => "flag",
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub struct Setting<T> {
    /// The effective value.
    pub value: T,
    /// Who set it.
    pub source: ConfigSource,
}

impl<T> Setting<T> {
    pub(crate) fn pick(flag: Option<T>, file: Option<T>, default: T) -> Self {
        match (flag, file) {
            (Some(value), _) => Self { value, source: ConfigSource::Flag },
            (None, Some(value)) => Self { value, source: ConfigSource::File },
            (None, None) => Self { value: default, source: ConfigSource::Default },
        }
    }
}

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there but cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, or has an unknown key or a value of the wrong type.
    #[error("parse {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A duration that cannot be read.
    #[error("setting `{key}`")]
    Duration {
        /// The key.
        key: &'static str,
        /// Why.
        #[source]
        source: hindsight_model::DurationError,
    },
    /// A value that parses and still makes no sense.
    #[error("setting `{key}`: {problem}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A place for the tables that is none.
    #[error("setting `storage.tables`")]
    Tables(#[source] Box<hindsight_store::Error>),
    /// A receiver that cannot be used.
    #[error("setting `receivers`")]
    Receivers(#[source] hindsight_notify::Error),
    /// Routes, inhibitions or mute times that make no sense.
    #[error("setting `notify`")]
    Notify(#[source] hindsight_notify::Error),
    /// SEC-1.
    #[error(
        "{flag} {address} listens beyond loopback without authentication; set a token (--token, HINDSIGHT_TOKEN or \
         `token_file` in hindsight.toml), listen on 127.0.0.1, or say --insecure if everyone who can reach this \
         address may read and write all telemetry"
    )]
    Exposed {
        /// The flag that set the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
    },
}

/// Where the certificate of the PostgreSQL port is.
#[derive(Clone, Debug)]
pub struct PgTls {
    /// PEM: the server's certificate, then those that vouch for it.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// The whole effective configuration of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where telemetry and state live.
    pub data_dir: Setting<PathBuf>,
    /// The folder a team keeps in git.
    pub workspace: Setting<PathBuf>,
    /// OTLP/gRPC.
    pub listen_grpc: Setting<SocketAddr>,
    /// OTLP/HTTP.
    pub listen_http: Setting<SocketAddr>,
    /// Pages and API.
    pub listen_web: Setting<SocketAddr>,
    /// PostgreSQL wire protocol; off when `None`.
    pub listen_pg: Setting<Option<SocketAddr>>,
    /// Encryption of that port, then required of its clients; none when `None`.
    pub listen_pg_tls: Setting<Option<PgTls>>,
    /// Bearer token that every request must carry, if set; it may see everything.
    pub token: Setting<Option<TokenSetting>>,
    /// Further tokens, with what each may see.
    pub tokens: Setting<Vec<NamedToken>>,
    /// Listen beyond loopback without a token (SEC-1).
    pub insecure: Setting<bool>,
    /// Origins whose browsers may export over OTLP/HTTP.
    pub cors_origins: Setting<Vec<String>>,
    /// Largest OTLP request in bytes, also after decompression.
    pub request_bytes_max: Setting<usize>,
    /// Where the tables are: on this disk, or in object storage.
    pub tables: Setting<TablesLocation>,
    /// Head size in bytes at which it is sealed.
    pub seal_bytes: Setting<usize>,
    /// Head age at which it is sealed.
    pub seal_age: Setting<Duration>,
    /// Head size in bytes at which intake pushes back.
    pub head_bytes_max: Setting<usize>,
    /// `true`: acknowledge after fsync; `false`: after the write, which survives a kill but not a power loss.
    pub fsync: Setting<bool>,
    /// How far back event times may lie, and how long rows are kept.
    pub retention: Setting<Duration>,
    /// Where rows are kept for another time.
    pub retention_rules: Setting<Vec<RetentionRule>>,
    /// What senders may take.
    pub limits: LimitSettings,
    /// What questions may take.
    pub query: QuerySettings,
    /// When small files become large ones.
    pub compaction: CompactionSettings,
    /// Attributes with columns of their own.
    pub promote: Setting<Vec<Promotion>>,
    /// Full-text indexes.
    pub search: SearchSettings,
    /// Who is told of alerts.
    pub notify: NotifySettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data_dir: Option<PathBuf>,
    token_file: Option<PathBuf>,
    #[serde(default)]
    tokens: Vec<TokenFile>,
    insecure: Option<bool>,
    #[serde(default)]
    listen: ListenFile,
    #[serde(default)]
    ingest: IngestFile,
    #[serde(default)]
    retention: Vec<RetentionFile>,
    #[serde(default)]
    storage: StorageFile,
    #[serde(default)]
    limits: LimitsFile,
    #[serde(default)]
    query: QueryFile,
    #[serde(default)]
    compaction: CompactionFile,
    #[serde(default)]
    promote: PromoteFile,
    #[serde(default)]
    search: SearchFile,
    #[serde(default)]
    notify: NotifyConfig,
    #[serde(default)]
    receivers: Vec<ReceiverConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenFile {
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
    web: Option<SocketAddr>,
    pg: Option<SocketAddr>,
    pg_tls_cert: Option<PathBuf>,
    pg_tls_key: Option<PathBuf>,
    cors_origins: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct IngestFile {
    request_bytes_max: Option<usize>,
    seal_bytes: Option<usize>,
    seal_age: Option<String>,
    head_bytes_max: Option<usize>,
    durability: Option<Durability>,
    retention: Option<String>,
}

/// One `[[retention]]` block.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetentionFile {
    table: Option<String>,
    tenant: Option<Tenant>,
    keep: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Durability {
    Fsync,
    Flush,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StorageFile {
    tables: Option<String>,
    endpoint: Option<String>,
    region: Option<String>,
}

const MIB: usize = 1 << 20;

impl Config {
    /// Merges flags, `<workspace>/hindsight.toml` and defaults, and checks the whole.
    ///
    /// # Errors
    /// Any [`ConfigError`]; the file's errors carry its path, line and column.
    pub fn load(flags: &Overrides) -> Result<Self, ConfigError> {
        let workspace = Setting::pick(flags.workspace.clone(), None, find_workspace());
        let file = read_file(&workspace.value.join("hindsight.toml"))?;
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let data_dir_in_file = file.data_dir.as_ref().map(|dir| workspace.value.join(dir));
        let token = token(flags, &file, &workspace.value)?;
        let tokens = access::further(&file.tokens, token.value.as_ref(), &workspace.value)?;
        let config = Self {
            data_dir: Setting::pick(
                flags.data_dir.clone(),
                data_dir_in_file,
                PathBuf::from("hindsight-data"),
            ),
            listen_grpc: Setting::pick(flags.listen_grpc, file.listen.grpc, loopback(4317)),
            listen_http: Setting::pick(flags.listen_http, file.listen.http, loopback(4318)),
            listen_web: Setting::pick(flags.listen_web, file.listen.web, loopback(4320)),
            listen_pg: Setting::pick(flags.listen_pg.map(Some), file.listen.pg.map(Some), None),
            listen_pg_tls: pg_tls(&file.listen, &workspace.value)?,
            token,
            tokens: Setting::pick(None, (!tokens.is_empty()).then_some(tokens), Vec::new()),
            insecure: Setting::pick(flags.insecure.then_some(true), file.insecure, false),
            cors_origins: Setting::pick(None, file.listen.cors_origins, Vec::new()),
            request_bytes_max: Setting::pick(None, file.ingest.request_bytes_max, 64 * MIB),
            tables: tables(&file.storage)?,
            seal_bytes: Setting::pick(None, file.ingest.seal_bytes, 64 * MIB),
            seal_age: duration("ingest.seal_age", file.ingest.seal_age.as_deref(), Duration::from_secs(60))?,
            head_bytes_max: Setting::pick(None, file.ingest.head_bytes_max, 256 * MIB),
            fsync: Setting::pick(
                None,
                file.ingest.durability.map(|mode| matches!(mode, Durability::Fsync)),
                true,
            ),
            retention: duration(
                "ingest.retention",
                file.ingest.retention.as_deref(),
                Duration::from_secs(30 * 86_400),
            )?,
            retention_rules: retention_rules(&file.retention)?,
            limits: LimitSettings::load(&file.limits)?,
            query: QuerySettings::load(&file.query)?,
            compaction: CompactionSettings::load(&file.compaction)?,
            promote: promote::load(&file.promote)?,
            search: SearchSettings::load(&file.search)?,
            notify: NotifySettings::load(&file.notify, &file.receivers, &workspace.value)?,
            workspace,
        };
        config.check()?;
        Ok(config)
    }

    /// Refuses what cannot work, and what SEC-1 forbids.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] or [`ConfigError::Exposed`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let at_least = |key, value: usize, least: usize| {
            if value >= least {
                return Ok(());
            }
            Err(ConfigError::Invalid { key, problem: format!("{value} is too small; give at least {least}") })
        };
        at_least("ingest.request_bytes_max", self.request_bytes_max.value, 1024)?;
        at_least("ingest.seal_bytes", self.seal_bytes.value, MIB)?;
        at_least("ingest.head_bytes_max", self.head_bytes_max.value, self.seal_bytes.value)?;
        self.limits.check(self.request_bytes_max.value)?;
        self.query.check()?;
        self.compaction.check()?;
        if self.token.value.is_some() || self.insecure.value {
            return Ok(());
        }
        let ports = [
            ("--listen-grpc", Some(self.listen_grpc.value)),
            ("--listen-http", Some(self.listen_http.value)),
            ("--listen-web", Some(self.listen_web.value)),
            ("--listen-pg", self.listen_pg.value),
        ];
        for (flag, address) in ports.into_iter().filter_map(|(flag, address)| Some((flag, address?))) {
            if !address.ip().is_loopback() {
                return Err(ConfigError::Exposed { flag, address });
            }
        }
        Ok(())
    }

    /// Every setting as (key, value, source), secrets hidden; for `hindsight config print`.
    pub fn describe(&self) -> Vec<(&'static str, String, ConfigSource)> {
        fn row<T>(
            key: &'static str,
            setting: &Setting<T>,
            text: String,
        ) -> (&'static str, String, ConfigSource) {
            (key, text, setting.source)
        }
        let token = if self.token.value.is_some() { "set" } else { "none" };
        let pg = self.listen_pg.value.map_or_else(|| "off".to_owned(), |address| address.to_string());
        let pg_tls = self.listen_pg_tls.value.as_ref();
        let pg_tls = pg_tls.map_or_else(|| "none".to_owned(), |files| files.cert.display().to_string());
        let mut rows = vec![
            row("data_dir", &self.data_dir, self.data_dir.value.display().to_string()),
            row("workspace", &self.workspace, self.workspace.value.display().to_string()),
            row("listen.grpc", &self.listen_grpc, self.listen_grpc.value.to_string()),
            row("listen.http", &self.listen_http, self.listen_http.value.to_string()),
            row("listen.web", &self.listen_web, self.listen_web.value.to_string()),
            row("listen.pg", &self.listen_pg, pg),
            row("listen.pg_tls_cert", &self.listen_pg_tls, pg_tls),
            row("token", &self.token, token.to_owned()),
            row("tokens", &self.tokens, access::describe(&self.tokens.value)),
            row("insecure", &self.insecure, self.insecure.value.to_string()),
            row("listen.cors_origins", &self.cors_origins, self.cors_origins.value.join(", ")),
            row(
                "ingest.request_bytes_max",
                &self.request_bytes_max,
                self.request_bytes_max.value.to_string(),
            ),
            row("storage.tables", &self.tables, self.tables.value.to_string()),
            row("ingest.seal_bytes", &self.seal_bytes, self.seal_bytes.value.to_string()),
            row("ingest.seal_age", &self.seal_age, span_text(self.seal_age.value)),
            row("ingest.head_bytes_max", &self.head_bytes_max, self.head_bytes_max.value.to_string()),
            row(
                "ingest.durability",
                &self.fsync,
                if self.fsync.value { "fsync" } else { "flush" }.to_owned(),
            ),
            row("ingest.retention", &self.retention, span_text(self.retention.value)),
            row("retention", &self.retention_rules, describe_rules(&self.retention_rules.value)),
            row("promote", &self.promote, promote::describe(&self.promote.value)),
        ];
        rows.extend(self.compaction.describe());
        rows.extend(self.limits.describe());
        rows.extend(self.query.describe());
        rows.extend(self.search.describe());
        rows.extend(self.notify.describe());
        rows
    }
}

/// What the `hindsight.toml` of a workspace promotes, whatever else it says.
///
/// # Errors
/// When the file cannot be read or asks for what cannot be.
pub fn promoted_in(workspace: &Path) -> Result<Vec<Promotion>, ConfigError> {
    let file = read_file(&workspace.join("hindsight.toml"))?;
    Ok(promote::load(&file.promote)?.value)
}

/// The nearest folder upward that has a `hindsight.toml`, else the current one.
fn find_workspace() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let with_file = here.ancestors().find(|dir| dir.join("hindsight.toml").is_file()).map(Path::to_path_buf);
    with_file.unwrap_or(here)
}

fn read_file(path: &Path) -> Result<File, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
        Err(source) => return Err(ConfigError::Read { path: path.to_path_buf(), source }),
    };
    toml::from_str(&text)
        .map_err(|source| ConfigError::Parse { path: path.to_path_buf(), source: Box::new(source) })
}

fn token(
    flags: &Overrides,
    file: &File,
    workspace: &Path,
) -> Result<Setting<Option<TokenSetting>>, ConfigError> {
    if let Some(text) = &flags.token {
        return Ok(Setting { value: Some(TokenSetting::new(text)?), source: ConfigSource::Flag });
    }
    let Some(path) = &file.token_file else {
        return Ok(Setting { value: None, source: ConfigSource::Default });
    };
    let token = read_token_file(&workspace.join(path))?;
    Ok(Setting { value: Some(token), source: ConfigSource::File })
}

/// The token in a file of its own.
pub(crate) fn read_token_file(path: &Path) -> Result<TokenSetting, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    TokenSetting::new(&text)
}

/// `listen.pg_tls_cert` and `listen.pg_tls_key`, which belong together.
fn pg_tls(file: &ListenFile, workspace: &Path) -> Result<Setting<Option<PgTls>>, ConfigError> {
    let files = match (&file.pg_tls_cert, &file.pg_tls_key) {
        (Some(cert), Some(key)) => Some(PgTls { cert: workspace.join(cert), key: workspace.join(key) }),
        (None, None) => None,
        _ => {
            let problem = "it goes with listen.pg_tls_key; give both or none".to_owned();
            return Err(ConfigError::Invalid { key: "listen.pg_tls_cert", problem });
        }
    };
    Ok(Setting::pick(None, files.map(Some), None))
}

/// `storage.tables` with what belongs to it. Keys come from the environment, never from a file kept in git.
fn tables(file: &StorageFile) -> Result<Setting<TablesLocation>, ConfigError> {
    let Some(text) = &file.tables else {
        if file.endpoint.is_some() || file.region.is_some() {
            let problem =
                "storage.endpoint and storage.region say how to reach it; give it as s3://bucket/prefix";
            return Err(ConfigError::Invalid { key: "storage.tables", problem: problem.to_owned() });
        }
        return Ok(Setting { value: TablesLocation::Local, source: ConfigSource::Default });
    };
    let mut url = TablesUrl::parse(text).map_err(|error| ConfigError::Tables(Box::new(error)))?;
    url.endpoint.clone_from(&file.endpoint);
    url.region.clone_from(&file.region);
    Ok(Setting { value: TablesLocation::Url(Box::new(url)), source: ConfigSource::File })
}

pub(crate) fn duration(
    key: &'static str,
    text: Option<&str>,
    default: Duration,
) -> Result<Setting<Duration>, ConfigError> {
    let parsed =
        text.map(parse_duration).transpose().map_err(|source| ConfigError::Duration { key, source })?;
    Ok(Setting::pick(None, parsed, default))
}

/// A duration as it may be written in the file: in seconds, or where it has a fraction in milliseconds.
pub(crate) fn span_text(span: Duration) -> String {
    match span.subsec_millis() {
        0 => format!("{}s", span.as_secs()),
        _ => format!("{}ms", span.as_millis()),
    }
}

fn retention_rules(blocks: &[RetentionFile]) -> Result<Setting<Vec<RetentionRule>>, ConfigError> {
    let invalid = |problem: String| ConfigError::Invalid { key: "retention", problem };
    let rule = |block: &RetentionFile| {
        let table = match block.table.as_deref() {
            Some(name) => Some(Table::from_name(name).ok_or_else(|| {
                let names = Table::ALL.map(Table::name).join(", ");
                invalid(format!("there is no table `{name}`; there are {names}"))
            })?),
            None => None,
        };
        let keep = parse_duration(&block.keep)
            .map_err(|source| ConfigError::Duration { key: "retention.keep", source })?;
        if table.is_none() && block.tenant.is_none() {
            return Err(invalid(
                "give `table`, `tenant` or both; for all rows set `ingest.retention`".to_owned(),
            ));
        }
        if keep.is_zero() {
            return Err(invalid("`keep` of 0 would drop rows as they come".to_owned()));
        }
        Ok(RetentionRule { table, tenant: block.tenant.clone(), keep })
    };
    let rules = blocks.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    Ok(Setting::pick(None, (!rules.is_empty()).then_some(rules), Vec::new()))
}

fn describe_rules(rules: &[RetentionRule]) -> String {
    let texts = rules.iter().map(|rule| {
        let table = rule.table.map_or("*", Table::name);
        let tenant = rule.tenant.as_ref().map_or("*", Tenant::as_str);
        format!("{tenant}/{table} {}s", rule.keep.as_secs())
    });
    texts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
