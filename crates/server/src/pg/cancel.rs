//! Cancel requests: a second connection that names the first by number and secret.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hindsight_query::QueryEngine;
use uuid::Uuid;

/// Every open connection, and the query that it runs.
#[derive(Debug, Default)]
pub(super) struct Cancels {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last_pid: i32,
    open: HashMap<i32, Running>,
}

#[derive(Debug)]
struct Running {
    secret: i32,
    query: Option<u64>,
}

impl Cancels {
    /// A number and a secret for a new connection.
    pub(super) fn enter(&self) -> (i32, i32) {
        let [a, b, c, d, ..] = *Uuid::new_v4().as_bytes();
        let secret = i32::from_be_bytes([a, b, c, d]);
        let mut inner = self.lock();
        loop {
            inner.last_pid = inner.last_pid.checked_add(1).unwrap_or(1);
            let pid = inner.last_pid;
            if let Entry::Vacant(free) = inner.open.entry(pid) {
                free.insert(Running { secret, query: None });
                return (pid, secret);
            }
        }
    }

    pub(super) fn leave(&self, pid: i32) {
        self.lock().open.remove(&pid);
    }

    /// What the connection runs from now on.
    pub(super) fn runs(&self, pid: i32, query: Option<u64>) {
        if let Some(running) = self.lock().open.get_mut(&pid) {
            running.query = query;
        }
    }

    /// Stops what the connection runs; without the right secret nothing happens, and nobody is told.
    pub(super) fn cancel(&self, pid: i32, secret: i32, engine: &QueryEngine) {
        let query =
            self.lock().open.get(&pid).filter(|running| running.secret == secret).and_then(|r| r.query);
        if let Some(query) = query {
            engine.cancel(query);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while holding it; were it to, the list would still be whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
