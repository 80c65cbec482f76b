//! Hindsight: the state crate.
