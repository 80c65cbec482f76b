//! What visitors do in the shop, but for buying (see `checkout.rs`).

use crate::batch::Scope;
use crate::checkout;
use crate::logs::{Entry, say};
use crate::topology::Service;
use crate::trace::{Done, Failure, Open, Operation, Statement, call, query};
use crate::values::{double, flag, int, text};
use crate::world::World;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

/// One thing a visitor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Journey {
    Home,
    Product,
    Search,
    AddToCart,
    LogIn,
    CheckOut,
}

impl Journey {
    fn entry(self) -> (&'static str, &'static str) {
        match self {
            Self::Home => ("GET", "/"),
            Self::Product => ("GET", "/products/{id}"),
            Self::Search => ("GET", "/search"),
            Self::AddToCart => ("POST", "/api/cart"),
            Self::LogIn => ("POST", "/api/login"),
            Self::CheckOut => ("POST", "/api/checkout"),
        }
    }

    /// The whole trace of this journey, begun at `at`.
    pub(crate) fn take(self, world: &mut World, at: u64) {
        let (method, route) = self.entry();
        let instance = world.fleet.pick(Service::Frontend, at, &mut world.dice);
        let mut root = Open::root(world, instance, format!("{method} {route}"), at);
        let product = world.dice.below(480) + 1;
        let work = at + world.dice.latency(1.4, 0.4);
        let mut done = match self {
            Self::Home => home(world, &root, work),
            Self::Product => product_page(world, &root, work, product),
            Self::Search => search(world, &root, work),
            Self::AddToCart => add_to_cart(world, &root, work, product),
            Self::LogIn => log_in(world, &root, work),
            Self::CheckOut => checkout::from_frontend(world, &mut root, work),
        };
        done.end += world.dice.latency(2.2, 0.5);
        let status = done.failure.as_ref().map_or(200, |failure| failure.code);
        root.attributes = vec![
            text("http.request.method", method),
            text("http.route", route),
            text("url.path", route.replace("{id}", &product.to_string())),
            int("http.response.status_code", status),
        ];
        world.served(&root, route, status, done.end);
        access_log(world, &root, &done, method, route, status);
        root.close(world, &done);
    }
}

fn access_log(world: &mut World, root: &Open, done: &Done, method: &str, route: &str, status: i64) {
    let millis = done.end.saturating_sub(root.start) / 1_000_000;
    let line = format!("{method} {route} {status} {millis}ms");
    let entry = match &done.failure {
        None => Entry::info(line),
        Some(failure) => Entry::error(line).with(text("error.type", failure.error_type)),
    };
    say(world, root, done.end, entry.with(int("http.response.status_code", status)));
}

const LIST_PRODUCTS: Operation =
    Operation::Rpc { callee: Service::Catalog, service: "shop.Catalog", method: "ListProducts" };
const GET_PRODUCT: Operation =
    Operation::Rpc { callee: Service::Catalog, service: "shop.Catalog", method: "GetProduct" };
const RECOMMEND: Operation =
    Operation::Rpc { callee: Service::Recommendation, service: "shop.Recommendation", method: "ForVisitor" };
const GET_STOCK: Operation =
    Operation::Rpc { callee: Service::Inventory, service: "shop.Inventory", method: "GetStock" };
const ADD_ITEM: Operation = Operation::Rpc { callee: Service::Cart, service: "shop.Cart", method: "AddItem" };
const FIND: Operation = Operation::Http { callee: Service::Search, method: "POST", route: "/v1/search" };
const LOG_IN: Operation = Operation::Http { callee: Service::Users, method: "POST", route: "/sessions" };

const CATALOG_DB: Statement = Statement {
    system: "postgresql",
    namespace: "catalog",
    server: "catalog-db",
    port: 5432,
    operation: "SELECT",
    text: "SELECT id, name, price FROM products WHERE id = $1",
};
const STOCK_DB: Statement = Statement {
    system: "postgresql",
    namespace: "inventory",
    server: "inventory-db",
    port: 5432,
    operation: "SELECT",
    text: "SELECT on_hand FROM stock WHERE sku = $1",
};
const USERS_DB: Statement = Statement {
    system: "postgresql",
    namespace: "users",
    server: "users-db",
    port: 5432,
    operation: "SELECT",
    text: "SELECT id, hash FROM users WHERE email = $1",
};
const SEARCH_INDEX: Statement = Statement {
    system: "opensearch",
    namespace: "products",
    server: "opensearch",
    port: 9200,
    operation: "search",
    text: "{\"query\":{\"match\":{\"name\":\"?\"}}}",
};
pub(crate) const CART_STORE: Statement = Statement {
    system: "redis",
    namespace: "0",
    server: "cart-redis",
    port: 6379,
    operation: "HSET",
    text: "HSET cart:? ? ?",
};

fn home(world: &mut World, root: &Open, at: u64) -> Done {
    let listed = call(world, root, at, LIST_PRODUCTS, |world, server, at| {
        server.attributes.push(int("app.products.count", 24));
        let end = query(world, server, at, &CATALOG_DB, 3.1);
        say(world, server, end, Entry::info("listed 24 products"));
        Done::well(end + world.dice.latency(0.6, 0.4))
    });
    Done::well(recommend(world, root, listed.end))
}

fn product_page(world: &mut World, root: &Open, at: u64, product: u64) -> Done {
    let end = get_product(world, root, at, product);
    let stock = call(world, root, end, GET_STOCK, |world, server, at| {
        let end = query(world, server, at, &STOCK_DB, 1.2);
        Done::well(end)
    });
    let end = if world.dice.chance(0.5) { recommend(world, root, stock.end) } else { stock.end };
    Done::well(end)
}

fn get_product(world: &mut World, root: &Open, at: u64, product: u64) -> u64 {
    let found = call(world, root, at, GET_PRODUCT, |world, server, at| {
        let hit = world.dice.chance(0.8);
        server.attributes.push(flag("app.cache.hit", hit));
        world.meters.cache(server.instance, hit);
        if hit {
            if world.dice.chance(0.9) {
                say(world, server, at, Entry::debug(format!("cache hit for product {product}")));
            }
            return Done::well(at + world.dice.latency(0.4, 0.4));
        }
        server.event(at, "cache.miss", vec![int("app.product.id", i64::try_from(product).unwrap_or(0))]);
        Done::well(query(world, server, at, &CATALOG_DB, 2.4))
    });
    found.end
}

/// Recommendations fail now and then, always have, and nobody minds: the page leaves them out.
fn recommend(world: &mut World, root: &Open, at: u64) -> u64 {
    let done = call(world, root, at, RECOMMEND, |world, server, at| {
        let name = "rank candidates".to_owned();
        let model = server.child(world, server.instance, SpanKind::Internal, Scope::App, name, at);
        let end = at + world.dice.latency(11.0, 0.5);
        model.close(world, &Done::well(end));
        if !world.dice.chance(0.01) {
            return Done::well(end + world.dice.latency(0.5, 0.4));
        }
        let message = "feature vector for visitor is empty";
        server.exception(end, "ValueError", message, "Traceback (most recent call last):\n  File \"rank.py\", line 88, in rank\n    raise ValueError(message)");
        say(
            world,
            server,
            end,
            Entry::error("ranking failed").exception(
                "ValueError",
                message,
                "Traceback (most recent call last):\n  File \"rank.py\", line 88, in rank",
            ),
        );
        Done {
            end,
            failure: Some(Failure { error_type: "ValueError", message: message.to_owned(), code: 2 }),
        }
    });
    done.end
}

fn search(world: &mut World, root: &Open, at: u64) -> Done {
    call(world, root, at, FIND, |world, server, at| {
        let words = *world.dice.pick(&["mug", "blue teapot", "rain jacket", "lamp", "desk", "running shoes"]);
        let end = query(world, server, at, &SEARCH_INDEX, 14.0);
        let hits = world.dice.below(180);
        let entry = Entry::info(format!("search for \"{words}\" found {hits} products"));
        say(world, server, end, entry.with(double("app.search.score_max", 1.0 + score(hits))));
        Done::well(end + world.dice.latency(0.8, 0.4))
    })
}

#[expect(clippy::cast_precision_loss, reason = "below two hundred")]
fn score(hits: u64) -> f64 {
    hits as f64 / 16.0
}

fn add_to_cart(world: &mut World, root: &Open, at: u64, product: u64) -> Done {
    let end = get_product(world, root, at, product);
    call(world, root, end, ADD_ITEM, |world, server, at| {
        let quantity = world.dice.below(3) + 1;
        let end = query(world, server, at, &CART_STORE, 0.5);
        say(world, server, end, Entry::info(format!("added {quantity} of product {product} to cart")));
        Done::well(end + world.dice.latency(0.3, 0.3))
    })
}

fn log_in(world: &mut World, root: &Open, at: u64) -> Done {
    call(world, root, at, LOG_IN, |world, server, at| {
        let end = query(world, server, at, &USERS_DB, 1.8);
        let end = end + world.dice.latency(42.0, 0.15);
        if world.dice.chance(0.04) {
            say(world, server, end, Entry::warn("wrong password").event("user.login.failed"));
        } else {
            say(world, server, end, Entry::info("visitor signed in").event("user.login"));
        }
        Done::well(end)
    })
}
