//! Buying: the journey that the fault breaks.

use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};

use crate::batch::Scope;
use crate::fault::{ACQUIRE_TIMEOUT, Plan};
use crate::journeys::CART_STORE;
use crate::logs::{Entry, say};
use crate::topology::Service;
use crate::trace::{Done, Failure, Open, Operation, Statement, call, query};
use crate::values::{bytes, double, flag, int, map_body, text, texts};
use crate::world::World;

const PLACE_ORDER: Operation =
    Operation::Http { callee: Service::Checkout, method: "POST", route: "/orders" };
const GET_CART: Operation = Operation::Rpc { callee: Service::Cart, service: "shop.Cart", method: "GetCart" };
const RESERVE: Operation =
    Operation::Rpc { callee: Service::Inventory, service: "shop.Inventory", method: "Reserve" };
const CHARGE: Operation =
    Operation::Rpc { callee: Service::Payment, service: "shop.Payment", method: "Charge" };
const QUOTE: Operation = Operation::Http { callee: Service::Shipping, method: "POST", route: "/quotes" };

const RESERVE_STOCK: Statement = Statement {
    system: "postgresql",
    namespace: "inventory",
    server: "inventory-db",
    port: 5432,
    operation: "UPDATE",
    text: "UPDATE stock SET held = held + $1 WHERE sku = $2",
};
const INSERT_ORDER: Statement =
    orders("INSERT", "INSERT INTO orders (id, user_id, total) VALUES ($1, $2, $3)");
const INSERT_ITEMS: Statement =
    orders("INSERT", "INSERT INTO order_items (order_id, sku, quantity) SELECT * FROM unnest($1, $2, $3)");
const SELECT_PRICES: Statement = orders("SELECT", "SELECT sku, price FROM price_book WHERE sku = ANY($1)");
/// What 4.2.0 asks once for each line and rule instead.
const SELECT_PRICE: Statement =
    orders("SELECT", "SELECT price FROM price_book WHERE sku = $1 AND rule_id = $2 FOR SHARE");

const fn orders(operation: &'static str, text: &'static str) -> Statement {
    Statement { system: "postgresql", namespace: "orders", server: "orders-db", port: 5432, operation, text }
}

const POOL_TIMEOUT: &str = "java.sql.SQLTransientConnectionException";
const POOL_STACK: &str = "java.sql.SQLTransientConnectionException: orders-db - Connection is not available\n\
    \tat shop.db.Pool.acquire(Pool.java:181)\n\
    \tat shop.orders.OrderStore.begin(OrderStore.java:64)\n\
    \tat shop.orders.PlaceOrder.run(PlaceOrder.java:112)\n\
    \tat shop.http.OrdersResource.post(OrdersResource.java:47)";

/// The frontend's part: pass the order on, and say so when it fails.
pub(crate) fn from_frontend(world: &mut World, root: &mut Open, at: u64) -> Done {
    let done = call(world, root, at, PLACE_ORDER, place_order);
    let Some(failure) = &done.failure else { return done };
    let message = format!("checkout answered {}", failure.code);
    root.event(done.end, "upstream.failed", vec![text("app.upstream", "checkout")]);
    let failure = Failure { error_type: "UpstreamError", message, code: 503 };
    Done { end: done.end, failure: Some(failure) }
}

fn place_order(world: &mut World, server: &mut Open, at: u64) -> Done {
    let lines = world.dice.below(5) + 1;
    let cents = 1_200 + world.dice.below(14_000);
    let order = hex::encode(world.dice.id::<4>());
    server.attributes.push(text("app.order.id", &order));
    server.attributes.push(int("app.order.lines", i64::try_from(lines).unwrap_or(0)));
    let cart = call(world, server, at, GET_CART, |world, server, at| {
        let read = Statement { operation: "HGETALL", text: "HGETALL cart:?", ..CART_STORE };
        let end = query(world, server, at, &read, 0.6);
        say(world, server, end, Entry::debug(format!("cart read with {lines} lines")));
        Done::well(end)
    });
    let reserved = call(world, server, cart.end, RESERVE, |world, server, at| {
        let end = query(world, server, at, &RESERVE_STOCK, 2.0);
        say(world, server, end, Entry::info(format!("reserved {lines} lines for order {order}")));
        Done::well(end + world.dice.latency(0.4, 0.3))
    });
    let stored = match store_order(world, server, reserved.end, &order) {
        Ok(end) => end,
        Err(done) => return done,
    };
    let charged = charge(world, server, stored, cents);
    if let Some(failure) = charged.failure {
        say(world, server, charged.end, Entry::error(format!("payment failed for order {order}")));
        let failure = Failure { code: 502, ..failure };
        return Done { end: charged.end, failure: Some(failure) };
    }
    let quoted = quote(world, server, charged.end, lines);
    confirm(world, server, quoted.end, &order);
    world.meters.order_placed(server.instance, cents);
    server.event(quoted.end, "order.placed", vec![double("app.order.total", euros(cents))]);
    let placed = Entry::info(format!("order {order} placed")).event("order.placed");
    say(world, server, quoted.end, placed.with(double("app.order.total", euros(cents))));
    Done::well(quoted.end + world.dice.latency(0.8, 0.4))
}

/// Takes a connection and writes the order; fails when the pool has none to give in time.
fn store_order(world: &mut World, server: &mut Open, at: u64, order: &str) -> Result<u64, Done> {
    let version = world.fleet.instances[server.instance].version;
    let pressure = world.plan.pressure(at);
    if world.dice.chance(world.plan.timeout_probability(server.start)) {
        return Err(no_connection(world, server, at, order));
    }
    // Waiting grows steeply as the last connections are taken.
    let squeeze = (pressure - 0.75).max(0.0) * 4.0;
    let wait = 0.05 + 900.0 * squeeze * squeeze;
    let mut end = (at + world.dice.latency(wait, 0.35)).min(at + ACQUIRE_TIMEOUT);
    if pressure > 0.9 && world.dice.chance(0.5) {
        let waited = (end - at) / 1_000_000;
        say(
            world,
            server,
            end,
            Entry::warn(format!("waited {waited} ms for a connection from pool orders-db")),
        );
    }
    let slowness = 1.0 + 5.0 * pressure;
    let queries = Plan::queries_per_order(version);
    for number in 0..queries {
        let statement = match number {
            0 => &INSERT_ORDER,
            1 => &INSERT_ITEMS,
            _ if queries > 3 => &SELECT_PRICE,
            _ => &SELECT_PRICES,
        };
        end = query(world, server, end + 30_000, statement, 2.1 * slowness);
    }
    Ok(end)
}

fn no_connection(world: &mut World, server: &mut Open, at: u64, order: &str) -> Done {
    let end = at + ACQUIRE_TIMEOUT + world.dice.latency(1.5, 0.5);
    let message = "orders-db - Connection is not available, request timed out after 5000ms";
    server.exception(end, POOL_TIMEOUT, message, POOL_STACK);
    world.meters.pool_timeout(server.instance);
    let failed = Entry::error("could not get a connection from pool orders-db within 5000 ms");
    say(world, server, end, failed.exception(POOL_TIMEOUT, message, POOL_STACK));
    say(world, server, end, Entry::error(format!("order {order} failed: no database connection")));
    let failure = Failure { error_type: POOL_TIMEOUT, message: message.to_owned(), code: 500 };
    Done { end, failure: Some(failure) }
}

fn charge(world: &mut World, server: &Open, at: u64, cents: u64) -> Done {
    call(world, server, at, CHARGE, |world, server, at| {
        let name = "POST /v2/charges".to_owned();
        let mut bank = server.child(world, server.instance, SpanKind::Client, Scope::Http, name, at);
        let end = at + world.dice.latency(118.0, 0.3);
        let lost = world.dice.chance(0.0003);
        bank.attributes = vec![
            text("http.request.method", "POST"),
            text("url.full", "https://api.bank.example/v2/charges"),
            text("server.address", "api.bank.example"),
            int("server.port", 443),
            int("http.response.status_code", if lost { 504 } else { 200 }),
        ];
        let failure = lost.then(|| Failure {
            error_type: "BankTimeout",
            message: "the bank did not answer".to_owned(),
            code: 14,
        });
        let done = Done { end, failure };
        bank.close(world, &done);
        world.meters.charged(server.instance, euros(cents));
        let network = *world.dice.pick(&["visa", "mastercard", "amex"]);
        let body = map_body(vec![
            text("event", "charge"),
            double("amount", euros(cents)),
            text("currency", "EUR"),
            flag("approved", !lost),
            int("attempt", 1),
            texts("checks", &["cvc", "3ds"]),
            bytes("receipt", cents.to_be_bytes()[5..].to_vec()),
        ]);
        let entry = Entry::new(SeverityNumber::Info, body).event("payment.charge");
        say(world, server, end, entry.with(text("app.card.network", network)));
        Done { end: end + world.dice.latency(0.6, 0.4), failure: done.failure }
    })
}

fn quote(world: &mut World, server: &Open, at: u64, lines: u64) -> Done {
    call(world, server, at, QUOTE, |world, server, at| {
        let end = at + world.dice.latency(6.5, 0.4);
        world.meters.quoted(server.instance, end - at);
        say(world, server, end, Entry::info(format!("quoted {lines} parcels with carrier north")));
        Done::well(end)
    })
}

/// Publishes the order; email takes it from the queue a moment later and links back.
fn confirm(world: &mut World, server: &Open, at: u64, order: &str) {
    let name = "send orders".to_owned();
    let mut producer = server.child(world, server.instance, SpanKind::Producer, Scope::Messaging, name, at);
    producer.attributes = messaging("send");
    let sent = at + world.dice.latency(0.9, 0.4);
    let taken = sent + world.dice.latency(220.0, 0.6);
    let email = world.fleet.pick(Service::Email, taken, &mut world.dice);
    let name = "process orders".to_owned();
    let mut consumer = producer.child(world, email, SpanKind::Consumer, Scope::Messaging, name, taken);
    consumer.attributes = messaging("process");
    consumer.links = vec![Link {
        trace_id: producer.trace.to_vec(),
        span_id: producer.id.to_vec(),
        attributes: vec![text("messaging.message.id", order)],
        flags: 0x301,
        ..Link::default()
    }];
    producer.close(world, &Done::well(sent));
    let mailed = taken + world.dice.latency(38.0, 0.4);
    world.meters.consumed(email);
    say(world, &consumer, mailed, Entry::info(format!("confirmation for order {order} sent")));
    consumer.close(world, &Done::well(mailed));
}

fn messaging(operation: &str) -> Vec<opentelemetry_proto::tonic::common::v1::KeyValue> {
    vec![
        text("messaging.system", "kafka"),
        text("messaging.destination.name", "orders"),
        text("messaging.operation.name", operation),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn euros(cents: u64) -> f64 {
    cents as f64 / 100.0
}
