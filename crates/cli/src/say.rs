//! The one place that prints: results to standard output, everything else to standard error.

use std::io::{self, ErrorKind, Write as _};

/// Written without looking whether to go on.
const PIECE_BYTES: usize = 16 * 1024;

/// Writes a line of result.
///
/// # Errors
/// When standard output is closed or full.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

/// Writes a long result piece by piece, as long as `go_on` says so; returns whether all of it was written.
///
/// # Errors
/// When standard output is closed or full.
pub(crate) fn bytes_while(bytes: &[u8], mut go_on: impl FnMut() -> bool) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    for piece in bytes.chunks(PIECE_BYTES) {
        if !go_on() {
            return Ok(false);
        }
        out.write_all(piece)?;
    }
    out.flush()?;
    Ok(true)
}

/// Writes a line for the person, not for a pipe. A closed standard error is nobody's problem.
pub(crate) fn problem(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Overwrites the present line of a terminal; prints nothing when standard error is not one.
pub(crate) fn progress(text: &str) {
    use io::IsTerminal as _;
    let mut err = io::stderr().lock();
    if err.is_terminal() {
        drop(write!(err, "\r\x1b[2K{text}"));
        drop(err.flush());
    }
}

/// Whether the reader of our output went away (`hindsight sql … | head`), which is not a failure.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

/// A number of bytes as people read it.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}
