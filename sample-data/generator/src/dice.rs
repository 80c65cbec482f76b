use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Seeded randomness whose every number is the same on every machine: ChaCha's stream is specified, and the
/// logarithm and exponential come from `libm`, not from the platform.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// One of several independent streams of a seed.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Uniform in `[0, 1)`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `0..n`; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.0.next_u64() % n }
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let last = items.len().saturating_sub(1) as u64;
        &items[usize::try_from(self.below(last + 1)).expect("below the length of a slice")]
    }

    /// Near enough to a standard normal: the sum of twelve uniforms less six, so within ±6.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// A log-normal duration in nanoseconds, whole microseconds, at least one.
    pub(crate) fn latency(&mut self, median_ms: f64, sigma: f64) -> u64 {
        let ms = median_ms * libm::exp(sigma * self.normal());
        whole(ms * 1_000.0).max(1) * 1_000
    }

    /// Nanoseconds to the next arrival of a Poisson stream of `rate` per second, whole microseconds.
    pub(crate) fn gap(&mut self, rate: f64) -> u64 {
        let seconds = -libm::log(1.0 - self.unit()) / rate;
        whole(seconds * 1e6).max(1) * 1_000
    }

    pub(crate) fn id<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Text in the shape of a version 4 UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let mut bytes: [u8; 16] = self.id();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let text = hex::encode(bytes);
        [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
    }

    /// `length` letters and digits as pod names have them.
    pub(crate) fn suffix(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..length).map(|_| char::from(*self.pick(LETTERS))).collect()
    }
}

/// The whole part of a number that is known to be small and not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and NaN gives 0")]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}
