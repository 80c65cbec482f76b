"""Speaks to a server as the Python ADBC driver for Flight SQL does, and fails when it is not answered as it should.

Usage: flight_client.py PORT TOKEN. The server has the hundred logs that flight.rs sent, a query timeout of four seconds,
and two queries at once.
"""

import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow
import pyarrow.compute
from adbc_driver_manager import Error
from adbc_driver_flightsql import DatabaseOptions

LONG = "SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 3"
WIDE = "SELECT a.value, repeat('x', 1000) FROM generate_series(1, 900000) a"
URI, TOKEN = f"grpc://127.0.0.1:{sys.argv[1]}", sys.argv[2]


def connect(**options):
    options = options or {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"}
    return flight_sql.connect(URI, db_kwargs=options, autocommit=True)


def refused(ask, *words):
    try:
        ask()
    except Error as error:
        for word in words:
            assert word in str(error), (word, str(error))
    else:
        raise AssertionError(f"not refused, though {words} were expected")


def fetched(connection, sql, parameters=None):
    with connection.cursor() as cursor:
        return cursor.execute(sql, parameters).fetchall()


def who_has_no_token_is_refused():
    header = DatabaseOptions.AUTHORIZATION_HEADER.value
    for options in ({header: "Bearer fedcba9876543210"}, {"username": "me", "password": "fedcba9876543210"}):

        def ask():
            with connect(**options) as c:
                fetched(c, "SELECT 1")

        refused(ask, "UNAUTHENTICATED", "a token is needed")
    with connect(username="me", password=TOKEN) as c:
        assert fetched(c, "SELECT 1") == [(1,)]


def tables_are_listed():
    with connect() as c:
        about = c.adbc_get_info()
        assert about["vendor_name"] == "Hindsight", about
        assert sorted(c.adbc_get_table_types()) == ["TABLE", "VIEW"]
        [catalog] = c.adbc_get_objects(depth="tables").read_all().to_pylist()
        assert catalog["catalog_name"] == "hindsight", catalog
        [schema] = catalog["catalog_db_schemas"]
        assert schema["db_schema_name"] == "public", schema["db_schema_name"]
        tables = {table["table_name"]: table["table_type"] for table in schema["db_schema_tables"]}
        assert tables["logs"] == tables["spans"] == tables["query_log"] == "TABLE", tables
        assert tables["span_events"] == "VIEW", tables
        [catalog] = c.adbc_get_objects(depth="all", table_name_filter="log%", table_types_filter=["TABLE"]).read_all().to_pylist()
        [logs] = catalog["catalog_db_schemas"][0]["db_schema_tables"]
        columns = [column["column_name"] for column in logs["table_columns"]]
        assert {"timestamp", "service_name", "body", "attributes"} <= set(columns), columns
        told = c.adbc_get_table_schema("logs")
        assert told.names == columns, told
        with c.cursor() as cursor:
            sent = cursor.execute("SELECT * FROM logs").fetch_arrow_table().schema
        assert sent.names == told.names and sent.types == told.types, (sent, told)


def rows_and_types():
    with connect() as c:
        sql = "SELECT service_name, timestamp, body FROM logs ORDER BY timestamp LIMIT 1"
        [(service, timestamp, body)] = fetched(c, sql)
        assert service == "checkout" and body == "line 0 \N{SNOWMAN}", (service, body)
        assert timestamp.utcoffset() == timedelta(0), timestamp
        [row] = fetched(c, "SELECT true, -7, 1.5::double, NULL, [1, NULL, 3], 18446744073709551615")
        assert row == (True, -7, 1.5, None, [1, None, 3], 18446744073709551615), row
        with c.cursor() as cursor:
            empty = cursor.execute("SELECT body FROM logs WHERE false").fetch_arrow_table()
            assert empty.num_rows == 0 and empty.schema.names == ["body"], empty


def many_batches():
    with connect() as c, c.cursor() as cursor:
        cursor.execute("SELECT value FROM generate_series(1, 300000)")
        batches = [batch.column(0) for batch in cursor.fetch_record_batch()]
        assert len(batches) > 10, len(batches)
        values = pyarrow.chunked_array(batches)
        assert len(values) == 300000 and pyarrow.compute.sum(values).as_py() == 300000 * 300001 // 2


def parameters():
    since = datetime.now(timezone.utc) - timedelta(hours=1)
    with connect() as c:
        sql = "SELECT count(*) FROM logs WHERE service_name = $1 AND timestamp > $2 AND severity_number >= $3"
        assert fetched(c, sql, ("checkout", since, 9)) == [(100,)]
        assert fetched(c, sql, ("checkout", since, 10)) == [(0,)]
        assert fetched(c, "SELECT body FROM logs WHERE attributes->>'user' = $1", ("it's; $1",)) == []
        assert fetched(c, "SELECT count(*) FROM logs WHERE timestamp > $from") == [(100,)]
        refused(lambda: fetched(c, sql), "INVALID_ARGUMENT", "parameter $1 has no value")
        refused(lambda: fetched(c, sql, ("checkout",)), "INVALID_ARGUMENT", "1 values were bound to 3")
        two = pyarrow.table({"1": ["a", "b"], "2": [since] * 2, "3": [9, 9]})
        refused(lambda: fetched(c, sql, two), "INVALID_ARGUMENT", "more than one row")


def wrong_sql_is_explained():
    with connect() as c:
        for sql, *words in [
            ("SELECT * FROM lgos", "INVALID_ARGUMENT", "did you mean `logs`?"),
            ("SELECT nothing FROM logs", "INVALID_ARGUMENT", "nothing"),
            ("SELEC 1", "INVALID_ARGUMENT", "syntax"),
            ("DELETE FROM logs", "INVALID_ARGUMENT"),
            ("SELECT 1; SELECT 2", "INVALID_ARGUMENT", "2 statements"),
            ("SELECT 1 / (value - 200000) FROM generate_series(1, 300000)", "zero"),
        ]:
            refused(lambda: fetched(c, sql), *words)
            assert fetched(c, "SELECT 1") == [(1,)], sql


def wait_until(look):
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline, look
        time.sleep(0.05)


def cancel_and_timeout():
    with connect() as c, connect() as other:
        outcomes = f"SELECT outcome FROM query_log WHERE sql = '{LONG}' ORDER BY id"
        with c.cursor() as cursor:
            threading.Timer(0.3, cursor.adbc_cancel).start()
            started = time.monotonic()
            refused(lambda: cursor.execute(LONG).fetchall(), "ancel")
            assert time.monotonic() - started < 3
        wait_until(lambda: fetched(other, outcomes) == [("dropped",)])
        refused(lambda: fetched(c, LONG), "TIMEOUT", "exceeded the timeout of 4s")
        assert fetched(other, outcomes) == [("dropped",), ("timeout",)]


def readers_who_take_nothing_give_up_their_turn_to_others():
    busy = [connect() for _ in range(2)]
    readers = [c.cursor() for c in busy]
    for cursor in readers:
        next(cursor.execute(WIDE).fetch_record_batch())
    with connect() as c:
        wait_until(lambda: answered(c))
        stopped = "SELECT count(*) >= 1 FROM query_log WHERE outcome = 'reader'"
        wait_until(lambda: fetched(c, stopped) == [(True,)])
    for cursor, connection in zip(readers, busy):
        cursor.close()
        connection.close()


def answered(c):
    try:
        return fetched(c, "SELECT 1") == [(1,)]
    except Error as error:
        assert "ResourceExhausted" in str(error), error
        return False


for check in (
    who_has_no_token_is_refused,
    tables_are_listed,
    rows_and_types,
    many_batches,
    parameters,
    wrong_sql_is_explained,
    cancel_and_timeout,
    readers_who_take_nothing_give_up_their_turn_to_others,
):
    check()
    print(check.__name__)
