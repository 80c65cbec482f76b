use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hindsight_model::parse_duration;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Most receivers.
pub const RECEIVERS_MAX: usize = 64;
/// Longest name of a receiver.
pub const RECEIVER_NAME_BYTES_MAX: usize = 64;
/// How long one attempt may take unless `timeout` says otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Longest `timeout`.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// One `[[receivers]]` table of hindsight.toml, as written.
///
/// ```toml
/// [[receivers]]
/// name = "ops"
/// type = "webhook"
/// url = "http://127.0.0.1:9095/hook"   # or url_file = "secrets/ops-url", or url_env = "OPS_URL"
/// timeout = "10s"
///
/// [[receivers]]
/// name = "record"
/// type = "file"
/// path = "notifications.jsonl"         # relative to the workspace
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverConfig {
    /// The name that outbox rows and routes use.
    pub name: String,
    /// What kind it is.
    #[serde(rename = "type")]
    pub kind: ReceiverKind,
    /// Webhook: where to post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Webhook: a file, relative to the workspace, that holds the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// Webhook: an environment variable that holds the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_env: Option<String>,
    /// Webhook: how long one attempt may take, as `10s`; [`TIMEOUT_DEFAULT`] unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// File: where to append, relative to the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// The kinds of receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverKind {
    /// Posts Alertmanager's webhook payload.
    Webhook,
    /// Appends JSON lines to a file.
    File,
}

/// A receiver that was checked and is ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    name: String,
    target: Target,
}

/// Where a receiver's notifications go.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Webhook { url: Url, timeout: Duration },
    File { path: PathBuf },
}

/// A webhook's path often is its secret, so no text about it shows more than the host.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook { url, timeout } => {
                write!(f, "webhook at {} within {timeout:?}", url.host_str().unwrap_or("?"))
            }
            Self::File { path } => write!(f, "file {}", path.display()),
        }
    }
}

impl Receiver {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long one attempt may take.
    pub fn timeout(&self) -> Duration {
        match &self.target {
            Target::Webhook { timeout, .. } => *timeout,
            Target::File { .. } => TIMEOUT_DEFAULT,
        }
    }

    /// Whether it speaks TLS.
    pub fn is_https(&self) -> bool {
        matches!(&self.target, Target::Webhook { url, .. } if url.scheme() == "https")
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }
}

/// Checks all receivers and reads their secrets. Relative paths start at `workspace`.
///
/// # Errors
/// [`Error::Receiver`] for the first that makes no sense, [`Error::Secret`] for a URL that cannot be read.
pub fn load_receivers(configs: &[ReceiverConfig], workspace: &Path) -> Result<Vec<Receiver>> {
    let mut names = BTreeSet::new();
    let mut receivers = Vec::with_capacity(configs.len());
    for config in configs {
        let name = &config.name;
        if receivers.len() == RECEIVERS_MAX {
            return Err(wrong(name, format!("there are more than {RECEIVERS_MAX} receivers; remove some")));
        }
        if name.is_empty() || name.len() > RECEIVER_NAME_BYTES_MAX {
            return Err(wrong(name, format!("a name has 1 to {RECEIVER_NAME_BYTES_MAX} bytes")));
        }
        if !names.insert(name) {
            return Err(wrong(name, "the name is used twice; give each receiver its own"));
        }
        let target = match config.kind {
            ReceiverKind::Webhook => webhook(config, workspace)?,
            ReceiverKind::File => file(config, workspace)?,
        };
        receivers.push(Receiver { name: name.clone(), target });
    }
    Ok(receivers)
}

fn webhook(config: &ReceiverConfig, workspace: &Path) -> Result<Target> {
    let name = &config.name;
    if config.path.is_some() {
        return Err(wrong(
            name,
            "`path` belongs to type \"file\"; a webhook has `url`, `url_file` or `url_env`",
        ));
    }
    let text = url_text(config, workspace)?;
    let url = Url::parse(text.trim())
        .map_err(|error| wrong(name, format!("its URL cannot be read ({error}); write http://host/path")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong(name, format!("its URL begins with `{}:`; use http or https", url.scheme())));
    }
    let timeout = match &config.timeout {
        None => TIMEOUT_DEFAULT,
        Some(text) => parse_duration(text).map_err(|error| wrong(name, format!("timeout: {error}")))?,
    };
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err(wrong(name, format!("timeout must be above 0 and at most {}s", TIMEOUT_MAX.as_secs())));
    }
    Ok(Target::Webhook { url, timeout })
}

fn url_text(config: &ReceiverConfig, workspace: &Path) -> Result<String> {
    let secret = |place: String, source: Box<dyn std::error::Error + Send + Sync>| Error::Secret {
        receiver: config.name.clone(),
        place,
        source,
    };
    match (&config.url, &config.url_file, &config.url_env) {
        (Some(url), None, None) => Ok(url.clone()),
        (None, Some(file), None) => {
            let file = workspace.join(file);
            std::fs::read_to_string(&file).map_err(|error| secret(file.display().to_string(), error.into()))
        }
        (None, None, Some(variable)) => std::env::var(variable)
            .map_err(|error| secret(format!("environment variable {variable}"), error.into())),
        _ => Err(wrong(&config.name, "a webhook needs exactly one of `url`, `url_file` and `url_env`")),
    }
}

fn file(config: &ReceiverConfig, workspace: &Path) -> Result<Target> {
    let name = &config.name;
    let url_keys = config.url.is_some() || config.url_file.is_some() || config.url_env.is_some();
    if url_keys || config.timeout.is_some() {
        return Err(wrong(name, "`url…` and `timeout` belong to type \"webhook\"; a file has `path`"));
    }
    let path = config.path.as_ref().ok_or_else(|| wrong(name, "a file needs `path`"))?;
    Ok(Target::File { path: workspace.join(path) })
}

fn wrong(receiver: &str, problem: impl Into<String>) -> Error {
    let receiver = receiver.chars().take(RECEIVER_NAME_BYTES_MAX).collect();
    Error::Receiver { receiver, problem: problem.into() }
}

#[cfg(test)]
mod tests;
