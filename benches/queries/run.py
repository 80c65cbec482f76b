#!/usr/bin/env python3
"""Times on-call questions: ours over HTTP, and DuckDB in process over our own files, equal answers asserted.

usage: run.py BINARY [--logs N] [--spans N] [--points N] [--rounds N] [--data FOLDER] [--only TEXT] [--json]
Needs duckdb, deltalake and pyarrow (tests/python/requirements.txt). With --data the folder is kept and used again.
A million items come from each seed, so nothing is a copy of something else.
"""
import argparse
import datetime
import decimal
import http.client
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import deltalake
import duckdb
import pyarrow

from questions import NEWEST, QUESTIONS

MILLION = 1_000_000


class Server:
    """Our program over a data directory, until the block ends."""

    def __init__(self, binary, data):
        self.log = open(f"{data}.log", "w+", encoding="utf-8")
        ports = [word for port in ("grpc", "http", "web") for word in (f"--listen-{port}", "127.0.0.1:0")]
        command = [binary, "serve", "--data-dir", data, "--workspace", f"{data}-workspace", *ports]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def __enter__(self):
        while True:
            text = open(self.log.name, encoding="utf-8").read()
            found = re.search(r"listening .*http=(\S+) web=(\S+)", text)
            if found:
                self.http, self.web = found.groups()
                self.connection = http.client.HTTPConnection(self.web, timeout=600)
                return self
            if self.process.poll() is not None:
                sys.exit(f"the server ended: {text}")
            time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ask(self, sql):
        headers = {"content-type": "application/json", "accept": "application/vnd.apache.arrow.stream"}
        self.connection.request("POST", "/api/v1/sql", json.dumps({"sql": sql}), headers)
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:
            sys.exit(f"{response.status} {body[:500]!r}\n{sql}")
        return pyarrow.ipc.open_stream(body).read_all()


def wait_for_text_index(server, data):
    """Until every block of logs that gets an index has one: it is built in the background."""
    rows = deltalake.DeltaTable(f"{data}/tables/logs").get_add_actions(flatten=True).column("num_records").to_pylist()
    wanted = sum(count >= 1_000 for count in rows)
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        server.connection.request("GET", "/metrics")
        metrics = server.connection.getresponse().read().decode()
        found = re.search(r"^hindsight_search_index_blocks (\d+)", metrics, re.MULTILINE)
        if found and int(found.group(1)) >= wanted:
            return
        time.sleep(0.5)
    sys.exit(f"no index of {wanted} blocks of logs within 15 minutes")


def load(binary, data, counts):
    with Server(binary, data) as server:
        end = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        for signal, items in counts.items():
            for seed in range(math.ceil(items / MILLION)):
                wanted = min(MILLION, items - seed * MILLION)
                print(f"loading {signal}, {seed * MILLION + wanted} of {items}", file=sys.stderr)
                command = [binary, "bench", "ingest", "--signal", signal, "--items", str(wanted), "--seed", str(seed)]
                last, window = end, 3600
                if signal == "metrics":
                    # The same series in every million, so each has its own part of the hour.
                    window = 3600 * wanted // items
                    last = end - datetime.timedelta(seconds=3600 * (items - seed * MILLION - wanted) // items)
                where = ["--url", f"http://{server.http}", "--web", f"http://{server.web}"]
                where += ["--end", last.strftime("%Y-%m-%dT%H:%M:%SZ"), "--window", f"{window}s"]
                subprocess.run([*command, *where, "--data-dir", data], check=True, stdout=subprocess.DEVNULL)
    print("merging", file=sys.stderr)
    subprocess.run([binary, "maintain", "--data-dir", data], check=True, stdout=subprocess.DEVNULL)


def plain(value, digits):
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=datetime.timezone.utc).isoformat()
    if isinstance(value, (float, decimal.Decimal)):
        return float(value) if digits else round(float(value), 6)
    return value


def rows(table, ordered, digits):
    found = [tuple(plain(value, digits) for value in row) for row in zip(*(c.to_pylist() for c in table.columns))]
    if ordered is True:
        return found
    if ordered == NEWEST and found:
        found = [row if row[0] > found[-1][0] else row[:1] for row in found]
    return sorted(found, key=lambda row: [(value is None, str(value)) for value in row])


def same(ours, theirs, tolerance):
    if not tolerance:
        return ours == theirs
    def near(a, b):
        if isinstance(a, (int, float)) and isinstance(b, (int, float)):
            return math.isclose(a, b, rel_tol=tolerance)
        return a == b
    far = sum(not all(map(near, a, b)) for a, b in zip(ours, theirs))
    # An estimate may be further off where a group has few rows.
    return len(ours) == len(theirs) and far <= (len(ours) // 20 if tolerance > 0.01 else 0)


def clock(what, rounds):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        answer = what()
        times.append((time.perf_counter() - start) * 1e3)
    return answer, times


def drop_page_cache():
    """Only root may; without it the cold column is of a fresh process alone."""
    try:
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("3")
        return True
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--logs", type=int, default=10 * MILLION)
    parser.add_argument("--spans", type=int, default=10 * MILLION)
    parser.add_argument("--points", type=int, default=20 * MILLION)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--data")
    parser.add_argument("--only", default="")
    parser.add_argument("--no-cold", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    binary = os.path.abspath(args.binary)
    scratch = tempfile.TemporaryDirectory(prefix="hindsight-queries-")
    data = os.path.abspath(args.data or os.path.join(scratch.name, "data"))
    if not os.path.isdir(os.path.join(data, "tables")):
        os.makedirs(data, exist_ok=True)
        load(binary, data, {"logs": args.logs, "traces": args.spans, "metrics": args.points})
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'; SET threads = 2")
    for table in ("logs", "spans", "metrics", "metric_histograms"):
        files = deltalake.DeltaTable(f"{data}/tables/{table}").file_uris()
        duck.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet({files}, hive_partitioning = true)")
    one = lambda sql: duck.sql(sql).fetchall()[0][0]
    facts = {
        "service": one("SELECT service_name FROM logs GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1 OFFSET 4"),
        # Neither the first nor the last, which the bounds of pages would find.
        "trace": one("SELECT min(trace_id) FROM spans WHERE trace_id > '8'"),
        "rare": re.search(r"[0-9a-f]{16}", one("SELECT min(body) FROM logs WHERE body LIKE '%session%'")).group(),
        "now": one("SELECT max(timestamp)::VARCHAR FROM metrics").split("+")[0],
    }
    wanted = {name: question for name, question in QUESTIONS.items() if args.only in name}
    with Server(binary, data) as server:
        print("waiting for the text index", file=sys.stderr)
        wait_for_text_index(server, data)
    results = {}
    for name, (mine, theirs, ordered, tolerance) in wanted.items():
        mine, theirs = mine.format(**facts), (theirs or mine).format(**facts)
        cold = None
        if not args.no_cold:
            drop_page_cache()
            with Server(binary, data) as server:
                cold = clock(lambda: server.ask(mine), 1)[1][0]
        results[name] = {"cold_ms": cold, "sql": mine, "theirs": theirs, "ordered": ordered, "tolerance": tolerance}
    with Server(binary, data) as server:
        # A process that has only just started is not warm.
        for result in results.values():
            server.ask(result["sql"])
        for name, result in results.items():
            server.ask(result["sql"])
            ours, times = clock(lambda: server.ask(result["sql"]), args.rounds)
            execute = lambda: duck.sql(result["theirs"]).to_arrow_table()
            execute()
            other, other_times = clock(execute, args.rounds)
            ours, other = (rows(found, result["ordered"], result["tolerance"]) for found in (ours, other))
            if not same(ours, other, result["tolerance"]):
                sys.exit(f"{name}: {len(ours)} rows, DuckDB {len(other)}; first {ours[:2]} and {other[:2]}")
            result |= {"rows": len(ours), "ms": statistics.median(times), "duckdb_ms": statistics.median(other_times)}
    if args.json:
        print(json.dumps(results, indent=1))
        return
    print("| question | rows | cold ms | warm ms | DuckDB ms | ours : DuckDB |\n|---|---|---|---|---|---|")
    for name, result in results.items():
        cold = "" if result["cold_ms"] is None else f"{result['cold_ms']:.0f}"
        share = result["ms"] / result["duckdb_ms"]
        print(f"| {name} | {result['rows']} | {cold} | {result['ms']:.1f} | {result['duckdb_ms']:.1f} | {share:.2f} |")


if __name__ == "__main__":
    main()
