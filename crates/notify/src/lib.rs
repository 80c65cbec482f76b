//! Hindsight: the notify crate.
