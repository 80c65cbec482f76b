//! S3-compatible storage, as the tables use it.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};

use crate::{Error, Result, TablesUrl};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an operation is repeated at most within [`TablesUrl::retry_time_max`].
const RETRIES_MAX: usize = 10;

/// The bucket of `url`. Asks nothing yet.
pub(crate) fn open(url: &TablesUrl) -> Result<AmazonS3> {
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: RETRIES_MAX,
        retry_timeout: url.retry_time_max,
    };
    let millis = |duration: Duration| format!("{}ms", duration.as_millis());
    let mut builder = AmazonS3Builder::from_env()
        .with_url(url.as_str())
        .with_config(client(ClientConfigKey::Timeout), millis(url.request_timeout))
        .with_config(client(ClientConfigKey::ConnectTimeout), millis(CONNECT_TIMEOUT))
        .with_retry(retry)
        // A commit must fail when another writer has taken its number.
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    if let Some(endpoint) = &url.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    // Whoever writes `http://` means it: a service in the next room.
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    if let Some(region) = &url.region {
        builder = builder.with_region(region);
    }
    if let Some((id, secret)) = &url.keys {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    }
    builder.build().map_err(|source| Error::Storage {
        operation: "set up",
        path: url.as_str().to_owned(),
        source: Box::new(source),
    })
}

fn client(key: ClientConfigKey) -> AmazonS3ConfigKey {
    AmazonS3ConfigKey::Client(key)
}
