//! The vocabulary of the load: services, routes, sentences.

/// Services; those first in the list are the busy ones.
pub(super) const SERVICES: [&str; 20] = [
    "storefront",
    "basket",
    "orders",
    "payments",
    "stock",
    "delivery",
    "prices",
    "accounts",
    "login",
    "mail",
    "search",
    "photos",
    "ratings",
    "coupons",
    "invoices",
    "refunds",
    "wishlist",
    "fraud",
    "exchange",
    "edge",
];
/// Processes of each service.
pub(super) const INSTANCES: u64 = 10;
pub(super) const REGIONS: [&str; 3] = ["north-1", "south-2", "west-1"];
pub(super) const ROUTES: [&str; 10] = [
    "/v2/items/{id}",
    "/v2/basket",
    "/v2/basket/lines",
    "/v2/orders",
    "/v2/orders/{id}",
    "/v2/search",
    "/v2/accounts/{id}",
    "/v2/payments",
    "/v2/delivery/slots",
    "/health",
];
pub(super) const METHODS: [&str; 4] = ["GET", "GET", "POST", "PUT"];
pub(super) const AGENTS: [&str; 4] = [
    "shop-ios/8.4.1 (iPhone15,3)",
    "shop-android/8.3.0 (Pixel 8)",
    "Mozilla/5.0 (X11; Linux x86_64)",
    "curl/8.9.1",
];
pub(super) const DATA_TABLES: [&str; 6] =
    ["items", "basket_lines", "orders", "payments", "accounts", "slots"];
pub(super) const ERRORS: [&str; 4] = [
    "ConnectTimeout: no answer in 2000 ms",
    "PoolExhausted: 64 of 64 in use",
    "Conflict: version moved on",
    "Unavailable: upstream reset",
];

/// Log bodies of about 200 bytes: `#` becomes a number, `@` a word of hexadecimal digits, `%` a time in
/// milliseconds, `$` a service, `~` a route.
pub(super) const SENTENCES: [&str; 24] = [
    "handled request ~ for customer # in % ms: status=200 bytes=# cache=hit attempts=1 upstream=$ session=@ protocol=h2 tls=1.3 compressed=br reused-connection=true queue=0",
    "handled request ~ for customer # in % ms: status=201 bytes=# cache=miss attempts=1 upstream=$ session=@ protocol=h2 tls=1.3 compressed=none reused-connection=false queue=#",
    "order @ accepted: # lines, # cents, warehouse #, carrier chosen by $ after % ms, payment authorised before reservation, confirmation mail queued, customer is not a first-time buyer",
    "order @ refused: stock of item # ran out between reservation and confirmation (% ms), # other lines kept in the basket, customer offered a substitute by $, nothing was charged",
    "payment @ captured: # cents through acquirer # in % ms, risk score #, challenge passed, settlement file of the day has # entries, ledger of $ balanced, receipt number #",
    "payment @ declined by acquirer # after % ms: reason insufficient funds, attempt # of 3, basket of customer # kept for 24 hours, $ told to show other ways to pay",
    "query on orders took % ms: # rows read, # rows returned, plan uses index orders_by_customer_day, buffers hit # read #, statement prepared once by $ under name @",
    "query on items took % ms, slower than the budget of 100 ms: # rows read, # returned, sort spilled # pages to disk, plan of @ changed since yesterday, asked by $",
    "connection pool of $ at # of 64: oldest has lived # s, waiting #, handed out # times since start, last wait % ms, none leaked, idle ones closed after 300 s, pool id @",
    "consumer of topic order-events caught up: partition #, offset #, lag #, batch of # records in % ms, commit by $ acknowledged, member @ keeps its assignment, no rebalance since # min",
    "produced # records to topic stock-events: partition #, last offset #, % ms from first to last acknowledgement, all replicas in sync, compression zstd, key @, producer of $",
    "cache of $ served item # after % ms: found in level 2, age # s of 900 s, refreshed in the background, # entries, # MiB, hit rate of the last minute # per mille, shard @",
    "customer # signed in after % ms with a passkey from a known device, session @ valid for 12 hours, # other sessions open, region unchanged, risk #, checked by $",
    "customer # could not sign in: wrong password, attempt # of 10, next allowed in # s, device unknown, network of a known provider, challenge shown by $ after % ms, id @",
    "circuit towards $ opened: # of the last 100 calls failed, slowest took % ms, calls to ~ answered from fallback for 30 s, probe @ follows, # requests refused meanwhile",
    "circuit towards $ closed again: # probes in a row succeeded, slowest % ms, open for # s in all, # requests were answered from fallback, budget @ of the hour has # left",
    "retrying ~ at $ after a reset connection: attempt # of 3, waiting % ms with jitter, idempotency key @, # ms left of the deadline, retry budget of this process at # per cent",
    "collected garbage in % ms: # MiB before, # MiB after, # MiB from young to old, pause goal 50 ms kept, # regions, heap of $ at # per cent, cause allocation, cycle @",
    "reloaded configuration @ of $ in % ms: # keys read, # changed, none refused, feature new-checkout on for # per mille of customers, previous version kept for # min",
    "scheduled job expire-baskets ended after % ms: # looked at, # expired, # customers reminded by mail, # skipped for an open payment, lock @ given back by $, next run in # min",
    "picture @ of item # resized for ~: # by # pixels, % ms, # KiB from # KiB, quality 82, stored under its checksum, old variant kept for # days, worker of $ has # waiting",
    "search for a phrase of # words took % ms: # hits of # documents, # shards asked, slowest shard #, spelling left alone, synonyms on, ranking model @, personalised by $",
    "mail @ to customer # handed over in % ms: template order-confirmation, language en, # KiB, # pictures inline, provider #, accepted at the first attempt, queue of $ at #",
    "price of item # changed from # to # cents by rule @ of $: in force at once, # shops told in % ms, # baskets repriced, # of them shown a notice, previous price kept for the record",
];
