//! What the workers of a scan know together, each time that its plan runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What the workers of one execution of a scan know together. A plan may run several times, each time with other
/// bounds, and its workers begin one after the other: the first of each worker are one execution, then the second.
#[derive(Debug)]
pub(crate) struct Executions<T>(Mutex<Begun<T>>);

#[derive(Debug)]
struct Begun<T> {
    /// How often each worker has begun.
    workers: HashMap<usize, usize>,
    executions: Vec<Arc<T>>,
}

impl<T> Default for Executions<T> {
    fn default() -> Self {
        Self(Mutex::new(Begun { workers: HashMap::new(), executions: Vec::new() }))
    }
}

impl<T: Default> Executions<T> {
    /// What a worker that begins knows together with those that began as often.
    pub(crate) fn begin(&self, worker: usize) -> Arc<T> {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Begun { workers, executions } = &mut *begun;
        let times = workers.entry(worker).or_default();
        if executions.len() == *times {
            executions.push(Arc::default());
        }
        let execution = Arc::clone(&executions[*times]);
        *times += 1;
        execution
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_begin_as_often_know_the_same() {
        let executions = Executions::<()>::default();
        let [a, b] = [0, 1].map(|worker| executions.begin(worker));
        assert!(Arc::ptr_eq(&a, &b));
        let [later_b, later_a] = [1, 0].map(|worker| executions.begin(worker));
        assert!(Arc::ptr_eq(&later_a, &later_b) && !Arc::ptr_eq(&a, &later_a));
    }
}
