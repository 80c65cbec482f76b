//! Hindsight: the postmortem crate.
