//! Hindsight: the wal crate.
