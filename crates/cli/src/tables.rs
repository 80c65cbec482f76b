//! Where the tables of a data directory are, for commands that work without a server.

use anyhow::Context as _;
use hindsight_server::{Config, Overrides};
use hindsight_store::{TablesLocation, TablesUrl};

/// For tables below the data directory.
const LOCAL: &str = "local";

/// The place asked for, else the one that `serve` would take. How to reach object storage is in the configuration or
/// the environment in either case.
pub(crate) fn tables(asked: Option<&str>) -> anyhow::Result<TablesLocation> {
    if asked == Some(LOCAL) {
        return Ok(TablesLocation::Local);
    }
    let configured = Config::load(&Overrides::default())
        .map(|config| config.tables.value)
        .context("find out where the tables are; say it with --tables local or --tables s3://bucket/prefix");
    let Some(asked) = asked else { return configured };
    let mut url = TablesUrl::parse(asked)?;
    if let Ok(TablesLocation::Url(configured)) = configured {
        url.endpoint = configured.endpoint;
        url.region = configured.region;
    }
    Ok(TablesLocation::Url(Box::new(url)))
}
