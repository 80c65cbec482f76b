use std::net::SocketAddr;
use std::path::PathBuf;

/// What flags and environment variables set; `None` leaves it to the file and the defaults.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--workspace`.
    pub workspace: Option<PathBuf>,
    /// `--listen-grpc`.
    pub listen_grpc: Option<SocketAddr>,
    /// `--listen-http`.
    pub listen_http: Option<SocketAddr>,
    /// `--listen-web`.
    pub listen_web: Option<SocketAddr>,
    /// `--listen-pg`.
    pub listen_pg: Option<SocketAddr>,
    /// `--token`.
    pub token: Option<String>,
    /// `--insecure`.
    pub insecure: bool,
}
