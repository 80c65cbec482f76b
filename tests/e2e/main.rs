//! End-to-end tests: one binary, a module for each promise.

mod alerts;
mod answer;
mod bad_input;
mod binary;
mod demo_once;
mod disk_full;
mod floods;
mod kill_cycles;
mod limits;
mod otlp;
mod pages;
mod pressure;
mod python_sdk;
mod retries;
mod security;
mod server;
mod shutdown;
mod sql_cli;
mod wait;
