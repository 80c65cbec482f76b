use hindsight_model::Signal;
use hindsight_otlp::{AdmitAll, DecodeContext, Encoding, Interner, Limits};
use jiff::Timestamp;

use super::*;

fn plan(signal: BenchSignal, seed: u64) -> Plan {
    let end_nanos = 1_777_905_000_000_000_000;
    Plan { signal, items: 450, per_request: 100, seed, window_nanos: 3_600_000_000_000, end_nanos }
}

const ALL: [(BenchSignal, Signal, std::ops::Range<usize>); 3] = [
    (BenchSignal::Logs, Signal::Logs, 400..600),
    (BenchSignal::Traces, Signal::Traces, 400..620),
    (BenchSignal::Metrics, Signal::Metrics, 120..260),
];

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    for (signal, ..) in ALL {
        let bodies = super::bodies(&plan(signal, 1), usize::MAX);
        assert_eq!(bodies, super::bodies(&plan(signal, 1), usize::MAX));
        assert_ne!(bodies, super::bodies(&plan(signal, 2), usize::MAX));
        assert_eq!(bodies.iter().map(|body| body.items).sum::<u64>(), 450);
        assert_eq!(super::bodies(&plan(signal, 1), 1).len(), 1, "a lap has a bound");
    }
}

/// Our own decoder takes every item, in the first lap and in a later one, and an item has the size it should.
#[test]
fn every_item_is_accepted_in_every_lap() {
    for (signal, of, size) in ALL {
        let plan = plan(signal, 7);
        let arrival = Timestamp::from_nanosecond(plan.end_nanos.into()).unwrap();
        let (limits, interner) = (Limits::default(), Interner::new());
        let context =
            DecodeContext { arrival, now: arrival, limits: &limits, interner: &interner, series: &AdmitAll };
        let bodies = super::bodies(&plan, usize::MAX);
        for lap in [0, 12_345] {
            for body in &bodies {
                let bytes = [&body.bytes[..], &lap_mark(lap)].concat();
                let decoded = hindsight_otlp::decode(of, Encoding::Protobuf, &bytes, &context).unwrap();
                assert_eq!((decoded.accepted, decoded.rejected), (body.items, 0), "{of} in lap {lap}");
            }
        }
        let bytes: usize = bodies.iter().map(|body| body.bytes.len()).sum();
        assert!(size.contains(&(bytes / 450)), "{of}: {} bytes an item", bytes / 450);
    }
}
