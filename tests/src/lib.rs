//! The product from outside: the real binary is started on free ports in temporary folders, real clients send to
//! it, and SQL, files and exit codes are looked at. The tests are in `e2e/`; the stock senders in `python/`.
//!
//! What it is not: a library. Nothing depends on it, and it links none of the engine, so it builds quickly.
//! It needs the binary (`HINDSIGHT_BIN`, else the one that cargo built) and a Python with the OpenTelemetry SDK
//! (`HINDSIGHT_PYTHON`); `./tests/run` provides both.
