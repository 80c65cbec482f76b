//! Hindsight: the query crate.
