//! End-to-end tests: one binary, a module for each promise.

mod alerts;
mod answer;
mod backup;
mod bad_input;
mod bench;
mod binary;
mod corpus;
mod demo_once;
mod disk_full;
mod every_table;
mod floods;
mod formats;
mod interop;
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
mod verify;
mod wait;
