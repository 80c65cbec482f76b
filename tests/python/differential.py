"""Asks our server and DuckDB, over the same Parquet files, each question of a file; prints where they disagree.

usage: differential.py URL_OF_SQL TABLES_FOLDER QUESTIONS.sql
Prints JSON: {"asked": count, "differences": [{"name", "sql", "ours", "theirs"}]}.
"""
import datetime
import decimal
import json
import math
import sys
import urllib.error
import urllib.request

import deltalake
import duckdb
import pyarrow

TABLES = ("logs", "spans", "metrics")


def questions(path):
    with open(path, encoding="utf-8") as file:
        for part in file.read().split("-- name: ")[1:]:
            name, sql = part.split("\n", 1)
            yield name.strip(), sql.strip().rstrip(";")


def ours(url, sql):
    request = urllib.request.Request(
        url,
        data=json.dumps({"sql": sql}).encode(),
        headers={"content-type": "application/json", "accept": "application/vnd.apache.arrow.stream"},
    )
    with urllib.request.urlopen(request) as response:
        table = pyarrow.ipc.open_stream(response.read()).read_all()
    return lines(table)


def lines(table):
    return list(zip(*(column.to_pylist() for column in table.columns))) if table.num_columns else []


def plain(value):
    """One spelling of a cell, whatever type each engine gives it."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, datetime.datetime):
        # DuckDB's date_trunc keeps the zone, its casts do not; all of ours are UTC.
        return value.replace(tzinfo=datetime.timezone.utc).isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    number = float(value) if isinstance(value, (float, decimal.Decimal)) else value
    if isinstance(number, float):
        if math.isnan(number):
            return "NaN"
        if number.is_integer() and abs(number) < 2**53:
            return int(number)
        # Sums in another order differ in their last digits.
        return float(f"{number:.10g}")
    return number


def rows(found, ordered):
    found = [tuple(plain(value) for value in row) for row in found]
    return found if ordered else sorted(found, key=lambda row: [(value is None, str(value)) for value in row])


def main(url, tables, path):
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'")
    for table in TABLES:
        # What a merge has replaced still lies beside what it made, so the table says which files it is.
        files = deltalake.DeltaTable(f"{tables}/{table}").file_uris()
        duck.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet({files}, hive_partitioning = true)")
    asked, differences = 0, []
    for name, sql in questions(path):
        asked += 1
        ordered = "ORDER BY" in sql.upper().rsplit(")", 1)[-1]
        answers = []
        for ask in (lambda: ours(url, sql), lambda: lines(duck.execute(sql).to_arrow_table())):
            try:
                answers.append(rows(ask(), ordered))
            except urllib.error.HTTPError as error:
                answers.append(f"error: {error.read().decode()}")
            except duckdb.Error as error:
                answers.append(f"error: {error}")
        if answers[0] != answers[1] or isinstance(answers[0], str):
            mine, other = answers
            if isinstance(mine, list) and isinstance(other, list):
                apart = [pair for pair in zip(mine, other) if pair[0] != pair[1]] or [(mine[-1:], other[-1:])]
                mine = {"rows": len(mine), "first": str(apart[0][0])}
                other = {"rows": len(other), "first": str(apart[0][1])}
            else:
                mine, other = str(mine)[:300], str(other)[:300]
            differences.append({"name": name, "sql": sql, "ours": mine, "theirs": other})
    print(json.dumps({"asked": asked, "differences": differences}, default=str, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
