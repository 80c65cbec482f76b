//! The Hindsight server: OTLP in, SQL and JSON and pages out, and the tasks that turn telemetry into alerts,
//! incidents and post-mortems. Wiring only: every decision is made in the crates below.
//!
//! What this crate is not: it decodes no OTLP, plans no query and ranks no suspect.
//!
//! - WAL-1: an OTLP success is answered only after [`hindsight_store::Store::ingest`] returned.
//! - SEC-1: a listener beyond loopback needs a token or `insecure`, checked in [`Config::check`] before any socket
//!   is opened.
//! - Shutdown order: stop intake, finish requests, stop the ticker and the outbox worker, drain and seal the
//!   store, close the state.

mod access;
mod actions;
mod api;
mod app;
mod auth;
mod capsule;
mod compaction;
mod config;
mod decompress;
mod error;
mod fault;
#[cfg(feature = "flight")]
mod flight;
mod grpc_message;
mod holds;
mod jaeger;
mod lacking;
mod limits;
mod metrics;
mod notifications;
mod origin;
mod otlp_grpc;
mod otlp_http;
mod overrides;
mod pages;
mod pg;
mod pressure;
mod promote;
mod query_settings;
mod search;
mod server;
mod ticker;
mod veiled;
mod web;

pub use access::{NamedToken, Role, TokenSetting};
pub use capsule::{
    CapsuleError, CapsuleExport, CapsuleView, Documents, ExportOptions, UnpackedCapsule, export_capsule,
    unpack_capsule,
};
pub use compaction::CompactionSettings;
pub use config::{Config, ConfigError, ConfigSource, PgTls, Setting, promoted_in};
pub use error::{Error, Result};
pub use limits::LimitSettings;
pub use notifications::NotifySettings;
pub use overrides::Overrides;
pub use query_settings::QuerySettings;
pub use search::{SearchSettings, search_index};
pub use server::{Addresses, Server, ServerClock, WEB_ADDRESS_FILE, query_engine, store_options};
