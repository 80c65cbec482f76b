use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use crate::Error;

/// What is wrong with any URL when the feature is off.
pub(crate) const BUILT_WITHOUT: &str =
    "this program was built without object storage; build it with `cargo build --release --features s3`";

/// Where the tables are. The log, `state.db` and `node.id` are in the data directory always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TablesLocation {
    /// `<data-dir>/tables`.
    #[default]
    Local,
    /// Object storage.
    Url(Box<TablesUrl>),
}

/// A place in object storage and how to reach it. What is `None` comes from the usual environment variables
/// (`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, or the
/// machine's role).
#[derive(Clone, PartialEq, Eq)]
pub struct TablesUrl {
    /// `s3://bucket/prefix`, without a slash at the end.
    url: Url,
    /// The service, for example `https://minio.internal:9000`; `http://` is allowed when written here.
    pub endpoint: Option<String>,
    /// The region, for example `eu-central-1`.
    pub region: Option<String>,
    /// Access key and secret key.
    pub keys: Option<(String, String)>,
    /// How long one request may take, its answer read to the end. Default 60 s.
    pub request_timeout: Duration,
    /// How long an operation is repeated when the service answers 5xx or 429 or cannot be reached. Default 30 s.
    pub retry_time_max: Duration,
}

impl TablesUrl {
    /// The place that `text` names.
    ///
    /// # Errors
    /// [`Error::TablesUrl`] when it is no `s3://bucket/prefix`, or this program was built without object storage.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = |problem: &str| Error::TablesUrl { url: text.to_owned(), problem: problem.to_owned() };
        let url = Url::parse(text.trim_end_matches('/')).map_err(|error| refused(&error.to_string()))?;
        if url.scheme() != "s3" || url.host_str().is_none_or(str::is_empty) {
            return Err(refused("give s3://bucket/prefix, or leave the setting out for tables on this disk"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(refused("give bucket and prefix only; keys belong into the environment"));
        }
        if cfg!(not(feature = "s3")) {
            return Err(refused(BUILT_WITHOUT));
        }
        Ok(Self {
            url,
            endpoint: None,
            region: None,
            keys: None,
            request_timeout: Duration::from_secs(60),
            retry_time_max: Duration::from_secs(30),
        })
    }

    /// `s3://bucket/prefix`, without a slash at the end.
    pub fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The same with a slash at the end: the directory of all tables.
    #[cfg(any(feature = "s3", test))]
    pub(crate) fn directory(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/", url.path().trim_end_matches('/')));
        url
    }
}

impl FromStr for TablesLocation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        TablesUrl::parse(text).map(|url| Self::Url(Box::new(url)))
    }
}

impl fmt::Display for TablesLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Url(url) => f.write_str(url.as_str()),
        }
    }
}

impl fmt::Debug for TablesUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TablesUrl")
            .field("url", &self.as_str())
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_place_in_object_storage_is_refused_with_what_to_do() {
        for text in
            ["", "tables", "file:///tmp", "s3://", "s3:///prefix", "s3://bucket/p?x=1", "s3://k:s@bucket"]
        {
            let refused = TablesUrl::parse(text).unwrap_err().to_string();
            assert!(refused.contains("tables"), "{refused}");
        }
    }

    #[cfg(feature = "s3")]
    #[test]
    fn a_place_is_written_without_its_last_slash_and_without_its_keys() {
        for (text, directory) in [
            ("s3://bucket", "s3://bucket/"),
            ("s3://bucket/", "s3://bucket/"),
            ("s3://bucket/team/tables/", "s3://bucket/team/tables/"),
        ] {
            let mut place = TablesUrl::parse(text).unwrap();
            place.keys = Some(("AKIA".to_owned(), "hush".to_owned()));
            assert_eq!(place.as_str(), text.trim_end_matches('/'));
            assert_eq!(place.directory().as_str(), directory);
            assert!(!format!("{place:?}").contains("hush"));
        }
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn without_the_feature_the_refusal_says_how_to_build() {
        let refused = TablesUrl::parse("s3://bucket/prefix").unwrap_err().to_string();
        assert!(refused.contains("--features s3"), "{refused}");
    }
}
