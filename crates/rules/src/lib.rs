//! Hindsight: the rules crate.
