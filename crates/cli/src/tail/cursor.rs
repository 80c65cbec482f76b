//! Which logs were shown, so that each is shown once, late ones included.
//!
//! Logs carry no time of arrival, so what came since the last look cannot be asked for. Instead the logs of a window
//! that ends now are counted for each second; the seconds with more than before are read again, and of these the logs
//! that were not shown yet are new.

use std::collections::{BTreeMap, HashMap};

/// Most logs of the window that are remembered; beyond it the window loses its oldest seconds.
const REMEMBERED_MAX: usize = 1_000_000;

/// Most seconds read at a time, so that little is remembered of what is older than the window.
const SPAN_SECONDS_MAX: usize = 60;

pub(crate) const MICROS: i64 = 1_000_000;

/// What is known of the logs shown so far. Times are microseconds since 1970.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// Nothing before it is shown any more.
    from: i64,
    /// How far back the window reaches.
    late: i64,
    seconds: BTreeMap<i64, Second>,
    remembered: usize,
}

/// The logs of one second.
#[derive(Debug, Default)]
struct Second {
    counted: u64,
    /// How often each time and fingerprint was shown.
    shown: HashMap<(i64, u64), u32>,
}

/// Adjoining seconds that have logs which were not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// From here …
    pub(crate) from: i64,
    /// … up to here, this instant not included.
    pub(crate) to: i64,
    counts: Vec<(i64, u64)>,
}

impl Cursor {
    /// Shows logs from this instant on, if they come no later than `late` after their own time.
    pub(crate) fn new(from: i64, late: i64) -> Self {
        Self { from, late, seconds: BTreeMap::new(), remembered: 0 }
    }

    /// From when on logs are to be counted.
    pub(crate) fn from(&self) -> i64 {
        self.from
    }

    /// What is to be read, oldest first, when so many logs are in each second (named by its start).
    pub(crate) fn changed(&self, counts: &[(i64, u64)]) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for &(second, count) in counts {
            if count <= self.seconds.get(&second).map_or(0, |known| known.counted) {
                continue;
            }
            match spans.last_mut() {
                Some(span) if span.to == second && span.counts.len() < SPAN_SECONDS_MAX => {
                    span.to = second + MICROS;
                    span.counts.push((second, count));
                }
                _ => spans.push(Span {
                    from: second.max(self.from),
                    to: second + MICROS,
                    counts: vec![(second, count)],
                }),
            }
        }
        spans
    }

    /// For each log read, given by its time and fingerprint, whether it is new. All logs with one time must be asked
    /// about together: logs that look the same are told apart only by how many there are.
    pub(crate) fn take(&mut self, logs: &[(i64, u64)]) -> Vec<bool> {
        let mut read: HashMap<(i64, u64), u32> = HashMap::new();
        logs.iter()
            .map(|&(at, fingerprint)| {
                let read = read.entry((at, fingerprint)).or_default();
                *read += 1;
                let second = self.seconds.entry(second_of(at)).or_default();
                let shown = second.shown.entry((at, fingerprint)).or_insert_with(|| {
                    self.remembered += 1;
                    0
                });
                let new = *read > *shown;
                *shown = (*shown).max(*read);
                new
            })
            .collect()
    }

    /// All logs of the span were taken, in a look that began at `now`.
    pub(crate) fn settle(&mut self, span: &Span, now: i64) {
        for &(second, count) in &span.counts {
            let known = self.seconds.entry(second).or_default();
            // More may have come between counting and reading.
            let shown = known.shown.values().map(|count| u64::from(*count)).sum();
            known.counted = count.max(shown);
        }
        if span.to <= self.window(now) {
            self.forget_before(span.to);
        }
    }

    /// All spans of a look that began at `now` are settled: forgets what the next look need not know. Returns whether
    /// the window had to become shorter than asked for.
    pub(crate) fn passed(&mut self, now: i64) -> bool {
        self.forget_before(self.window(now));
        let crowded = self.remembered > REMEMBERED_MAX;
        while self.remembered > REMEMBERED_MAX
            && let Some((&second, _)) = self.seconds.first_key_value()
        {
            self.forget_before(second + MICROS);
        }
        crowded
    }

    fn forget_before(&mut self, from: i64) {
        self.from = self.from.max(from);
        while let Some(oldest) =
            self.seconds.first_entry().filter(|second| second.key() + MICROS <= self.from)
        {
            self.remembered -= oldest.remove().shown.len();
        }
    }

    /// Where the window of the next look begins: at a whole second, or earlier if nothing was shown before.
    fn window(&self, now: i64) -> i64 {
        second_of(now.saturating_sub(self.late)).max(self.from)
    }
}

fn second_of(at: i64) -> i64 {
    at.div_euclid(MICROS) * MICROS
}

/// How much of a page may be taken, and where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// So many logs from the page's start: all logs of each of their times.
    pub(crate) whole: usize,
    /// `None` after the last page.
    pub(crate) next: Option<i64>,
    /// More logs have one time than a page holds; the rest of them is left out.
    pub(crate) crowded: bool,
}

/// Judges a page by the times of its logs, in order, and how many logs a page holds.
pub(crate) fn page(times: &[i64], size: usize) -> Page {
    let Some(&last) = times.last().filter(|_| times.len() >= size) else {
        return Page { whole: times.len(), next: None, crowded: false };
    };
    match times.partition_point(|at| *at < last) {
        0 => Page { whole: times.len(), next: Some(last + 1), crowded: true },
        whole => Page { whole, next: Some(last), crowded: false },
    }
}

#[cfg(test)]
mod tests;
