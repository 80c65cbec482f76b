//! Benchmarks: each with a rival in the same run, the answer asserted, and the parameters in the name.
//!
//! - `ingest`: OTLP spans a second from bytes to acknowledged, in the log and in the head. For the figure of one
//!   core: `taskset -c 0 cargo bench -p hindsight-benches --bench ingest`.
//! - `seal`: rows in memory to Parquet blocks, on the recorded sample data, beside Parquet's own writer on the same
//!   rows, flat and unsorted.
