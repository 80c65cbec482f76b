//! Hindsight: the server crate.
