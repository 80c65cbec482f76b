"""Opens every table under a folder as other programs do, and prints what it finds as JSON.

usage: interop.py TABLES_DIR

For each table two answers to the same question (rows, a sum, distinct services, first and last timestamp in
microseconds): one by the Python deltalake package, which reads the table's log, and one by DuckDB over the files
that the log lists.
"""

import json
import pathlib
import sys

import duckdb
import pyarrow.compute as pc
from deltalake import DeltaTable

SUMMED = {
    "logs": "severity_number",
    "spans": "duration_nano",
    "metrics": "coalesce(value, value_int)",
    "metric_histograms": "sum",
    "metric_exp_histograms": "sum",
    "metric_summaries": "sum",
}


def by_deltalake(table, name):
    rows = table.to_pyarrow_table()
    if name == "metrics":
        whole = rows["value_int"].cast("float64")
        summed = pc.coalesce(rows["value"], whole)
    else:
        summed = rows[SUMMED[name]]
    times = rows["timestamp"].cast("int64")
    return {
        "rows": rows.num_rows,
        "total": float(pc.sum(summed).as_py()),
        "services": pc.count_distinct(rows["service_name"]).as_py(),
        "first": pc.min(times).as_py(),
        "last": pc.max(times).as_py(),
    }


def by_duckdb(table, name):
    files = [uri.removeprefix("file://") for uri in table.file_uris()]
    question = f"""
        SELECT count(*), CAST(sum({SUMMED[name]}) AS DOUBLE), count(DISTINCT service_name),
               epoch_us(min(timestamp)), epoch_us(max(timestamp))
        FROM read_parquet($files, hive_partitioning = true)
    """
    answer = duckdb.execute(question, {"files": files}).fetchone()
    return dict(zip(("rows", "total", "services", "first", "last"), answer))


def main():
    found = {}
    for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        if not (folder / "_delta_log").is_dir():
            continue
        table = DeltaTable(str(folder))
        found[folder.name] = {
            "version": table.version(),
            "deltalake": by_deltalake(table, folder.name),
            "duckdb": by_duckdb(table, folder.name),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
