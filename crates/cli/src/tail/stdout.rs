/// Whether the reader of our output went away. A write would tell, but there may be nothing to write for hours.
#[allow(unsafe_code)]
pub(crate) fn is_closed() -> bool {
    let mut watched = libc::pollfd { fd: libc::STDOUT_FILENO, events: 0, revents: 0 };
    // SAFETY: it is given one element and told so, and does not wait.
    let changed = unsafe { libc::poll(&raw mut watched, 1, 0) };
    changed > 0 && watched.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0
}
