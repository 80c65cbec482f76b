//! Encryption of this port: TLS 1.2 and 1.3 with one certificate, no client certificates.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::ConfigError;
use crate::config::PgTls;

/// What encrypts connections with the configured certificate.
///
/// # Errors
/// Files that cannot be read, hold no certificate or no key, or a key that is not the certificate's.
pub(crate) fn acceptor(files: &PgTls) -> Result<TlsAcceptor, ConfigError> {
    let invalid = |key, path: &Path, what: &str| {
        let problem = format!("{} {what}; give PEM files of a certificate chain and its key", path.display());
        ConfigError::Invalid { key, problem }
    };
    let (cert_key, key_key) = ("listen.pg_tls_cert", "listen.pg_tls_key");
    let certificates = CertificateDer::pem_slice_iter(&read(&files.cert)?).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.ok().filter(|found| !found.is_empty());
    let certificates = certificates.ok_or_else(|| invalid(cert_key, &files.cert, "holds no certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_| invalid(key_key, &files.key, "holds no private key"))?;
    let config = server_config(certificates, key)
        .map_err(|error| invalid(key_key, &files.key, &format!("cannot be used: {error}")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn server_config(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    // By name: other crates of the program bring a second provider, and then there is no default one.
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_hold_nothing_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("empty"), "").unwrap();
        let files = |cert: &str, key: &str| PgTls { cert: path(cert), key: path(key) };
        let told = |cert, key| acceptor(&files(cert, key)).err().unwrap().to_string();
        assert!(told("empty", "empty").contains("listen.pg_tls_cert"), "{}", told("empty", "empty"));
        assert!(told("none", "empty").contains("none"), "{}", told("none", "empty"));
    }
}
