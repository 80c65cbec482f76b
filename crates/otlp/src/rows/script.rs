//! What a scope sent last time, point by point: senders repeat it in the same order, so the next request is compared
//! with it, and only where it differs are metrics and series looked up.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hindsight_model::Table;

use super::columns::{OwnerKeys, SharedOwners};
use super::points::{Metric, Series};

/// Points of a script at most: a sender of more is looked up point by point.
const POINTS_MAX: usize = 16 * 1024;
/// Bytes of all scripts of one interner at most.
const BYTES_MAX: usize = 64 << 20;
/// What a point takes beside its key, roughly.
const STEP_BYTES: usize = 48;

/// The points of one scope in the order they came, with what looking them up gave.
#[derive(Debug)]
pub(super) struct Script {
    steps: Steps,
    owners: Vec<(Table, SharedOwners)>,
    /// The stamp of the gate that admitted every series last.
    admitted: AtomicU64,
    _room: Room,
}

/// Metrics and points as they followed one another; `keys` holds the keys of both, each ending where the step says.
#[derive(Clone, Debug, Default)]
struct Steps {
    keys: Vec<u8>,
    metrics: Vec<(usize, Arc<Metric>)>,
    points: Vec<(usize, Table, Arc<Series>)>,
}

/// Bytes taken from what all scripts may hold, given back when dropped.
#[derive(Debug)]
struct Room {
    bytes: usize,
    used: Arc<AtomicUsize>,
}

impl Room {
    fn take(bytes: usize, used: &Arc<AtomicUsize>) -> Option<Self> {
        let room = |held: usize| held.checked_add(bytes).filter(|after| *after <= BYTES_MAX);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        Some(Self { bytes, used: Arc::clone(used) })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Where a scope's script is kept.
#[derive(Debug, Default)]
pub(super) struct ScriptPlace(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    script: Option<Arc<Script>>,
    /// Requests in a row that it did not fit.
    misses: u32,
}

impl ScriptPlace {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The script, if there is one.
    pub(super) fn get(&self) -> Option<Arc<Script>> {
        self.lock().script.clone()
    }

    fn fitted(&self) {
        self.lock().misses = 0;
    }

    /// Whether a new one is worth writing: a sender that never repeats itself is asked less and less often.
    fn missed(&self) -> bool {
        let mut kept = self.lock();
        kept.misses = kept.misses.saturating_add(1);
        kept.misses.is_power_of_two()
    }

    fn put(&self, script: Script) {
        self.lock().script = Some(Arc::new(script));
    }
}

/// How far a request has followed the script of the scope it is in, or what a new script will say.
#[derive(Debug, Default)]
pub(super) struct Path {
    followed: Option<Followed>,
    /// What was read beside a script, for the next one; `None` while following, and when there is to be none.
    written: Option<Steps>,
}

#[derive(Debug)]
struct Followed {
    script: Arc<Script>,
    metrics: usize,
    points: usize,
    keys: usize,
}

/// What became of a scope's script at the scope's end.
pub(super) enum End {
    /// All of it was followed: these are the points' owners.
    Fitted(Arc<Script>),
    /// Owners were kept point by point.
    Apart,
}

impl Path {
    /// Starts a scope.
    pub(super) fn start(place: &ScriptPlace) -> Self {
        match place.get() {
            Some(script) => {
                let followed = Followed { script, metrics: 0, points: 0, keys: 0 };
                Self { followed: Some(followed), written: None }
            }
            None => Self { followed: None, written: place.missed().then(Steps::default) },
        }
    }

    /// The metric that comes next, if it has this key.
    #[inline]
    pub(super) fn metric(&mut self, key: &[u8]) -> Option<Arc<Metric>> {
        let followed = self.followed.as_mut()?;
        let (end, metric) = followed.script.steps.metrics.get(followed.metrics)?;
        if followed.script.steps.keys.get(followed.keys..*end)? != key {
            return None;
        }
        followed.metrics += 1;
        followed.keys = *end;
        Some(Arc::clone(metric))
    }

    /// Whether the point that comes next is of this table, has this key, and may come in.
    #[inline]
    pub(super) fn point(
        &mut self,
        table: Table,
        key: &[u8],
        stamp: u64,
        may: impl FnOnce(&Series) -> bool,
    ) -> bool {
        let Some(followed) = &mut self.followed else { return false };
        let script = &followed.script;
        let Some((end, of, series)) = script.steps.points.get(followed.points) else { return false };
        if *of != table || script.steps.keys.get(followed.keys..*end) != Some(key) {
            return false;
        }
        let is_admitted = stamp != 0 && script.admitted.load(Ordering::Relaxed) == stamp;
        if !is_admitted && !may(series) {
            return false;
        }
        followed.points += 1;
        followed.keys = *end;
        true
    }

    /// Leaves the script where it stops to fit; `owner` is given the points so far, whose owners nobody has yet.
    pub(super) fn leave(&mut self, place: &ScriptPlace, mut owner: impl FnMut(Table, &Series)) {
        let Some(Followed { script, metrics, points, keys }) = self.followed.take() else { return };
        let steps = &script.steps;
        steps.points[..points].iter().for_each(|(_, table, series)| owner(*table, series));
        self.written = place.missed().then(|| Steps {
            keys: steps.keys[..keys].to_vec(),
            metrics: steps.metrics[..metrics].to_vec(),
            points: steps.points[..points].to_vec(),
        });
    }

    pub(super) fn add_metric(&mut self, key: &[u8], metric: &Arc<Metric>) {
        let Some(steps) = &mut self.written else { return };
        steps.keys.extend_from_slice(key);
        steps.metrics.push((steps.keys.len(), Arc::clone(metric)));
    }

    pub(super) fn add_point(&mut self, table: Table, key: &[u8], series: &Arc<Series>) {
        let Some(steps) = &mut self.written else { return };
        if steps.points.len() == POINTS_MAX {
            self.written = None;
            return;
        }
        steps.keys.extend_from_slice(key);
        steps.points.push((steps.keys.len(), table, Arc::clone(series)));
    }

    /// No script can stand for what is being read: it has more to say than who the points belong to.
    pub(super) fn give_up(&mut self) {
        self.written = None;
    }

    /// Ends the scope. `used` counts the bytes of all scripts.
    pub(super) fn end(
        mut self,
        place: &ScriptPlace,
        stamp: u64,
        used: &Arc<AtomicUsize>,
        owner: impl FnMut(Table, &Series),
    ) -> End {
        if let Some(Followed { script, metrics, points, .. }) = &self.followed
            && *metrics == script.steps.metrics.len()
            && *points == script.steps.points.len()
        {
            script.admitted.store(stamp, Ordering::Relaxed);
            place.fitted();
            return End::Fitted(Arc::clone(script));
        }
        self.leave(place, owner);
        if let Some(script) = self.written.and_then(|steps| Script::new(steps, used)) {
            place.put(script);
        }
        End::Apart
    }
}

impl Script {
    fn new(mut steps: Steps, used: &Arc<AtomicUsize>) -> Option<Self> {
        if steps.points.is_empty() {
            return None;
        }
        let count = steps.points.len() + steps.metrics.len();
        let room = Room::take(steps.keys.len() + count * STEP_BYTES, used)?;
        steps.keys.shrink_to_fit();
        let mut owners: Vec<(Table, OwnerKeys)> = Vec::new();
        for (_, table, series) in &steps.points {
            let place = owners.iter().position(|(of, _)| of == table).unwrap_or_else(|| {
                owners.push((*table, OwnerKeys::default()));
                owners.len() - 1
            });
            owners[place].1.push(&series.owner);
        }
        let owners = owners.into_iter().map(|(table, keys)| (table, keys.share())).collect();
        Some(Self { steps, owners, admitted: AtomicU64::new(0), _room: room })
    }

    /// For each table the owners of its points.
    pub(super) fn owners(&self) -> &[(Table, SharedOwners)] {
        &self.owners
    }
}
