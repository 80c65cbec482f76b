//! What machines, runtimes and orders-db report about themselves.

use opentelemetry_proto::tonic::metrics::v1::Metric;

use crate::dice::whole;
use crate::fault::{NEW_VERSION, Plan};
use crate::instruments::{Adds, Named, Span, double_point, gauge, int_point, sum};
use crate::meters::Meters;
use crate::topology::{Runtime, Service};
use crate::values::text;

const MIB: f64 = 1_048_576.0;
const SCRAPE_SECONDS: f64 = 30.0;

const CPU: Named = Named("process.cpu.utilization", "1", "Share of the pod's processors in use");
const CPU_TIME: Named = Named("process.cpu.time", "s", "Processor time used");
const MEMORY: Named = Named("process.memory.usage", "By", "Resident memory");
const FILES: Named = Named("process.unix.file_descriptor.count", "{file_descriptor}", "Open files");

/// A pod's process and its language's runtime.
#[expect(clippy::cast_precision_loss, reason = "spans of half a minute")]
pub(crate) fn process(meters: &mut Meters, index: usize, service: Service, span: Span) -> Vec<Metric> {
    let load = std::mem::take(&mut meters.pods[index].busy) as f64;
    let dice = &mut meters.dice;
    let cpu = (0.04 + load * 0.0009 + 0.008 * dice.normal()).clamp(0.01, 0.98);
    let resident = base_memory_mib(service) * (1.0 + 0.01 * dice.normal()) * MIB;
    let files = whole(48.0 + load * 0.04 + 2.0 * dice.normal());
    let spent = &mut meters.pods[index].cpu_seconds;
    spent[0] += cpu * SCRAPE_SECONDS * 0.82;
    spent[1] += cpu * SCRAPE_SECONDS * 0.18;
    let modes = [("user", spent[0]), ("system", spent[1])]
        .map(|(mode, seconds)| double_point(span, vec![text("cpu.mode", mode)], seconds));
    let mut metrics = vec![
        gauge(CPU, vec![double_point(span, Vec::new(), cpu)]),
        sum(CPU_TIME, Adds::Counter, modes.to_vec()),
        sum(MEMORY, Adds::UpDown, vec![int_point(span, Vec::new(), pages(resident))]),
        sum(FILES, Adds::UpDown, vec![int_point(span, Vec::new(), files)]),
    ];
    metrics.extend(runtime(meters, service, resident, load, span));
    metrics
}

fn runtime(meters: &mut Meters, service: Service, resident: f64, load: f64, span: Span) -> Vec<Metric> {
    let dice = &mut meters.dice;
    let wobble = 1.0 + 0.06 * dice.normal();
    match service.runtime() {
        Runtime::Java => {
            let used = Named("jvm.memory.used", "By", "Memory in use by the virtual machine");
            let pools =
                [("G1 Eden Space", 0.22), ("G1 Old Gen", 0.41), ("Metaspace", 0.11)].map(|(pool, part)| {
                    int_point(span, vec![text("jvm.memory.pool.name", pool)], pages(resident * part * wobble))
                });
            let threads = Named("jvm.thread.count", "{thread}", "Live threads");
            let live = int_point(span, Vec::new(), whole(61.0 + 0.02 * load));
            vec![sum(used, Adds::UpDown, pools.to_vec()), sum(threads, Adds::UpDown, vec![live])]
        }
        Runtime::Go => {
            let used = Named("go.memory.used", "By", "Memory in use by the Go runtime");
            let routines = Named("go.goroutine.count", "{goroutine}", "Live goroutines");
            let count = int_point(span, Vec::new(), whole(24.0 + 0.1 * load * wobble));
            vec![
                sum(used, Adds::UpDown, vec![int_point(span, Vec::new(), pages(resident * 0.6 * wobble))]),
                sum(routines, Adds::UpDown, vec![count]),
            ]
        }
        Runtime::Node => {
            let delay = Named("nodejs.eventloop.delay.p99", "s", "99th percentile of the event loop's delay");
            let heap = Named("v8js.memory.heap.used", "By", "Heap in use");
            let spaces = [("new_space", 0.08), ("old_space", 0.52)].map(|(space, part)| {
                int_point(span, vec![text("v8js.heap.space.name", space)], pages(resident * part * wobble))
            });
            vec![
                gauge(delay, vec![double_point(span, Vec::new(), 0.0108 * wobble)]),
                sum(heap, Adds::UpDown, spaces.to_vec()),
            ]
        }
        Runtime::Python | Runtime::Dotnet => {
            let named = Named("app.runtime.gc.collections", "{collection}", "Garbage collections");
            let since = Span { start: span.at - 30 * crate::SECOND, at: span.at };
            vec![sum(named, Adds::DeltaCounter, vec![int_point(since, Vec::new(), dice.below(9))])]
        }
        Runtime::Postgres => Vec::new(),
    }
}

/// A machine: processors, memory, network, disk.
pub(crate) fn host(meters: &mut Meters, node: usize, span: Span) -> Vec<Metric> {
    let dice = &mut meters.dice;
    let user = (0.21 + 0.02 * dice.normal()).max(0.02);
    let memory = 0.58 + 0.004 * dice.normal();
    let host = &mut meters.hosts[node];
    host.network_bytes[0] += 3_000_000 + dice.below(900_000);
    host.network_bytes[1] += 4_100_000 + dice.below(900_000);
    let cpu = [("user", user), ("system", user * 0.28), ("idle", 1.0 - user * 1.28)]
        .map(|(mode, share)| double_point(span, vec![text("cpu.mode", mode)], share));
    let network = [("receive", host.network_bytes[0]), ("transmit", host.network_bytes[1])]
        .map(|(direction, bytes)| int_point(span, vec![text("network.io.direction", direction)], bytes));
    vec![
        gauge(Named("system.cpu.utilization", "1", "Share of time by mode"), cpu.to_vec()),
        gauge(
            Named("system.memory.utilization", "1", "Share of memory in use"),
            vec![double_point(span, vec![text("system.memory.state", "used")], memory)],
        ),
        sum(Named("system.network.io", "By", "Bytes over the network"), Adds::Counter, network.to_vec()),
    ]
}

/// orders-db, as a collector's receiver reads its statistics.
#[expect(clippy::cast_precision_loss, reason = "counts of an hour and a half")]
pub(crate) fn orders_db(meters: &mut Meters, plan: &Plan, span: Span) -> Vec<Metric> {
    let pressure = plan.pressure(span.at);
    let taken = 120.0 * plan.pool_usage(span.at, NEW_VERSION) * (1.0 + 0.01 * meters.dice.normal());
    let waiting = taken * 0.55 * pressure;
    let backends = [("active", taken * 0.3 + waiting), ("idle", taken * 0.7 * (1.0 - pressure))].map(
        |(state, count)| int_point(span, vec![text("postgresql.state", state)], whole(count.min(120.0))),
    );
    let statements: Vec<_> =
        meters.statements.iter().map(|(operation, count)| (*operation, *count)).collect();
    let total: u64 = statements.iter().map(|(_, count)| count).sum();
    let operations = statements
        .iter()
        .map(|(operation, count)| int_point(span, vec![text("db.operation.name", *operation)], *count))
        .collect();
    let blocks = [("heap_hit", total * 9), ("heap_read", total / 7)]
        .map(|(source, count)| int_point(span, vec![text("source", source)], count));
    vec![
        sum(
            Named("postgresql.backends", "{backend}", "Connections by state"),
            Adds::UpDown,
            backends.to_vec(),
        ),
        gauge(
            Named("postgresql.connection.max", "{connection}", "Connections the server allows"),
            vec![int_point(span, Vec::new(), 120)],
        ),
        sum(Named("postgresql.operations", "{operation}", "Statements run"), Adds::Counter, operations),
        sum(Named("postgresql.blocks_read", "{block}", "Blocks read"), Adds::Counter, blocks.to_vec()),
        gauge(
            Named("postgresql.lock.wait.ratio", "1", "Share of backends that wait for a lock"),
            vec![double_point(span, Vec::new(), 0.01 + 0.46 * pressure)],
        ),
        sum(
            Named("postgresql.db_size", "By", "Size of the database on disk"),
            Adds::UpDown,
            vec![int_point(
                span,
                vec![text("postgresql.database.name", "orders")],
                41_204_318_208 + total * 96,
            )],
        ),
        gauge(
            Named("postgresql.bgwriter.buffers.share", "1", "Share of dirty buffers"),
            vec![double_point(span, Vec::new(), 0.03 + total as f64 % 13.0 / 1_000.0)],
        ),
    ]
}

fn base_memory_mib(service: Service) -> f64 {
    match service.runtime() {
        Runtime::Java => 742.0,
        Runtime::Go => 96.0,
        Runtime::Node => 188.0,
        Runtime::Python | Runtime::Dotnet => 231.0,
        Runtime::Postgres => 4_096.0,
    }
}

/// Bytes in whole pages.
fn pages(bytes: f64) -> u64 {
    whole(bytes) / 4_096 * 4_096
}
