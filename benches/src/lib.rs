//! Benchmarks: each with a rival in the same run, the answer asserted, and the parameters in the name. What each
//! measures and how to run it is in `README.md`.

pub mod sample;
pub mod texts;
