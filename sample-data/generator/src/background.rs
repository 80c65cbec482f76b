//! What is said outside any visitor's request: pods that start, pools that are full, a database that complains.

use crate::SECOND;
use crate::fault::NEW_VERSION;
use crate::logs::{Entry, read_line, say_alone};
use crate::metrics::POOL_SIZE;
use crate::topology::Service;
use crate::values::{int, text};
use crate::world::World;

/// One second of it, ending at `at`.
pub(crate) fn second(world: &mut World, at: u64) {
    for index in 0..world.fleet.instances.len() {
        let instance = world.fleet.instances[index].clone();
        let moment = at - 1_000 * world.dice.below(900_000);
        match instance.service {
            Service::Checkout => checkout_pod(world, index, moment, at),
            Service::OrdersDb => orders_db(world, index, moment),
            service if world.dice.chance(0.02) => {
                let entry = Entry::debug(format!("{} is healthy", service.name()));
                say_alone(world, index, moment, entry);
            }
            _ => {}
        }
    }
}

fn checkout_pod(world: &mut World, index: usize, moment: u64, at: u64) {
    let pod = world.fleet.instances[index].clone();
    let since_start = at.saturating_sub(pod.from);
    let recorded_from_birth = pod.from > world.truth.start();
    if recorded_from_birth && at >= pod.from && since_start < SECOND {
        let body = format!("checkout {} started in {} ms", pod.version, 2_300 + world.dice.below(900));
        let entry = Entry::info(body).event("service.start").with(text("service.version", pod.version));
        say_alone(world, index, at, entry);
    }
    if pod.until >= at && pod.until - at < SECOND {
        say_alone(world, index, at, Entry::info(format!("checkout {} is shutting down", pod.version)));
    }
    let full = pod.alive(at) && world.plan.pool_usage(at, pod.version) > 0.97;
    if full && world.dice.chance(0.25) {
        let waiting = 5 + world.dice.below(20);
        let body = format!(
            "pool orders-db is full: {POOL_SIZE} of {POOL_SIZE} connections in use, {waiting} requests wait"
        );
        say_alone(world, index, moment, Entry::warn(body).with(text("pool.name", "orders-db")));
    }
}

fn orders_db(world: &mut World, index: usize, moment: u64) {
    let pressure = world.plan.pressure(moment);
    if world.dice.chance(1.0 / 90.0) {
        let buffers = 300 + world.dice.below(2_400);
        let body = format!("checkpoint complete: wrote {buffers} buffers");
        read_line(world, index, moment, Entry::info(body));
    }
    if world.dice.chance(0.01 + 0.8 * pressure) {
        let millis = world.dice.latency(240.0 + 600.0 * pressure, 0.5) / 1_000_000;
        let body = format!("duration: {millis} ms  statement: SELECT price FROM price_book WHERE sku = $1");
        let entry =
            Entry::warn(body).with(int("postgresql.pid", 80 + i64::try_from(millis % 40).unwrap_or(0)));
        read_line(world, index, moment, entry);
    }
    if world.plan.pool_usage(moment, NEW_VERSION) > 0.985 && world.dice.chance(0.2) {
        let body = "remaining connection slots are reserved for roles with the SUPERUSER attribute";
        read_line(world, index, moment, Entry::fatal(body));
    }
}
