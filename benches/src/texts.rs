//! Seeded log bodies: sentences of about 200 bytes, each with numbers, an address, a user and often an identifier
//! of its own.

/// `{i}` a number below 10,000, `{h}` an identifier, `{u}` a user, `{p}` an address, `{s}` a service.
const SENTENCES: [&str; 12] = [
    "GET /api/v1/cart/items answered 200 in {i} ms, {i} bytes to {p} for {u}, request {h}, upstream {s}, cache hit, no retries, keep-alive over TLS 1.3 with an encrypted hello and early data refused",
    "order {h} of {u} holds {i} articles in {i} parcels; stock reserved at the nearest warehouse, invoice address verified, delivery promised within three working days by {s}, gift wrapping declined",
    "payment for order {h} was refused by the bank: insufficient funds, answer code 51, card ending {i}, customer {u} was told by mail, the order waits in its present state until {i} minutes from now",
    "looked up product {i} of shelf {i} in {s}: found after {i} microseconds on shard {i}, object of {i} bytes, compressed, time to live {i} seconds, hot key detector idle, no replica was asked",
    "slow statement: select from orders where customer is {i} order by created descending limit fifty took {i} ms, threshold 250 ms, rows examined {i}, no index fitted, plan {h} was kept for later",
    "consumer group of {s} polled {i} records from partition {i} at offset {i}; processing took {i} ms, commit asynchronous, lag {i}, generation {i}, assigned by the cooperative strategy, no rebalance",
    "{u} failed to sign in from {p}: credentials are wrong, attempt {i} of five, the account is locked after further failures, risk score {i}, a captcha was asked for, correlation {h}, service {s}",
    "circuit breaker before {s} went from closed to open after {i} failures in ten seconds, error rate {i} permille, next probe in thirty seconds, fallback answers enabled, request {h} was the last straw",
    "retrying a call to {s}: attempt {i} of three, before that the connection was reset by {p}, backing off {i} ms with full jitter, idempotency key {h}, time left {i} ms, budget for retries remaining",
    "young collection took {i} microseconds; heap before {i} MiB, after {i} MiB, promoted {i} KiB, cause allocation failure, reference processing {i}, safepoint reached at once, host {p} of service {s}",
    "disk of {s} is {i} permille full: used {i} GiB, inodes {i}; compaction was scheduled, oldest segment {h}, kept for fourteen days, the threshold of the warning is not reached on host {p} so far",
    "certificate of {s} at {p} expires in {i} hours: issued by an authority that {u} added, serial {h}, key of 2048 bits, used by {i} listeners, renewal is tried again after {i} minutes with some jitter",
];

const SERVICES: [&str; 8] =
    ["cart", "catalog", "checkout", "frontend", "inventory", "payment", "search", "shipping"];

/// So many bodies, the same ones each time.
pub fn bodies(rows: usize) -> Vec<String> {
    let mut random = Random(0x5EED);
    (0..rows).map(|_| body(&mut random)).collect()
}

/// The identifier in a body, if it has one.
pub fn identifier(body: &str) -> Option<&str> {
    body.split(|sign: char| !sign.is_ascii_alphanumeric())
        .find(|word| word.len() == 16 && word.starts_with("0a"))
}

fn body(random: &mut Random) -> String {
    let mut text = String::with_capacity(256);
    let mut rest = SENTENCES[random.below(SENTENCES.len() as u64) as usize];
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        text.push_str(&match after.as_bytes()[0] {
            b'i' => random.below(10_000).to_string(),
            b'h' => format!("0a{:014x}", random.below(1 << 56)),
            b'u' => format!("user{:05}", random.below(50_000)),
            b'p' => format!("10.{}.{}.{}", random.below(8), random.below(256), random.below(256)),
            _ => SERVICES[random.below(SERVICES.len() as u64) as usize].to_owned(),
        });
        rest = &after[2..];
    }
    text + rest
}

/// Xorshift with a multiplication (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D);
        ((u128::from(mixed) * u128::from(bound)) >> 64) as u64
    }
}
