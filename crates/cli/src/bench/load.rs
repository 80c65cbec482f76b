//! Export requests from a seed: the same seed, items and end give the same bytes. Encoded before the clock starts.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::words::{INSTANCES, REGIONS, SERVICES};
use super::{logs, points, spans};
use crate::args::BenchSignal;

/// Bodies beyond this many bytes are not made; what is missing is sent in further laps over the same ones.
pub(super) const LAP_BYTES_MAX: usize = 512 * 1024 * 1024;

/// What to make.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) signal: BenchSignal,
    pub(super) items: u64,
    pub(super) per_request: u64,
    pub(super) seed: u64,
    /// Event times are spread evenly over this many nanoseconds …
    pub(super) window_nanos: u64,
    /// … which end here, in nanoseconds since 1970.
    pub(super) end_nanos: u64,
}

impl Plan {
    /// The time of item `number`.
    pub(super) fn at(&self, number: u64) -> u64 {
        let share = u128::from(self.window_nanos) * u128::from(number) / u128::from(self.items.max(1));
        self.end_nanos - self.window_nanos + u64::try_from(share).unwrap_or(self.window_nanos)
    }
}

/// One encoded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) items: u64,
    pub(super) bytes: Vec<u8>,
}

/// The requests of one lap, all items of the plan unless they exceed `bytes_max`.
pub(super) fn bodies(plan: &Plan, bytes_max: usize) -> Vec<Body> {
    let mut random = Random(ChaCha8Rng::seed_from_u64(plan.seed));
    let mut bodies = Vec::new();
    let (mut done, mut size) = (0, 0);
    while done < plan.items && size < bytes_max {
        let items = plan.per_request.min(plan.items - done);
        let bytes = match plan.signal {
            BenchSignal::Logs => logs::request(plan, done, items, &mut random),
            BenchSignal::Traces => spans::request(plan, done, items, &mut random),
            BenchSignal::Metrics => points::request(plan, done, items, &mut random),
        };
        size += bytes.len();
        done += items;
        bodies.push(Body { items, bytes });
    }
    bodies
}

/// Bytes to add to a body for a later lap. Protobuf joins messages by joining their bytes, so this adds an empty
/// group whose schema URL names the lap, and no exact repeat of an earlier request is sent.
pub(super) fn lap_mark(lap: u64) -> Vec<u8> {
    if lap == 0 {
        return Vec::new();
    }
    let url = format!("urn:lap:{lap}");
    let length = |text: usize| u8::try_from(text).expect("a lap's number has at most 20 digits");
    // Field 1 of the request: a group; field 3 of the group: its schema URL. All three signals agree on both.
    let mut mark = vec![0x0A, length(url.len() + 2), 0x1A, length(url.len())];
    mark.extend_from_slice(url.as_bytes());
    mark
}

/// A seeded source of choices.
pub(super) struct Random(ChaCha8Rng);

impl Random {
    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end.max(1)
    }

    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap_or(0)]
    }

    /// Between 0 and 1.
    pub(super) fn share(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Mostly near `middle`, now and then many times that, as durations are.
    pub(super) fn skewed(&mut self, middle: f64) -> f64 {
        // Twelve even shares minus six are close to a normal distribution.
        let normal: f64 = (0..12).map(|_| self.share()).sum::<f64>() - 6.0;
        middle * normal.exp()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill_bytes(&mut bytes);
        // An id of zeros would be no id.
        bytes[0] |= 1;
        bytes
    }

    /// A service and one of its instances; the first services are the busiest.
    pub(super) fn process(&mut self) -> (usize, u64) {
        let share = self.share();
        let service = (share * share * SERVICES.len() as f64) as usize;
        (service.min(SERVICES.len() - 1), self.below(INSTANCES))
    }

    pub(super) fn address(&mut self) -> String {
        format!("10.{}.{}.{}", self.below(16), self.below(256), 1 + self.below(254))
    }
}

pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: any(Value::StringValue(value.into())), ..KeyValue::default() }
}

pub(super) fn whole(key: &str, value: u64) -> KeyValue {
    let value = any(Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)));
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

pub(super) fn any(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

/// The nine attributes that a process says about itself.
pub(super) fn resource(service: usize, instance: u64) -> Option<Resource> {
    let name = SERVICES[service];
    let number = service as u64 * INSTANCES + instance;
    let attributes = vec![
        text("service.name", name),
        text("service.namespace", "shop"),
        text("service.version", format!("{}.{}.0", 3 + service % 4, instance % 3)),
        text("service.instance.id", format!("{name}-{instance}")),
        text("host.name", format!("host-{:02}", number % 48)),
        text("k8s.pod.name", format!("{name}-6b9d{:04x}-{instance}", number * 2_311)),
        text("cloud.region", REGIONS[service % REGIONS.len()]),
        text("deployment.environment.name", "production"),
        text("telemetry.sdk.language", "rust"),
    ];
    Some(Resource { attributes, ..Resource::default() })
}

pub(super) fn scope(name: &str) -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: name.to_owned(), version: "2.1.0".to_owned(), ..Default::default() })
}

#[cfg(test)]
mod tests;
