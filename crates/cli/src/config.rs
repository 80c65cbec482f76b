use std::process::ExitCode;

use hindsight_server::Config;
use serde_json::json;

use crate::args::{ConfigArgs, ConfigCommand};
use crate::say;

/// `config check` and `config print`.
pub(crate) fn run(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ConfigCommand::Check { flags } => {
            let config = Config::load(&flags.overrides())?;
            say::line(&format!("ok: {}", config.workspace.value.join("hindsight.toml").display()))?;
        }
        ConfigCommand::Print { flags, json } => print(&Config::load(&flags.overrides())?, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let settings = config.describe();
    if as_json {
        let settings: Vec<_> = settings
            .iter()
            .map(|(key, value, source)| json!({"key": key, "value": value, "source": source.as_str()}))
            .collect();
        return say::line(&serde_json::to_string_pretty(&settings)?);
    }
    let key_width = settings.iter().map(|(key, ..)| key.len()).max().unwrap_or(0);
    let value_width = settings.iter().map(|(_, value, _)| value.len()).max().unwrap_or(0);
    for (key, value, source) in settings {
        say::line(&format!("{key:key_width$}  {value:value_width$}  {}", source.as_str()))?;
    }
    Ok(())
}
