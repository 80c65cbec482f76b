//! Makes up the telemetry of a shop on a day when a release goes wrong, the same bytes every time.
//!
//! About ninety minutes of traces, logs and metrics of twelve services and three machines, as the collectors on
//! the machines would send them: OTLP/JSON, one request a line, in the order of sending. `checkout` 4.2.0 rolls
//! out, asks orders-db ten times as often, fills its connection pool, and is rolled back; see `fault.rs`.
//!
//! What it is not: a load generator, nor a simulator of a real shop. It reads no clock and opens no file; the
//! binary beside it writes what comes out.
//!
//! Invariants: one seed and start give one output, on every machine ([`Story`]); what [`Truth`] counts is what
//! was written.
//!
//! ```
//! use hindsight_sample::{Story, generate};
//! let story = Story::default();
//! let mut lines = 0;
//! let truth = generate(&story.shortened(60), |_line| lines += 1);
//! assert!(lines > 0 && truth.totals.spans > 0);
//! ```

mod background;
mod batch;
mod checkout;
mod dice;
mod fault;
mod faulty;
mod instruments;
mod journeys;
mod logs;
mod meters;
mod metrics;
mod runtime_metrics;
mod story;
mod topology;
mod trace;
mod traffic;
mod truth;
mod values;
mod world;

use hindsight_otlp::{Encoding, Request, encode_request};

pub use faulty::{DayFault, FaultCase, FaultDay, FaultKind, FaultRecording};
pub use story::{Story, StoryError};
pub use truth::{Content, Impact, Totals, Truth};

use batch::Flush;
use traffic::Visitors;
use world::World;

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// Between two reports of a pod's metrics.
pub(crate) const SCRAPE: u64 = 30 * SECOND;
/// How long after the end of the recording spans that were still open may be sent.
const LAST_SPANS: u64 = 60 * SECOND;

/// Tells the whole story, handing each request to `line` as one line of OTLP/JSON without its newline.
pub fn generate(story: &Story, mut line: impl FnMut(&[u8])) -> Truth {
    let mut world = World::new(story);
    let mut visitors = Visitors::new(story.seed, story.start_nanos());
    let (start, end) = (story.start_nanos(), story.end_nanos());
    let mut now = start;
    while now < end + LAST_SPANS {
        now += SECOND;
        while let Some((at, journey)) = visitors.next(now.min(end)) {
            journey.take(&mut world, at);
        }
        if now <= end {
            background::second(&mut world, now);
        }
        for (_, request) in due(&mut world, start, now, end) {
            line(&encode_request(&request, Encoding::Json));
        }
    }
    world.truth
}

/// What the collectors send at `now`: metrics first, then spans, then logs.
fn due(world: &mut World, start: u64, now: u64, end: u64) -> Vec<(Flush, Request)> {
    let mut due = Vec::new();
    for node in 0..topology::NODES {
        let phase = node as u64 * batch::NODE_PHASE;
        if now <= end && now > start + phase && (now - start - phase).is_multiple_of(SCRAPE) {
            due.push(((now, node), Request::Metrics(metrics::scrape(world, node, now))));
        }
    }
    due.extend(world.batches.take_due(now, &world.fleet));
    due
}

#[cfg(test)]
mod tests;
