//! A thread of its own for work that takes much memory for a while.
//!
//! The system's allocator keeps what a thread gave back for that thread. On a pool's changing threads each of them comes to
//! keep the most that any work needed; on one thread the next work gets what the last one gave back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use tokio::sync::oneshot;

use crate::{Error, Result};

/// Work that waits at most. Callers wait for theirs before they bring more, unless they were given up.
const WAITING_MAX: usize = 16;

type Work = Box<dyn FnOnce() + Send>;

/// The thread; it ends with this, after the work that was handed over.
#[derive(Debug)]
pub(crate) struct Worker {
    name: &'static str,
    queue: mpsc::SyncSender<Work>,
}

impl Worker {
    pub(crate) fn start(name: &'static str) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::sync_channel::<Work>(WAITING_MAX);
        let work_off = move || {
            for work in waiting {
                // Whoever waits for it hears that it stopped; the next work is none the worse.
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work_off)?;
        Ok(Self { name, queue })
    }

    /// Does `work` after what was handed over earlier.
    ///
    /// # Errors
    /// [`Error::Stopped`] when it panicked, or when too much waits already.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let stopped = Error::Stopped { worker: self.name };
        let (reply, done) = oneshot::channel();
        let work = Box::new(move || {
            // Nobody may listen any more.
            let _ = reply.send(work());
        });
        if self.queue.try_send(work).is_err() {
            return Err(stopped);
        }
        done.await.map_err(|_| stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_on_one_thread_and_a_panic_ends_only_itself() {
        let worker = Worker::start("test-worker").unwrap();
        let thread = || std::thread::current().id();
        let first = worker.run(thread).await.unwrap();
        let failed = worker.run(|| assert!(std::thread::current().name().is_none(), "as it must")).await;
        assert!(matches!(failed, Err(Error::Stopped { worker: "test-worker" })));
        assert_eq!(worker.run(thread).await.unwrap(), first);
    }
}
