//! From what is written in hindsight.toml to receivers that can be sent to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hindsight_model::parse_duration;
use reqwest::Url;

use super::{
    RECEIVER_NAME_BYTES_MAX, RECEIVERS_MAX, Receiver, ReceiverConfig, ReceiverKind, TIMEOUT_DEFAULT,
    TIMEOUT_MAX, Target,
};
use crate::error::{Error, Result};
use crate::mail::Postbox;
use crate::receivers::alertmanager;
use crate::receivers::pagerduty::PAGERDUTY_URL;
use crate::secret::Secret;

/// Checks all receivers and reads their secrets. Relative paths start at `workspace`.
///
/// # Errors
/// [`Error::Receiver`] for the first that makes no sense, [`Error::Secret`] for a secret that cannot be read.
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
        only_its_own_keys(config)?;
        let target = match config.kind {
            ReceiverKind::Webhook => Target::Webhook(url(config, workspace)?),
            ReceiverKind::Slack => Target::Slack(url(config, workspace)?),
            ReceiverKind::Alertmanager => Target::Alertmanager(alerts_url(config, workspace)?),
            ReceiverKind::PagerDuty => pagerduty(config, workspace)?,
            ReceiverKind::Email => Target::Email(Box::new(email(config, workspace)?)),
            ReceiverKind::File => {
                let path = config.path.as_ref().ok_or_else(|| wrong(name, "a file needs `path`"))?;
                Target::File { path: workspace.join(path) }
            }
        };
        receivers.push(Receiver { name: name.clone(), timeout: timeout(config)?, target });
    }
    Ok(receivers)
}

/// Refuses keys of other types: what is written and has no effect is a mistake.
fn only_its_own_keys(config: &ReceiverConfig) -> Result<()> {
    use ReceiverKind::{Alertmanager, Email, File, PagerDuty, Slack, Webhook};
    let posts = &[Webhook, Alertmanager, Slack, PagerDuty][..];
    let keys = [
        ("url", config.url.is_some(), posts),
        ("url_file", config.url_file.is_some(), posts),
        ("url_env", config.url_env.is_some(), posts),
        ("timeout", config.timeout.is_some(), &[Webhook, Alertmanager, Slack, PagerDuty, Email]),
        ("path", config.path.is_some(), &[File]),
        ("routing_key_file", config.routing_key_file.is_some(), &[PagerDuty]),
        ("routing_key_env", config.routing_key_env.is_some(), &[PagerDuty]),
        ("host", config.host.is_some(), &[Email]),
        ("port", config.port.is_some(), &[Email]),
        ("tls", config.tls.is_some(), &[Email]),
        ("user", config.user.is_some(), &[Email]),
        ("password_file", config.password_file.is_some(), &[Email]),
        ("password_env", config.password_env.is_some(), &[Email]),
        ("from", config.from.is_some(), &[Email]),
        ("to", !config.to.is_empty(), &[Email]),
    ];
    let stranger = keys.iter().find(|(_, set, kinds)| *set && !kinds.contains(&config.kind));
    let Some((key, _, kinds)) = stranger else { return Ok(()) };
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("\"{}\"", kind.as_str())).collect();
    let (its, other) = (config.kind.as_str(), kinds.join(", "));
    Err(wrong(&config.name, format!("`{key}` belongs to type {other}, this one is \"{its}\"; remove it")))
}

fn timeout(config: &ReceiverConfig) -> Result<std::time::Duration> {
    let timeout = match &config.timeout {
        None => TIMEOUT_DEFAULT,
        Some(text) => {
            parse_duration(text).map_err(|error| wrong(&config.name, format!("timeout: {error}")))?
        }
    };
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        let problem = format!("timeout must be above 0 and at most {}s", TIMEOUT_MAX.as_secs());
        return Err(wrong(&config.name, problem));
    }
    Ok(timeout)
}

fn url(config: &ReceiverConfig, workspace: &Path) -> Result<Url> {
    let name = &config.name;
    let text = match (&config.url, &config.url_file, &config.url_env) {
        (Some(url), None, None) => url.clone(),
        (None, None, None) if config.kind == ReceiverKind::PagerDuty => PAGERDUTY_URL.to_owned(),
        (None, file, variable) if file.is_some() != variable.is_some() => {
            secret(name, "URL", file.as_ref(), variable.as_ref(), workspace)?.expose().to_owned()
        }
        _ => {
            let kind = config.kind.as_str();
            return Err(wrong(
                name,
                format!("type \"{kind}\" needs exactly one of `url`, `url_file` and `url_env`"),
            ));
        }
    };
    let url = Url::parse(text.trim())
        .map_err(|error| wrong(name, format!("its URL cannot be read ({error}); write http://host/path")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong(name, format!("its URL begins with `{}:`; use http or https", url.scheme())));
    }
    Ok(url)
}

fn alerts_url(config: &ReceiverConfig, workspace: &Path) -> Result<Url> {
    let mut url = url(config, workspace)?;
    if url.path().contains("/api/") {
        return Err(wrong(&config.name, "its URL is the Alertmanager's own, without the path of its API"));
    }
    let path = format!("{}/{}", url.path().trim_end_matches('/'), alertmanager::PATH);
    url.set_path(&path);
    Ok(url)
}

fn pagerduty(config: &ReceiverConfig, workspace: &Path) -> Result<Target> {
    let (file, variable) = (config.routing_key_file.as_ref(), config.routing_key_env.as_ref());
    if file.is_some() == variable.is_some() {
        let problem = "PagerDuty needs exactly one of `routing_key_file` and `routing_key_env`";
        return Err(wrong(&config.name, problem));
    }
    let routing_key = secret(&config.name, "routing key", file, variable, workspace)?;
    Ok(Target::PagerDuty { url: url(config, workspace)?, routing_key })
}

fn email(config: &ReceiverConfig, workspace: &Path) -> Result<Postbox> {
    let name = &config.name;
    let (file, variable) = (config.password_file.as_ref(), config.password_env.as_ref());
    let password = match (file.is_some(), variable.is_some()) {
        (false, false) => None,
        (true, true) => return Err(wrong(name, "give one of `password_file` and `password_env`, not both")),
        _ => Some(secret(name, "password", file, variable, workspace)?),
    };
    let credentials = match (&config.user, password) {
        (Some(user), Some(password)) => Some((user.clone(), password)),
        (None, None) => None,
        _ => return Err(wrong(name, "`user` and a password go together; give both or none")),
    };
    let missing = |key: &str| wrong(name, format!("an e-mail needs `{key}`"));
    let host = config.host.clone().ok_or_else(|| missing("host"))?;
    let from = config.from.as_deref().ok_or_else(|| missing("from"))?;
    if config.to.is_empty() {
        return Err(missing("to"));
    }
    Postbox::new(host, config.port, config.tls.unwrap_or_default(), credentials, from, &config.to)
        .map_err(|problem| wrong(name, problem))
}

fn secret(
    receiver: &str,
    what: &'static str,
    file: Option<&PathBuf>,
    variable: Option<&String>,
    workspace: &Path,
) -> Result<Secret> {
    let failed = |place: String, source: Box<dyn std::error::Error + Send + Sync>| Error::Secret {
        receiver: receiver.to_owned(),
        what,
        place,
        source,
    };
    let text = match (file, variable) {
        (Some(file), _) => {
            let file = workspace.join(file);
            std::fs::read_to_string(&file)
                .map_err(|error| failed(file.display().to_string(), error.into()))?
        }
        (None, Some(variable)) => std::env::var(variable)
            .map_err(|error| failed(format!("environment variable {variable}"), error.into()))?,
        (None, None) => String::new(),
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(wrong(receiver, format!("its {what} is empty")));
    }
    Ok(Secret::new(text))
}

fn wrong(receiver: &str, problem: impl Into<String>) -> Error {
    let receiver = receiver.chars().take(RECEIVER_NAME_BYTES_MAX).collect();
    Error::Receiver { receiver, problem: problem.into() }
}
