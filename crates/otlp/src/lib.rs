//! Hindsight: the otlp crate.
