//! Gives back what the C library's allocator keeps.
//!
//! glibc keeps what threads free for the next allocation of the same thread. Merges, seals and requests take turns with
//! large and with long-lived buffers, so that free pages lie between used ones and add up: after 14 million logs the
//! server had 650 MB where 360 were in use. It also raises by itself the size from which a buffer is memory of its own,
//! given back at once, up to 32 MiB. The usual remedy, a fixed size of 1 MiB, cost four times the page faults and a
//! tenth of the CPU of ingest; one of 8 MiB and looking every few seconds cost a fiftieth.
//!
//! Who fixes that size fixes another at 128 KiB: from so much on, what is free at a heap's end is given back with every
//! buffer, and a query takes it again for the next. That was a fifth of the CPU of a rate over ten million points and a
//! tenth of a percentile's. 32 MiB there leave 90 MB more in use after every question of the benchmark.

/// How often it is looked at.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(2);
/// So much may be free and kept.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES_MAX: usize = 64 << 20;

/// Buffers of this many bytes and more are given back at once (mallopt(3), `M_MMAP_THRESHOLD`).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_MEMORY_FROM: libc::c_int = 8 << 20;

/// So much may be free at the end of a heap and kept (mallopt(3), `M_TRIM_THRESHOLD`).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAP_END_BYTES_MAX: libc::c_int = 32 << 20;

/// Starts a thread that does so for as long as the process lives.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_small() {
    fix_sizes();
    let started = std::thread::Builder::new().name("allocator".to_owned()).spawn(|| {
        loop {
            std::thread::sleep(LOOK_EVERY);
            give_back();
        }
    });
    if let Err(error) = started {
        tracing::warn!(%error, "memory that is free will be given back late");
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn fix_sizes() {
    for (size, bytes) in
        [(libc::M_MMAP_THRESHOLD, OWN_MEMORY_FROM), (libc::M_TRIM_THRESHOLD, HEAP_END_BYTES_MAX)]
    {
        // SAFETY: it takes numbers only, and locks what it changes.
        let accepted = unsafe { libc::mallopt(size, bytes) };
        debug_assert_eq!(accepted, 1, "mallopt refused the size");
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn give_back() {
    // SAFETY: both take no pointers, and lock what they look at.
    unsafe {
        if libc::mallinfo2().fordblks > KEPT_BYTES_MAX {
            libc::malloc_trim(0);
        }
    }
}

/// Another C library has other rules.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_small() {}
