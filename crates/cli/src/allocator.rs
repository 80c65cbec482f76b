//! How the C library's allocator is set up.
//!
//! glibc raises by itself the size from which a buffer is memory of its own, up to 32 MiB, whenever such a buffer is
//! freed. From then on row groups, pages and request bodies of megabytes lie between small things in its arenas, and
//! what is freed of them can not be given back: under a load of 14 million logs the server had 650 MB where 360 were
//! in use. With a fixed size it had 475 (mallopt(3), `M_MMAP_THRESHOLD`).

/// Buffers of this many bytes and more are given back to the system when they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_MEMORY_FROM: libc::c_int = 1 << 20;

/// Called before there are other threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn set_up() {
    // SAFETY: mallopt has no requirement but that its arguments are numbers; it locks what it changes.
    #[allow(unsafe_code)]
    let accepted = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MEMORY_FROM) };
    debug_assert_eq!(accepted, 1, "mallopt refused the threshold");
}

/// Another C library has other rules.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn set_up() {}
