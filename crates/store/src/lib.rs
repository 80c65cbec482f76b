//! Hindsight: the store crate.
