//! Where the tables of a data directory are, for commands that work without a server.

use anyhow::Context as _;
use hindsight_server::{Config, Overrides};
use hindsight_store::{TablesLocation, TablesUrl};

use crate::args::TablesArgs;

/// For tables below the data directory.
const LOCAL: &str = "local";

impl TablesArgs {
    /// What `serve` would take.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let flags = Overrides { workspace: self.workspace.clone(), ..Overrides::default() };
        Ok(Config::load(&flags)?)
    }

    /// The place asked for, else the one that `serve` would take. How to reach object storage is in the configuration
    /// or the environment in either case.
    pub(crate) fn location(&self) -> anyhow::Result<TablesLocation> {
        if self.tables.as_deref() == Some(LOCAL) {
            return Ok(TablesLocation::Local);
        }
        let configured = self.config().map(|config| config.tables.value).context(
            "find out where the tables are; say it with --tables local or --tables s3://bucket/prefix",
        );
        let Some(asked) = &self.tables else { return configured };
        let mut url = TablesUrl::parse(asked)?;
        if let Ok(TablesLocation::Url(configured)) = configured {
            url.endpoint = configured.endpoint;
            url.region = configured.region;
        }
        Ok(TablesLocation::Url(Box::new(url)))
    }
}
